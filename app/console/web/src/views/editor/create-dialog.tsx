import { type Connector, type ConnectorType, createConnector } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { ConnectorForm } from "./connector-form.tsx";
import { TypePicker } from "./type-picker.tsx";

/** Creates a connector: first the profile, then its settings, then, where it was generated, the redirect URI to register. */
export function CreateDialog({ onClose }: { onClose: () => void }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const [type, setType] = useState<ConnectorType | null>(null);
  const [created, setCreated] = useState<Connector | null>(null);

  if (created) {
    return (
      <Dialog title={t("editor.createdTitle", { name: created.name })} onClose={onClose}>
        <DialogBody>
          <p>{t("editor.createdText")}</p>
          <CopyText text={created.redirect_uri} label={t("editor.redirectUri")} />
        </DialogBody>
        <DialogActions>
          <Button kind="primary" onClick={onClose}>
            {t("editor.done")}
          </Button>
        </DialogActions>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("editor.createTitle")} size="large" keepsWork={type !== null} onClose={onClose}>
      {type === null ? (
        <TypePicker onPick={setType} />
      ) : (
        <ConnectorForm
          type={type}
          submit={t("editor.create")}
          onClose={onClose}
          onChangeType={() => setType(null)}
          onSubmit={async (body, id) => {
            const connector = await createConnector(body, { ...call, id });
            await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
            if (type.redirect_uri === connector.redirect_uri) {
              toast("success", t("toast.created", { name: connector.name }));
              onClose();
            } else {
              setCreated(connector);
            }
          }}
        />
      )}
    </Dialog>
  );
}

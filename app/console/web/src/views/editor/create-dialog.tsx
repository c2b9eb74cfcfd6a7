import { type Connector, type ConnectorType, createConnector } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { focusFirstIn } from "../../lib/keep-focus.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { ConnectorForm } from "./connector-form.tsx";
import { TypePicker } from "./type-picker.tsx";
import { useDiscardGuard } from "./use-discard-guard.tsx";

/** Creates a connector: first the profile, then its settings, then, where it was generated, the redirect URI to register. */
export function CreateDialog({ onClose }: { onClose: () => void }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const guard = useDiscardGuard();
  const [type, setType] = useState<ConnectorType | null>(null);
  const [created, setCreated] = useState<Connector | null>(null);
  // The profile that was picked before another one is chosen.
  const picked = useRef<string | undefined>(undefined);

  if (created) {
    return <CreatedDialog created={created} onClose={onClose} />;
  }
  const close = () => guard.leave(onClose);
  return (
    <>
      <Dialog title={t("editor.createTitle")} size="large" keepsWork={type !== null} onClose={close}>
        {type === null ? (
          <TypePicker
            focused={picked.current}
            onPick={(one) => {
              picked.current = one.id;
              setType(one);
            }}
          />
        ) : (
          <ConnectorForm
            type={type}
            submit={t("editor.create")}
            guard={guard}
            onClose={close}
            onChangeType={() => guard.leave(() => setType(null))}
            onSubmit={async (body, id) => {
              try {
                const connector = await createConnector(body, { ...call, id });
                guard.clean();
                if (type.redirect_uri === connector.redirect_uri) {
                  toast("success", t("toast.created", { name: connector.name }));
                  onClose();
                } else {
                  setCreated(connector);
                }
              } finally {
                // After a conflict the list misses the connector with this id.
                await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
              }
            }}
          />
        )}
      </Dialog>
      {guard.question}
    </>
  );
}

function CreatedDialog({ created, onClose }: { created: Connector; onClose: () => void }) {
  const { t } = usePreferences();
  const actions = useRef<HTMLDivElement>(null);
  // The button that was pressed is gone.
  useEffect(() => focusFirstIn(actions.current), []);
  return (
    <Dialog title={t("editor.createdTitle", { name: created.name })} onClose={onClose}>
      <DialogBody>
        <p>{t("editor.createdText")}</p>
        <div ref={actions}>
          <CopyText text={created.redirect_uri ?? ""} label={t("editor.redirectUri")} />
          <p className="field__hint">{t("editor.redirectUriHint")}</p>
        </div>
      </DialogBody>
      <DialogActions>
        <Button kind="primary" onClick={onClose}>
          {t("editor.done")}
        </Button>
      </DialogActions>
    </Dialog>
  );
}

import { type Connector, type ConnectorBody, dryRunUpdate, updateConnector } from "@grantry/client";
import { ALL_AUTH_STATUS_KEY } from "@grantry/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery, connectorTypesQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { Dialog, DialogBody } from "../../ui/dialog.tsx";
import { Notice } from "../../ui/notice.tsx";
import { SkeletonRows } from "../../ui/state.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { typeOfUnknown } from "./config.ts";
import { ConnectorForm } from "./connector-form.tsx";

/** Edits a connector. An edit that disconnects users is saved only after a confirmation that shows their number. */
export function EditDialog({ connector, onClose }: { connector: Connector; onClose: () => void }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const types = useQuery(connectorTypesQuery(call));
  // A list that is read again while the form is open must not change the revision of the edit.
  const [existing] = useState(connector);
  // The edit that waits for its confirmation. In a ref, since it may contain a secret and is not rendered.
  const pending = useRef<ConnectorBody | null>(null);
  const [toDisconnect, setToDisconnect] = useState(0);

  const save = async (body: ConnectorBody) => {
    const saved = await updateConnector(existing.id, body, call);
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey }),
      queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY }),
    ]);
    const count = saved.disconnected_users ?? 0;
    const { name } = saved;
    toast("success", count > 0 ? t("toast.savedDisconnected", { name, count }) : t("toast.saved", { name }));
    onClose();
  };

  const submit = async (body: ConnectorBody) => {
    const count = await dryRunUpdate(existing.id, body, call);
    if (count === 0) {
      await save(body);
      return;
    }
    pending.current = body;
    setToDisconnect(count);
  };

  const type = types.data?.find(({ id }) => id === existing.connector_type_id) ?? typeOfUnknown(existing);
  return (
    <>
      <Dialog title={t("editor.editTitle", { name: existing.name })} size="large" keepsWork onClose={onClose}>
        {types.isPending ? (
          <DialogBody>
            <SkeletonRows label={t("common.loading")} />
          </DialogBody>
        ) : (
          <>
            {types.error && !types.data && (
              <DialogBody>
                <Notice kind="error">{describeError(types.error, t)}</Notice>
              </DialogBody>
            )}
            <ConnectorForm
              type={type}
              existing={existing}
              submit={t("common.save")}
              onSubmit={submit}
              onClose={onClose}
            />
          </>
        )}
      </Dialog>
      {toDisconnect > 0 && (
        <ConfirmDialog
          title={t("editor.confirmTitle", { count: toDisconnect })}
          submit={t("editor.confirmSubmit")}
          onConfirm={async () => {
            if (pending.current) {
              await save(pending.current);
            }
          }}
          onClose={() => setToDisconnect(0)}
        >
          <p>{t("editor.confirmText")}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

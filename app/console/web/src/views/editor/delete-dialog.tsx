import { type Connector, deleteConnector } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { useToast } from "../../ui/toasts.tsx";

/** Asks before a connector is deleted. */
export function DeleteDialog({
  connector,
  onDeleted,
  onClose,
}: {
  connector: Connector;
  /** Called after the deletion, before the dialog closes. */
  onDeleted: () => void;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const { name } = connector;
  return (
    <ConfirmDialog
      title={t("deleteDialog.title", { name })}
      submit={t("deleteDialog.submit")}
      onConfirm={async () => {
        await deleteConnector(connector.id, call);
        toast("success", t("toast.deleted", { name }), connector.id);
        onDeleted();
        await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
      }}
      onClose={onClose}
    >
      <p>{t("deleteDialog.text")}</p>
    </ConfirmDialog>
  );
}

import {
  type Connector,
  type ConnectorBody,
  GrantryError,
  previewUpdate,
  type UpdatePreview,
  updateConnector,
} from "@grantry/client";
import { ALL_AUTH_STATUS_KEY } from "@grantry/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery, connectorTypesQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { Dialog, DialogBody } from "../../ui/dialog.tsx";
import { loadedLater } from "../../ui/loaded-later.tsx";
import { Notice } from "../../ui/notice.tsx";
import { SkeletonRows } from "../../ui/state.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { typeOfUnknown } from "./config.ts";
import { changedMeanwhile, FormError } from "./form-errors.ts";
import { useDiscardGuard } from "./use-discard-guard.tsx";

const ConnectorForm = loadedLater(
  "connector-form",
  async () => (await import("./connector-form.tsx")).ConnectorForm,
);

const NO_EFFECT: UpdatePreview = { disconnected_users: 0, affected_users: 0 };

/** Edits a connector. An edit that affects users is saved only after a confirmation that shows their number. */
export function EditDialog({ connector, onClose }: { connector: Connector; onClose: () => void }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const guard = useDiscardGuard();
  const types = useQuery(connectorTypesQuery(call));
  // A list that is read again while the form is open must not change the revision of the edit.
  const [existing, setExisting] = useState(connector);
  // The edit that waits for its confirmation. In a ref, since it may contain a secret and is not rendered.
  const pending = useRef<ConnectorBody | null>(null);
  const [effect, setEffect] = useState(NO_EFFECT);
  const type = types.data?.find(({ id }) => id === existing.connector_type_id) ?? typeOfUnknown(existing);

  /** Reads the list again. The next attempt replaces the newest state, with what others changed marked in the form. */
  const afterConflict = async (): Promise<FormError | undefined> => {
    await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
    const list = await queryClient.fetchQuery(connectorsQuery(call));
    const newest = list.find(({ id }) => id === existing.id);
    // The settings of one that is not authentic are not shown, and it cannot be edited.
    if (!newest || newest.is_tampered) {
      return undefined;
    }
    setExisting(newest);
    return new FormError({
      fields: changedMeanwhile(type, existing, newest, t),
      text: t("form.editedMeanwhile"),
    });
  };

  const reportingConflicts = async (action: () => Promise<void>) => {
    try {
      await action();
    } catch (error) {
      const isConflict = error instanceof GrantryError && error.code === "conflict";
      throw (isConflict && (await afterConflict())) || error;
    }
  };

  const save = async (body: ConnectorBody) => {
    const saved = await updateConnector(existing.id, body, call);
    guard.clean();
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey }),
      queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY }),
    ]);
    const count = saved.disconnected_users ?? 0;
    const { name } = saved;
    toast("success", count > 0 ? t("toast.savedDisconnected", { name, count }) : t("toast.saved", { name }));
    onClose();
  };

  const submit = (body: ConnectorBody) =>
    reportingConflicts(async () => {
      const preview = await previewUpdate(existing.id, body, call);
      if (preview.disconnected_users === 0 && preview.affected_users === 0) {
        await save(body);
        return;
      }
      pending.current = body;
      setEffect(preview);
    });

  const close = () => guard.leave(onClose);
  return (
    <>
      <Dialog title={t("editor.editTitle", { name: existing.name })} size="large" keepsWork onClose={close}>
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
              guard={guard}
              onSubmit={submit}
              onClose={close}
            />
          </>
        )}
      </Dialog>
      <EffectDialog
        effect={effect}
        onConfirm={async () => {
          if (pending.current) {
            await save(pending.current);
          }
        }}
        onClose={() => setEffect(NO_EFFECT)}
      />
      {guard.question}
    </>
  );
}

/** Asks before an edit that affects users is saved. */
function EffectDialog({
  effect: { disconnected_users: disconnected, affected_users: affected },
  onConfirm,
  onClose,
}: {
  effect: UpdatePreview;
  onConfirm: () => Promise<void>;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  if (disconnected === 0 && affected === 0) {
    return null;
  }
  return (
    <ConfirmDialog
      title={
        disconnected > 0
          ? t("editor.confirmTitle", { count: disconnected })
          : t("editor.affectedTitle", { count: affected })
      }
      submit={disconnected > 0 ? t("editor.confirmSubmit") : t("editor.affectedSubmit")}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      {disconnected > 0 && <p>{t("editor.confirmText")}</p>}
      {affected > 0 && (
        <p>{t(disconnected > 0 ? "editor.affectedTotal" : "editor.affectedText", { count: affected })}</p>
      )}
    </ConfirmDialog>
  );
}

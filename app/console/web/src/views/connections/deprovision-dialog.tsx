import { deprovisionUser } from "@grantry/client";
import { type FormEvent, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Ends every connection of a user, in every space. */
export function DeprovisionDialog({
  onDone,
  onClose,
}: {
  onDone: (text: string) => void;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const user = String(new FormData(event.currentTarget).get("user")).trim();
    setBusy(true);
    setError(null);
    try {
      const { revoked, queued } = await deprovisionUser(user, call);
      onDone(
        queued > 0
          ? t("toast.deprovisionedQueued", { count: revoked, queued })
          : t("toast.deprovisioned", { count: revoked }),
      );
      onClose();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };

  return (
    <Dialog title={t("connections.deprovisionTitle")} onClose={onClose}>
      <form className="dialog__form" onSubmit={(event) => void submit(event)}>
        <DialogBody>
          <p>{t("connections.deprovisionText")}</p>
          {error !== null && <Notice kind="error">{describeError(error, t)}</Notice>}
          <Field label={t("connections.deprovisionUser")} required>
            {(control) => <input {...control} name="user" autoComplete="off" spellCheck={false} />}
          </Field>
        </DialogBody>
        <DialogActions>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" kind="danger" busy={busy}>
            {t("connections.deprovisionSubmit")}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

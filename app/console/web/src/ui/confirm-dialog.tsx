import { type ReactNode, useState } from "react";
import { describeError } from "../lib/errors.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { Button } from "./button.tsx";
import { Dialog, DialogActions, DialogBody } from "./dialog.tsx";
import { Notice } from "./notice.tsx";

/** Props of {@link ConfirmDialog}. */
export interface ConfirmDialogProps {
  title: string;
  children: ReactNode;
  submit: string;
  /** Text of the button that closes the dialog. Absent: cancel. */
  cancel?: string;
  kind?: "primary" | "danger";
  /** Runs the action. If it rejects, the dialog stays open and shows the error. */
  onConfirm: () => Promise<void> | void;
  onClose: () => void;
}

/** Asks for a confirmation. */
export function ConfirmDialog({
  title,
  children,
  submit,
  cancel,
  kind = "danger",
  onConfirm,
  onClose,
}: ConfirmDialogProps) {
  const { t } = usePreferences();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      onClose();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onClose}>
      <DialogBody>
        {children}
        {error !== null && <Notice kind="error">{describeError(error, t)}</Notice>}
      </DialogBody>
      <DialogActions>
        <Button onClick={onClose}>{cancel ?? t("common.cancel")}</Button>
        <Button kind={kind} busy={busy} onClick={() => void confirm()}>
          {submit}
        </Button>
      </DialogActions>
    </Dialog>
  );
}

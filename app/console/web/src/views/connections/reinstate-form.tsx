import { reinstateUser, type User } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { focusFirstIn } from "../../lib/keep-focus.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Lets a removed user connect again. */
export function ReinstateForm({
  user,
  onDone,
  onBack,
}: {
  user: User;
  onDone: (text: string) => void;
  onBack: () => void;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const queryClient = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const actions = useRef<HTMLDivElement>(null);
  const name = user.name || user.id;

  // The button that picked the user is gone.
  useEffect(() => focusFirstIn(actions.current), []);

  const reinstate = async () => {
    setBusy(true);
    setError(null);
    try {
      await reinstateUser(user.id, call);
      await queryClient.invalidateQueries({ queryKey: ["grantry", "users"] });
      onDone(t("toast.reinstated", { name }));
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };

  return (
    <>
      <DialogBody>
        <p>{t("users.reinstateText", { name })}</p>
        {error !== null && <Notice kind="error">{describeError(error, t)}</Notice>}
      </DialogBody>
      <div ref={actions}>
        <DialogActions>
          <Button onClick={onBack}>{t("common.back")}</Button>
          <Button kind="primary" busy={busy} onClick={() => void reinstate()}>
            {t("users.reinstateSubmit")}
          </Button>
        </DialogActions>
      </div>
    </>
  );
}

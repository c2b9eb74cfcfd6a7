import type { User } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { focusFirstIn } from "../../lib/keep-focus.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Props of a form that changes a user. */
export interface UserFormProps {
  user: User;
  onDone: (text: string) => void;
  onBack: () => void;
}

/** The frame of the forms that change a user: what happens, the way back, and the button that does it. */
export function UserForm({
  text,
  submit,
  kind,
  check = () => true,
  onSubmit,
  onDone,
  onBack,
  children,
}: Omit<UserFormProps, "user"> & {
  text: string;
  submit: string;
  kind: "primary" | "danger";
  /** Whether the entries are valid; marks the field that is not. Absent: there are no entries. */
  check?: (entries: FormData) => boolean;
  /** Changes the user and returns the text of the result. Undefined: a field is marked, and nothing was changed. */
  onSubmit: () => Promise<string | undefined>;
  children?: ReactNode;
}) {
  const { t } = usePreferences();
  const queryClient = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const form = useRef<HTMLFormElement>(null);

  const focusFirst = () => focusFirstIn(form.current?.querySelector(".field") ?? form.current);

  // The button that picked the user is gone.
  useEffect(focusFirst, []);

  const run = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setProblem(null);
    if (!check(new FormData(event.currentTarget))) {
      focusFirst();
      return;
    }
    setBusy(true);
    try {
      const result = await onSubmit();
      if (result !== undefined) {
        await queryClient.invalidateQueries({ queryKey: ["grantry", "users"] });
        onDone(result);
        return;
      }
      focusFirst();
    } catch (reason) {
      setProblem(reason);
    }
    setBusy(false);
  };

  return (
    <form ref={form} className="dialog__form" noValidate onSubmit={(event) => void run(event)}>
      <DialogBody>
        <p>{text}</p>
        {children}
        {problem !== null && <Notice kind="error">{describeError(problem, t)}</Notice>}
      </DialogBody>
      <DialogActions>
        <Button onClick={onBack}>{t("common.back")}</Button>
        <Button type="submit" kind={kind} busy={busy}>
          {submit}
        </Button>
      </DialogActions>
    </form>
  );
}

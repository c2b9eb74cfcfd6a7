import { reinstateUser } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { UserForm, type UserFormProps } from "./user-form.tsx";

/** Lets a removed user connect again. */
export function ReinstateForm({ user, ...form }: UserFormProps) {
  const { t } = usePreferences();
  const { call } = useHere();
  const name = user.name || user.id;

  const reinstate = async () => {
    await reinstateUser(user.id, call);
    return t("toast.reinstated", { name });
  };
  return (
    <UserForm
      {...form}
      text={t("users.reinstateText", { name })}
      submit={t("users.reinstateSubmit")}
      kind="primary"
      onSubmit={reinstate}
    />
  );
}

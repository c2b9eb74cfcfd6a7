import { type ReactNode, useId } from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { Icon } from "./icon.tsx";

/** The attributes of a field's control. */
export interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": true | undefined;
  required: boolean;
}

/** Props of {@link Field}. */
export interface FieldProps {
  label: string;
  hint?: string | false | null | undefined;
  /** What is wrong with the value. */
  error?: string | undefined;
  required?: boolean;
  /** Renders the control. */
  children: (control: ControlProps) => ReactNode;
}

/** A labelled control with its hint and its error. */
export function Field({ label, hint, error, required = false, children }: FieldProps) {
  const { t } = usePreferences();
  const id = useId();
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const described = [hint ? hintId : "", error ? errorId : ""].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id} className="field__label">
        {label}
        {!required && <span className="field__optional"> {t("common.optional")}</span>}
      </label>
      {children({
        id,
        "aria-describedby": described || undefined,
        "aria-invalid": error ? true : undefined,
        required,
      })}
      {error && (
        <p id={errorId} className="field__error">
          <Icon name="errorCircle" />
          {error}
        </p>
      )}
      {hint && (
        <p id={hintId} className="field__hint">
          {hint}
        </p>
      )}
    </div>
  );
}

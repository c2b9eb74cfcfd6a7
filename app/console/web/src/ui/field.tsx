import { type ReactNode, useId } from "react";
import { usePreferences } from "../lib/preferences.tsx";

/** The attributes of a field's control. */
export interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  required: boolean;
}

/** Props of {@link Field}. */
export interface FieldProps {
  label: string;
  hint?: string | false | null | undefined;
  required?: boolean;
  /** Renders the control. */
  children: (control: ControlProps) => ReactNode;
}

/** A labelled control with its hint. */
export function Field({ label, hint, required = false, children }: FieldProps) {
  const { t } = usePreferences();
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div className="field">
      <label htmlFor={id} className="field__label">
        {label}
        {!required && <span className="field__optional"> {t("common.optional")}</span>}
      </label>
      {children({ id, "aria-describedby": hint ? hintId : undefined, required })}
      {hint && (
        <p id={hintId} className="field__hint">
          {hint}
        </p>
      )}
    </div>
  );
}

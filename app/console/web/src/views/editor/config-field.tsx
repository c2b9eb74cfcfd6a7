import type { Connector, ConnectorTypeField } from "@grantry/client";
import { useId } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { Field } from "../../ui/field.tsx";
import { controlName, initialText } from "./config.ts";

/** The control of one setting of the profile. */
export function ConfigField({
  field,
  config,
  error,
}: {
  field: ConnectorTypeField;
  /** Stored settings when editing. */
  config: Connector["config"] | undefined;
  error: string | undefined;
}) {
  const { t } = usePreferences();
  const name = controlName(field);
  const initial = initialText(field, config);
  const errorId = useId();
  const pattern = field.pattern ? { pattern: field.pattern } : {};

  switch (field.kind) {
    case "flag":
      return (
        <div className="field">
          <label className="check">
            <input
              type="checkbox"
              name={name}
              defaultChecked={initial === "true"}
              aria-invalid={error ? true : undefined}
              aria-describedby={error ? errorId : undefined}
            />
            {field.label}
          </label>
          {error && (
            <p id={errorId} className="field__error">
              {error}
            </p>
          )}
        </div>
      );
    case "choice":
      return (
        <Field label={field.label} hint={field.hint} error={error} required={field.required}>
          {(control) => (
            <select {...control} name={name} defaultValue={initial}>
              {!field.required && <option value="">{t("editor.unset")}</option>}
              {field.options?.map((option) => (
                <option key={option}>{option}</option>
              ))}
            </select>
          )}
        </Field>
      );
    case "list":
    case "map":
      return (
        <Field
          label={field.label}
          hint={field.hint ?? t(field.kind === "list" ? "editor.listHint" : "editor.mapHint")}
          error={error}
          required={field.required}
        >
          {(control) => (
            <textarea {...control} name={name} rows={2} defaultValue={initial} spellCheck={false} />
          )}
        </Field>
      );
    case "url":
    case "text":
    case undefined:
      return (
        <Field label={field.label} hint={field.hint} error={error} required={field.required}>
          {(control) => (
            <input
              {...control}
              {...pattern}
              name={name}
              type={field.kind === "url" ? "url" : "text"}
              defaultValue={initial}
              autoComplete="off"
              spellCheck={false}
            />
          )}
        </Field>
      );
  }
}

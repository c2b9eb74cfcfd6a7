import type { Connector, ErrorCode, GrantryError } from "@grantry/client";
import type { Translate } from "../../i18n/messages.ts";
import { configErrors, controlName, type FormType, initialText } from "./config.ts";

/** What is wrong, by the name of the control. */
export type FormErrors = Readonly<Record<string, string>>;

/** What is wrong with a form: at its fields, and in general. */
export interface FormProblem {
  fields: FormErrors;
  text?: string;
}

/** An error of `onSubmit` that is about fields. */
export class FormError extends Error {
  constructor(readonly problem: FormProblem) {
    super("form");
  }
}

/** Checks every control of the form, by its attributes and its kind. */
export function errorsOf(form: HTMLFormElement, type: FormType, t: Translate): FormErrors {
  const errors: Record<string, string> = {};
  for (const field of configErrors(new FormData(form), type)) {
    errors[controlName(field)] = t("form.pairs");
  }
  for (const control of form.elements) {
    const text = isControl(control) && control.willValidate ? problemOf(control, t) : undefined;
    if (text) {
      errors[(control as Control).name] = text;
    }
  }
  return errors;
}

/** The control that the server's error is about, by the path of the field in the API. */
export function controlOfField(form: HTMLFormElement, field: string | undefined): string | undefined {
  if (field === undefined) {
    return undefined;
  }
  const names = new Set([...form.elements].filter(isShown).map(({ name }) => name));
  const path = field.replace(/^secrets\./, "");
  // The path of an entry of a list or of a map begins with that of its field.
  for (let prefix = path; prefix !== ""; prefix = prefix.replace(/[.[]?[^.[]*$/, "")) {
    if (names.has(prefix)) {
      return prefix;
    }
  }
  return undefined;
}

/** The text of an error of the server at its field: a text of the catalogue, or what the server reports about the field. */
export function fieldText(error: GrantryError, t: Translate): string {
  const problem = problemText(error);
  return error.code === "invalid_request" && problem ? t("form.refused", { problem }) : t(textOf(error.code));
}

/** Names of the controls whose stored values differ, with the newest value. */
export function changedMeanwhile(
  type: FormType,
  before: Connector,
  now: Connector,
  t: Translate,
): FormErrors {
  const errors: Record<string, string> = {};
  if (before.name !== now.name) {
    errors.name = t("form.changedMeanwhile", { value: now.name });
  }
  for (const field of type.fields) {
    const value = initialText(field, now.config);
    if (initialText(field, before.config) !== value) {
      errors[controlName(field)] = value
        ? t("form.changedMeanwhile", { value: value.replaceAll("\n", ", ") })
        : t("form.removedMeanwhile");
    }
  }
  return errors;
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function isControl(element: Element): element is Control {
  return (
    element instanceof HTMLInputElement ||
    element instanceof HTMLSelectElement ||
    element instanceof HTMLTextAreaElement
  );
}

function isShown(element: Element): element is Control {
  return isControl(element) && element.type !== "hidden";
}

function problemOf(control: Control, t: Translate): string | undefined {
  const { valueMissing, typeMismatch, valid } = control.validity;
  const isBlank = control.required && control.value.trim() === "";
  if (valueMissing || isBlank) {
    return t("form.required");
  }
  if (typeMismatch && control.type === "url") {
    return t("form.url");
  }
  return valid ? undefined : t(control.name === "id" ? "form.id" : "form.pattern");
}

/** The server's sentence without the path of the field. */
function problemText({ detail, field }: GrantryError): string {
  const prefix = `${field}: `;
  return detail?.startsWith(prefix) ? detail.slice(prefix.length) : (detail ?? "");
}

function textOf(code: ErrorCode): `error.${ErrorCode}` {
  return `error.${code}`;
}

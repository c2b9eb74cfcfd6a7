import type { Connector, ConnectorBody, ConnectorType, ConnectorTypeField } from "@grantry/client";

/** The parts of a connector type that the form uses. */
export type FormType = Pick<
  ConnectorType,
  "id" | "name" | "docs_url" | "redirect_uri" | "auth_modes" | "fields"
>;

/** Settings that few connectors need. */
const ADVANCED: readonly string[] = ["requiredScopes", "resource", "refreshErrors"];

/** Whether the form folds a setting. */
export function isAdvanced(field: ConnectorTypeField): boolean {
  return ADVANCED.includes(field.name);
}

/** Name of the control of a profile field, distinct from those of the form. */
export function controlName(field: ConnectorTypeField): string {
  return `config.${field.name}`;
}

/** The initial text of a control: the stored value, else the default of the profile. */
export function initialText(field: ConnectorTypeField, config: Connector["config"] | undefined): string {
  const value = config?.[field.name] ?? aliasOf(field, config);
  if (value === undefined || value === null) {
    return config === undefined ? (field.default ?? "") : "";
  }
  if (Array.isArray(value)) {
    return value.join("\n");
  }
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([name, entry]) => `${name}=${entry}`)
      .join("\n");
  }
  return String(value);
}

/** Front ends of the earlier API send the client authentication under another name. */
const ALIASES: Readonly<Record<string, string>> = { clientAuth: "useBasicAuth" };

function aliasOf(field: ConnectorTypeField, config: Connector["config"] | undefined): string | undefined {
  const value = config?.[ALIASES[field.name] ?? ""];
  return typeof value === "boolean" ? (value ? "basic" : "post") : undefined;
}

/** Converts the form to a request body. Settings that the profile does not list are kept. */
export function bodyOf(form: FormData, type: FormType, existing: Connector | undefined): ConnectorBody {
  const text = (name: string) => String(form.get(name) ?? "").trim();
  const body: ConnectorBody = {
    // A form without the name keeps it.
    name: existing && !form.has("name") ? existing.name : text("name"),
    connector_type_id: type.id,
    config: configOf(form, type, existing?.config ?? {}),
  };
  const authMode = existing?.auth_mode ?? text("auth_mode");
  if (authMode === "per-user" || authMode === "shared") {
    body.auth_mode = authMode;
  }
  if (existing) {
    body.revision = existing.revision;
  }
  const secrets: NonNullable<ConnectorBody["secrets"]> = {};
  if (text("clientId") !== "") {
    secrets.clientId = text("clientId");
  }
  // Not trimmed: a secret may contain any characters.
  const clientSecret = String(form.get("clientSecret") ?? "");
  if (clientSecret !== "") {
    secrets.clientSecret = clientSecret;
  }
  if (Object.keys(secrets).length > 0) {
    body.secrets = secrets;
  }
  return body;
}

function configOf(form: FormData, type: FormType, stored: Connector["config"]): Connector["config"] {
  const listed = new Set(type.fields.flatMap(({ name }) => [name, ALIASES[name] ?? name]));
  const config = Object.fromEntries(Object.entries(stored).filter(([name]) => !listed.has(name)));
  for (const field of type.fields) {
    const value = settingOf(field, String(form.get(controlName(field)) ?? "").trim());
    if (value !== undefined) {
      config[field.name] = value;
    }
  }
  return config;
}

function settingOf(field: ConnectorTypeField, text: string): unknown {
  switch (field.kind) {
    case "flag":
      return text === "on";
    case "list": {
      const lines = linesOf(text);
      return lines.length > 0 ? lines : undefined;
    }
    case "map": {
      const pairs = linesOf(text).flatMap((line) => pairOf(line) ?? []);
      return pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
    }
    case "text":
    case "url":
    case "choice":
    case undefined:
      return text === "" ? undefined : text;
  }
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Name and value of a line; undefined where it is not of the form `name=value`. */
function pairOf(line: string): [[string, string]] | undefined {
  const at = line.indexOf("=");
  return at < 1 ? undefined : [[line.slice(0, at).trim(), line.slice(at + 1).trim()]];
}

/** The fields with a line that is not of the form `name=value`. */
export function configErrors(form: FormData, type: FormType): ConnectorTypeField[] {
  return type.fields.filter(
    (field) =>
      field.kind === "map" &&
      linesOf(String(form.get(controlName(field)) ?? "")).some((line) => pairOf(line) === undefined),
  );
}

/** The settings without the one that repeats the mode. */
function settingsOf({ config }: Connector): [string, unknown][] {
  return Object.entries(config).filter(([name]) => name !== "authType");
}

/** A stand-in for a profile that is no longer offered: every setting as a text. */
export function typeOfUnknown(connector: Connector): FormType {
  return {
    id: connector.connector_type_id,
    name: connector.connector_type_id,
    redirect_uri: connector.redirect_uri ?? null,
    auth_modes: [connector.auth_mode],
    fields: settingsOf(connector).map(([name, value]) => ({
      name,
      label: name,
      required: false,
      kind: Array.isArray(value) ? "list" : typeof value === "object" ? "map" : "text",
    })),
  };
}

import type { components } from "../packages/client/src/generated/api-types.ts";

type Schemas = components["schemas"];

/** Users of the fake server: the same as those of the demo. The password is the name. */
export const USERS: Record<string, Schemas["Session"]> = {
  alice: user("u_alice", "alice", "Alice Archer", { default: "editor", marketing: "viewer" }),
  bob: user("u_bob", "bob", "Bob Baker", { default: "viewer", marketing: "viewer" }),
  carol: user("u_carol", "carol", "Carol Cook", { default: "admin", marketing: "admin" }),
};

function user(
  id: string,
  username: string,
  name: string,
  roles: Record<string, Schemas["SessionSpace"]["role"]>,
): Schemas["Session"] {
  const names: Record<string, string> = { default: "Default", marketing: "Marketing" };
  return {
    user: { id, name },
    user_id: id,
    username,
    display_name: name,
    identity_mode: "accounts",
    spaces: Object.entries(roles).map(([space, role]) => ({ id: space, name: names[space] ?? space, role })),
  };
}

export const SHARED_CALLBACK = "http://127.0.0.1:8080/api/actions/connector/_oauth_callback";
const CONTEXTS = "http://127.0.0.1:8080/api/actions/connector/_oauth_context";

/** The redirect URI of a connector of this type. */
export const redirectUriOf = (type: string | null | undefined, id: string) =>
  type === ".oauth2" ? `${CONTEXTS}/ctx-${id}` : SHARED_CALLBACK;

/** Members of a profile that are the same everywhere. */
const KIND = {
  enabled: true,
  enabled_in_config: true,
  enabled_in_license: true,
  minimum_license_required: "basic",
  supported_feature_ids: ["workflows"],
  is_system_action_type: false,
  is_deprecated: false,
  source: "spec",
};

/** Members of a connector that are the same everywhere. */
const LISTED = {
  is_preconfigured: false,
  is_deprecated: false,
  is_system_action: false,
  is_connector_type_deprecated: false,
  referenced_by_count: 0,
};

/** Profiles of the fake server. */
export const CONNECTOR_TYPES: Schemas["ConnectorType"][] = [
  {
    ...KIND,
    id: ".github",
    name: "GitHub",
    docs_url: "https://docs.github.com/apps/oauth-apps",
    notes: ["Tokens of an OAuth app do not expire."],
    setup: {
      register_url: "https://github.com/settings/developers",
      scopes_url: "https://docs.github.com/scopes",
      steps: [
        "Create an OAuth app.",
        "Enter {redirect_uri} as the authorization callback URL.",
        "Copy the client ID, and generate a client secret.",
      ],
      icon: "github",
    },
    redirect_uri: SHARED_CALLBACK,
    auth_modes: ["per-user"],
    fields: [
      { name: "scope", label: "Scope", kind: "text", required: false, default: "repo read:user" },
      {
        name: "host",
        label: "Host",
        kind: "text",
        required: false,
        hint: "Only for GitHub Enterprise Server",
      },
    ],
  },
  {
    ...KIND,
    id: ".sharepoint",
    name: "SharePoint",
    redirect_uri: SHARED_CALLBACK,
    auth_modes: ["per-user", "shared"],
    fields: [{ name: "tenant", label: "Tenant", kind: "text", required: true, pattern: "[0-9a-z.\\-]+" }],
  },
  {
    ...KIND,
    id: ".oauth2",
    name: "OAuth 2.0",
    redirect_uri: null,
    auth_modes: ["per-user", "shared"],
    fields: [
      { name: "authorizationUrl", label: "Authorization URL", kind: "url", required: true },
      { name: "tokenUrl", label: "Token URL", kind: "url", required: true },
      { name: "baseUrl", label: "Base URL", kind: "url", required: true },
      { name: "scope", label: "Scope", kind: "text", required: false },
      { name: "requiredScopes", label: "Required scopes", kind: "text", required: false },
      {
        name: "clientAuth",
        label: "Client authentication",
        kind: "choice",
        required: false,
        options: ["basic", "post", "none"],
        default: "basic",
      },
      { name: "destinations", label: "Destinations", kind: "list", required: false },
      { name: "extraAuthorizationParameters", label: "Extra parameters", kind: "map", required: false },
    ],
  },
];

/** A connector as the fake server stores it. */
export function connector(
  space: string,
  id: string,
  name: string,
  type: string,
  more: Partial<Schemas["Connector"]> = {},
): Schemas["Connector"] {
  const host =
    type === ".github" ? "github.com" : type === ".sharepoint" ? "login.microsoftonline.com" : "id.example";
  return {
    ...LISTED,
    id,
    space_id: space,
    name,
    connector_type_id: type,
    auth_mode: "per-user",
    config: {},
    is_missing_secrets: false,
    can_be_tried: type === ".github",
    redirect_uri: redirectUriOf(type, id),
    created_at: "2026-06-01T09:00:00Z",
    updated_at: "2026-06-20T14:30:00Z",
    revision: 1,
    user_auth_status: "not_connected",
    consent: {
      version: "version-of-the-consent",
      provider_host: host,
      scopes: type === ".github" ? ["repo", "read:user"] : ["files.read"],
      destination_hosts: [type === ".github" ? "api.github.com" : `api.${host}`],
      receivers: [
        { host, receives: ["log_in", "code_and_tokens"], other_site: false },
        { host: `api.${host}`, receives: ["api"], other_site: false },
      ],
      approved: type !== ".oauth2",
    },
    ...more,
  };
}

/** The connectors of a new fake server. */
export function seedConnectors(): Schemas["Connector"][] {
  return [
    connector("default", "github", "GitHub", ".github"),
    connector("default", "wiki", "Team wiki", ".sharepoint", { config: { tenant: "contoso" } }),
    connector("default", "warehouse", "Warehouse API", ".oauth2", {
      config: {
        authorizationUrl: "https://id.example/authorize",
        tokenUrl: "https://id.example/token",
        baseUrl: "https://api.id.example",
      },
    }),
    connector("default", "reports", "Nightly reports", ".sharepoint", {
      auth_mode: "shared",
      user_auth_status: "not_applicable",
    }),
    connector("marketing", "github", "GitHub (campaigns)", ".github"),
  ];
}

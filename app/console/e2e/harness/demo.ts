/** What the demo sets up, as far as the tests rely on it. Each person's password is their name. */
export const PEOPLE = ["alice", "bob", "carol"] as const;
/** Somebody of the demo. */
export type Person = (typeof PEOPLE)[number];

/** A connector of the default space, a second one there, and one of the marketing space: by name and id. */
export const CONNECTORS = {
  first: { name: "GitHub", id: "github" },
  second: { name: "Team wiki", id: "wiki" },
  marketing: { name: "GitHub (campaigns)", id: "github" },
} as const;

/** The roles of the demo. */
export const ROLES: Record<Person, { default: string; marketing: string }> = {
  alice: { default: "Editor", marketing: "Viewer" },
  bob: { default: "Viewer", marketing: "Viewer" },
  carol: { default: "Admin", marketing: "Admin" },
};

/** Whether the tests run against the double, which checks less than the server. */
export const isDouble = process.env.GRANTRY_E2E === "double";

/** What must never be where a script could read it. */
export const SECRETS = [/CODE-CANARY/, /STATE-CANARY/, /[?&](code|state)=/, /code_verifier/, /access_token/];

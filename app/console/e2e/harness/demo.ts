/** Whether the tests run against the double, which checks less than the server. */
export const isDouble = process.env.E2E_SITE === "double";

/** The people of the demo. */
export const PEOPLE = ["alice", "bob", "carol"] as const;
/** Somebody of the demo. */
export type Person = (typeof PEOPLE)[number];

/** Password of a person in the console. */
export const passwordOf = (person: string) => (isDouble ? person : `${person}-demo`);
/** Password of a person at the provider. */
export const providerPasswordOf = (person: string) => `${person}-pw`;

/** A connector, as far as the tests rely on it. */
export interface DemoConnector {
  name: string;
  id: string;
}

/** A connector of the default space, a second one there, and one of the marketing space. */
export const CONNECTORS: Record<"first" | "second" | "marketing", DemoConnector> = isDouble
  ? {
      first: { name: "GitHub", id: "github" },
      second: { name: "Team wiki", id: "wiki" },
      marketing: { name: "GitHub (campaigns)", id: "github" },
    }
  : {
      first: { name: "Demo files", id: "files" },
      second: { name: "Demo notes", id: "notes" },
      marketing: { name: "Demo files of marketing", id: "campaign-files" },
    };

/** The roles of the demo. */
export const ROLES: Record<Person, { default: string; marketing: string }> = {
  alice: { default: "Editor", marketing: "Viewer" },
  bob: { default: "Viewer", marketing: "Viewer" },
  carol: { default: "Admin", marketing: "Admin" },
};

/** What must never be where a script could read it. */
export const SECRETS = [
  /CODE-CANARY/,
  /STATE-CANARY/,
  /[?&](code|state)=/,
  /code_verifier/,
  /demo-client-secret/,
];

/** Whether the tests run against the fake server, which checks less than the real one. */
export const isFake = process.env.E2E_SITE === "fake";

/** The users of the demo. */
export const USERS = ["alice", "bob", "carol"] as const;
/** A user of the demo. */
export type User = (typeof USERS)[number];

/** Password of a user in the console. */
export const passwordOf = (user: string) => (isFake ? user : `${user}-demo`);
/** Password of a user at the provider. */
export const providerPasswordOf = (user: string) => `${user}-pw`;

/** A connector, with the members that the tests use. */
export interface DemoConnector {
  name: string;
  id: string;
}

/** A connector of the default space, a second one there, and one of the marketing space. */
export const CONNECTORS: Record<"first" | "second" | "marketing", DemoConnector> = isFake
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
export const ROLES: Record<User, { default: string; marketing: string }> = {
  alice: { default: "Editor", marketing: "Viewer" },
  bob: { default: "Viewer", marketing: "Viewer" },
  carol: { default: "Admin", marketing: "Admin" },
};

/** Secrets that no script may be able to read. */
export const SECRETS = [
  /CODE-CANARY/,
  /STATE-CANARY/,
  /[?&](code|state)=/,
  /code_verifier/,
  /demo-client-secret/,
];

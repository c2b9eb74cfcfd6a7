import type { components } from "./generated/api-types.ts";

type Schemas = components["schemas"];

/** A connector as the server answers it. It never holds a secret. */
export type Connector = Schemas["Connector"];
/** A connector as it is sent. An absent secret means "keep the stored one". */
export type ConnectorBody = Schemas["ConnectorBody"];
/** A provider profile that a connector can be made from. */
export type ConnectorType = Schemas["ConnectorType"];
/** One variable of a profile. */
export type ConnectorTypeField = Schemas["ConnectorTypeField"];
/** What a person should know before leaving for the provider. */
export type ConsentFacts = Schemas["ConsentFacts"];
/** The outcome of running a connector once. */
export type ExecuteResult = Schemas["ExecuteResult"];
/** One request to a connector's API; `path` is joined to the connector's base URL. */
export type ExecuteParams = Schemas["ExecuteParams"];
/** Somebody's connection, as an admin sees it: no secrets. */
export type Grant = Schemas["Grant"];
/** One page of grants. */
export type GrantPage = Schemas["GrantPage"];
/** How many connections an off-boarding ended, and how many revocations still wait for their provider. */
export type OffBoarded = Schemas["OffBoarded"];
/** Who is signed in, and with which role in which space. */
export type Session = Schemas["Session"];
/** A space the signed-in person may enter. */
export type SessionSpace = Schemas["SessionSpace"];
/** The role of a person in one space. */
export type Role = SessionSpace["role"];
/** The five answers to "is this person connected?". */
export type UserAuthStatus = Schemas["UserAuthStatus"];
/** Where a flow stands. Everything but `awaiting` is final. */
export type FlowStatus = Schemas["Flow"]["status"];

/** A flow, with its end on this machine's clock. */
export type Flow = Schemas["Flow"] & {
  /** When the flow ends, in milliseconds on the clock of `Date.now()`, corrected by the server's `Date` header. */
  deadline: number;
};

/** A flow just started. The authorization URL and the state stay out of reach of the page on purpose. */
export type StartedFlow = Pick<Flow, "flowId" | "expiresAt" | "deadline">;

/** A flow of this person that waits for the provider. */
export type PendingFlow = Schemas["PendingFlow"] & {
  /** See {@link Flow}. */
  deadline: number;
};

/** One person's status at one connector. */
export type AuthStatus = Omit<Schemas["AuthStatus"], "pending_flow"> & { pending_flow?: PendingFlow };

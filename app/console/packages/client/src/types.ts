import type { components } from "./generated/api-types.ts";

type Schemas = components["schemas"];

/** A connector as the server returns it, with the signed-in user's status. It never contains a secret. */
export type Connector = Omit<Schemas["Connector"], "connection" | "connections"> &
  Pick<AuthStatus, "connection" | "connections">;
/** A connector as it is sent. An absent secret keeps the stored one. */
export type ConnectorBody = Schemas["ConnectorBody"];
/** A provider profile that a connector can be made from. */
export type ConnectorType = Schemas["ConnectorType"];
/** One variable of a profile. */
export type ConnectorTypeField = Schemas["ConnectorTypeField"];
/** How a client is registered at the provider of a profile. */
export type ConnectorTypeSetup = Schemas["ConnectorTypeSetup"];
/** What to show to the user before the browser goes to the provider. */
export type ConsentFacts = Schemas["ConsentFacts"];
/** A host, and what it receives of a flow. */
export type Receiver = Schemas["Receiver"];
/** What a host receives. */
export type Received = Schemas["Received"];
/** The outcome of running a connector once. */
export type ExecuteResult = Schemas["ExecuteResult"];
/** One request to a connector's API; `path` is joined to the connector's base URL. */
export type ExecuteParams = Schemas["ExecuteParams"];
/** A valid access token of a user. Only agents receive one. */
export type AccessToken = Schemas["AccessToken"];
/** The connection of any user, as an admin sees it: no secrets. */
export type Grant = Schemas["Grant"];
/** One page of grants. */
export type GrantPage = Schemas["GrantPage"];
/** The numbers of users that an update would affect. */
export type UpdatePreview = Schemas["DryRun"];
/** The last failure of a connector at its provider, without any text of the provider. */
export type ConnectorFailure = Schemas["LastFailure"];
/** A member of the provider's responses in an unusual form. */
export type ConnectorAnomaly = Schemas["RecentAnomaly"];
/** What an editor needs to find out why a connector fails. */
export type Diagnostics = Schemas["ConnectorDiagnostics"];
/** The results of a test of a connector, without any text of the provider. */
export type ConnectorTest = Schemas["ConnectorTest"];
/** The result of one check of a connector. */
export type ConnectorTestResult = Schemas["ConnectorTestResult"];
/** The status that the API responded with when a connection was tried, and the account. */
export type TriedConnection = Schemas["TryResult"];
/** A user of the host, as an admin sees it. */
export type User = Schemas["UserSummary"];
/** The number of grants that a deprovisioning ended, and of revocations that are pending at providers. */
export type Deprovisioned = Schemas["Deprovisioned"];
/** The signed-in user, with the role in each space. */
export type Session = Schemas["Session"];
/** A space that the signed-in user may enter. */
export type SessionSpace = Schemas["SessionSpace"];
/** The role of a user in one space. */
export type Role = SessionSpace["role"];
/** Whether the user is connected. {@link ConnectionStatus} has the details. */
export type UserAuthStatus = Schemas["UserAuthStatus"];
/** The state of one connection. */
export type ConnectionStatus = Schemas["ConnectionStatus"];
/** The status of a flow. Every value but `awaiting` is final. */
export type FlowStatus = Schemas["Flow"]["status"];

/** A flow, with its end on the local clock. */
export type Flow = Schemas["Flow"] & {
  /** When the flow ends, in milliseconds on the clock of `Date.now()`, corrected by the server's `Date` header. */
  deadline: number;
};

/** A flow that was started. It leaves out the authorization URL and the state, which no page needs. */
export type StartedFlow = Pick<Flow, "flowId" | "expiresAt" | "deadline">;

/** A flow of this user that waits for the provider. */
export type PendingFlow = Schemas["PendingFlow"] & {
  /** See {@link Flow}. */
  deadline: number;
};

/** One connection of a user at a connector. */
export type Connection = Omit<Schemas["Connection"], "pending_flow"> & { pending_flow?: PendingFlow };

/** The status of one user at one connector. */
export type AuthStatus = Omit<Schemas["AuthStatus"], "connection" | "connections"> & {
  /** The connection to show: the user's default, else `default`, else the first. Absent for `not_applicable`. */
  connection?: Connection;
  /** All connections, where the user has more than one. */
  connections?: Connection[];
};

/** A grant, former grant or flow that a deprovisioning would end. */
export type OpenConnection = Schemas["OpenConnection"];
/** A user, and what a deprovisioning would end. */
export type UserDetails = Schemas["UserDetails"];

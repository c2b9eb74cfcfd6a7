import {
  type AuthStatus,
  allConnections,
  type Connection,
  type ConnectionStatus,
  type Connector,
  type ConsentFacts,
  DEFAULT_CONNECTION,
  type Received,
  type Receiver,
} from "@grantry/client";
import type { ShownStatus } from "../../ui/status-badge.tsx";

/** A connector with the status of the signed-in user. */
export interface ShownConnector {
  connector: Connector;
  auth: AuthStatus;
  /** All connections of the user at the connector. */
  connections: readonly Connection[];
  /** The one that the row describes: the only one, or with several the first with the row's status. */
  connection: Connection | undefined;
  status: ShownStatus;
}

/** Joins the connectors with the statuses. */
export function joinStatuses(
  connectors: readonly Connector[],
  statuses: Readonly<Record<string, AuthStatus>> | undefined,
): ShownConnector[] {
  return connectors.map((connector) => {
    const auth = statuses?.[connector.id] ?? connector;
    const connections = allConnections(auth);
    const status = overallStatus(connections);
    const connection = connections.find((one) => shownStatus(one) === status) ?? auth.connection;
    const isUsable = !connector.is_missing_secrets || status === "connected" || status === "client_refused";
    const usable = auth.user_auth_status === "not_applicable" ? "not_applicable" : status;
    const shown = isUsable ? usable : "incomplete";
    return { connector, auth, connections, connection, status: connector.is_tampered ? "tampered" : shown };
  });
}

/** The status of several connections: the one that needs attention, else the best. */
function overallStatus(connections: readonly Connection[]): ReturnType<typeof shownStatus> {
  const order = ["needs_reauthorization", "client_refused", "connected", "connecting"] as const;
  return order.find((status) => connections.some((one) => shownStatus(one) === status)) ?? "not_connected";
}

/** The status to show. A connection whose provider refuses the connector cannot be refreshed, so it does not count as good. */
export function shownStatus({ status, provider_note }: Connection): ConnectionStatus | "client_refused" {
  return status === "connected" && provider_note === "client_refused" ? "client_refused" : status;
}

/** The connections that the user has or has started, without one that is not connected. */
export function existing(connections: readonly Connection[]): Connection[] {
  return connections.filter(({ status }) => status !== "not_connected");
}

/** How texts name a connection: the connector, with the connection's name where it is not `default`. */
export function connectionLabel(connector: string, connection: string | undefined): string {
  return connection === undefined || connection === DEFAULT_CONNECTION
    ? connector
    : `${connector} (${connection})`;
}

/** The filters above the table. */
export const FILTERS = ["all", "connected", "attention", "not_connected"] as const;
/** One of them. */
export type Filter = (typeof FILTERS)[number];

/** Reads a filter from the URL. */
export function filterOf(value: string | null): Filter {
  return FILTERS.find((filter) => filter === value) ?? "all";
}

/** Whether the connector passes the filter. */
export function passes({ status }: ShownConnector, filter: Filter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "connected":
      return status === "connected" || status === "not_applicable";
    case "attention":
      return ["needs_reauthorization", "client_refused", "incomplete", "tampered"].includes(status);
    case "not_connected":
      return status === "not_connected" || status === "connecting";
  }
}

/** Whether every word of the search occurs in the connector or in its connections. */
export function matches({ connector, connections }: ShownConnector, search: string): boolean {
  const text = [
    connector.name,
    connector.id,
    connector.connector_type_id,
    ...connections.flatMap(({ name, account }) => [name, account ?? ""]),
  ]
    .join(" ")
    .toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** What to show before the browser goes to the provider. Without `consent` it is read from the configuration. */
export function consentFacts({
  config,
  connector_type_id,
  consent,
}: Connector): Omit<ConsentFacts, "version"> {
  if (consent) {
    return consent;
  }
  const destinations = Array.isArray(config.destinations) ? config.destinations : [config.baseUrl];
  const provider = hostOf(config.authorizationUrl) ?? hostOf(config.issuer) ?? "";
  return {
    provider_host: provider,
    receivers: receiversOf(config, destinations, provider),
    scopes: typeof config.scope === "string" ? config.scope.split(/[\s,]+/).filter(Boolean) : [],
    destination_hosts: destinations.flatMap((url) => hostOf(url) ?? []),
    approved: connector_type_id !== ".oauth2",
  };
}

/** Whether only the metadata of an issuer names the hosts that receive something. */
export function isNamedByIssuer(facts: Pick<ConsentFacts, "receivers">): boolean {
  return facts.receivers.some(({ receives }) => receives.includes("metadata"));
}

/** What each URL of the configuration receives, by host. Every host except the log-in host counts as another site. */
function receiversOf(
  config: Connector["config"],
  destinations: readonly unknown[],
  provider: string,
): Receiver[] {
  const urls: [Received, unknown][] = [
    ["log_in", config.authorizationUrl],
    ["metadata", config.authorizationUrl === undefined ? config.issuer : undefined],
    ["code_and_tokens", config.tokenUrl],
    ["userinfo", config.userinfoUrl],
    ["revocation", config.revocationUrl],
    ...destinations.map((url): [Received, unknown] => ["api", url]),
  ];
  const receivers = new Map<string, Receiver>();
  for (const [received, url] of urls) {
    const host = hostOf(url);
    if (host !== undefined) {
      const receiver = receivers.get(host) ?? { host, receives: [], other_site: host !== provider };
      receiver.receives = [...new Set([...receiver.receives, received])];
      receivers.set(host, receiver);
    }
  }
  return [...receivers.values()];
}

function hostOf(url: unknown): string | undefined {
  try {
    return typeof url === "string" ? new URL(url).host : undefined;
  } catch {
    return undefined;
  }
}

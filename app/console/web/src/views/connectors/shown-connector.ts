import type { AuthStatus, Connector, ConsentFacts } from "@grantry/client";
import type { ShownStatus } from "../../ui/status-badge.tsx";

/** A connector with the person's own status. */
export interface ShownConnector {
  connector: Connector;
  auth: AuthStatus;
  status: ShownStatus;
}

/** Puts the two lists together. */
export function joinStatuses(
  connectors: readonly Connector[],
  statuses: Readonly<Record<string, AuthStatus>> | undefined,
): ShownConnector[] {
  return connectors.map((connector) => {
    const auth = statuses?.[connector.id] ?? { user_auth_status: connector.user_auth_status };
    const isUsable = !connector.is_missing_secrets || auth.user_auth_status === "connected";
    return { connector, auth, status: isUsable ? auth.user_auth_status : "incomplete" };
  });
}

/** The filters above the table. */
export const FILTERS = ["all", "connected", "attention", "not_connected"] as const;
/** One of them. */
export type Filter = (typeof FILTERS)[number];

/** Reads a filter from the URL. */
export function filterOf(value: string | null): Filter {
  return FILTERS.find((filter) => filter === value) ?? "all";
}

/** Does the connector pass the filter? */
export function passes({ status }: ShownConnector, filter: Filter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "connected":
      return status === "connected" || status === "not_applicable";
    case "attention":
      return status === "needs_reauthorization" || status === "incomplete";
    case "not_connected":
      return status === "not_connected" || status === "connecting";
  }
}

/** Does the connector match what was searched for? Every word has to occur somewhere. */
export function matches({ connector, auth }: ShownConnector, search: string): boolean {
  const text = [connector.name, connector.id, connector.connector_type_id, auth.account ?? ""]
    .join(" ")
    .toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** What to tell before leaving for the provider. An older server leaves it to be read from the configuration. */
export function consentFacts({ config, connector_type_id, consent }: Connector): ConsentFacts {
  if (consent) {
    return consent;
  }
  const destinations = Array.isArray(config.destinations) ? config.destinations : [config.baseUrl];
  return {
    provider_host: hostOf(config.authorizationUrl) ?? hostOf(config.issuer) ?? "",
    scopes: typeof config.scope === "string" ? config.scope.split(/[\s,]+/).filter(Boolean) : [],
    destination_hosts: destinations.flatMap((url) => hostOf(url) ?? []),
    approved: connector_type_id !== ".oauth2",
  };
}

function hostOf(url: unknown): string | undefined {
  try {
    return typeof url === "string" ? new URL(url).host : undefined;
  } catch {
    return undefined;
  }
}

// Generated from openapi.json by `npm run codegen`. Do not edit by hand.

export interface components {
  schemas: {
    AuthStatus: {
      user_auth_status: components["schemas"]["UserAuthStatus"];
      reason?: string | null;
      since?: string | null;
      account?: string | null;
      provider_note?: string | null;
      pending?: boolean;
      pending_flow?: components["schemas"]["PendingFlow"] | null;
      provider_note_since?: string | null;
      last_used_at?: string | null;
    };
    Connector: {
      id: string;
      space_id: string;
      name: string;
      connector_type_id: string;
      auth_mode: "per-user" | "shared";
      config: Record<string, unknown>;
      is_missing_secrets: boolean;
      redirect_uri: string;
      created_at: string;
      updated_at: string;
      revision: number;
      user_auth_status: components["schemas"]["UserAuthStatus"];
      disconnected_users?: number;
      consent?: components["schemas"]["ConsentFacts"] | null;
    };
    ConnectorBody: {
      name: string;
      connector_type_id: string;
      auth_mode?: "per-user" | "shared";
      config: Record<string, unknown>;
      secrets?: components["schemas"]["ConnectorSecrets"];
      revision?: number;
    };
    ConnectorSecrets: {
      clientId?: string;
      clientSecret?: string;
    };
    ConnectorType: {
      id: string;
      name: string;
      docs_url?: string | null;
      redirect_uri?: string | null;
      auth_modes?: ("per-user" | "shared")[];
      fields: components["schemas"]["ConnectorTypeField"][];
    };
    ConnectorTypeField: {
      name: string;
      label: string;
      hint?: string | null;
      kind?: "text" | "url" | "choice" | "flag" | "list" | "map";
      required: boolean;
      default?: string | null;
      pattern?: string | null;
      options?: string[];
    };
    ConsentFacts: {
      provider_host: string;
      scopes: string[];
      destination_hosts: string[];
      approved: boolean;
    };
    DryRun: {
      disconnected_users: number;
    };
    ExecuteBody: {
      params: components["schemas"]["ExecuteParams"];
      act_as?: string;
    };
    ExecuteParams: {
      method: string;
      path: string;
      query?: Record<string, string>;
      headers?: Record<string, string>;
      body?: unknown;
    };
    ExecuteResult: {
      status: string;
      connector_id: string;
      data: {
        status: number;
        headers: Record<string, string>;
        body?: unknown;
        body_encoding?: string | null;
      };
    };
    Flow: {
      flowId: string;
      connectorId: string;
      status: "awaiting" | "authorized" | "failed" | "expired" | "cancelled";
      code?: string | null;
      expiresAt: string;
    };
    Grant: {
      grantId: string;
      connectorId: string;
      connectorName?: string | null;
      spaceId: string;
      userId: string;
      status: components["schemas"]["UserAuthStatus"];
      reason?: string | null;
      account?: string | null;
      scopes?: string[];
      connectedAt: string;
      lastUsedAt?: string | null;
      endedAt?: string | null;
    };
    GrantPage: {
      grants: components["schemas"]["Grant"][];
      nextCursor?: string | null;
    };
    OffBoarded: {
      revoked: number;
      queued: number;
    };
    PendingFlow: {
      flow_id: string;
      expires_at: string;
    };
    Problem: {
      type?: string;
      title: string;
      status: number;
      detail?: string;
      code: string;
      correlation_id?: string;
      field?: string | null;
      statusCode?: number;
      error?: string;
      message?: string;
    };
    Session: {
      user_id: string;
      username?: string | null;
      display_name?: string | null;
      identity_mode: "accounts" | "proxy-header" | "jwt";
      spaces: components["schemas"]["SessionSpace"][];
    };
    SessionSpace: {
      id: string;
      name?: string | null;
      role: "viewer" | "editor" | "admin";
    };
    StartFlowBody: {
      returnUrl?: string;
      allowAccountChange?: boolean;
    };
    StartedFlow: {
      authorizationUrl: string;
      state: string;
      flowId: string;
      expiresAt: string;
    };
    UserAuthStatus:
      | "not_applicable"
      | "not_connected"
      | "connecting"
      | "connected"
      | "needs_reauthorization";
  };
}

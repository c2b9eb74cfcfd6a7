// Generated from openapi.json by `npm run codegen`. Do not edit by hand.

export interface components {
  schemas: {
    /** A valid access token. */
    AccessToken: {
      /** The token. */
      access_token: string;
      /** When it expires; null if it does not. */
      expires_at?: string | null;
      /** `Bearer`, as the provider spells it. */
      token_type: string;
    };
    /** The user, and where the token will be sent. */
    AccessTokenBody: {
      /** Name of the connection. Default: the only one, or the user's default. */
      connection?: string | null;
      /** URL or origin of the API. It must be among those the user consented to. */
      destination: string;
      /** Id of the user. */
      user: string;
    };
    /** Which account a connector uses. */
    AuthMode: "per-user" | "shared";
    /** The status of a user at a connector. */
    AuthStatus: {
      connection?: components["schemas"]["Connection"] | null;
      /** All connections, if there are several. */
      connections?: components["schemas"]["Connection"][] | null;
      /** Name of the connection that the user set as default. */
      default_connection?: string | null;
      /** Whether the user is connected. */
      user_auth_status: components["schemas"]["UserAuthStatus"];
    };
    /** The flow to cancel: exactly one of the two. */
    CancelFlowBody: {
      /** Its id. */
      flowId?: string | null;
      /** Its `state`. */
      state?: string | null;
    };
    /** One connection of a user at a connector. */
    Connection: {
      /** The account at the provider. */
      account?: string | null;
      /** Day of last use. */
      last_used_at?: string | null;
      /** Scopes that the connector requests and the grant does not have. */
      missing_scopes?: string[] | null;
      /** Its name. */
      name: string;
      pending_flow?: components["schemas"]["PendingFlow"] | null;
      /** `provider_unreachable`, `revocation_pending`, `revocation_abandoned` or `revocation_not_supported`. */
      provider_note?: string | null;
      /** Since when the provider has been unreachable. */
      provider_note_since?: string | null;
      /** Why consent is needed again. */
      reason?: string | null;
      /** Whether a reconnect is waiting beside a grant. */
      reconnecting?: boolean;
      /** Granted scopes. */
      scopes?: string[] | null;
      /** Since when the status holds. */
      since?: string | null;
      /** Its status. */
      status: components["schemas"]["ConnectionStatus"];
    };
    /** The status of a connection. */
    ConnectionStatus: "not_connected" | "connecting" | "connected" | "needs_reauthorization";
    /** A connector in a response. */
    Connector: {
      /** `per-user`: every user connects an account. `shared`: the service account of the connector. */
      auth_mode: components["schemas"]["AuthMode"];
      /** Settings of the profile. */
      config: Record<string, unknown>;
      connection?: components["schemas"]["Connection"] | null;
      /** All connections of the user, if there are several. */
      connections?: components["schemas"]["Connection"][] | null;
      /** Profile id, or `.oauth2` for hand-written endpoints. */
      connector_type_id: string;
      consent?: components["schemas"]["ConsentFacts"] | null;
      /** When it was created. */
      created_at: string;
      /** Name of the connection that the user set as default. */
      default_connection?: string | null;
      /** Number of users that an edit disconnected. Only in the response to an edit. */
      disconnected_users?: number | null;
      /** Its id within its space. */
      id: string;
      /** Whether client id or client secret must still be entered. */
      is_missing_secrets: boolean;
      /** Display name. */
      name: string;
      /** The exact string to register at the provider. */
      redirect_uri: string;
      /** Increases with every edit. Send it back to detect a concurrent edit. */
      revision: number;
      /** Its space. */
      space_id: string;
      /** When it was last edited. */
      updated_at: string;
      /** Whether the signed-in user is connected. */
      user_auth_status: components["schemas"]["UserAuthStatus"];
    };
    /** A connector as it is sent. */
    ConnectorBody: {
      auth_mode?: components["schemas"]["AuthMode"] | null;
      /** Settings of the profile. */
      config: Record<string, unknown>;
      /** Profile id. An edit may omit it and cannot change it. */
      connector_type_id?: string | null;
      /** Display name: 1 to 200 characters. */
      name: string;
      /** Only for an edit: the revision it is based on. 409 if the connector has a newer one. */
      revision?: number | null;
      secrets?: components["schemas"]["ConnectorSecrets"] | null;
    };
    /** The client's registration at the provider. Write-only. */
    ConnectorSecrets: {
      /** Client id. */
      clientId?: string | null;
      /** Client secret. */
      clientSecret?: string | null;
    };
    /** A provider profile from which connectors can be created. */
    ConnectorType: {
      /** The modes its connectors may have. */
      auth_modes: components["schemas"]["AuthMode"][];
      /** Documentation of the provider about registering an application. */
      docs_url?: string | null;
      /** Its settings, in the order of the form. */
      fields: components["schemas"]["ConnectorTypeField"][];
      /** Profile id, such as `.github`. */
      id: string;
      /** Display name. */
      name: string;
      /** The redirect URI to register, if it is known before the connector exists: the shared one. */
      redirect_uri?: string | null;
    };
    /** One setting of a profile. */
    ConnectorTypeField: {
      /** Value that applies if nothing is entered. */
      default?: string | null;
      /** What to enter. */
      hint?: string | null;
      /** Kind of its value. */
      kind: components["schemas"]["FieldKind"];
      /** Display name. */
      label: string;
      /** Name in `config`. */
      name: string;
      /** Values to choose from. */
      options?: string[];
      /** Regular expression that the value must match. */
      pattern?: string | null;
      /** Whether the connector cannot be used without it. */
      required: boolean;
    };
    /** The provider of a flow, and where its tokens may be sent. */
    ConsentFacts: {
      /** Whether the operator has approved the provider. If not, a warning is due. */
      approved: boolean;
      /** Hosts that tokens may be sent to. */
      destination_hosts: string[];
      /** Host of the provider that will ask for consent. */
      provider_host: string;
      /** Scopes that will be requested. */
      scopes: string[];
    };
    /** The default connection of a user. */
    DefaultConnectionBody: {
      /** Name of the connection; null removes the default. */
      connection: string | null;
    };
    /** The effect of deprovisioning a user. */
    Deprovisioned: {
      /** Number of revocations that are pending at providers. */
      queued: number;
      /** Number of grants that ended. */
      revoked: number;
    };
    /** The connection to end. The body may also be empty. */
    DisconnectBody: {
      /** Name of the connection. Default: the only one, or the user's default. */
      connection?: string | null;
    };
    /** Number of users that an edit would disconnect. */
    DryRun: {
      /** The number. */
      disconnected_users: number;
    };
    /** The effect of an edit, or with `dry_run=true` of a possible one. */
    EditedConnector: components["schemas"]["Connector"] | components["schemas"]["DryRun"];
    /** The request to send, and for which user. */
    ExecuteBody: {
      /** The user an agent acts for. A user may only name themselves. */
      act_as?: string | null;
      /** Name of the connection. Default: the only one, or the user's default. */
      connection?: string | null;
      /** The request to the API. */
      params: components["schemas"]["ExecuteParams"];
    };
    /** A response of the API. */
    ExecuteData: {
      /** Its body: JSON as JSON, text as text, other content in base64. */
      body?: unknown;
      /** `base64` if the body is encoded in base64. */
      body_encoding?: string | null;
      /** Its headers, without cookies and headers of the connection. Values of one name are joined by `, `. */
      headers: Record<string, string>;
      /** Its HTTP status. */
      status: number;
    };
    /** One request to a connector's API. */
    ExecuteParams: {
      /** Body: a string is sent as text, any other value unchanged as JSON. */
      body?: unknown;
      /** Headers. Credentials and headers of the connection are refused. */
      headers?: Record<string, string> | null;
      /** HTTP method. */
      method: string;
      /** Path below the connector's base URL. */
      path: string;
      /** Query parameters. */
      query?: Record<string, string> | null;
    };
    /** The response of the API. */
    ExecuteResult: {
      /** The connector. */
      connector_id: string;
      /** The response. */
      data: components["schemas"]["ExecuteData"];
      /** Always `ok`: the API responded, with any status. */
      status: string;
    };
    /** Kind of the value of a setting. */
    FieldKind: "text" | "url" | "choice" | "flag" | "list" | "map";
    /** A flow, for the user who started it. */
    Flow: {
      /** Why it failed. */
      code?: string | null;
      /** Name of its connection. */
      connection: string;
      /** Its connector. */
      connectorId: string;
      /** When the flow expires, or would have expired. */
      expiresAt: string;
      /** Id of the flow. */
      flowId: string;
      /** `awaiting`, `authorized`, `failed`, `expired` or `cancelled`. All but `awaiting` are final. */
      status: components["schemas"]["FlowStatus"];
    };
    /** The status of a flow. */
    FlowStatus: "awaiting" | "authorized" | "failed" | "expired" | "cancelled";
    /** A connection of a user, present or former. */
    Grant: {
      /** The account at the provider. */
      account?: string | null;
      /** When the grant was committed. */
      connectedAt: string;
      /** Name of the connection. */
      connection: string;
      /** Its connector. */
      connectorId: string;
      /** Name of the connector, while it exists. */
      connectorName?: string | null;
      /** When it ended. */
      endedAt?: string | null;
      /** Its id. */
      grantId: string;
      /** Day of last use. */
      lastUsedAt?: string | null;
      /** Why it is not usable, or why it ended. */
      reason?: string | null;
      /** Granted scopes; empty for a former grant. */
      scopes: string[];
      /** Its space. */
      spaceId: string;
      /** Status of the connection. */
      status: components["schemas"]["ConnectionStatus"];
      /** Its user. */
      userId: string;
    };
    /** One page of grants, newest first. */
    GrantPage: {
      /** The grants. */
      grants: components["schemas"]["Grant"][];
      /** `cursor` of the next page, if there is one. */
      nextCursor?: string | null;
    };
    /** How users sign in. */
    IdentityMode: "accounts" | "proxy-header";
    /** User name and password. */
    LogInBody: {
      /** Password. */
      password: string;
      /** User name. */
      username: string;
    };
    /** A flow of the user that is waiting for the provider. */
    PendingFlow: {
      /** When it expires. */
      expires_at: string;
      /** Its id. */
      flow_id: string;
    };
    /** An error response (RFC 9457). */
    Problem: {
      /** Stable code for programs. */
      code: "not_signed_in" | "forbidden" | "not_found" | "conflict" | "invalid_request" | "payload_too_large" | "unsupported_media_type" | "wrong_host" | "rate_limited" | "host_not_allowed" | "connector_incomplete" | "return_url_refused" | "destination_refused" | "method_not_allowed" | "internal" | "api_unreachable" | "response_too_large" | "store_unavailable" | "directory_unavailable" | "authorization_required" | "connection_ambiguous" | "connection_not_found" | "provider_unavailable" | "provider_misconfigured" | "flow_not_found" | "flow_expired" | "flow_already_used" | "user_mismatch" | "browser_mismatch" | "issuer_mismatch" | "callback_mismatch" | "access_denied" | "provider_error" | "exchange_failed" | "connector_changed" | "connector_gone" | "permission_lost" | "account_already_connected" | "account_mismatch";
      /** The connections to choose from, for `connection_ambiguous`. */
      connections?: components["schemas"]["ProblemConnection"][] | null;
      /** Id of the response in the log of the operator. */
      correlation_id: string;
      /** Explanation for users. */
      detail: string;
      /** The same as `title`, for older front ends. */
      error: string;
      /** The field that is wrong, for `invalid_request` and similar codes. */
      field?: string | null;
      /** The same as `detail`, for older front ends. */
      message: string;
      /** Why the user must connect, for `authorization_required`. */
      reason?: string | null;
      /** Where the user connects, for `authorization_required`. */
      startUrl?: string | null;
      /** HTTP status. */
      status: number;
      /** The same as `status`, for older front ends. */
      statusCode: number;
      /** Reason phrase of the status. */
      title: string;
      /** Always `about:blank`; see `code`. */
      type: string;
    };
    /** A connection to choose. */
    ProblemConnection: {
      /** The account at the provider. */
      account?: string | null;
      /** Its name. */
      name: string;
    };
    /** What a user may do in a space. Each role includes the ones before it. */
    Role: "viewer" | "editor" | "admin";
    /** The signed-in user, with the role in each space. */
    Session: {
      /** Display name. */
      display_name?: string | null;
      /** How users sign in: `accounts`, `proxy-header` or `jwt`. */
      identity_mode: components["schemas"]["IdentityMode"];
      /** Spaces open to the user. */
      spaces: components["schemas"]["SessionSpace"][];
      /** The immutable id. */
      user_id: string;
      /** Name used for log-in. */
      username?: string | null;
    };
    /** A space open to the signed-in user. */
    SessionSpace: {
      /** Its id. */
      id: string;
      /** Its display name. */
      name?: string | null;
      /** The role of the user there. */
      role: components["schemas"]["Role"];
    };
    /** Options of a new flow. */
    StartFlowBody: {
      /** Accept another account at the provider than the connected one. */
      allowAccountChange?: boolean | null;
      /** Name of the connection. Default: `default`. */
      connection?: string | null;
      /** Where the callback redirects to: a path, or an absolute URL of the public origin. Default: the result page. */
      returnUrl?: string | null;
    };
    /** A flow that is waiting for its callback. */
    StartedFlow: {
      /** The authorization request. Prefer the launch page, which checks user and browser first. */
      authorizationUrl: string;
      /** When the flow expires. */
      expiresAt: string;
      /** Id of the flow. */
      flowId: string;
      /** The `state` parameter in it. */
      state: string;
    };
    /** Whether a user is connected to a connector. */
    UserAuthStatus: "connected" | "not_connected" | "not_applicable";
  };
}

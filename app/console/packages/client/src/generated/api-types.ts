// Generated from openapi.json by `npm run codegen`. Do not edit by hand.

export interface components {
  schemas: {
    /** A token that may be used now. */
    AccessToken: {
      /** The token. */
      access_token: string;
      /** When it lapses; null if it does not. */
      expires_at?: string | null;
      /** `Bearer`, in the provider's spelling. */
      token_type: string;
    };
    /** Whose token, and where it will be sent. */
    AccessTokenBody: {
      /** Name of the connection; absent: the only one, or with several the user's default one. */
      connection?: string | null;
      /** URL or origin of the API; it must be among those the user consented to. */
      destination: string;
      /** Id of the user. */
      user: string;
    };
    /** Whose account a connector runs with. */
    AuthMode: "per-user" | "shared";
    /** The status of one user at one connector. */
    AuthStatus: {
      connection?: components["schemas"]["Connection"] | null;
      /** All connections; present when the user has more than one. */
      connections?: components["schemas"]["Connection"][] | null;
      /** The name that the user set as the default. */
      default_connection?: string | null;
      /** `connected` exactly when `connection` is. */
      user_auth_status: components["schemas"]["UserAuthStatus"];
    };
    /** Which flow to give up: by one of the two. */
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
      /** Scopes that the connector requires and that were not granted. */
      missing_scopes?: string[] | null;
      /** Its name: 1 to 64 characters of `[a-z0-9._-]`; `default` where none was given. */
      name: string;
      pending_flow?: components["schemas"]["PendingFlow"] | null;
      /** `provider_unreachable`, `revocation_pending`, `revocation_abandoned` or `revocation_not_supported`. */
      provider_note?: string | null;
      /** Since when the provider has not been reachable. */
      provider_note_since?: string | null;
      /** Why it requires a new authorization. */
      reason?: string | null;
      /** A flow is pending beside a grant that works. */
      reconnecting?: boolean;
      /** Scopes that were granted. */
      scopes?: string[] | null;
      /** When it entered this state. */
      since?: string | null;
      /** Its state. */
      status: components["schemas"]["ConnectionStatus"];
    };
    /** A connection to choose from. */
    ConnectionLabel: {
      /** The account at the provider. */
      account?: string | null;
      /** Its name. */
      name: string;
    };
    /** The state of a connection. */
    ConnectionStatus: "not_connected" | "connecting" | "connected" | "needs_reauthorization";
    /** A connector as it is answered. It never holds a secret. */
    Connector: {
      /** Whose account it runs with: `per-user` or `shared`. */
      auth_mode: components["schemas"]["AuthMode"];
      /** Settings of the profile. */
      config: Record<string, unknown>;
      connection?: components["schemas"]["Connection"] | null;
      /** All connections; present when the user has more than one. */
      connections?: components["schemas"]["Connection"][] | null;
      /** Profile id, or `.oauth2` for hand-written endpoints. */
      connector_type_id: string;
      consent?: components["schemas"]["ConsentFacts"] | null;
      /** When it was created. */
      created_at: string;
      /** The name that the user set as the default. */
      default_connection?: string | null;
      /** How many people an edit disconnected; only in the answer to one. */
      disconnected_users?: number | null;
      /** Its id within its space. */
      id: string;
      /** Whether client id or client secret must still be entered. */
      is_missing_secrets: boolean;
      /** Name for people. */
      name: string;
      /** The exact string to register at the provider. */
      redirect_uri: string;
      /** Raised by every edit; send it back to notice that somebody else was quicker. */
      revision: number;
      /** The space it lives in. */
      space_id: string;
      /** When it was last edited. */
      updated_at: string;
      /** `connected` exactly when `connection` is. */
      user_auth_status: components["schemas"]["UserAuthStatus"];
    };
    /** A connector as it is sent. */
    ConnectorBody: {
      auth_mode?: components["schemas"]["AuthMode"] | null;
      /** Settings of the profile. */
      config: Record<string, unknown>;
      /** Profile id; on an edit it may be absent, and cannot change. */
      connector_type_id?: string | null;
      /** Name for people: 1 to 200 characters. */
      name: string;
      /** On an edit: the revision it is based on. 409 if the connector has a newer one. */
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
    /** A provider profile that connectors can be made from. */
    ConnectorType: {
      /** The modes its connectors may have. */
      auth_modes: components["schemas"]["AuthMode"][];
      /** Where the provider tells how to register an application. */
      docs_url?: string | null;
      /** Its settings, in the order of the form. */
      fields: components["schemas"]["ConnectorTypeField"][];
      /** Profile id, such as `.github`. */
      id: string;
      /** Its name for people. */
      name: string;
      /** The redirect URI to register, where it is known before the connector exists: the shared one. */
      redirect_uri?: string | null;
    };
    /** One setting of a profile. */
    ConnectorTypeField: {
      /** What holds where nothing is entered. */
      default?: string | null;
      /** What to enter. */
      hint?: string | null;
      /** What kind of value it holds. */
      kind: components["schemas"]["FieldKind"];
      /** Name for people. */
      label: string;
      /** Name in `config`. */
      name: string;
      /** Values to choose from. */
      options?: string[];
      /** Regular expression that values match. */
      pattern?: string | null;
      /** Whether the connector cannot be used without it. */
      required: boolean;
    };
    /** Where a flow leads, and where its tokens may go. */
    ConsentFacts: {
      /** Whether the provider is one the operator has approved. If not, a warning is due. */
      approved: boolean;
      /** Hosts the tokens may be sent to. */
      destination_hosts: string[];
      /** Host of the provider that will ask for consent. */
      provider_host: string;
      /** Scopes that will be asked for. */
      scopes: string[];
    };
    /** The connection to use where a request names none. */
    DefaultConnectionBody: {
      /** Its name; null clears the default. */
      connection: string | null;
    };
    /** What a deprovisioning ended. */
    Deprovisioned: {
      /** Revocations that wait for their providers. */
      queued: number;
      /** Grants ended. */
      revoked: number;
    };
    /** Which connection to end. */
    DisconnectBody: {
      /** Name of the connection; absent: the only one, or with several the user's default one. */
      connection?: string | null;
    };
    /** How many people an edit would disconnect. */
    DryRun: {
      /** The number. */
      disconnected_users: number;
    };
    /** What an edit did, or with `dry_run=true` would do. */
    EditedConnector: components["schemas"]["Connector"] | components["schemas"]["DryRun"];
    /** What to run, and as whom. */
    ExecuteBody: {
      /** The user an agent acts for. A person may only name themselves. */
      act_as?: string | null;
      /** Name of the connection; absent: the only one, or with several the user's default one. */
      connection?: string | null;
      /** The request to the API. */
      params: components["schemas"]["ExecuteParams"];
    };
    /** An answer of the API. */
    ExecuteData: {
      /** Its body: JSON as JSON, text as text, anything else in base64. */
      body?: unknown;
      /** `base64` if the body is encoded so. */
      body_encoding?: string | null;
      /** Its headers, without cookies and those of the connection. Values of one name are joined by `, `. */
      headers: Record<string, string>;
      /** Its HTTP status. */
      status: number;
    };
    /** One request to a connector's API. */
    ExecuteParams: {
      /** Body: a text is sent as it is, anything else as JSON. */
      body?: unknown;
      /** Headers. Those that carry credentials or describe the connection are refused. */
      headers?: Record<string, string> | null;
      /** HTTP method. */
      method: string;
      /** Path below the connector's base URL. */
      path: string;
      /** Query parameters. */
      query?: Record<string, string> | null;
    };
    /** What the API answered. */
    ExecuteResult: {
      /** The connector. */
      connector_id: string;
      /** The answer. */
      data: components["schemas"]["ExecuteData"];
      /** Always `ok`: the API answered, whatever it said. */
      status: string;
    };
    /** What kind of value a setting holds. */
    FieldKind: "text" | "url" | "choice" | "flag" | "list" | "map";
    /** A flow as its starter sees it. */
    Flow: {
      /** Why it failed. */
      code?: string | null;
      /** Name of its connection. */
      connection: string;
      /** Its connector. */
      connectorId: string;
      /** When the flow ends, or would have ended, by itself. */
      expiresAt: string;
      /** Names the flow. */
      flowId: string;
      /** `awaiting`, `authorized`, `failed`, `expired` or `cancelled`. Everything but `awaiting` is final. */
      status: components["schemas"]["FlowStatus"];
    };
    /** Where a flow stands. */
    FlowStatus: "awaiting" | "authorized" | "failed" | "expired" | "cancelled";
    /** Somebody's connection, present or former. */
    Grant: {
      /** The account at the provider. */
      account?: string | null;
      /** When consent was committed. */
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
      /** Why it is not usable, or how it ended. */
      reason?: string | null;
      /** Granted scopes. */
      scopes: string[];
      /** Its space. */
      spaceId: string;
      /** The state of the connection. */
      status: components["schemas"]["ConnectionStatus"];
      /** Whose it is. */
      userId: string;
    };
    /** One page of grants, newest first. */
    GrantPage: {
      /** The grants. */
      grants: components["schemas"]["Grant"][];
      /** `cursor` of the next page, if there is one. */
      nextCursor?: string | null;
    };
    /** How people are told apart. */
    IdentityMode: "accounts" | "proxy-header" | "jwt";
    /** User name and password. */
    LogInBody: {
      /** Password. */
      password: string;
      /** User name. */
      username: string;
    };
    /** A flow of this user that waits for the provider. */
    PendingFlow: {
      /** When it ends by itself. */
      expires_at: string;
      /** Its id. */
      flow_id: string;
    };
    /** An error as it is answered (RFC 9457). */
    Problem: {
      /** What happened, for programs. */
      code: "not_signed_in" | "forbidden" | "not_found" | "conflict" | "invalid_request" | "payload_too_large" | "unsupported_media_type" | "wrong_host" | "rate_limited" | "public_base_url_missing" | "host_not_allowed" | "connector_incomplete" | "return_url_refused" | "destination_refused" | "method_not_allowed" | "internal" | "api_unreachable" | "response_too_large" | "store_unavailable" | "authorization_required" | "provider_unavailable" | "provider_misconfigured" | "flow_not_found" | "flow_expired" | "flow_already_used" | "user_mismatch" | "browser_mismatch" | "issuer_mismatch" | "callback_mismatch" | "access_denied" | "provider_error" | "exchange_failed" | "connector_changed" | "connector_gone" | "permission_lost" | "account_mismatch" | "connection_ambiguous" | "connection_not_found" | "account_already_connected";
      /** The connections to choose from, for `connection_ambiguous`. */
      connections?: components["schemas"]["ConnectionLabel"][] | null;
      /** To be quoted to the operator. */
      correlation_id: string;
      /** What happened, for people. */
      detail: string;
      /** The same as `title`, for older front ends. */
      error: string;
      /** The field that is wrong, for `invalid_request` and its kin. */
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
      /** Words of the status. */
      title: string;
      /** Always `about:blank`: the code says what happened. */
      type: string;
    };
    /** What a person may do in a space. Each role includes the ones before it. */
    Role: "viewer" | "editor" | "admin";
    /** Who is signed in, and with which role in which space. */
    Session: {
      /** Name for people. */
      display_name?: string | null;
      /** How people are told apart: `accounts`, `proxy-header` or `jwt`. */
      identity_mode: components["schemas"]["IdentityMode"];
      /** Spaces open to this person. */
      spaces: components["schemas"]["SessionSpace"][];
      /** The immutable id. */
      user_id: string;
      /** Name used for log-in. */
      username?: string | null;
    };
    /** A space open to the signed-in person. */
    SessionSpace: {
      /** Its id. */
      id: string;
      /** Its name for people. */
      name?: string | null;
      /** The person's role there. */
      role: components["schemas"]["Role"];
    };
    /** How to start a flow. */
    StartFlowBody: {
      /** Accept another account at the provider than last time. */
      allowAccountChange?: boolean | null;
      /** Name of the connection; absent: `default`. */
      connection?: string | null;
      /** Where the callback sends the browser: a path, or an absolute URL of the public origin. Absent: the result page. */
      returnUrl?: string | null;
    };
    /** A flow that waits for its callback. */
    StartedFlow: {
      /** Where the browser may go directly; better is the launch page, which checks person and browser first. */
      authorizationUrl: string;
      /** When the flow ends by itself. */
      expiresAt: string;
      /** Names the flow. */
      flowId: string;
      /** The `state` parameter in it. */
      state: string;
    };
    /** Whether the user is connected to a connector. */
    UserAuthStatus: "connected" | "not_connected" | "not_applicable";
  };
}

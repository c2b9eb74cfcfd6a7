// Generated from openapi.json by `npm run codegen`. Do not edit by hand.

export interface components {
  schemas: {
    /** A valid access token. */
    AccessToken: {
      /** The token. */
      access_token: string;
      /** The base URL of the API: that of the user's account, if the provider names one, or else that of the connector. */
      base_url: string;
      /** When it expires; null if it does not. */
      expires_at?: string | null;
      /** `Bearer`, as the provider spells it. */
      token_type: string;
    };
    /** The user, and where the token will be sent. */
    AccessTokenBody: {
      /** Name of the connection. Default: the only one, or the user's default. */
      connection?: string | null;
      /**
       * URL or origin that the token will be sent to. It must be among those the user consented to. Default: the base URL of the
       * API, which the response contains.
       */
      destination?: string | null;
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
    /** How the client of a connector gets tokens. */
    AuthType: "oauth_authorization_code" | "oauth_client_credentials";
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
      /** Scopes that the connector requests and the grant does not have. They block nothing unless the connector requires them. */
      missing_scopes?: string[] | null;
      /** Its name. */
      name: string;
      pending_flow?: components["schemas"]["PendingFlow"] | null;
      /**
       * `provider_unreachable`, `refresh_refused`, `client_refused`, `revocation_pending`, `revocation_abandoned` or
       * `revocation_not_supported`.
       */
      provider_note?: string | null;
      /** Since when the provider has been unreachable or has refused. */
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
      /**
       * Number of users who need a new consent after an edit: those disconnected, and those whose grants lack a scope that is
       * newly required. Only in the response to an edit.
       */
      affected_users?: number | null;
      /** `per-user`: every user connects an account. `shared`: the service account of the connector. */
      auth_mode: components["schemas"]["AuthMode"];
      /** Whether `tryConnection` is possible: there is a request that succeeds with every valid token. */
      can_be_tried: boolean;
      /**
       * Settings of the profile, and `authType`: `oauth_authorization_code`, or `oauth_client_credentials` for a shared
       * connector.
       */
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
      /** Whether the sunset of the connector type has passed. */
      is_connector_type_deprecated: boolean;
      /** Always false. */
      is_deprecated: boolean;
      /** Whether client id or client secret must still be entered. */
      is_missing_secrets: boolean;
      /** Always false. For front ends of an earlier API. */
      is_preconfigured: boolean;
      /** Always false. For front ends of an earlier API. */
      is_system_action: boolean;
      /**
       * Whether the stored connector is not authentic, because another program changed it or its key is not configured. It is
       * not used, its settings are not shown, and it can only be deleted.
       */
      is_tampered?: boolean;
      /** Display name. */
      name: string;
      /** The exact string to register at the provider. Absent for a connector with `is_tampered`. */
      redirect_uri?: string | null;
      /** Always 0. For front ends of an earlier API. */
      referenced_by_count: number;
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
      /** Settings of the profile. `authType` is accepted if it is the one of the mode. */
      config: Record<string, unknown>;
      /** Profile id. An edit may omit it and cannot change it. */
      connector_type_id?: string | null;
      /** Display name: 1 to 200 characters. */
      name: string;
      /** Only for an edit: the revision it is based on. 409 if the connector has a newer one. */
      revision?: number | null;
      secrets?: components["schemas"]["ConnectorSecrets"] | null;
    };
    /** Why requests of a connector fail. */
    ConnectorDiagnostics: {
      /** Deviations of responses that did not prevent their use, newest first, each once. */
      anomalies: components["schemas"]["RecentAnomaly"][];
      /** Since when the provider refuses the client id or the client secret. Absent if it does not. */
      client_refused_since?: string | null;
      last_failure?: components["schemas"]["LastFailure"] | null;
    };
    /**
     * The client's registration at the provider. Client id and secret are write-only.
     * The other members are settings and move to `config`. An edit with one of them keeps the settings that it does not contain.
     */
    ConnectorSecrets: {
      authType?: components["schemas"]["AuthType"] | null;
      /** `config.authorizationUrl`. */
      authorizationUrl?: string | null;
      /** Client id. */
      clientId?: string | null;
      /** Client secret. */
      clientSecret?: string | null;
      /** `config.scope`. */
      scope?: string | null;
      /** `config.tokenUrl`. */
      tokenUrl?: string | null;
      /** `config.useBasicAuth`. */
      useBasicAuth?: boolean | null;
    };
    /** The results of a test of a connector. */
    ConnectorTest: {
      /** The redirect URI to register at the provider. Absent while the settings cannot be used. */
      redirect_uri?: string | null;
      /** One of each check, in the order in which they are done. */
      results: components["schemas"]["ConnectorTestResult"][];
    };
    /** The result of one check of a connector. */
    ConnectorTestResult: {
      /**
       * What was found out: `complete`, `missing`, `invalid`, `host_not_allowed`, `resolved`, `reached`, `accepted`,
       * `token_accepted`, `api_refused`, `api_failed`,
       * `api_unreachable`, `unexpected_tokens`, `not_tested` or `to_register`; for a request that failed the class of the error, as in
       * `getConnectorDiagnostics`.
       */
      detail: string;
      /** Host of the endpoint that a failed request was for. */
      endpoint_host?: string | null;
      /** The field that is missing or cannot be used. */
      field?: string | null;
      /** What was not understood or not allowed, and what to do where that is known. */
      hint?: string | null;
      /** Status of the response, if there was one and the request failed. */
      http_status?: number | null;
      /** What was checked. */
      name: "settings" | "endpoints" | "client" | "api" | "redirect_uri";
      /** OAuth error code, if it is a registered one or one of the profile. */
      oauth_error?: string | null;
      /** Whether it is in order. Absent if the test cannot show it. */
      ok?: boolean | null;
    };
    /** A provider profile in a response. */
    ConnectorType: {
      /** The modes its connectors may have. */
      auth_modes: components["schemas"]["AuthMode"][];
      /** Documentation of the provider about registering an application. */
      docs_url?: string | null;
      /** Always true. For front ends of an earlier API. */
      enabled: boolean;
      /** Always true. For front ends of an earlier API. */
      enabled_in_config: boolean;
      /** Always true. For front ends of an earlier API. */
      enabled_in_license: boolean;
      /** Its settings, in the order of the form. */
      fields: components["schemas"]["ConnectorTypeField"][];
      /** Profile id, such as `.github`. */
      id: string;
      /** Whether the sunset of the provider's service has passed. */
      is_deprecated: boolean;
      /** Always false. For front ends of an earlier API. */
      is_system_action_type: boolean;
      /** Always `basic`. For front ends of an earlier API. */
      minimum_license_required: string;
      /** Display name. */
      name: string;
      /** What users and editors should be aware of, in English. */
      notes?: string[];
      /** The redirect URI to register, if it is known before the connector exists: the shared one. */
      redirect_uri?: string | null;
      setup?: components["schemas"]["ConnectorTypeSetup"] | null;
      /** Always `spec`. For front ends of an earlier API. */
      source: string;
      /** Always `workflows` only. For front ends of an earlier API. */
      supported_feature_ids: string[];
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
    /** How a client is registered at the provider. */
    ConnectorTypeSetup: {
      /** The name of the provider's logo in the collection simple-icons. */
      icon?: string | null;
      /** The page on which clients are registered. */
      register_url: string;
      /** The page that lists the scopes. */
      scopes_url?: string | null;
      /** What to do there, in order. `{redirect_uri}` stands for the redirect URI of the connector. */
      steps: string[];
    };
    /** The provider of a flow, and every host that receives something of it. */
    ConsentFacts: {
      /** Whether the operator has approved the provider. If not, a warning is due. */
      approved: boolean;
      /**
       * Hosts of the API that tokens may be sent to; `*.example.com` stands for the hosts at or below a domain: the provider names
       * one of them at the consent.
       */
      destination_hosts: string[];
      /** Host of the provider that will ask for consent: the log-in host. */
      provider_host: string;
      /** Every host that receives something, the log-in host first. */
      receivers: components["schemas"]["Receiver"][];
      /** Scopes that will be requested. */
      scopes: string[];
      /** Changes with the scopes and with everything that decides who receives something: `consentVersion` of a start. */
      version: string;
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
    /** Numbers of users that an edit would disconnect or affect. */
    DryRun: {
      /** How many would need a new consent: those disconnected, and those whose grants lack a scope that is newly required. */
      affected_users: number;
      /** How many it would disconnect. */
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
      /**
       * Its headers, without cookies and headers of the connection. Values of one name are joined by `, `. A value that is not
       * UTF-8 is read as ISO 8859-1.
       */
      headers: Record<string, string>;
      /** The bytes of the values that are not UTF-8, in base64. */
      headers_base64?: Record<string, string> | null;
      /** Its HTTP status. */
      status: number;
    };
    /** One request to a connector's API. */
    ExecuteParams: {
      /** Body: a string is sent as text, any other value unchanged as JSON, at most 128 levels deep. */
      body?: unknown;
      /** Headers: an object of strings, numbers and booleans. Credentials and headers of the connection are refused. */
      headers?: Record<string, string | number | boolean> | null;
      /** HTTP method. */
      method: string;
      /** Path below the connector's base URL, sent as it is written, with or without a query. */
      path: string;
      /** Query, after that of the path: an object of strings, numbers, booleans and lists of them, whose names may be repeated; or a string that is already encoded. */
      query?: Record<string, string | number | boolean | (string | number | boolean)[]> | string | null;
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
      /** For `account_mismatch`: the account that was last connected. */
      connectedAccount?: string | null;
      /** Name of its connection. */
      connection: string;
      /** Its connector. */
      connectorId: string;
      /** When the flow expires, or would have expired. */
      expiresAt: string;
      /** Id of the flow. */
      flowId: string;
      /** Scopes that the connector requests or requires and the provider did not grant. */
      missingScopes?: string[] | null;
      /** `awaiting`, `authorized`, `failed`, `expired` or `cancelled`. All but `awaiting` are final. */
      status: components["schemas"]["FlowStatus"];
      /** With `usedAccount`: a name that none of the user's connections at the connector has, made of that account. */
      unusedName?: string | null;
      /** For `account_mismatch` and `account_already_connected`: the account that was used at the provider. */
      usedAccount?: string | null;
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
      /** Who ended it: the id of a user, or `system` where time or the provider did. */
      endedBy?: string | null;
      /** Its id. */
      grantId: string;
      /** Day of last use. */
      lastUsedAt?: string | null;
      /** Why it is not usable, or why it ended. */
      reason?: string | null;
      /** Whether its tokens are stored, so that revoking it has an effect. */
      revocable: boolean;
      /** Granted scopes; empty for a former grant. */
      scopes: string[];
      /** Its space. */
      spaceId: string;
      /** Its status. */
      status: components["schemas"]["GrantStatus"];
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
    /** The status of a grant or former grant. */
    GrantStatus: "connected" | "needs_reauthorization" | "revoked" | "not_connected";
    /** How users sign in. */
    IdentityMode: "accounts" | "proxy-header" | "host";
    /** A failed request to the provider. */
    LastFailure: {
      /** When it was recorded. */
      at: string;
      /** Class of the error, such as `client_refused` or `malformed`. */
      code: string;
      /** Id of the request that failed, in its response and in the log. Absent for background work. */
      correlation_id?: string | null;
      /** Host of the endpoint. */
      endpoint_host?: string | null;
      /** What was not understood, and what to do where that is known. */
      hint?: string | null;
      /** Status of the response, if there was one. */
      http_status?: number | null;
      /** OAuth error code, if it is a registered one or one of the profile. */
      oauth_error?: string | null;
      /** `exchange`, `refresh`, `discovery`, `revocation`, `client_credentials`, `userinfo`, `authorization` or `settings`. */
      operation: string;
    };
    /** User name and password. */
    LogInBody: {
      /** Password. */
      password: string;
      /** User name. */
      username: string;
    };
    /** A grant, former grant or flow that deprovisioning would end. */
    OpenConnection: {
      /** The account at the provider. */
      account?: string | null;
      /** Name of the connection. */
      connection: string;
      /** Its connector. */
      connector_id: string;
      /** Name of the connector, while it exists. */
      connector_name?: string | null;
      /** Its space. */
      space_id: string;
      /** `grant`, `needs_consent` or `flow`. */
      state: components["schemas"]["OpenConnectionState"];
    };
    /** What deprovisioning would end. */
    OpenConnectionState: "grant" | "needs_consent" | "flow";
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
      code: "not_signed_in" | "forbidden" | "not_found" | "conflict" | "invalid_request" | "payload_too_large" | "unsupported_media_type" | "url_too_long" | "headers_too_large" | "wrong_host" | "rate_limited" | "host_not_allowed" | "connector_incomplete" | "return_url_refused" | "destination_refused" | "method_not_allowed" | "internal" | "api_unreachable" | "response_too_large" | "store_unavailable" | "audit_unavailable" | "directory_unavailable" | "authorization_required" | "connection_ambiguous" | "connection_not_found" | "provider_unavailable" | "refresh_refused" | "provider_misconfigured" | "flow_not_found" | "flow_expired" | "flow_already_used" | "user_mismatch" | "browser_mismatch" | "issuer_mismatch" | "callback_mismatch" | "access_denied" | "provider_error" | "exchange_failed" | "connector_changed" | "connector_tampered" | "connector_gone" | "permission_lost" | "user_deprovisioned" | "insufficient_scope" | "account_already_connected" | "account_mismatch";
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
      identity_mode?: components["schemas"]["IdentityMode"] | null;
      /** The same as `detail`, for older front ends. */
      message: string;
      /** HTTP status of the provider's response, for `refresh_refused`. */
      providerStatus?: number | null;
      /** Why the user must connect, for `authorization_required`. */
      reason?: string | null;
      /** Where the user connects, for `authorization_required` and `refresh_refused`. */
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
    /** What a host receives. */
    Received: "log_in" | "metadata" | "code_and_tokens" | "refresh" | "userinfo" | "revocation" | "api";
    /** A host, and what it receives. */
    Receiver: {
      /** Host, with a port that is not the default; `*.example.com` for the hosts at or below a domain. */
      host: string;
      /**
       * Whether it is not of the site of the log-in host, so that a warning is due. The site is the log-in host without its
       * first label, and all hosts below; the log-in host itself where the rest could be a public suffix.
       */
      other_site: boolean;
      /** What it receives. */
      receives: components["schemas"]["Received"][];
    };
    /** A deviation of a response of the provider. The member is interpreted or ignored. */
    RecentAnomaly: {
      /** When it was last recorded. */
      at: string;
      /** How it deviates, such as `wrong_type`. */
      kind: "wrong_type" | "repeated" | "too_long" | "not_readable" | "not_text" | "missing" | "empty" | "invalid_characters" | "not_integer" | "out_of_range" | "unsupported" | "unverified" | "keys_unavailable" | "other_subject" | "byte_order_mark";
      /**
       * Name of the member of the token response, `body` for the whole of it, or `userinfo` for the response of the userinfo
       * endpoint.
       */
      member: string;
    };
    /** What a user may do in a space. Each role includes the ones before it. */
    Role: "viewer" | "editor" | "admin";
    /** The signed-in user, with the role in each space. */
    Session: {
      /** Display name. */
      display_name?: string | null;
      /** How users sign in: `accounts`, `proxy-header` or `host`. */
      identity_mode: components["schemas"]["IdentityMode"];
      /** Spaces open to the user. */
      spaces: components["schemas"]["SessionSpace"][];
      /** The user. */
      user: components["schemas"]["SessionUser"];
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
    /** The signed-in user. */
    SessionUser: {
      /** The immutable id. */
      id: string;
      /** Display name. */
      name?: string | null;
    };
    /** Options of a new flow. */
    StartFlowBody: {
      /** Accept another account at the provider than the connected one. */
      allowAccountChange?: boolean | null;
      /** Name of the connection. Default: `default`. */
      connection?: string | null;
      /**
       * `version` of what the user was shown: of `getConsent`, or without an issuer of the connector's `consent`. The start is
       * refused with `connector_changed` if it is not the present one. Default: it is not compared.
       */
      consentVersion?: string | null;
      /**
       * Where the callback redirects to: a path, or an absolute URL of the public origin. A fragment is kept. Default: the
       * result page.
       */
      returnUrl?: string | null;
      /** Ask the provider to let the user choose the account. Default: `false`. */
      selectAccount?: boolean | null;
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
    /** Which connection to try. */
    TryBody: {
      /** Name of the connection. Default: the only one, or the user's default. */
      connection?: string | null;
    };
    /** What the API responded to the request of the profile. */
    TryResult: {
      /** Label of its account at the provider, if it is known. */
      account?: string | null;
      /** Name of the connection that was used. */
      connection: string;
      /** HTTP status of the response of the API. A valid connection results in 200, or another status below 300. */
      http_status: number;
    };
    /** Whether a user is connected to a connector. */
    UserAuthStatus: "connected" | "not_connected" | "not_applicable";
    /** A user, and what deprovisioning would end. */
    UserDetails: components["schemas"]["UserSummary"] & {
      /** Everything that would end, in every space. */
      connections: components["schemas"]["OpenConnection"][];
      /** Number of flows that would end. */
      flows: number;
      /** Number of former grants, which need a new consent, that would end. */
      former_grants: number;
      /** Number of grants that would end. */
      grants: number;
    };
    /** A user of the host, or a user with connections. */
    UserSummary: {
      /** When the user was deprovisioned. */
      deprovisioned_at?: string | null;
      /** Whether the user is disabled at the host. */
      disabled: boolean;
      /** The immutable id. */
      id: string;
      /** Name for display. */
      name?: string | null;
    };
  };
}

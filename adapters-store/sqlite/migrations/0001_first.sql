-- Instants are milliseconds since the Unix epoch. `sealed` is an OTE1 envelope; `kid` repeats the key id of its header.
-- `tag` authenticates the other columns of its row: the id of its key, then an HMAC-SHA-256.

CREATE TABLE deployment (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id   BLOB NOT NULL CHECK (length(id) = 16)
) STRICT;

CREATE TABLE connectors (
    seq               INTEGER PRIMARY KEY,
    space             TEXT    NOT NULL,
    connector         TEXT    NOT NULL,
    incarnation       BLOB    NOT NULL UNIQUE CHECK (length(incarnation) = 16),
    epoch             INTEGER NOT NULL CHECK (epoch >= 1),
    name              TEXT    NOT NULL,
    profile           TEXT    NOT NULL,
    config            TEXT    NOT NULL,
    client_id         TEXT,
    auth_mode         TEXT    NOT NULL CHECK (auth_mode IN ('per-user', 'shared')),
    callback_id       BLOB    NOT NULL UNIQUE CHECK (length(callback_id) = 16),
    has_client_secret INTEGER NOT NULL CHECK (has_client_secret IN (0, 1)),
    revision          INTEGER NOT NULL CHECK (revision >= 0),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    tag               BLOB    NOT NULL CHECK (length(tag) = 40),
    UNIQUE (space, connector)
) STRICT;

-- Lists are in the order of names.
CREATE INDEX connectors_by_name ON connectors (space, name, connector);
CREATE INDEX connectors_by_key ON connectors (substr(tag, 1, 8));

-- A row of an earlier epoch or of a deleted connector has `superseded_at` and is kept only while a revocation needs it.
CREATE TABLE client_secrets (
    seq           INTEGER PRIMARY KEY,
    incarnation   BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    space         TEXT    NOT NULL,
    connector     TEXT    NOT NULL,
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    sealed        BLOB    NOT NULL,
    kid           BLOB,
    superseded_at INTEGER,
    UNIQUE (incarnation, epoch)
) STRICT;

CREATE INDEX client_secrets_by_key ON client_secrets (kid) WHERE kid IS NOT NULL;

-- Flows, grants and former grants. Rows cluster by time through `seq`; ids and state hashes are found by an index.
-- `deadline`, `state_hash`, `flow_cookie_hash` and `consumed_at` of a flow are kept after its end, to distinguish a replayed
-- callback from an unknown one. They are not part of the ended authorization.
CREATE TABLE authorizations (
    seq                INTEGER PRIMARY KEY,
    id                 BLOB    NOT NULL UNIQUE CHECK (length(id) = 24),
    space              TEXT    NOT NULL,
    connector          TEXT    NOT NULL,
    incarnation        BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch              INTEGER NOT NULL,
    digest             BLOB    NOT NULL CHECK (length(digest) = 32),
    user               TEXT    NOT NULL,
    connection         TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('initiated', 'awaiting_callback', 'authorized', 'expired', 'revoked')),
    cause              TEXT,
    since              INTEGER,
    ended_by           TEXT,
    deadline           INTEGER,
    state_hash         BLOB    CHECK (length(state_hash) = 32),
    flow_cookie_hash   BLOB    CHECK (length(flow_cookie_hash) = 32),
    consumed_at        INTEGER,
    sealed             BLOB,
    kid                BLOB,
    revision           INTEGER NOT NULL CHECK (revision >= 0),
    scopes             TEXT    NOT NULL,
    expires_at         INTEGER,
    refreshable        INTEGER NOT NULL CHECK (refreshable IN (0, 1)),
    refresh_expires_at INTEGER,
    account            TEXT,
    account_tag        BLOB    CHECK (length(account_tag) = 40),
    authorized_at      INTEGER,
    last_used_day      INTEGER,
    lease_until        INTEGER,
    lease_holder       BLOB    CHECK (length(lease_holder) = 16),
    in_doubt_since     INTEGER,
    failed_attempts    INTEGER NOT NULL CHECK (failed_attempts >= 0),
    failing_since      INTEGER,
    refusals           INTEGER NOT NULL CHECK (refusals >= 0),
    refused_since      INTEGER,
    last_refusal       INTEGER,
    revocation         TEXT    CHECK (revocation IN ('pending', 'revoked', 'not_supported', 'abandoned', 'not_needed')),
    revoke_at          INTEGER,
    revoke_attempts    INTEGER,
    revoke_in_doubt    INTEGER CHECK (revoke_in_doubt IN (0, 1)),
    claimed_by         BLOB    CHECK (length(claimed_by) = 16),
    claimed_until      INTEGER,
    -- How queries see the row. A flow is `pending` until its callback consumes it, then `running`.
    role TEXT NOT NULL GENERATED ALWAYS AS (CASE
        WHEN state = 'authorized' THEN 'grant'
        WHEN state IN ('expired', 'revoked') THEN iif(authorized_at IS NULL, 'ended_flow', 'former_grant')
        WHEN consumed_at IS NULL THEN 'pending'
        ELSE 'running' END) STORED,
    -- From this instant neither the access token nor a refresh token is valid.
    final_expiry INTEGER GENERATED ALWAYS AS (CASE
        WHEN refreshable = 0 THEN expires_at
        ELSE max(expires_at, refresh_expires_at) END) STORED,
    CHECK ((state IN ('expired', 'revoked')) = (cause IS NOT NULL AND since IS NOT NULL AND ended_by IS NOT NULL)),
    CHECK (role NOT IN ('pending', 'running') OR (deadline IS NOT NULL AND authorized_at IS NULL)),
    CHECK (role <> 'running' OR sealed IS NULL),
    CHECK (role <> 'ended_flow' OR (sealed IS NULL AND revocation IS NULL)),
    CHECK (role <> 'grant' OR (sealed IS NOT NULL AND revision > 0 AND authorized_at IS NOT NULL AND last_used_day IS NOT NULL)),
    CHECK (role <> 'former_grant' OR (revocation IS NOT NULL AND (revocation = 'pending') = (sealed IS NOT NULL))),
    CHECK ((revocation IS 'pending') = (revoke_at IS NOT NULL AND revoke_attempts IS NOT NULL AND revoke_in_doubt IS NOT NULL)),
    CHECK (kid IS NULL OR sealed IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX authorizations_by_state ON authorizations (state_hash) WHERE state_hash IS NOT NULL;
-- One grant and one unconsumed flow per user, connector and connection. An incarnation belongs to exactly one space.
CREATE UNIQUE INDEX one_grant ON authorizations (incarnation, user, connection) WHERE role = 'grant';
CREATE UNIQUE INDEX one_pending ON authorizations (incarnation, user, connection) WHERE role = 'pending';
CREATE INDEX authorizations_by_user ON authorizations (user, space, incarnation, role) WHERE role <> 'ended_flow';
CREATE INDEX grants_by_space ON authorizations (space, id) WHERE authorized_at IS NOT NULL;
CREATE INDEX expired_by_connector ON authorizations (incarnation, user) WHERE role = 'former_grant' AND state = 'expired';
CREATE INDEX pending_by_deadline ON authorizations (deadline) WHERE role = 'pending';
CREATE INDEX running_by_start ON authorizations (consumed_at) WHERE role = 'running';
CREATE INDEX grants_by_final_expiry ON authorizations (final_expiry) WHERE role = 'grant' AND final_expiry IS NOT NULL;
CREATE INDEX grants_by_expiry ON authorizations (expires_at) WHERE role = 'grant' AND refreshable = 1;
CREATE INDEX grants_by_use ON authorizations (last_used_day) WHERE role = 'grant';
CREATE INDEX ended_by_time ON authorizations (role, since) WHERE since IS NOT NULL;
CREATE INDEX revocations_by_time ON authorizations (revoke_at) WHERE revocation = 'pending';
CREATE INDEX revocations_by_secret ON authorizations (incarnation, epoch) WHERE revocation = 'pending';
CREATE INDEX authorizations_by_key ON authorizations (kid) WHERE kid IS NOT NULL;

-- The default connection of a user at a connector, for requests that name no connection.
CREATE TABLE default_connections (
    incarnation BLOB NOT NULL CHECK (length(incarnation) = 16),
    user        TEXT NOT NULL,
    connection  TEXT NOT NULL,
    PRIMARY KEY (incarnation, user)
) STRICT;

CREATE INDEX default_connections_by_user ON default_connections (user);

-- Tokens received for a flow or a grant that has ended in the meantime; their revocation is pending.
CREATE TABLE unclaimed_tokens (
    seq           INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE CHECK (length(id) = 24),
    space         TEXT    NOT NULL,
    connector     TEXT    NOT NULL,
    incarnation   BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch         INTEGER NOT NULL,
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    user          TEXT    NOT NULL,
    connection    TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    kid           BLOB,
    queued_at     INTEGER NOT NULL,
    attempts      INTEGER NOT NULL CHECK (attempts >= 0),
    revoke_at     INTEGER NOT NULL,
    claimed_by    BLOB    CHECK (length(claimed_by) = 16),
    claimed_until INTEGER
) STRICT;

CREATE INDEX unclaimed_tokens_by_time ON unclaimed_tokens (revoke_at);
CREATE INDEX unclaimed_tokens_by_secret ON unclaimed_tokens (incarnation, epoch);
CREATE INDEX unclaimed_tokens_by_key ON unclaimed_tokens (kid) WHERE kid IS NOT NULL;

-- The last failure of each connector, for its editors.
CREATE TABLE connector_failures (
    incarnation    BLOB    NOT NULL PRIMARY KEY CHECK (length(incarnation) = 16),
    operation      TEXT    NOT NULL,
    code           TEXT    NOT NULL,
    http_status    INTEGER CHECK (http_status BETWEEN 100 AND 999),
    oauth_error    TEXT,
    endpoint_host  TEXT,
    hint           TEXT,
    correlation_id TEXT,
    at             INTEGER NOT NULL
) STRICT;

-- Connectors whose client the provider refuses, by the revision that it refuses.
CREATE TABLE client_refusals (
    incarnation BLOB    NOT NULL PRIMARY KEY CHECK (length(incarnation) = 16),
    revision    INTEGER NOT NULL CHECK (revision >= 0),
    since       INTEGER NOT NULL
) STRICT;

-- The newest anomalies of each connector; `seq` orders those of one instant.
CREATE TABLE connector_anomalies (
    seq         INTEGER PRIMARY KEY,
    incarnation BLOB    NOT NULL CHECK (length(incarnation) = 16),
    member      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    UNIQUE (incarnation, member, kind)
) STRICT;

-- Removed users. No grant is committed for them until they are reinstated.
CREATE TABLE tombstones (
    user       TEXT    NOT NULL PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    seq        INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    user       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    tag        BLOB    NOT NULL CHECK (length(tag) = 40)
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user, created_at, hash);

-- The audit outbox. AUTOINCREMENT: no sequence number is assigned twice, even after the table was emptied.
CREATE TABLE events (
    sequence         INTEGER PRIMARY KEY AUTOINCREMENT,
    at               INTEGER NOT NULL,
    actor_kind       TEXT    NOT NULL CHECK (actor_kind IN ('user', 'agent', 'system')),
    actor            TEXT    CHECK ((actor IS NULL) = (actor_kind = 'system')),
    kind             TEXT    NOT NULL,
    space            TEXT,
    connector        TEXT,
    user             TEXT,
    connection       TEXT,
    authorization_id BLOB    CHECK (length(authorization_id) = 24),
    outcome          TEXT    NOT NULL,
    details          TEXT
) STRICT;

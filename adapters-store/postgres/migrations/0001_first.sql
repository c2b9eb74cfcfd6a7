-- Instants are milliseconds since the Unix epoch. `sealed` is an OTE1 envelope; `kid` repeats the key id of its header.
-- `tag` authenticates the other columns of its row: the id of its key, then an HMAC-SHA-256.
-- `seq` names a row in error messages and in logs. It is no key: rows are found by random ids and by hashes.

CREATE TABLE deployment (
    singleton BOOLEAN PRIMARY KEY CHECK (singleton),
    id        BYTEA   NOT NULL CHECK (octet_length(id) = 16)
);

CREATE TABLE connectors (
    seq               BIGINT  GENERATED ALWAYS AS IDENTITY,
    space             TEXT    COLLATE "C" NOT NULL,
    connector         TEXT    COLLATE "C" NOT NULL,
    incarnation       BYTEA   NOT NULL UNIQUE CHECK (octet_length(incarnation) = 16),
    epoch             BIGINT  NOT NULL CHECK (epoch >= 1),
    name              TEXT    COLLATE "C" NOT NULL,
    profile           TEXT    COLLATE "C" NOT NULL,
    config            TEXT    NOT NULL,
    client_id         TEXT,
    auth_mode         TEXT    COLLATE "C" NOT NULL CHECK (auth_mode IN ('per-user', 'shared')),
    callback_id       BYTEA   NOT NULL UNIQUE CHECK (octet_length(callback_id) = 16),
    has_client_secret BOOLEAN NOT NULL,
    revision          BIGINT  NOT NULL CHECK (revision >= 0),
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT  NOT NULL,
    tag               BYTEA   NOT NULL CHECK (octet_length(tag) = 40),
    PRIMARY KEY (space, connector)
);

-- Lists are in the order of names.
CREATE INDEX connectors_by_name ON connectors (space, name, connector);
CREATE INDEX connectors_by_key ON connectors (substring(tag FROM 1 FOR 8));

-- A row of an earlier epoch or of a deleted connector has `superseded_at` and is kept only while a revocation needs it.
CREATE TABLE client_secrets (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY,
    incarnation   BYTEA  NOT NULL CHECK (octet_length(incarnation) = 16),
    epoch         BIGINT NOT NULL CHECK (epoch >= 1),
    space         TEXT   COLLATE "C" NOT NULL,
    connector     TEXT   COLLATE "C" NOT NULL,
    digest        BYTEA  NOT NULL CHECK (octet_length(digest) = 32),
    sealed        BYTEA  NOT NULL,
    kid           BYTEA,
    superseded_at BIGINT,
    PRIMARY KEY (incarnation, epoch)
);

CREATE INDEX client_secrets_superseded ON client_secrets (superseded_at) WHERE superseded_at IS NOT NULL;
CREATE INDEX client_secrets_by_key ON client_secrets (kid) WHERE kid IS NOT NULL;

-- Flows, grants and former grants. `deadline`, `state_hash`, `flow_cookie_hash` and `consumed_at` of a flow are kept after
-- its end, to distinguish a replayed callback from an unknown one. They are not part of the ended authorization.
CREATE TABLE authorizations (
    seq                BIGINT  GENERATED ALWAYS AS IDENTITY,
    space              TEXT    COLLATE "C" NOT NULL,
    id                 BYTEA   NOT NULL CHECK (octet_length(id) = 24),
    connector          TEXT    COLLATE "C" NOT NULL,
    incarnation        BYTEA   NOT NULL CHECK (octet_length(incarnation) = 16),
    epoch              BIGINT  NOT NULL,
    digest             BYTEA   NOT NULL CHECK (octet_length(digest) = 32),
    user_id            TEXT    COLLATE "C" NOT NULL,
    connection         TEXT    COLLATE "C" NOT NULL,
    created_at         BIGINT  NOT NULL,
    state              TEXT    COLLATE "C" NOT NULL
        CHECK (state IN ('initiated', 'awaiting_callback', 'authorized', 'expired', 'revoked')),
    cause              TEXT    COLLATE "C",
    since              BIGINT,
    ended_by           TEXT    COLLATE "C",
    deadline           BIGINT,
    state_hash         BYTEA   CHECK (octet_length(state_hash) = 32),
    flow_cookie_hash   BYTEA   CHECK (octet_length(flow_cookie_hash) = 32),
    consumed_at        BIGINT,
    sealed             BYTEA,
    kid                BYTEA,
    revision           BIGINT  NOT NULL CHECK (revision >= 0),
    scopes             TEXT    NOT NULL,
    expires_at         BIGINT,
    refreshable        BOOLEAN NOT NULL,
    refresh_expires_at BIGINT,
    account            TEXT,
    account_tag        BYTEA   CHECK (octet_length(account_tag) = 40),
    authorized_at      BIGINT,
    last_used_day      BIGINT,
    lease_until        BIGINT,
    lease_holder       BYTEA   CHECK (octet_length(lease_holder) = 16),
    in_doubt_since     BIGINT,
    failed_attempts    BIGINT  NOT NULL CHECK (failed_attempts >= 0),
    failing_since      BIGINT,
    refusals           BIGINT  NOT NULL CHECK (refusals >= 0),
    refused_since      BIGINT,
    last_refusal       BIGINT,
    revocation         TEXT    COLLATE "C"
        CHECK (revocation IN ('pending', 'revoked', 'not_supported', 'abandoned', 'not_needed')),
    revoke_at          BIGINT,
    revoke_attempts    BIGINT,
    revoke_in_doubt    BOOLEAN,
    claimed_by         BYTEA   CHECK (octet_length(claimed_by) = 16),
    claimed_until      BIGINT,
    -- How queries see the row. A flow is `pending` until its callback consumes it, then `running`.
    role TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE
        WHEN state = 'authorized' THEN 'grant'
        WHEN state IN ('expired', 'revoked') AND authorized_at IS NULL THEN 'ended_flow'
        WHEN state IN ('expired', 'revoked') THEN 'former_grant'
        WHEN consumed_at IS NULL THEN 'pending'
        ELSE 'running' END) STORED,
    -- From this instant neither the access token nor a refresh token is valid.
    final_expiry BIGINT GENERATED ALWAYS AS (CASE
        WHEN NOT refreshable THEN expires_at
        WHEN expires_at IS NULL OR refresh_expires_at IS NULL THEN NULL
        ELSE greatest(expires_at, refresh_expires_at) END) STORED,
    PRIMARY KEY (space, id),
    CHECK ((state IN ('expired', 'revoked')) = (cause IS NOT NULL AND since IS NOT NULL AND ended_by IS NOT NULL)),
    CHECK (role NOT IN ('pending', 'running') OR (deadline IS NOT NULL AND authorized_at IS NULL)),
    CHECK (role <> 'running' OR sealed IS NULL),
    CHECK (role <> 'ended_flow' OR (sealed IS NULL AND revocation IS NULL)),
    CHECK (role <> 'grant' OR (sealed IS NOT NULL AND revision > 0 AND authorized_at IS NOT NULL AND last_used_day IS NOT NULL)),
    CHECK (role <> 'former_grant' OR (revocation IS NOT NULL AND (revocation = 'pending') = (sealed IS NOT NULL))),
    CHECK ((revocation IS NOT DISTINCT FROM 'pending')
        = (revoke_at IS NOT NULL AND revoke_attempts IS NOT NULL AND revoke_in_doubt IS NOT NULL)),
    CHECK (kid IS NULL OR sealed IS NOT NULL)
);

CREATE UNIQUE INDEX authorizations_by_id ON authorizations (id);
CREATE UNIQUE INDEX authorizations_by_state ON authorizations (state_hash) WHERE state_hash IS NOT NULL;
-- One grant and one unconsumed flow per user, connector and connection. An incarnation belongs to exactly one space.
CREATE UNIQUE INDEX one_grant ON authorizations (incarnation, user_id, connection) WHERE role = 'grant';
CREATE UNIQUE INDEX one_pending ON authorizations (incarnation, user_id, connection) WHERE role = 'pending';
CREATE INDEX authorizations_by_user ON authorizations (user_id, space, incarnation, role) WHERE role <> 'ended_flow';
CREATE INDEX grants_by_space ON authorizations (space, id) WHERE authorized_at IS NOT NULL;
CREATE INDEX expired_by_connector ON authorizations (incarnation, user_id) WHERE role = 'former_grant' AND state = 'expired';
CREATE INDEX authorizations_by_epoch ON authorizations (incarnation, epoch, role, since);
CREATE INDEX pending_by_deadline ON authorizations (deadline) WHERE role = 'pending';
CREATE INDEX running_by_start ON authorizations (consumed_at) WHERE role = 'running';
CREATE INDEX grants_by_final_expiry ON authorizations (final_expiry) WHERE role = 'grant' AND final_expiry IS NOT NULL;
CREATE INDEX grants_by_expiry ON authorizations (expires_at) WHERE role = 'grant' AND refreshable;
CREATE INDEX grants_by_use ON authorizations (last_used_day) WHERE role = 'grant';
CREATE INDEX ended_by_time ON authorizations (role, since) WHERE since IS NOT NULL;
CREATE INDEX revocations_by_time ON authorizations (revoke_at) WHERE revocation = 'pending';
CREATE INDEX revocations_by_secret ON authorizations (incarnation, epoch) WHERE revocation = 'pending';
CREATE INDEX authorizations_by_key ON authorizations (kid) WHERE kid IS NOT NULL;

-- The default connection of a user at a connector, for requests that name no connection.
CREATE TABLE default_connections (
    incarnation BYTEA NOT NULL CHECK (octet_length(incarnation) = 16),
    user_id     TEXT  COLLATE "C" NOT NULL,
    connection  TEXT  COLLATE "C" NOT NULL,
    PRIMARY KEY (incarnation, user_id)
);

CREATE INDEX default_connections_by_user ON default_connections (user_id);

-- Tokens received for a flow or a grant that has ended in the meantime; their revocation is pending.
CREATE TABLE unclaimed_tokens (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY,
    id            BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(id) = 24),
    space         TEXT   COLLATE "C" NOT NULL,
    connector     TEXT   COLLATE "C" NOT NULL,
    incarnation   BYTEA  NOT NULL CHECK (octet_length(incarnation) = 16),
    epoch         BIGINT NOT NULL,
    digest        BYTEA  NOT NULL CHECK (octet_length(digest) = 32),
    user_id       TEXT   COLLATE "C" NOT NULL,
    connection    TEXT   COLLATE "C" NOT NULL,
    sealed        BYTEA  NOT NULL,
    kid           BYTEA,
    queued_at     BIGINT NOT NULL,
    attempts      BIGINT NOT NULL CHECK (attempts >= 0),
    revoke_at     BIGINT NOT NULL,
    claimed_by    BYTEA  CHECK (octet_length(claimed_by) = 16),
    claimed_until BIGINT
);

CREATE INDEX unclaimed_tokens_by_time ON unclaimed_tokens (revoke_at);
CREATE INDEX unclaimed_tokens_by_secret ON unclaimed_tokens (incarnation, epoch);
CREATE INDEX unclaimed_tokens_by_key ON unclaimed_tokens (kid) WHERE kid IS NOT NULL;

-- The last failure of each connector, for its editors.
CREATE TABLE connector_failures (
    incarnation    BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(incarnation) = 16),
    operation      TEXT   COLLATE "C" NOT NULL,
    code           TEXT   COLLATE "C" NOT NULL,
    http_status    BIGINT CHECK (http_status BETWEEN 100 AND 999),
    oauth_error    TEXT,
    endpoint_host  TEXT,
    hint           TEXT,
    correlation_id TEXT,
    at             BIGINT NOT NULL
);

-- Connectors whose client the provider refuses, by the revision that it refuses.
CREATE TABLE client_refusals (
    incarnation BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(incarnation) = 16),
    revision    BIGINT NOT NULL CHECK (revision >= 0),
    since       BIGINT NOT NULL
);

-- The newest anomalies of each connector; `seq` orders those of one instant.
CREATE TABLE connector_anomalies (
    seq         BIGINT GENERATED BY DEFAULT AS IDENTITY,
    incarnation BYTEA  NOT NULL CHECK (octet_length(incarnation) = 16),
    member      TEXT   COLLATE "C" NOT NULL,
    kind        TEXT   COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (incarnation, member, kind)
);

-- A row per user with authorizations. Transactions that depend on each other lock it: starting a flow, committing a grant,
-- removing the user. `removed_at` is the tombstone: no grant is committed for the user until the user is reinstated.
CREATE TABLE users (
    user_id    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    removed_at BIGINT
);

CREATE INDEX tombstones ON users (user_id) WHERE removed_at IS NOT NULL;

CREATE TABLE sessions (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY,
    hash       BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    user_id    TEXT   COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    tag        BYTEA  NOT NULL CHECK (octet_length(tag) = 40)
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at, hash);

-- The audit outbox. A transaction adds events without a sequence number; the delivery numbers those that are committed.
-- A number that is drawn in the transaction would become visible after a greater one of a faster transaction, and removing
-- all events up to the greater one would remove the other event before it is delivered.
CREATE TABLE events (
    id               UUID   NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
    added            BIGINT GENERATED ALWAYS AS IDENTITY,
    sequence         BIGINT UNIQUE CHECK (sequence > 0),
    at               BIGINT NOT NULL,
    actor_kind       TEXT   COLLATE "C" NOT NULL CHECK (actor_kind IN ('user', 'agent', 'system')),
    actor            TEXT   COLLATE "C" CHECK ((actor IS NULL) = (actor_kind = 'system')),
    kind             TEXT   COLLATE "C" NOT NULL,
    space            TEXT   COLLATE "C",
    connector        TEXT   COLLATE "C",
    user_id          TEXT   COLLATE "C",
    connection       TEXT   COLLATE "C",
    authorization_id BYTEA  CHECK (octet_length(authorization_id) = 24),
    outcome          TEXT   COLLATE "C" NOT NULL,
    details          TEXT
);

CREATE INDEX events_to_number ON events (added) WHERE sequence IS NULL;

-- The last sequence number that was assigned, and the node that delivers events now.
CREATE TABLE event_delivery (
    singleton     BOOLEAN PRIMARY KEY CHECK (singleton),
    last_sequence BIGINT  NOT NULL CHECK (last_sequence >= 0),
    holder        BYTEA   CHECK (octet_length(holder) = 16),
    held_since    BIGINT,
    held_until    BIGINT
);

INSERT INTO event_delivery (singleton, last_sequence) VALUES (TRUE, 0);

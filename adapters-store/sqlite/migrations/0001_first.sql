-- Instants are milliseconds since the Unix epoch. `sealed` is always an OTE1 envelope; `kid` repeats the key id of its header.

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
    callback_id           BLOB    NOT NULL UNIQUE CHECK (length(callback_id) = 16),
    enabled           INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    has_client_secret INTEGER NOT NULL CHECK (has_client_secret IN (0, 1)),
    revision          INTEGER NOT NULL CHECK (revision >= 0),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (space, connector)
) STRICT;

-- A row of an earlier epoch, or of a deleted connector, has `superseded_at` and stays only while a revocation needs it.
CREATE TABLE client_secrets (
    incarnation   BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    space         TEXT    NOT NULL,
    connector     TEXT    NOT NULL,
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    sealed        BLOB    NOT NULL,
    kid           BLOB,
    superseded_at INTEGER,
    PRIMARY KEY (incarnation, epoch)
) STRICT;

-- Flows, grants and former grants. Rows cluster by time through `seq`; ids and state hashes are looked up by an index.
-- A flow's `deadline`, `state_hash`, `browser` and `consumed_at` stay when it is over, so that a replayed callback is told
-- from an unknown one; they are no part of the record any more.
CREATE TABLE authorizations (
    seq                INTEGER PRIMARY KEY,
    id                 BLOB    NOT NULL UNIQUE CHECK (length(id) = 24),
    space              TEXT    NOT NULL,
    connector          TEXT    NOT NULL,
    incarnation        BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch              INTEGER NOT NULL,
    digest             BLOB    NOT NULL CHECK (length(digest) = 32),
    user               TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('initiated', 'awaiting_callback', 'authorized', 'expired', 'revoked')),
    cause              TEXT,
    since              INTEGER,
    deadline           INTEGER,
    state_hash         BLOB    CHECK (length(state_hash) = 32),
    flow_cookie_hash            BLOB    CHECK (length(flow_cookie_hash) = 32),
    consumed_at        INTEGER,
    sealed             BLOB,
    kid                BLOB,
    revision           INTEGER NOT NULL CHECK (revision >= 0),
    scopes             TEXT    NOT NULL,
    expires_at         INTEGER,
    renewable          INTEGER NOT NULL CHECK (renewable IN (0, 1)),
    refresh_expires_at INTEGER,
    account            TEXT,
    authorized_at      INTEGER,
    last_used_day      INTEGER,
    lease_until        INTEGER,
    lease_owner        BLOB    CHECK (length(lease_owner) = 16),
    in_doubt_since     INTEGER,
    failed_attempts    INTEGER NOT NULL CHECK (failed_attempts >= 0),
    failing_since      INTEGER,
    revocation         TEXT    CHECK (revocation IN ('pending', 'revoked', 'not_supported', 'gave_up', 'not_needed')),
    revoke_at          INTEGER,
    revoke_attempts    INTEGER,
    revoke_in_doubt    INTEGER CHECK (revoke_in_doubt IN (0, 1)),
    claimed_by         BLOB    CHECK (length(claimed_by) = 16),
    claimed_until      INTEGER,
    -- What the row is to queries: a flow that waits or runs, the grant, a former grant, or a flow that is over.
    role TEXT NOT NULL GENERATED ALWAYS AS (CASE
        WHEN state = 'authorized' THEN 'grant'
        WHEN state IN ('expired', 'revoked') THEN iif(authorized_at IS NULL, 'over', 'former')
        WHEN consumed_at IS NULL THEN 'pending'
        ELSE 'running' END) STORED,
    -- From when on nothing can bring the access token back.
    final_expiry INTEGER GENERATED ALWAYS AS (CASE
        WHEN renewable = 0 THEN expires_at
        ELSE max(expires_at, refresh_expires_at) END) STORED,
    CHECK ((state IN ('expired', 'revoked')) = (cause IS NOT NULL AND since IS NOT NULL)),
    CHECK (role NOT IN ('pending', 'running') OR (deadline IS NOT NULL AND authorized_at IS NULL)),
    CHECK (role <> 'running' OR sealed IS NULL),
    CHECK (role <> 'over' OR (sealed IS NULL AND revocation IS NULL)),
    CHECK (role <> 'grant' OR (sealed IS NOT NULL AND revision > 0 AND authorized_at IS NOT NULL AND last_used_day IS NOT NULL)),
    CHECK (role <> 'former' OR (revocation IS NOT NULL AND (revocation = 'pending') = (sealed IS NOT NULL))),
    CHECK ((revocation IS 'pending') = (revoke_at IS NOT NULL AND revoke_attempts IS NOT NULL AND revoke_in_doubt IS NOT NULL)),
    CHECK (kid IS NULL OR sealed IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX authorizations_by_state ON authorizations (state_hash) WHERE state_hash IS NOT NULL;
-- One grant, and one unconsumed flow, per user and connector. An incarnation lives in exactly one space.
CREATE UNIQUE INDEX one_grant ON authorizations (incarnation, user) WHERE role = 'grant';
CREATE UNIQUE INDEX one_pending ON authorizations (incarnation, user) WHERE role = 'pending';
CREATE INDEX authorizations_by_user ON authorizations (user, space, incarnation, role) WHERE role <> 'over';
CREATE INDEX grants_by_space ON authorizations (space, id) WHERE authorized_at IS NOT NULL;
CREATE INDEX lost_by_connector ON authorizations (incarnation) WHERE role = 'former' AND state = 'expired';
CREATE INDEX pending_by_deadline ON authorizations (deadline) WHERE role = 'pending';
CREATE INDEX running_by_start ON authorizations (consumed_at) WHERE role = 'running';
CREATE INDEX grants_by_final_expiry ON authorizations (final_expiry) WHERE role = 'grant' AND final_expiry IS NOT NULL;
CREATE INDEX grants_by_expiry ON authorizations (expires_at) WHERE role = 'grant' AND renewable = 1;
CREATE INDEX grants_by_use ON authorizations (last_used_day) WHERE role = 'grant';
CREATE INDEX ended_by_time ON authorizations (role, since) WHERE since IS NOT NULL;
CREATE INDEX revocations_by_time ON authorizations (revoke_at) WHERE revocation = 'pending';
CREATE INDEX revocations_by_secret ON authorizations (incarnation, epoch) WHERE revocation = 'pending';
CREATE INDEX authorizations_by_key ON authorizations (kid) WHERE kid IS NOT NULL;

-- Tokens that never became a grant, awaiting revocation.
CREATE TABLE unclaimed_tokens (
    seq           INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE CHECK (length(id) = 24),
    space         TEXT    NOT NULL,
    connector     TEXT    NOT NULL,
    incarnation   BLOB    NOT NULL CHECK (length(incarnation) = 16),
    epoch         INTEGER NOT NULL,
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    user          TEXT    NOT NULL,
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

-- Users who were removed: no flow started until then becomes a grant.
CREATE TABLE tombstones (
    user       TEXT    NOT NULL PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    user       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit outbox. AUTOINCREMENT: a sequence number is never given twice, also when the table was emptied.
CREATE TABLE events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL CHECK (actor_kind IN ('user', 'agent', 'system')),
    actor      TEXT    CHECK ((actor IS NULL) = (actor_kind = 'system')),
    kind       TEXT    NOT NULL,
    space      TEXT,
    connector  TEXT,
    user       TEXT,
    authorization_id   BLOB    CHECK (length(authorization_id) = 24),
    outcome    TEXT    NOT NULL
) STRICT;

//! Creating, editing and deleting connectors, and the effect of an edit on grants.

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;

use crate::authorization::{ConnectorStatus, StateKind};
use crate::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use crate::encoding::hex;
use crate::identity::{Actor, InvalidId, Role, SpaceId};
use crate::ports::{
    AuditEvent, AuditKind, AuditOutcome, AuthorizationFilter, AuthorizationQueries, ClientSecretRecord, ConnectorStore,
    Created, EditEffect, InvalidConfig, RandomUnavailable, RowTag, SecureRandom, StoreClock, StoreError, Updated,
    VaultError,
};
use crate::provider::{CallbackPath, ProviderSettings, Scopes};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError};
use crate::usecase::requests::random_bytes;
use crate::usecase::revocation::RevocationWorker;
use crate::usecase::sealer::Sealer;
use crate::usecase::settings::{AuthenticSettings, ConnectorSettings, ConnectorTampered, UnusableConnector};
use crate::usecase::start::may_use_its_callback;
use crate::usecase::status::{StatusError, Statuses};

/// How many grants are read at once to count users.
const GRANTS_PER_PAGE: u32 = 1000;

/// A connector as an editor sends it.
pub struct ConnectorDraft {
    /// Display name.
    pub name: ConnectorName,
    /// Profile. An edit cannot change it.
    pub profile: ProfileId,
    /// Per user or shared. An edit cannot change it.
    pub auth_mode: AuthMode,
    /// The profile's settings, a JSON object.
    pub settings: String,
    /// Client id; `None` keeps the present one.
    pub client_id: Option<String>,
    /// Client secret; `None` keeps the present one.
    pub client_secret: Option<Secret>,
}

/// A connector as it is presented to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorView {
    /// The connector. Without its configuration if its row is not authentic.
    pub connector: Connector,
    /// Its settings, if it can be used.
    pub settings: Result<Arc<AuthenticSettings>, UnusableConnector>,
    /// The redirect URI to register at the provider; `None` if the row is not authentic.
    pub redirect_uri: Option<String>,
    /// Whether client id or secret is missing.
    pub is_missing_secrets: bool,
    /// The user's status.
    pub status: ConnectorStatus,
}

impl ConnectorView {
    /// Whether the row of the connector is not authentic. It can only be deleted.
    pub fn is_tampered(&self) -> bool {
        matches!(self.settings, Err(UnusableConnector::Tampered(_)))
    }
}

/// What an edit did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditOutcome {
    /// The connector afterwards; the present one of a dry run.
    pub view: ConnectorView,
    /// How many users it disconnected.
    pub disconnected_users: u64,
    /// How many users need a new consent: those that it disconnected, or whose grants lack a scope that is newly required.
    pub affected_users: u64,
}

/// Why a connector was not created, edited or deleted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The caller has no access, or there is no such connector.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The id is taken.
    #[error("the id is taken")]
    IdTaken,
    /// The connector was edited since the caller read it.
    #[error("the connector was edited in the meantime")]
    Conflict,
    /// A field is wrong; names it.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The row of the connector is not authentic. It can only be deleted.
    #[error(transparent)]
    Tampered(#[from] ConnectorTampered),
    /// Mode and profile are fixed at creation.
    #[error("{field} cannot be changed")]
    Fixed {
        /// The field.
        field: &'static str,
    },
    /// The client secret must be sent again, because a security-relevant setting changes.
    #[error("secrets.clientSecret must be sent again when {field} changes")]
    SecretRequired {
        /// What changed.
        field: &'static str,
    },
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sealing failed, or there is no randomness.
    #[error("an internal error")]
    Internal,
}

impl ConnectorError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::IdTaken | Self::Conflict => "conflict",
            Self::Config(invalid) if invalid.host_not_allowed => "host_not_allowed",
            Self::Config(_) | Self::Fixed { .. } | Self::SecretRequired { .. } => "invalid_request",
            Self::Tampered(tampered) => tampered.code(),
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl From<InvalidId> for ConnectorError {
    fn from(invalid: InvalidId) -> Self {
        Self::Config(invalid_config(invalid.kind, invalid.problem))
    }
}

impl From<RandomUnavailable> for ConnectorError {
    fn from(_: RandomUnavailable) -> Self {
        Self::Internal
    }
}

impl From<VaultError> for ConnectorError {
    fn from(_: VaultError) -> Self {
        Self::Internal
    }
}

/// Presents and edits connectors.
pub(crate) struct ConnectorAdmin {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) queries: Arc<dyn AuthorizationQueries>,
    pub(super) random: Arc<dyn SecureRandom>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) sealer: Sealer,
    pub(super) statuses: Arc<Statuses>,
    pub(super) revocations: Arc<RevocationWorker>,
}

/// The result of applying an edit to a connector.
struct Edit {
    next: Connector,
    secret: Option<ClientSecretRecord>,
    effect: EditEffect,
    required_scopes: Scopes,
}

impl ConnectorAdmin {
    /// One connector with the user's status. A row that is not authentic is not presented: what an editor copies from it
    /// becomes authentic with the next edit, and its redirect URI with the registration at the provider.
    pub(super) async fn get(&self, actor: &Actor, key: &ConnectorKey) -> Result<ConnectorView, ConnectorError> {
        let user = self.access.authorize_user(actor, &key.space, Role::Viewer).await?;
        let found = self.statuses.at_connector(user, key).await?;
        let (connector, status) = found.ok_or(AccessError::NotFound)?;
        if let Err(UnusableConnector::Tampered(tampered)) = self.settings.of(&connector) {
            return Err(tampered.into());
        }
        Ok(self.view(connector, status))
    }

    /// All connectors of a space with the user's status. One whose row is not authentic is among them, so that it can be
    /// deleted.
    pub(super) async fn list(&self, actor: &Actor, space: &SpaceId) -> Result<Vec<ConnectorView>, ConnectorError> {
        let rows = self.statuses.in_space(actor, space).await.map_err(|error| match error {
            StatusError::Access(error) => ConnectorError::Access(error),
            StatusError::Store(error) => ConnectorError::Store(error),
            StatusError::RateLimited { .. } => ConnectorError::Internal,
        })?;
        Ok(rows.into_iter().map(|(connector, status)| self.view(connector, status)).collect())
    }

    /// Whether a user may create and edit connectors of a space.
    pub(super) async fn may_edit(&self, actor: &Actor, space: &SpaceId) -> Result<(), ConnectorError> {
        self.access.authorize_user(actor, space, Role::Editor).await?;
        Ok(())
    }

    /// Adds a connector. Without an id it gets a random one.
    pub(super) async fn create(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<ConnectorView, ConnectorError> {
        self.access.authorize_user(actor, space, Role::Editor).await?;
        let connector = self.install(actor, space, id, draft).await?;
        self.get(actor, &connector.key).await
    }

    /// Adds a connector in the name of the operator: import and demo.
    pub(super) async fn install(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<Connector, ConnectorError> {
        let id = match id {
            Some(id) => id,
            None => ConnectorId::new(hex(&self.random::<16>()?))?,
        };
        let now = self.store_clock.now().await?;
        let mut connector = Connector {
            key: ConnectorKey { space: space.clone(), id },
            name: draft.name,
            config: ConnectorConfig { profile: draft.profile, settings: draft.settings, client_id: draft.client_id },
            auth_mode: draft.auth_mode,
            incarnation: Incarnation(self.random()?),
            epoch: Epoch::FIRST,
            callback_id: CallbackId(self.random()?),
            has_client_secret: draft.client_secret.is_some(),
            revision: 1,
            created_at: now,
            updated_at: now,
            tag: RowTag::NONE,
        };
        connector.tag = self.settings.tag(&connector);
        let (settings, digest) = self.settings.parse(&connector.config, connector.auth_mode)?;
        check_callback(&settings)?;
        check_mode(&settings, connector.auth_mode)?;
        let secret = draft.client_secret.map(|secret| self.sealer.seal_client_secret(&connector, digest, secret));
        let event = event(AuditKind::ConnectorCreated, actor, &connector.key, now);
        match self.connectors.create(connector.clone(), secret.transpose()?, vec![event]).await? {
            Created::Done => Ok(connector),
            Created::Taken => Err(ConnectorError::IdTaken),
        }
    }

    /// Edits a connector. A security-relevant change ends every grant in the same transaction; other changes keep them.
    /// With `dry_run` nothing is changed and the numbers of users are returned.
    pub(super) async fn update(
        &self,
        actor: &Actor,
        key: &ConnectorKey,
        draft: ConnectorDraft,
        revision: Option<u64>,
        dry_run: bool,
    ) -> Result<EditOutcome, ConnectorError> {
        self.access.authorize_user(actor, &key.space, Role::Editor).await?;
        let before = self.connectors.get(key).await?.ok_or(AccessError::NotFound)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(ConnectorError::Conflict);
        }
        let Edit { next, secret, effect, required_scopes } = self.edited(&before, draft).await?;
        if before.has_client_secret && !next.has_client_secret && self.needs_secret(&next) {
            return Err(ConnectorError::SecretRequired { field: "a provider setting" });
        }
        let (disconnected_users, affected_users) = match effect {
            EditEffect::KeepGrants => (0, self.users_without_scopes(&before, &required_scopes).await?),
            EditEffect::ExpireGrants => {
                let users = self.queries.count_connected_users(before.incarnation).await?;
                (users, users)
            }
        };
        if dry_run {
            return Ok(EditOutcome { view: self.get(actor, key).await?, disconnected_users, affected_users });
        }
        let outcome = match effect {
            EditEffect::KeepGrants => AuditOutcome::Kept,
            EditEffect::ExpireGrants => AuditOutcome::Changed,
        };
        let event = event(AuditKind::ConnectorUpdated, actor, key, next.updated_at).outcome(outcome);
        let updated = self.connectors.update(next, before.revision, secret, effect, actor.clone(), vec![event]).await?;
        match updated {
            Updated::Done { ended_grants } => {
                self.start_revocations(ended_grants);
                Ok(EditOutcome { view: self.get(actor, key).await?, disconnected_users, affected_users })
            }
            Updated::Conflict => Err(ConnectorError::Conflict),
            Updated::NotFound => Err(AccessError::NotFound.into()),
        }
    }

    /// How many users have a grant that has every scope required so far and not every one of `next`.
    async fn users_without_scopes(&self, before: &Connector, next: &Scopes) -> Result<u64, ConnectorError> {
        let required =
            self.settings.read(before).map(|settings| settings.required.required_scopes.clone()).unwrap_or_default();
        if required.covers(next) {
            return Ok(0);
        }
        let filter = AuthorizationFilter {
            connector: Some(before.key.id.clone()),
            state: Some(StateKind::Authorized),
            ..AuthorizationFilter::default()
        };
        let (mut users, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.queries.list(&before.key.space, filter.clone(), after, GRANTS_PER_PAGE).await?;
            for grant in page.authorizations.iter().filter(|grant| grant.owner().incarnation == before.incarnation) {
                let granted = grant.as_grant().map(|grant| &grant.tokens().scopes);
                if granted.is_some_and(|granted| granted.covers(&required) && !granted.covers(next)) {
                    users.insert(grant.owner().user.clone());
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(users.len() as u64);
            }
        }
    }

    /// Applies an edit: the new connector, its secret, and the effect on grants.
    async fn edited(&self, before: &Connector, draft: ConnectorDraft) -> Result<Edit, ConnectorError> {
        let old = match self.settings.of(before) {
            Ok(settings) => Some(settings.required.digest),
            // Settings that cannot be parsed any more count as changed.
            Err(UnusableConnector::Config(_)) => None,
            // A new tag would make the changes of the other writer authentic.
            Err(UnusableConnector::Tampered(tampered)) => return Err(tampered.into()),
        };
        if draft.profile != before.config.profile {
            return Err(ConnectorError::Fixed { field: "connector_type_id" });
        }
        if draft.auth_mode != before.auth_mode {
            return Err(ConnectorError::Fixed { field: "auth_mode" });
        }
        let config = ConnectorConfig {
            profile: draft.profile,
            settings: draft.settings,
            client_id: draft.client_id.or_else(|| before.config.client_id.clone()),
        };
        let (settings, digest) = self.settings.parse(&config, before.auth_mode)?;
        check_callback(&settings)?;
        let changed = old.is_none_or(|old| old != digest);
        let now = self.store_clock.now().await?;
        let mut next = Connector {
            name: draft.name,
            config,
            epoch: if changed { before.epoch.next() } else { before.epoch },
            has_client_secret: draft.client_secret.is_some() || (before.has_client_secret && !changed),
            revision: before.revision + 1,
            updated_at: now,
            ..before.clone()
        };
        next.tag = self.settings.tag(&next);
        let secret = draft.client_secret.map(|secret| self.sealer.seal_client_secret(&next, digest, secret)).transpose()?;
        let effect = if changed { EditEffect::ExpireGrants } else { EditEffect::KeepGrants };
        Ok(Edit { next, secret, effect, required_scopes: settings.required_scopes })
    }

    /// Deletes a connector and terminates all its authorizations. Returns the number of grants.
    pub(super) async fn delete(&self, actor: &Actor, key: &ConnectorKey) -> Result<u64, ConnectorError> {
        self.access.authorize_user(actor, &key.space, Role::Editor).await?;
        let now = self.store_clock.now().await?;
        let event = event(AuditKind::ConnectorDeleted, actor, key, now);
        let ended = self.connectors.delete(key, actor.clone(), vec![event]).await?.ok_or(AccessError::NotFound)?;
        self.start_revocations(ended);
        Ok(ended)
    }

    fn start_revocations(&self, ended_grants: u64) {
        if ended_grants > 0 {
            self.revocations.wake();
        }
    }

    fn needs_secret(&self, connector: &Connector) -> bool {
        self.settings.read(connector).is_ok_and(|settings| settings.provider.authentication.needs_secret())
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], RandomUnavailable> {
        random_bytes(&*self.random)
    }

    /// A connector with a status.
    pub(super) fn view(&self, mut connector: Connector, status: ConnectorStatus) -> ConnectorView {
        let settings = self.settings.read(&connector);
        if let Err(UnusableConnector::Tampered(_)) = settings {
            "{}".clone_into(&mut connector.config.settings);
            connector.config.client_id = None;
            return ConnectorView { connector, settings, redirect_uri: None, is_missing_secrets: false, status };
        }
        let callback = settings.as_ref().map_or(CallbackPath::PerConnector, |settings| settings.provider.callback);
        let needs_secret = settings.as_ref().is_ok_and(|settings| settings.provider.authentication.needs_secret());
        ConnectorView {
            redirect_uri: Some(self.settings.redirect_uri(&connector, callback)),
            is_missing_secrets: connector.config.client_id.is_none() || (needs_secret && !connector.has_client_secret),
            status,
            settings,
            connector,
        }
    }
}

fn event(kind: AuditKind, actor: &Actor, key: &ConnectorKey, now: Timestamp) -> AuditEvent {
    let event = AuditEvent::new(kind, actor.clone(), now).at_connector(key);
    match actor {
        Actor::Person(user) => event.of_user(user),
        Actor::Agent(_) | Actor::System => event,
    }
}

fn invalid_config(field: &str, problem: &str) -> InvalidConfig {
    InvalidConfig { field: field.to_owned(), problem: problem.to_owned(), host_not_allowed: false }
}

/// Refuses settings with which no flow could start, when they are saved.
fn check_callback(settings: &ProviderSettings) -> Result<(), InvalidConfig> {
    if may_use_its_callback(settings) {
        return Ok(());
    }
    Err(invalid_config("config", "endpoints written by hand need a redirect URI per connector"))
}

/// A shared connector needs the client credentials grant (RFC 6749 §4.4). Checked at creation, when the mode is fixed.
fn check_mode(settings: &ProviderSettings, mode: AuthMode) -> Result<(), InvalidConfig> {
    if mode == AuthMode::PerUser || settings.client_credentials {
        return Ok(());
    }
    Err(invalid_config("auth_mode", "this provider has no service accounts; only per-user is possible"))
}

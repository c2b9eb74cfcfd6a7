//! Creating, editing and deleting connectors, and what an edit does to the grants (R52).

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::{AuthStatus, ClientSecretPayload, PAYLOAD_VERSION, StatusKind};
use crate::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use crate::encoding::hex;
use crate::identity::{Actor, InvalidId, Role, SpaceId, UserId};
use crate::ports::{
    AssociatedData, AuditKind, Cascade, ClientSecretKey, ClientSecretRecord, Created, InvalidConfig, StoreError, Updated,
};
use crate::provider::{BindingDigest, CallbackPath, ProviderSettings};
use crate::secret::Secret;
use crate::usecase::audit::about_connector;
use crate::usecase::start::may_use_its_callback;
use crate::usecase::{Connections, Denied};

/// A connector as an editor sends it.
pub struct ConnectorDraft {
    /// Display name.
    pub name: ConnectorName,
    /// Profile. On an edit it must be the one the connector has.
    pub profile: ProfileId,
    /// Per user or shared. On an edit it must be the one the connector has.
    pub auth_mode: AuthMode,
    /// The profile's settings, a JSON object.
    pub config: String,
    /// Client id; `None` keeps the present one.
    pub client_id: Option<String>,
    /// Client secret; `None` keeps the present one.
    pub client_secret: Option<Secret>,
}

/// A connector as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorView {
    /// The connector.
    pub connector: Connector,
    /// Its settings, if they can be understood.
    pub settings: Result<ProviderSettings, InvalidConfig>,
    /// The exact string to register at the provider.
    pub redirect_uri: String,
    /// Whether client id or secret is still missing.
    pub is_missing_secrets: bool,
    /// The asking user's status.
    pub status: AuthStatus,
}

/// What an edit did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditOutcome {
    /// The connector afterwards.
    pub view: ConnectorView,
    /// How many people it disconnected.
    pub disconnected_users: u64,
}

/// Why a connector was not created, edited or deleted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// No such space or connector for this user.
    #[error("there is no such connector")]
    NotFound,
    /// Not an editor here.
    #[error("this is not allowed")]
    Forbidden,
    /// The id is taken.
    #[error("the id is taken")]
    IdTaken,
    /// Somebody else edited it since.
    #[error("the connector was edited meanwhile")]
    Conflict,
    /// A field is wrong; names it.
    #[error(transparent)]
    ConnectorConfig(#[from] InvalidConfig),
    /// Mode and profile are fixed at creation.
    #[error("{field} cannot be changed")]
    Fixed {
        /// The field.
        field: &'static str,
    },
    /// The client secret must be sent again, because a security-relevant field changes (threat 0.3 d).
    #[error("secrets.clientSecret must be sent again when {field} changes")]
    SecretRequired {
        /// What changed.
        field: &'static str,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own fault.
    #[error("an internal error")]
    Internal,
}

impl ConnectorError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::IdTaken | Self::Conflict => "conflict",
            Self::ConnectorConfig(invalid) if invalid.host_not_allowed => "host_not_allowed",
            Self::ConnectorConfig(_) | Self::Fixed { .. } | Self::SecretRequired { .. } => "invalid_request",
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl From<Denied> for ConnectorError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

impl From<InvalidId> for ConnectorError {
    fn from(invalid: InvalidId) -> Self {
        Self::ConnectorConfig(InvalidConfig {
            field: invalid.kind.to_owned(),
            problem: invalid.problem.to_owned(),
            host_not_allowed: false,
        })
    }
}

impl Connections {
    /// One connector with the user's status.
    pub async fn connector(&self, actor: &Actor, key: &ConnectorKey) -> Result<ConnectorView, ConnectorError> {
        let user = Self::person(actor)?;
        self.authorize(user, &key.space, Role::Viewer).await?;
        let (connector, status) = self.status_of(user, key).await?.ok_or(ConnectorError::NotFound)?;
        Ok(self.shown(connector, status))
    }

    /// All connectors of a space with the user's status.
    pub async fn connectors(&self, actor: &Actor, space: &SpaceId) -> Result<Vec<ConnectorView>, ConnectorError> {
        let rows = self.statuses_unlimited(actor, space).await.map_err(|error| match error {
            crate::usecase::StatusError::NotFound => ConnectorError::NotFound,
            crate::usecase::StatusError::Forbidden | crate::usecase::StatusError::RateLimited { .. } => {
                ConnectorError::Forbidden
            }
            crate::usecase::StatusError::Store(error) => ConnectorError::Store(error),
        })?;
        Ok(rows.into_iter().map(|(connector, status)| self.shown(connector, status)).collect())
    }

    /// Adds a connector. Without an id it gets a random one.
    pub async fn create_connector(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<ConnectorView, ConnectorError> {
        self.authorize(Self::person(actor)?, space, Role::Editor).await?;
        let connector = self.install_connector(actor, space, id, draft).await?;
        self.connector(actor, &connector.key).await
    }

    /// Adds a connector in the operator's name: import and demo.
    pub async fn install_connector(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<Connector, ConnectorError> {
        let random = || self.random::<16>().map_err(|_| ConnectorError::Internal);
        let id = match id {
            Some(id) => id,
            None => ConnectorId::new(hex(&random()?))?,
        };
        let now = self.ports.authorizations.now().await?;
        let config = ConnectorConfig { profile: draft.profile, settings: draft.config, client_id: draft.client_id };
        let connector = Connector {
            key: ConnectorKey { space: space.clone(), id },
            name: draft.name,
            config,
            auth_mode: draft.auth_mode,
            incarnation: Incarnation(random()?),
            epoch: Epoch::FIRST,
            callback_id: CallbackId(random()?),
            enabled: true,
            has_client_secret: draft.client_secret.is_some(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        let (settings, digest) = self.settings_of(&connector)?;
        check_callback(&settings)?;
        check_mode(&settings, connector.auth_mode)?;
        let secret = self.sealed_secret(&connector, digest, draft.client_secret)?;
        let audit =
            vec![about_connector(now, actor.clone(), AuditKind::ConnectorCreated, &connector.key, person_of(actor), "ok")];
        match self.ports.connectors.create(connector.clone(), secret, audit).await? {
            Created::Done => Ok(connector),
            Created::Taken => Err(ConnectorError::IdTaken),
        }
    }

    /// Edits a connector. What is security-relevant ends every grant in the same transaction; everything else keeps them.
    /// With `dry_run` nothing is changed and the number of people is told.
    pub async fn update_connector(
        self: &Arc<Self>,
        actor: &Actor,
        key: &ConnectorKey,
        draft: ConnectorDraft,
        revision: Option<u64>,
        dry_run: bool,
    ) -> Result<EditOutcome, ConnectorError> {
        let user = Self::person(actor)?;
        self.authorize(user, &key.space, Role::Editor).await?;
        let before = self.ports.connectors.get(key).await?.ok_or(ConnectorError::NotFound)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(ConnectorError::Conflict);
        }
        let (next, secret, cascade) = self.edited(&before, draft).await?;
        if before.has_client_secret && !next.has_client_secret && self.needs_secret(&next) {
            return Err(ConnectorError::SecretRequired { field: "a provider setting" });
        }
        if dry_run {
            let disconnected_users = if cascade == Cascade::Keep { 0 } else { self.connected_users(&before).await? };
            let (_, status) = self.status_of(user, key).await?.ok_or(ConnectorError::NotFound)?;
            return Ok(EditOutcome { view: self.shown(before, status), disconnected_users });
        }
        let outcome = if cascade == Cascade::Keep { "kept" } else { "changed" };
        let audit =
            vec![about_connector(next.updated_at, actor.clone(), AuditKind::ConnectorUpdated, key, Some(user), outcome)];
        let updated = self.ports.connectors.update(next, before.revision, secret, cascade, actor.clone(), audit).await?;
        match updated {
            Updated::Done { ended_grants } => {
                if ended_grants > 0 {
                    self.revoke_soon();
                }
                let view = self.connector(actor, key).await?;
                Ok(EditOutcome { view, disconnected_users: ended_grants })
            }
            Updated::Conflict => Err(ConnectorError::Conflict),
            Updated::NotFound => Err(ConnectorError::NotFound),
        }
    }

    /// What an edit makes of a connector, its secret and its grants.
    async fn edited(
        &self,
        before: &Connector,
        draft: ConnectorDraft,
    ) -> Result<(Connector, Option<ClientSecretRecord>, Cascade), ConnectorError> {
        if draft.profile != before.config.profile {
            return Err(ConnectorError::Fixed { field: "connector_type_id" });
        }
        if draft.auth_mode != before.auth_mode {
            return Err(ConnectorError::Fixed { field: "auth_mode" });
        }
        let config = ConnectorConfig {
            profile: draft.profile,
            settings: draft.config,
            client_id: draft.client_id.or_else(|| before.config.client_id.clone()),
        };
        let settings = self.ports.profiles.settings(&config)?;
        check_callback(&settings)?;
        let digest = BindingDigest(self.ports.vault.fingerprint(&settings.binding_bytes()));
        // A connector whose old settings cannot be understood any more has changed, whatever the new ones are.
        let changed = self.settings_of(before).map_or(true, |(_, old)| old != digest);
        let now = self.ports.authorizations.now().await?;
        let next = Connector {
            name: draft.name,
            config,
            epoch: if changed { before.epoch.next() } else { before.epoch },
            has_client_secret: draft.client_secret.is_some() || (before.has_client_secret && !changed),
            revision: before.revision + 1,
            updated_at: now,
            ..before.clone()
        };
        let secret = self.sealed_secret(&next, digest, draft.client_secret)?;
        Ok((next, secret, if changed { Cascade::Changed } else { Cascade::Keep }))
    }

    /// Deletes a connector and ends everything that belongs to it.
    pub async fn delete_connector(self: &Arc<Self>, actor: &Actor, key: &ConnectorKey) -> Result<u64, ConnectorError> {
        let user = Self::person(actor)?;
        self.authorize(user, &key.space, Role::Editor).await?;
        let now = self.ports.authorizations.now().await?;
        let audit = vec![about_connector(now, actor.clone(), AuditKind::ConnectorDeleted, key, Some(user), "ok")];
        let ended = self.ports.connectors.delete(key, actor.clone(), audit).await?.ok_or(ConnectorError::NotFound)?;
        if ended > 0 {
            self.revoke_soon();
        }
        Ok(ended)
    }

    /// Whether the client of a connector authenticates with a secret.
    fn needs_secret(&self, connector: &Connector) -> bool {
        let settings = self.ports.profiles.settings(&connector.config);
        settings.is_ok_and(|settings| settings.authentication.needs_secret())
    }

    fn sealed_secret(
        &self,
        connector: &Connector,
        digest: BindingDigest,
        secret: Option<Secret>,
    ) -> Result<Option<ClientSecretRecord>, ConnectorError> {
        let Some(client_secret) = secret else {
            return Ok(None);
        };
        let binding = AssociatedData::ClientSecret {
            space: connector.key.space.clone(),
            connector: connector.key.id.clone(),
            incarnation: connector.incarnation,
            digest,
        };
        let payload = ClientSecretPayload { client_secret }.encode();
        let sealed = self.ports.vault.seal(&binding, PAYLOAD_VERSION, &payload).map_err(|_| ConnectorError::Internal)?;
        let key = ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch };
        Ok(Some(ClientSecretRecord { key, connector: connector.key.clone(), digest, sealed }))
    }

    fn shown(&self, connector: Connector, status: AuthStatus) -> ConnectorView {
        let settings = self.ports.profiles.settings(&connector.config);
        let callback = settings.as_ref().map_or(CallbackPath::PerConnector, |settings| settings.callback);
        let needs_secret = settings.as_ref().is_ok_and(|settings| settings.authentication.needs_secret());
        ConnectorView {
            redirect_uri: self.redirect_uri(&connector, callback),
            is_missing_secrets: connector.config.client_id.is_none() || (needs_secret && !connector.has_client_secret),
            status,
            settings,
            connector,
        }
    }

    /// A connector as the operator's tools show it, without anybody's status.
    pub fn described(&self, connector: Connector) -> ConnectorView {
        self.shown(connector, AuthStatus::plain(StatusKind::NotApplicable))
    }
}

/// Saving what could never be started would only put the refusal off (R09).
fn check_callback(settings: &ProviderSettings) -> Result<(), InvalidConfig> {
    if may_use_its_callback(settings) {
        return Ok(());
    }
    Err(InvalidConfig {
        field: "config".to_owned(),
        problem: "hand-written endpoints need a callback of their own".to_owned(),
        host_not_allowed: false,
    })
}

/// A shared connector without the client-credentials grant could never get a token. Asked at creation alone: the mode is
/// fixed from then on.
fn check_mode(settings: &ProviderSettings, mode: AuthMode) -> Result<(), InvalidConfig> {
    if mode == AuthMode::PerUser || settings.client_credentials {
        return Ok(());
    }
    Err(InvalidConfig {
        field: "auth_mode".to_owned(),
        problem: "this provider has no service accounts; only per-user is possible".to_owned(),
        host_not_allowed: false,
    })
}

fn person_of(actor: &Actor) -> Option<&UserId> {
    match actor {
        Actor::Person(user) => Some(user),
        Actor::Agent(_) | Actor::System => None,
    }
}

//! The provider account that a connection had before: a login hint, and what a reconnect is compared with.

use std::sync::Arc;

use crate::authorization::{Authorization, AuthorizationKey, RevokedCause, StateKind, TerminalCause, TerminationCause};
use crate::identity::ConnectionName;
use crate::ports::{AuthorizationQueries, StatusRow};
use crate::provider::Account;
use crate::usecase::sealer::Sealer;

/// An account that was connected before.
pub(crate) enum PreviousAccount {
    /// Of the present grant.
    Connected(Account),
    /// Of a former grant that needs a new consent: its tokens are destroyed, the label is stored.
    Former(String),
}

impl PreviousAccount {
    /// Whether it is this account, as far as is known.
    pub(crate) fn is(&self, account: &Account) -> bool {
        match self {
            Self::Connected(before) => before.subject == account.subject,
            Self::Former(label) => *label == account.label,
        }
    }

    fn label(self) -> String {
        match self {
            Self::Connected(Account { label, .. }) | Self::Former(label) => label,
        }
    }
}

/// Finds the accounts of a user's connections.
#[derive(Clone)]
pub(crate) struct Accounts {
    queries: Arc<dyn AuthorizationQueries>,
    sealer: Sealer,
}

impl Accounts {
    pub(crate) fn new(queries: Arc<dyn AuthorizationQueries>, sealer: Sealer) -> Self {
        Self { queries, sealer }
    }

    /// The login hint for a flow; none where another account is accepted.
    pub(crate) async fn login_hint(&self, owner: &AuthorizationKey, other_account: bool) -> Option<String> {
        if other_account {
            return None;
        }
        Some(self.previous(owner).await?.label())
    }

    /// The account of the connection's grant, or of a former grant that needs a new consent. `None` after a disconnect,
    /// because the user may then connect any account, and `None` if the configuration has changed since.
    pub(crate) async fn previous(&self, owner: &AuthorizationKey) -> Option<PreviousAccount> {
        let row = self.row(owner).await?;
        let connection = row.connections.into_iter().find(|row| row.name == owner.connection)?;
        let before = connection.grant.or_else(|| connection.former.filter(needs_consent))?;
        if before.owner().digest != owner.digest {
            return None;
        }
        if before.state().kind() != StateKind::Authorized {
            return account_label(&before).map(PreviousAccount::Former);
        }
        match self.sealer.open_grant(&before) {
            Ok(secrets) => secrets.account.map(PreviousAccount::Connected),
            Err(_) => account_label(&before).map(PreviousAccount::Former),
        }
    }

    /// The other connection of the same user and connector that has this account.
    pub(crate) async fn connected_elsewhere(&self, owner: &AuthorizationKey, account: &Account) -> Option<ConnectionName> {
        let row = self.row(owner).await?;
        let others = row.connections.into_iter().filter(|row| row.name != owner.connection);
        let mut others = others.filter_map(|row| Some((row.name, row.grant?)));
        others.find_map(|(name, grant)| {
            let same_client = grant.owner().digest == owner.digest;
            let secrets = self.sealer.open_grant(&grant).ok().filter(|_| same_client)?;
            secrets.account.is_some_and(|other| other.subject == account.subject).then_some(name)
        })
    }

    async fn row(&self, owner: &AuthorizationKey) -> Option<StatusRow> {
        let only = Some(owner.connector.clone());
        let rows = self.queries.statuses(&owner.space, only, &owner.user).await.ok()?;
        rows.into_iter().next().filter(|row| row.connector.incarnation == owner.incarnation)
    }
}

/// The account label of a grant or a former grant.
pub(super) fn account_label(authorization: &Authorization) -> Option<String> {
    match authorization.as_grant() {
        Some(grant) => grant.tokens().account.clone(),
        None => authorization.termination()?.account().map(str::to_owned),
    }
}

/// Whether a former grant needs a new consent of its user.
pub(super) fn needs_consent(former: &Authorization) -> bool {
    let by_admin = TerminalCause::Revoked(RevokedCause::Terminated(TerminationCause::Admin));
    former.state().kind() == StateKind::Expired || former.terminal_cause() == Some(by_admin)
}

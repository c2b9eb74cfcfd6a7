//! The provider account that a connection had before: a login hint, and what a reconnect is compared with.

use std::sync::Arc;

use crate::authorization::{AuthorizationKey, FailureCode, StateKind};
use crate::ports::{AuthorizationQueries, StatusRow, StoreError};
use crate::provider::Account;
use crate::usecase::open_connections::needs_consent;
use crate::usecase::sealer::Sealer;

/// An account that was connected before.
pub(crate) enum PreviousAccount {
    /// Of the present grant.
    Connected(Account),
    /// Of a former grant that needs a new consent: its tokens are destroyed, the label is stored.
    Former(String),
    /// Of a grant or former grant, but it is not known which one: its envelope cannot be opened, and its label is not authentic.
    Unknown,
}

impl PreviousAccount {
    /// Whether it is this account, as far as is known.
    pub(crate) fn is(&self, account: &Account) -> bool {
        match self {
            Self::Connected(before) => before.subject == account.subject,
            Self::Former(label) => *label == account.label,
            Self::Unknown => false,
        }
    }

    fn label(self) -> Option<String> {
        match self {
            Self::Connected(Account { label, .. }) | Self::Former(label) => Some(label),
            Self::Unknown => None,
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
        let row = self.row(owner).await.ok()??;
        self.previous(row, owner)?.label()
    }

    /// Why the grant of an account may not become that of a connection: the account is connected under another name of the
    /// same user and connector, or it is not known to be the one before. Without an account it may be any.
    pub(crate) async fn conflict(
        &self,
        owner: &AuthorizationKey,
        account: Option<&Account>,
        other_account: bool,
    ) -> Result<Option<FailureCode>, StoreError> {
        let Some(row) = self.row(owner).await? else {
            return Ok(None);
        };
        if account.is_some_and(|account| self.is_connected_elsewhere(&row, owner, account)) {
            return Ok(Some(FailureCode::AccountAlreadyConnected));
        }
        let previous = if other_account { None } else { self.previous(row, owner) };
        let may_differ = previous.is_some_and(|previous| account.is_none_or(|account| !previous.is(account)));
        Ok(may_differ.then_some(FailureCode::AccountMismatch))
    }

    /// The account of the connection's grant, or of a former grant that needs a new consent. `None` after a disconnect,
    /// because the user may then connect any account, and `None` if the configuration has changed since. What is not authentic
    /// confirms no account and is not sent as a hint.
    fn previous(&self, row: StatusRow, owner: &AuthorizationKey) -> Option<PreviousAccount> {
        let connection = row.connections.into_iter().find(|row| row.name == owner.connection)?;
        let before = connection.grant.or_else(|| connection.former.filter(needs_consent))?;
        let is_grant = before.state().kind() == StateKind::Authorized;
        let previous = match self.sealer.open_grant(&before) {
            Ok(secrets) if is_grant => secrets.account.map(PreviousAccount::Connected),
            Ok(_) | Err(_) => match self.sealer.account_label(&before) {
                Ok(label) => label.map(PreviousAccount::Former),
                Err(_) => return Some(PreviousAccount::Unknown),
            },
        };
        previous.filter(|_| before.owner().digest == owner.digest)
    }

    /// Whether another connection of the same user and connector has this account.
    fn is_connected_elsewhere(&self, row: &StatusRow, owner: &AuthorizationKey, account: &Account) -> bool {
        let others = row.connections.iter().filter(|row| row.name != owner.connection);
        let grants = others.filter_map(|row| row.grant.as_ref()).filter(|grant| grant.owner().digest == owner.digest);
        let mut accounts = grants.filter_map(|grant| self.sealer.open_grant(grant).ok()?.account);
        accounts.any(|other| other.subject == account.subject)
    }

    async fn row(&self, owner: &AuthorizationKey) -> Result<Option<StatusRow>, StoreError> {
        let only = Some(owner.connector.clone());
        let rows = self.queries.statuses(&owner.space, only, &owner.user).await?;
        Ok(rows.into_iter().next().filter(|row| row.connector.incarnation == owner.incarnation))
    }
}

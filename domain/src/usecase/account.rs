//! Which provider account a user was connected with: a hint for the provider, and what a reconnect is compared with (R35).

use crate::authorization::{AuthorizationKey, AuthorizationRecord, RevokedCause, StateKind, TerminationCause};
use crate::provider::Account;
use crate::usecase::Connections;

/// An account that was connected before.
pub(super) enum AccountBefore {
    /// Of the grant there is.
    Connected(Account),
    /// Of a former grant that wants re-authorization: its tokens are gone, the label is what is left.
    Former(String),
}

impl AccountBefore {
    /// Whether it is this account, as far as can be told.
    pub(super) fn is(&self, account: &Account) -> bool {
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

impl Connections {
    /// A hint for the provider which account is meant; none for somebody who wants another one.
    pub(super) async fn login_hint(&self, owner: &AuthorizationKey, other_account: bool) -> Option<String> {
        if other_account {
            return None;
        }
        Some(self.account_before(owner).await?.label())
    }

    /// The account of the user's grant, or of the former grant that is to be renewed by a new consent. After a disconnect
    /// there is none: who disconnects may connect whatever account they like. At another provider there is none either.
    pub(super) async fn account_before(&self, owner: &AuthorizationKey) -> Option<AccountBefore> {
        let only = Some(owner.connector.clone());
        let rows = self.ports.authorizations.statuses(&owner.space, only, &owner.user).await.ok()?;
        let row = rows.into_iter().next().filter(|row| row.connector.incarnation == owner.incarnation)?;
        let record = row.grant.or_else(|| row.former.filter(wants_authorization))?;
        if record.owner.digest != owner.digest {
            return None;
        }
        let opened = record.sealed.as_ref().filter(|_| record.state == StateKind::Authorized);
        let opened = opened.and_then(|sealed| self.open_grant(&record.owner, record.id, sealed, record.revision).ok());
        match opened {
            Some(secrets) => secrets.account.map(AccountBefore::Connected),
            None => record.account.map(AccountBefore::Former),
        }
    }
}

fn wants_authorization(former: &AuthorizationRecord) -> bool {
    let admin = RevokedCause::Terminated(TerminationCause::Admin).to_record();
    former.state == StateKind::Expired || former.cause == Some(admin)
}

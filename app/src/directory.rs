//! The users of a configuration: [`Directory`] decides what they may do, [`UserDirectory`] describes them for display.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, DirectoryUser, Membership, UserListing, UserStatus};
use grantry_http_axum::{RoleSink, SpaceView, UserDirectory, UserView};

use crate::config::{Account, Value as _};

/// The names that users see, where they are configured.
#[derive(Debug, Clone, Default)]
pub struct DisplayNames {
    users: BTreeMap<UserId, String>,
    spaces: BTreeMap<SpaceId, String>,
}

impl DisplayNames {
    /// The names of these accounts, and of spaces.
    pub fn new(accounts: &[Account], spaces: BTreeMap<SpaceId, String>) -> Self {
        let named = accounts.iter().filter(|account| !account.name.is_empty());
        Self { users: named.map(|account| (account.id.clone(), account.name.clone())).collect(), spaces }
    }

    fn user(&self, user: &UserId) -> Option<String> {
        self.users.get(user).cloned()
    }

    /// The spaces in which a user has a role.
    fn open_spaces(&self, spaces: &[SpaceId], role_in: impl Fn(&SpaceId) -> Option<Role>) -> Vec<SpaceView> {
        let name = |space: &SpaceId| self.spaces.get(space).cloned();
        let view = |space: &SpaceId| role_in(space).map(|role| SpaceView { id: space.clone(), name: name(space), role });
        spaces.iter().filter_map(view).collect()
    }
}

/// The accounts of the configuration.
///
/// A user without an account counts as disabled, not as removed: the grants of the user end, but no tombstone is written. An
/// account that is deleted by mistake can be reinstated, and its user can connect again.
pub struct AccountDirectory {
    spaces: Vec<SpaceId>,
    users: BTreeMap<UserId, User>,
    names: DisplayNames,
}

struct User {
    username: String,
    roles: BTreeMap<SpaceId, Role>,
}

impl AccountDirectory {
    /// The users of these accounts, in these spaces.
    pub fn new(spaces: Vec<SpaceId>, accounts: &[Account]) -> Self {
        let user = |account: &Account| User { username: account.username.clone(), roles: account.roles.clone() };
        let users = accounts.iter().map(|account| (account.id.clone(), user(account))).collect();
        Self { spaces, users, names: DisplayNames::default() }
    }

    /// The same with display names.
    #[must_use]
    pub fn with_names(self, names: DisplayNames) -> Self {
        Self { names, ..self }
    }
}

#[async_trait]
impl Directory for AccountDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let user = self.users.get(user);
        Ok(Membership {
            space_exists: self.spaces.contains(space),
            user: if user.is_some() { UserStatus::Active } else { UserStatus::Disabled },
            role: user.and_then(|user| user.roles.get(space).copied()),
        })
    }

    async fn users(&self) -> Result<UserListing, DirectoryError> {
        let user = |(id, user): (&UserId, &User)| DirectoryUser {
            id: id.clone(),
            name: Some(user.username.clone()),
            disabled: false,
        };
        Ok(UserListing { users: self.users.iter().map(user).collect(), complete: true })
    }
}

#[async_trait]
impl UserDirectory for AccountDirectory {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        Ok(self.users.get(user).map(|account| UserView {
            username: Some(account.username.clone()),
            display_name: self.names.user(user),
            spaces: self.names.open_spaces(&self.spaces, |space| account.roles.get(space).copied()),
        }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Ok(self.spaces.clone())
    }
}

/// Users that a proxy signs in. Their roles come from a header of the proxy, or else from the accounts of the configuration.
///
/// Roles from the header are cached while this process lives. For a user whose requests this process has not seen, the
/// directory returns an error: access is denied, and no grant ends.
pub struct ProxyDirectory {
    spaces: Vec<SpaceId>,
    roles: Roles,
    names: DisplayNames,
}

enum Roles {
    Accounts(BTreeMap<UserId, BTreeMap<SpaceId, Role>>),
    Header(RwLock<HashMap<UserId, Vec<RoleEntry>>>),
}

/// One entry of the roles header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RoleEntry {
    /// `None`: every space.
    space: Option<SpaceId>,
    role: Role,
}

impl ProxyDirectory {
    /// Users whose roles are those of these accounts. A user without an account has no role.
    pub fn from_accounts(spaces: Vec<SpaceId>, accounts: &[Account]) -> Self {
        let roles = accounts.iter().map(|account| (account.id.clone(), account.roles.clone())).collect();
        Self { spaces, roles: Roles::Accounts(roles), names: DisplayNames::default() }
    }

    /// Users whose roles the proxy sends with every request.
    pub fn from_header(spaces: Vec<SpaceId>) -> Self {
        Self { spaces, roles: Roles::Header(RwLock::default()), names: DisplayNames::default() }
    }

    /// The same with display names.
    #[must_use]
    pub fn with_names(self, names: DisplayNames) -> Self {
        Self { names, ..self }
    }

    /// The role of a user in a space; an error if this process has not seen the user.
    fn role(&self, user: &UserId, space: &SpaceId) -> Result<Option<Role>, DirectoryError> {
        match &self.roles {
            Roles::Accounts(roles) => Ok(roles.get(user).and_then(|roles| roles.get(space).copied())),
            Roles::Header(seen) => {
                let seen = seen.read().unwrap_or_else(PoisonError::into_inner);
                let entries = seen.get(user).ok_or(DirectoryError)?;
                let here = entries.iter().filter(|entry| entry.space.as_ref().is_none_or(|other| other == space));
                Ok(here.map(|entry| entry.role).max())
            }
        }
    }
}

#[async_trait]
impl Directory for ProxyDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let role = self.role(user, space)?;
        Ok(Membership { space_exists: self.spaces.contains(space), user: UserStatus::Active, role })
    }

    /// The accounts of the configuration, or the users whose requests this process has seen. The proxy may sign in others.
    async fn users(&self) -> Result<UserListing, DirectoryError> {
        let ids: Vec<UserId> = match &self.roles {
            Roles::Accounts(roles) => roles.keys().cloned().collect(),
            Roles::Header(seen) => seen.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect(),
        };
        let users = ids.into_iter().map(|id| DirectoryUser { id, name: None, disabled: false });
        Ok(UserListing { users: users.collect(), complete: false })
    }
}

#[async_trait]
impl UserDirectory for ProxyDirectory {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        let spaces = self.names.open_spaces(&self.spaces, |space| self.role(user, space).ok().flatten());
        Ok(Some(UserView { username: None, display_name: self.names.user(user), spaces }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Ok(self.spaces.clone())
    }
}

impl RoleSink for ProxyDirectory {
    fn record(&self, user: &UserId, roles: &[&str]) {
        let Roles::Header(seen) = &self.roles else { return };
        let entries: Vec<RoleEntry> = roles.iter().filter_map(|text| entry(text)).collect();
        let unchanged = seen.read().unwrap_or_else(PoisonError::into_inner).get(user) == Some(&entries);
        if !unchanged {
            seen.write().unwrap_or_else(PoisonError::into_inner).insert(user.clone(), entries);
        }
    }
}

/// Parses `editor` or `marketing=viewer`. Roles of other systems are ignored.
fn entry(text: &str) -> Option<RoleEntry> {
    match text.split_once('=') {
        None => Some(RoleEntry { space: None, role: Role::parse(text.trim()).ok()? }),
        Some((space, name)) => {
            Some(RoleEntry { space: Some(SpaceId::new(space.trim()).ok()?), role: Role::parse(name.trim()).ok()? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(id: &str) -> SpaceId {
        SpaceId::new(id).unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    fn alice() -> Account {
        Account {
            id: user("u_alice"),
            name: "Alice Example".to_owned(),
            username: "alice".to_owned(),
            password_hash: String::new(),
            roles: BTreeMap::from([(space("default"), Role::Editor)]),
        }
    }

    #[tokio::test]
    async fn r06_accounts_give_roles_only_in_the_spaces_they_name() {
        let directory = AccountDirectory::new(vec![space("default"), space("marketing")], &[alice()]);
        let here = directory.membership(&user("u_alice"), &space("default")).await.unwrap();
        assert!(here.allows(Role::Editor) && !here.allows(Role::Admin));
        let there = directory.membership(&user("u_alice"), &space("marketing")).await.unwrap();
        assert!(there.space_exists && !there.allows(Role::Viewer));
        assert!(!directory.membership(&user("u_alice"), &space("gone")).await.unwrap().space_exists);
        let unlisted = directory.membership(&user("alice"), &space("default")).await.unwrap();
        assert_eq!((unlisted.user, unlisted.role), (UserStatus::Disabled, None));
        let listing = directory.users().await.unwrap();
        assert!(listing.complete && listing.users[0].name.as_deref() == Some("alice") && listing.users.len() == 1);
    }

    #[tokio::test]
    async fn r53_a_user_that_the_proxy_has_not_named_yet_is_an_error_and_not_removed() {
        let directory = ProxyDirectory::from_header(vec![space("default"), space("marketing")]);
        assert_eq!(directory.membership(&user("u_bob"), &space("default")).await, Err(DirectoryError));
        directory.record(&user("u_bob"), &["viewer", "marketing=admin", "domain users", "other=boss"]);
        assert!(directory.membership(&user("u_bob"), &space("marketing")).await.unwrap().allows(Role::Admin));
        let here = directory.membership(&user("u_bob"), &space("default")).await.unwrap();
        assert_eq!(here.role, Some(Role::Viewer));
        let listing = directory.users().await.unwrap();
        assert_eq!((listing.users.len(), listing.complete), (1, false), "users who were not seen are not listed");
        directory.record(&user("u_bob"), &[]);
        assert_eq!(directory.membership(&user("u_bob"), &space("default")).await.unwrap().role, None);
    }

    #[tokio::test]
    async fn a_proxy_without_a_roles_header_uses_the_roles_of_the_configuration() {
        let directory = ProxyDirectory::from_accounts(vec![space("default")], &[alice()]);
        assert!(directory.membership(&user("u_alice"), &space("default")).await.unwrap().allows(Role::Editor));
        assert!(!directory.membership(&user("u_eve"), &space("default")).await.unwrap().allows(Role::Viewer));
        directory.record(&user("u_eve"), &["admin"]);
        assert!(!directory.membership(&user("u_eve"), &space("default")).await.unwrap().allows(Role::Viewer));
        let listing = directory.users().await.unwrap();
        assert_eq!((listing.users.len(), listing.complete), (1, false), "the proxy may sign in other users");
        let view = directory.describe(&user("u_alice")).await.unwrap().unwrap();
        assert_eq!(view.spaces.len(), 1);
    }

    #[tokio::test]
    async fn users_and_spaces_have_their_configured_names() {
        let spaces = vec![space("default"), space("marketing")];
        let names = DisplayNames::new(&[alice()], BTreeMap::from([(space("default"), "Company".to_owned())]));
        let directory = AccountDirectory::new(spaces.clone(), &[alice()]).with_names(names.clone());
        let view = directory.describe(&user("u_alice")).await.unwrap().unwrap();
        assert_eq!((view.display_name.as_deref(), view.username.as_deref()), (Some("Alice Example"), Some("alice")));
        assert_eq!(view.spaces[0].name.as_deref(), Some("Company"));
        let proxy = ProxyDirectory::from_header(spaces).with_names(names);
        proxy.record(&user("u_eve"), &["viewer"]);
        let view = proxy.describe(&user("u_eve")).await.unwrap().unwrap();
        assert_eq!((view.display_name, view.spaces[0].name.as_deref()), (None, Some("Company")));
        assert_eq!(view.spaces[1].name, None);
    }
}

#[cfg(test)]
mod contract {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use grantry_testkit::contract::directory::DirectoryBackend;
    use grantry_testkit::doubles::fixtures;

    use super::*;

    fn spaces() -> Vec<SpaceId> {
        ["default", "marketing"].map(fixtures::space).into()
    }

    fn alice() -> Account {
        Account {
            id: fixtures::user("u_alice"),
            name: String::new(),
            username: "alice".to_owned(),
            password_hash: String::new(),
            roles: BTreeMap::from([(fixtures::space("default"), Role::Editor)]),
        }
    }

    fn backend(directory: impl Directory + 'static) -> DirectoryBackend {
        DirectoryBackend {
            directory: Arc::new(directory),
            member: fixtures::user("u_alice"),
            open: fixtures::space("default"),
            role: Role::Editor,
            closed: fixtures::space("marketing"),
            absent: fixtures::space("gone"),
            stranger: fixtures::user("u_eve"),
            make_unavailable: None,
        }
    }

    mod accounts {
        use super::*;

        fn directory() -> Ready<DirectoryBackend> {
            ready(backend(AccountDirectory::new(spaces(), &[alice()])))
        }

        grantry_testkit::directory_contract!(directory);
    }

    mod proxy_with_accounts {
        use super::*;

        fn directory() -> Ready<DirectoryBackend> {
            ready(backend(ProxyDirectory::from_accounts(spaces(), &[alice()])))
        }

        grantry_testkit::directory_contract!(directory);
    }

    mod proxy_with_header {
        use super::*;

        fn directory() -> Ready<DirectoryBackend> {
            let directory = ProxyDirectory::from_header(spaces());
            directory.record(&fixtures::user("u_alice"), &["default=editor", "gone=admin"]);
            ready(backend(directory))
        }

        grantry_testkit::directory_contract!(directory);
    }
}

//! Who the people of this deployment are, as its configuration tells: the `Directory` that decides, and `People` for display.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, Membership, UserStatus};
use grantry_http_axum::{AuthenticationError, People, PersonView, RoleSink, SpaceView};

use crate::config::{Account, role};

/// Accounts of the configuration: whoever is not among them was removed for good.
pub struct AccountDirectory {
    spaces: Vec<SpaceId>,
    people: BTreeMap<UserId, Person>,
}

struct Person {
    username: String,
    roles: BTreeMap<SpaceId, Role>,
}

impl AccountDirectory {
    /// The people of these accounts, in these spaces.
    pub fn new(spaces: Vec<SpaceId>, accounts: &[Account]) -> Self {
        let person = |account: &Account| Person { username: account.username.clone(), roles: account.roles.clone() };
        Self { spaces, people: accounts.iter().map(|account| (account.id.clone(), person(account))).collect() }
    }
}

#[async_trait]
impl Directory for AccountDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let person = self.people.get(user);
        Ok(Membership {
            space_exists: self.spaces.contains(space),
            // Whoever is not listed may come back with the next configuration: grants end, but nothing is forbidden for ever.
            user: if person.is_some() { UserStatus::Active } else { UserStatus::Disabled },
            role: person.and_then(|person| person.roles.get(space).copied()),
        })
    }
}

#[async_trait]
impl People for AccountDirectory {
    async fn describe(&self, user: &UserId) -> Result<Option<PersonView>, AuthenticationError> {
        Ok(self.people.get(user).map(|person| PersonView {
            username: Some(person.username.clone()),
            display_name: None,
            spaces: open_spaces(&self.spaces, |space| person.roles.get(space).copied()),
        }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, AuthenticationError> {
        Ok(self.spaces.clone())
    }
}

/// People that a proxy signs in. Their roles come from a header of the proxy, else from the accounts of the configuration.
///
/// What the proxy last said of somebody is remembered as long as this process lives. Of anybody else nothing is known, which
/// is not the same as knowing that they are gone: such questions are answered with an error, and so deny without ending
/// anything (R06, R53).
pub struct ProxyDirectory {
    spaces: Vec<SpaceId>,
    listed: BTreeMap<UserId, BTreeMap<SpaceId, Role>>,
    seen: Option<RwLock<HashMap<UserId, Vec<RoleEntry>>>>,
}

/// One entry of the roles header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RoleEntry {
    /// `None` for every space.
    space: Option<SpaceId>,
    role: Role,
}

impl ProxyDirectory {
    /// People whose roles are listed here.
    pub fn listed(spaces: Vec<SpaceId>, accounts: &[Account]) -> Self {
        let listed = accounts.iter().map(|account| (account.id.clone(), account.roles.clone())).collect();
        Self { spaces, listed, seen: None }
    }

    /// People whose roles the proxy tells with every request.
    pub fn told_by_proxy(spaces: Vec<SpaceId>) -> Self {
        Self { spaces, listed: BTreeMap::new(), seen: Some(RwLock::default()) }
    }

    /// The role of somebody in a space; an error if nothing is known of them.
    fn role(&self, user: &UserId, space: &SpaceId) -> Result<Option<Role>, DirectoryError> {
        let Some(seen) = &self.seen else {
            return Ok(self.listed.get(user).and_then(|roles| roles.get(space).copied()));
        };
        let seen = seen.read().unwrap_or_else(PoisonError::into_inner);
        let entries = seen.get(user).ok_or(DirectoryError)?;
        let here = entries.iter().filter(|entry| entry.space.as_ref().is_none_or(|other| other == space));
        Ok(here.map(|entry| entry.role).max())
    }
}

#[async_trait]
impl Directory for ProxyDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let role = self.role(user, space)?;
        Ok(Membership { space_exists: self.spaces.contains(space), user: UserStatus::Active, role })
    }
}

#[async_trait]
impl People for ProxyDirectory {
    async fn describe(&self, user: &UserId) -> Result<Option<PersonView>, AuthenticationError> {
        let spaces = open_spaces(&self.spaces, |space| self.role(user, space).ok().flatten());
        Ok(Some(PersonView { username: None, display_name: None, spaces }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, AuthenticationError> {
        Ok(self.spaces.clone())
    }
}

impl RoleSink for ProxyDirectory {
    fn note(&self, user: &UserId, roles: &[&str]) {
        let Some(seen) = &self.seen else { return };
        let entries: Vec<RoleEntry> = roles.iter().filter_map(|text| entry(text)).collect();
        let unchanged = seen.read().unwrap_or_else(PoisonError::into_inner).get(user) == Some(&entries);
        if !unchanged {
            seen.write().unwrap_or_else(PoisonError::into_inner).insert(user.clone(), entries);
        }
    }
}

/// `editor` or `marketing=viewer`. A role of another system means nothing here.
fn entry(text: &str) -> Option<RoleEntry> {
    match text.split_once('=') {
        None => Some(RoleEntry { space: None, role: role(text.trim())? }),
        Some((space, name)) => Some(RoleEntry { space: Some(SpaceId::new(space.trim()).ok()?), role: role(name.trim())? }),
    }
}

fn open_spaces(spaces: &[SpaceId], role_in: impl Fn(&SpaceId) -> Option<Role>) -> Vec<SpaceView> {
    let view = |space: &SpaceId| role_in(space).map(|role| SpaceView { id: space.clone(), name: None, role });
    spaces.iter().filter_map(view).collect()
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
            username: "alice".to_owned(),
            password_hash: String::new(),
            roles: BTreeMap::from([(space("default"), Role::Editor)]),
        }
    }

    #[tokio::test]
    async fn r06_accounts_open_only_the_spaces_they_name() {
        let directory = AccountDirectory::new(vec![space("default"), space("marketing")], &[alice()]);
        let here = directory.membership(&user("u_alice"), &space("default")).await.unwrap();
        assert!(here.may(Role::Editor) && !here.may(Role::Admin));
        let there = directory.membership(&user("u_alice"), &space("marketing")).await.unwrap();
        assert!(there.space_exists && !there.may(Role::Viewer));
        assert!(!directory.membership(&user("u_alice"), &space("gone")).await.unwrap().space_exists);
        let stranger = directory.membership(&user("alice"), &space("default")).await.unwrap();
        assert_eq!((stranger.user, stranger.role), (UserStatus::Disabled, None));
    }

    #[tokio::test]
    async fn r53_somebody_the_proxy_has_not_named_yet_is_unanswered_and_not_removed() {
        let directory = ProxyDirectory::told_by_proxy(vec![space("default"), space("marketing")]);
        assert_eq!(directory.membership(&user("u_bob"), &space("default")).await, Err(DirectoryError));
        directory.note(&user("u_bob"), &["viewer", "marketing=admin", "domain users", "other=boss"]);
        assert!(directory.membership(&user("u_bob"), &space("marketing")).await.unwrap().may(Role::Admin));
        let here = directory.membership(&user("u_bob"), &space("default")).await.unwrap();
        assert_eq!(here.role, Some(Role::Viewer));
        directory.note(&user("u_bob"), &[]);
        assert_eq!(directory.membership(&user("u_bob"), &space("default")).await.unwrap().role, None);
    }

    #[tokio::test]
    async fn a_proxy_without_a_roles_header_opens_what_the_configuration_lists() {
        let directory = ProxyDirectory::listed(vec![space("default")], &[alice()]);
        assert!(directory.membership(&user("u_alice"), &space("default")).await.unwrap().may(Role::Editor));
        assert!(!directory.membership(&user("u_eve"), &space("default")).await.unwrap().may(Role::Viewer));
        directory.note(&user("u_eve"), &["admin"]);
        assert!(!directory.membership(&user("u_eve"), &space("default")).await.unwrap().may(Role::Viewer));
        let view = directory.describe(&user("u_alice")).await.unwrap().unwrap();
        assert_eq!(view.spaces.len(), 1);
    }
}

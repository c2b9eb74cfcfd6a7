//! The contract of [`Directory`]. [`directory_contract!`](crate::directory_contract) expands to its rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, DirectoryUser, UserStatus};

/// A directory under test and what it contains.
pub struct DirectoryBackend {
    /// The directory.
    pub directory: Arc<dyn Directory>,
    /// An active user.
    pub member: UserId,
    /// A space in which the member has a role.
    pub open: SpaceId,
    /// The role of the member there.
    pub role: Role,
    /// A space that exists, and in which the member has no role.
    pub closed: SpaceId,
    /// A space that does not exist.
    pub absent: SpaceId,
    /// A user without a role in any space, who is not active at the host or was not seen yet.
    pub stranger: UserId,
    /// Makes the directory unavailable; absent for one that cannot fail.
    pub make_unavailable: Option<Box<dyn Fn() + Send + Sync>>,
}

/// Expands to one test for each rule. The factory is an `async fn() -> DirectoryBackend`.
#[macro_export]
macro_rules! directory_contract {
    ($factory:path) => {
        $crate::port_rules! {
            directory $factory;
            a_member_has_its_role_and_every_lower_one,
            a_space_without_a_role_is_closed,
            a_space_that_does_not_exist_allows_nothing,
            the_status_of_a_user_does_not_depend_on_the_space,
            a_stranger_is_allowed_nothing,
            listed_users_are_unique_and_have_the_status_of_their_membership,
            a_complete_listing_contains_the_member,
            an_unavailable_directory_returns_no_membership,
            an_unavailable_directory_returns_no_complete_listing,
        }
    };
}

/// All roles, the least first.
const ROLES: [Role; 3] = [Role::Viewer, Role::Editor, Role::Admin];

/// A role includes the lower ones and none of the higher ones.
pub async fn a_member_has_its_role_and_every_lower_one(backend: DirectoryBackend) {
    let found = backend.directory.membership(&backend.member, &backend.open).await.expect("the directory responds");
    assert!(found.space_exists);
    assert_eq!((found.user, found.role), (UserStatus::Active, Some(backend.role)));
    for role in ROLES {
        assert_eq!(found.allows(role), role <= backend.role, "{role:?}");
    }
}

/// It exists, and the user stays active.
pub async fn a_space_without_a_role_is_closed(backend: DirectoryBackend) {
    let found = backend.directory.membership(&backend.member, &backend.closed).await.expect("the directory responds");
    assert_eq!((found.space_exists, found.user, found.role), (true, UserStatus::Active, None));
    assert!(!found.allows(Role::Viewer));
}

/// The use cases end what belongs to a space that does not exist, so that it must be reported as such.
pub async fn a_space_that_does_not_exist_allows_nothing(backend: DirectoryBackend) {
    let found = backend.directory.membership(&backend.member, &backend.absent).await.expect("the directory responds");
    assert!(!found.space_exists && !found.allows(Role::Viewer), "{found:?}");
}

/// A user that is active in one space is active in all of them: another status ends every grant of the user.
pub async fn the_status_of_a_user_does_not_depend_on_the_space(backend: DirectoryBackend) {
    for user in [&backend.member, &backend.stranger] {
        let mut statuses = Vec::new();
        for space in [&backend.open, &backend.closed, &backend.absent] {
            statuses.push(backend.directory.membership(user, space).await.map(|found| found.user));
        }
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{user}: {statuses:?}");
    }
}

/// An error denies access as well.
pub async fn a_stranger_is_allowed_nothing(backend: DirectoryBackend) {
    for space in [&backend.open, &backend.closed, &backend.absent] {
        let found = backend.directory.membership(&backend.stranger, space).await;
        assert!(!found.is_ok_and(|found| found.allows(Role::Viewer)), "{space}: {found:?}");
    }
}

/// Removed users are not listed, and a disabled one is marked.
pub async fn listed_users_are_unique_and_have_the_status_of_their_membership(backend: DirectoryBackend) {
    let listing = backend.directory.users().await.expect("the directory responds");
    let ids: BTreeSet<&UserId> = listing.users.iter().map(|user| &user.id).collect();
    assert_eq!(ids.len(), listing.users.len());
    for DirectoryUser { id, disabled, .. } in &listing.users {
        let found = backend.directory.membership(id, &backend.open).await.expect("the directory responds");
        let expected = if *disabled { UserStatus::Disabled } else { UserStatus::Active };
        assert_eq!(found.user, expected, "{id}");
    }
}

/// A directory that cannot list all of its users reports that.
pub async fn a_complete_listing_contains_the_member(backend: DirectoryBackend) {
    let listing = backend.directory.users().await.expect("the directory responds");
    let is_listed = listing.users.iter().any(|user| user.id == backend.member && !user.disabled);
    assert!(is_listed || !listing.complete, "{listing:?}");
}

/// No membership is invented: the use cases deny access, and end no grant.
pub async fn an_unavailable_directory_returns_no_membership(backend: DirectoryBackend) {
    let Some(make_unavailable) = &backend.make_unavailable else { return };
    make_unavailable();
    for user in [&backend.member, &backend.stranger] {
        assert_eq!(backend.directory.membership(user, &backend.open).await, Err(DirectoryError), "{user}");
    }
}

/// A complete listing states that the host has no other users. An error is allowed, and so is the default implementation.
pub async fn an_unavailable_directory_returns_no_complete_listing(backend: DirectoryBackend) {
    let Some(make_unavailable) = &backend.make_unavailable else { return };
    make_unavailable();
    let listing = backend.directory.users().await;
    assert!(!listing.as_ref().is_ok_and(|listing| listing.complete), "{listing:?}");
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use async_trait::async_trait;
    use grantry_domain::ports::{Membership, UserListing};

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::{TestDirectory, fixtures};

    /// What is wrong with a directory.
    #[derive(Clone, Copy)]
    enum Flaw {
        InventsMemberships,
        InventsListings,
        ListsTwice,
        ListsDisabledAsActive,
        OmitsTheMember,
        DependsOnTheSpace,
        RaisesRoles,
        HidesClosedSpaces,
        ReportsEverySpace,
        AllowsEveryUser,
    }

    struct Flawed(Arc<TestDirectory>, Flaw);

    #[async_trait]
    impl Directory for Flawed {
        async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
            let found = self.0.membership(user, space).await;
            match self.1 {
                Flaw::InventsMemberships => {
                    Ok(found.unwrap_or(Membership { space_exists: true, user: UserStatus::Unknown, role: None }))
                }
                Flaw::DependsOnTheSpace => found.map(|found| Membership {
                    user: if found.space_exists { found.user } else { UserStatus::Unknown },
                    ..found
                }),
                Flaw::RaisesRoles => found.map(|found| Membership { role: found.role.and(Some(Role::Admin)), ..found }),
                Flaw::HidesClosedSpaces => {
                    found.map(|found| Membership { space_exists: found.space_exists && found.role.is_some(), ..found })
                }
                Flaw::ReportsEverySpace => found.map(|found| Membership { space_exists: true, ..found }),
                Flaw::AllowsEveryUser => found.map(|found| match found.user {
                    UserStatus::Unknown => {
                        Membership { space_exists: true, user: UserStatus::Active, role: Some(Role::Viewer) }
                    }
                    UserStatus::Active | UserStatus::Disabled => found,
                }),
                Flaw::InventsListings | Flaw::ListsTwice | Flaw::ListsDisabledAsActive | Flaw::OmitsTheMember => found,
            }
        }

        async fn users(&self) -> Result<UserListing, DirectoryError> {
            let listing = self.0.users().await;
            match self.1 {
                Flaw::InventsListings => Ok(listing.unwrap_or(UserListing { users: Vec::new(), complete: true })),
                Flaw::ListsTwice => listing.map(|mut listing| {
                    listing.users.extend(listing.users.clone());
                    listing
                }),
                Flaw::ListsDisabledAsActive => listing.map(|mut listing| {
                    listing.users.iter_mut().for_each(|user| user.disabled = false);
                    listing
                }),
                Flaw::OmitsTheMember => listing.map(|mut listing| {
                    listing.users.retain(|user| user.disabled);
                    listing
                }),
                Flaw::InventsMemberships
                | Flaw::DependsOnTheSpace
                | Flaw::RaisesRoles
                | Flaw::HidesClosedSpaces
                | Flaw::ReportsEverySpace
                | Flaw::AllowsEveryUser => listing,
            }
        }
    }

    /// A directory that lists no users.
    struct Unlisted(Arc<TestDirectory>);

    #[async_trait]
    impl Directory for Unlisted {
        async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
            self.0.membership(user, space).await
        }
    }

    fn backend(of: impl FnOnce(Arc<TestDirectory>) -> Arc<dyn Directory>) -> DirectoryBackend {
        let directory = Arc::new(TestDirectory::default());
        let (member, stranger) = (fixtures::user("u_alice"), fixtures::user("u_eve"));
        let [open, closed, absent] = ["default", "marketing", "gone"].map(fixtures::space);
        directory.set_role(&member, &open, Role::Editor);
        directory.set_role(&fixtures::user("u_bob"), &closed, Role::Viewer);
        directory.set_user(&fixtures::user("u_bob"), UserStatus::Disabled);
        let failing = directory.clone();
        DirectoryBackend {
            directory: of(directory),
            member,
            open,
            role: Role::Editor,
            closed,
            absent,
            stranger,
            make_unavailable: Some(Box::new(move || failing.set_unavailable(true))),
        }
    }

    mod of_the_double {
        use super::*;

        fn directory() -> Ready<DirectoryBackend> {
            ready(backend(|directory| directory))
        }

        crate::directory_contract!(directory);
    }

    mod with_the_default_listing {
        use super::*;

        fn directory() -> Ready<DirectoryBackend> {
            ready(backend(|directory| Arc::new(Unlisted(directory))))
        }

        crate::directory_contract!(directory);
    }

    #[tokio::test]
    async fn a_directory_that_invents_or_omits_is_rejected() {
        let flawed = |flaw| backend(move |directory| Arc::new(Flawed(directory, flaw)));
        assert!(rejects(a_member_has_its_role_and_every_lower_one(flawed(Flaw::RaisesRoles))).await);
        assert!(rejects(a_space_without_a_role_is_closed(flawed(Flaw::HidesClosedSpaces))).await);
        assert!(rejects(a_space_that_does_not_exist_allows_nothing(flawed(Flaw::ReportsEverySpace))).await);
        assert!(rejects(a_stranger_is_allowed_nothing(flawed(Flaw::AllowsEveryUser))).await);
        assert!(rejects(an_unavailable_directory_returns_no_membership(flawed(Flaw::InventsMemberships))).await);
        assert!(rejects(an_unavailable_directory_returns_no_complete_listing(flawed(Flaw::InventsListings))).await);
        assert!(rejects(a_complete_listing_contains_the_member(flawed(Flaw::OmitsTheMember))).await);
        assert!(rejects(the_status_of_a_user_does_not_depend_on_the_space(flawed(Flaw::DependsOnTheSpace))).await);
        for flaw in [Flaw::ListsTwice, Flaw::ListsDisabledAsActive] {
            assert!(rejects(listed_users_are_unique_and_have_the_status_of_their_membership(flawed(flaw))).await);
        }
    }
}

//! Creating, editing and deleting connectors, and which grants survive it (R52).

use grantry_domain::authorization::{ExpiredCause, FailureCode, Reason, RevokedCause, StateKind, StatusKind};
use grantry_domain::connector::{AuthMode, ConnectorName, ProfileId};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditKind, AuthorizationStore, ClientSecretKey, ConnectorStore, ProviderError, StoreError};
use grantry_domain::provider::{ClientAuthentication, Endpoints, Origin, ProviderSettings, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{ConnectorDraft, ConnectorError};
use grantry_testkit::doubles::fixtures::{connector_key, origin, space};
use grantry_testkit::doubles::{Call, Operation};

use crate::common::store::{DOWN, Method};
use crate::common::{
    World, agent, came_back, demand_for, draft, draft_without_secret, drive, elsewhere, person, quiet, request, token_from,
};

type Change = fn(&mut ProviderSettings);

fn endpoints(settings: &mut ProviderSettings) -> &mut Endpoints {
    settings.endpoints.as_mut().expect("written-down endpoints")
}

/// Every change that makes the connector another one in the eyes of its users.
const RELEVANT: &[(&str, Change)] = &[
    ("authorization", |settings| endpoints(settings).authorization = "https://evil.example/authorize".to_owned()),
    ("token", |settings| endpoints(settings).token = "https://evil.example/token".to_owned()),
    ("revocation", |settings| endpoints(settings).revocation = Some("https://evil.example/revoke".to_owned())),
    ("no revocation", |settings| endpoints(settings).revocation = None),
    ("userinfo", |settings| endpoints(settings).userinfo = Some("https://as.example/me".to_owned())),
    ("issuer", |settings| settings.issuer = Some("https://as.example".to_owned())),
    ("client id", |settings| settings.client_id = "client-2".to_owned()),
    ("authentication", |settings| settings.authentication = ClientAuthentication::Basic),
    ("public client", |settings| settings.authentication = ClientAuthentication::None),
    ("resources", |settings| settings.resources.push("https://api.example/v2".to_owned())),
    ("destinations", |settings| settings.destinations.push(origin("https://evil.example"))),
    ("other destination", |settings| settings.destinations = vec![origin("https://evil.example")]),
];

/// Changes that do not concern where tokens go.
const HARMLESS: &[(&str, Change)] = &[
    ("title", |settings| settings.title = "Another title".to_owned()),
    ("requested scopes", |settings| settings.requested_scopes = Scopes::new(["read"])),
    ("base path", |settings| settings.base_url = "https://api.example/v2".to_owned()),
    ("key set", |settings| endpoints(settings).jwks = Some("https://as.example/keys".to_owned())),
    ("doubled destination", |settings| settings.destinations.push(origin("https://api.example"))),
];

#[tokio::test(start_paused = true)]
async fn r52_lesson_16_a_security_relevant_edit_ends_every_grant_and_attempt() {
    for (name, change) in RELEVANT.iter().copied() {
        let world = World::new().await;
        world.profiles.set("edited", change);
        let (alice, bob) = (world.connect("alice").await, world.connect("bob").await);
        let flow = world.start("ada", &drive()).await;
        let before = world.stored_connector(&drive()).await;
        let dry = world.node.update_connector(&person("ed"), &drive(), draft("edited"), None, true).await.unwrap();
        assert_eq!((dry.disconnected_users, world.edit(draft("edited")).await), (2, 2), "{name}: dry run and run agree");
        let after = world.stored_connector(&drive()).await;
        assert_eq!((after.epoch, after.revision), (before.epoch.next(), before.revision + 1), "{name}");
        assert_eq!((after.incarnation, after.callback_id), (before.incarnation, before.callback_id));
        for (who, id) in [("alice", alice), ("bob", bob)] {
            let row = world.row(id).await;
            let cause = Some(ExpiredCause::ConnectorChanged.as_str().to_owned());
            assert_eq!((row.state, row.cause), (StateKind::Expired, cause), "{name}");
            let status = world.status(who).await;
            assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::ConnectorChanged)));
        }
        let changed = RevokedCause::Failed(FailureCode::ConnectorChanged).to_record();
        assert_eq!(world.row(flow.flow_id).await.cause, Some(changed), "{name}");
        quiet().await;
        for call in world.token_calls().into_iter().filter(|call| call.operation() == Operation::Revoke) {
            let Call::Revoke { endpoint, client_secret, .. } = call else { panic!("a revocation") };
            assert_eq!(endpoint.as_deref(), Some("https://as.example/revoke"), "{name}: the old endpoint");
            assert_eq!(client_secret.as_deref(), Some("client-secret-1"), "{name}: the old secret");
        }
        assert_eq!(world.provider.count(Operation::Revoke), 4, "{name}");
        let refused = world.node.complete(came_back(&flow, "ada")).await;
        assert!(refused.is_err(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn r52_lesson_16_every_other_edit_keeps_every_grant() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    for (name, change) in HARMLESS.iter().copied() {
        world.profiles.set(name, change);
        let before = world.stored_connector(&drive()).await;
        let dry = world.node.update_connector(&person("ed"), &drive(), draft_without_secret(name), None, true).await;
        assert_eq!(dry.unwrap().disconnected_users, 0, "{name}");
        assert_eq!(world.edit(draft_without_secret(name)).await, 0, "{name}");
        let after = world.stored_connector(&drive()).await;
        assert_eq!((after.epoch, after.has_client_secret), (before.epoch, true), "{name}");
        assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"), "{name}");
    }
    let renamed = ConnectorDraft { name: ConnectorName::new("Renamed").unwrap(), ..draft_without_secret("{}") };
    assert_eq!(world.edit(renamed).await, 0);
    let new_secret = ConnectorDraft { client_secret: Some(Secret::from_text("rotated")), ..draft("{}") };
    assert_eq!(world.edit(new_secret).await, 0, "a new secret alone");
    assert_eq!(world.edit(ConnectorDraft { client_id: None, ..draft_without_secret("{}") }).await, 0, "absent means keep");
    assert_eq!(world.row(id).await.state, StateKind::Authorized);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    quiet().await;
    assert!(world.revoked().is_empty());
}

#[tokio::test]
async fn lesson_16_a_newly_required_scope_asks_those_who_lack_it() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.profiles.set("more", |settings| {
        settings.requested_scopes = Scopes::new(["read", "write", "delete"]);
        settings.required_scopes = Scopes::new(["read", "delete"]);
    });
    assert_eq!(world.edit(draft_without_secret("more")).await, 0);
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    assert!(world.token("alice").await.is_err());
    assert_eq!(world.row(id).await.state, StateKind::Authorized, "step-up keeps the grant until the new one lands");
    world.connect("alice").await;
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r52_the_client_secret_must_be_sent_again_when_something_relevant_changes() {
    for (name, change) in RELEVANT.iter().copied().filter(|(name, _)| *name != "public client") {
        let world = World::new().await;
        world.profiles.set("edited", change);
        world.connect("alice").await;
        for dry_run in [true, false] {
            let (editor, key, draft) = (person("ed"), drive(), draft_without_secret("edited"));
            let edited = world.node.update_connector(&editor, &key, draft, None, dry_run).await;
            let refused = edited.map(drop).unwrap_err();
            assert!(matches!(refused, ConnectorError::SecretRequired { .. }), "{name}: {refused}");
            assert_eq!(refused.code(), "invalid_request");
        }
        assert!(world.token("alice").await.is_ok(), "{name}: nothing was changed");
        assert_eq!(world.stored_connector(&drive()).await.revision, 1);
    }
    let world = World::new().await;
    world.profiles.set("public", |settings| settings.authentication = ClientAuthentication::None);
    assert_eq!(world.edit(draft_without_secret("public")).await, 0);
    let connector = world.stored_connector(&drive()).await;
    assert!(!connector.has_client_secret, "the old one stays behind");
}

#[tokio::test]
async fn a_connector_that_never_had_a_secret_may_be_edited_without_one() {
    let world = World::without_connector();
    let view = world.create_connector(&drive(), draft_without_secret("{}")).await;
    assert!(view.is_missing_secrets);
    world.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    assert_eq!(world.edit(draft_without_secret("edited")).await, 0);
    assert_eq!(world.edit(draft("edited")).await, 0);
    let view = world.node.connector(&person("ed"), &drive()).await.unwrap();
    assert!(!view.is_missing_secrets);
    world.start("alice", &drive()).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let world = World::new().await;
    world.connect("alice").await;
    world.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    let (connector, events) = (world.stored_connector(&drive()).await, world.events().await.len());
    let dry = world.node.update_connector(&person("ed"), &drive(), draft("edited"), Some(1), true).await.unwrap();
    assert_eq!((dry.disconnected_users, dry.view.connector), (1, connector.clone()));
    assert_eq!(world.stored_connector(&drive()).await, connector);
    assert_eq!(world.events().await.len(), events);
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test]
async fn a_connector_whose_old_settings_are_not_understood_any_more_has_changed() {
    let world = World::new().await;
    world.connect("alice").await;
    world.profiles.refuse("{}", "config.tokenUrl", "is not allowed any more");
    assert_eq!(world.edit(draft("mended")).await, 1);
    assert_eq!(world.status("alice").await.reason, Some(Reason::ConnectorChanged));
}

#[tokio::test]
async fn mode_and_profile_are_fixed_and_editors_do_not_overwrite_each_other() {
    let world = World::new().await;
    let edit =
        async |draft, revision| world.node.update_connector(&person("ed"), &drive(), draft, revision, false).await.map(drop);
    let other_profile = ConnectorDraft { profile: ProfileId::new(".other").unwrap(), ..draft("{}") };
    let fixed = edit(other_profile, None).await.unwrap_err();
    assert_eq!((&fixed, fixed.code()), (&ConnectorError::Fixed { field: "connector_type_id" }, "invalid_request"));
    let other_mode = ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") };
    assert_eq!(edit(other_mode, None).await, Err(ConnectorError::Fixed { field: "auth_mode" }));
    assert_eq!(edit(draft("{}"), Some(1)).await, Ok(()));
    let conflict = edit(draft("{}"), Some(1)).await.unwrap_err();
    assert_eq!((&conflict, conflict.code()), (&ConnectorError::Conflict, "conflict"));
    assert_eq!(edit(draft("{}"), Some(2)).await, Ok(()));
    // Two editors at once, without revisions.
    let gate = world.store.hold(Method::UpdateConnector);
    let both: Vec<_> = (0..2)
        .map(|_| {
            let node = world.node.clone();
            tokio::spawn(
                async move { node.update_connector(&person("ed"), &drive(), draft("{}"), None, false).await.map(drop) },
            )
        })
        .collect();
    gate.arrived(2).await;
    gate.open();
    let mut outcomes = Vec::new();
    for edit in both {
        outcomes.push(edit.await.unwrap());
    }
    assert!(outcomes.contains(&Ok(())) && outcomes.contains(&Err(ConnectorError::Conflict)), "{outcomes:?}");
}

#[tokio::test]
async fn lesson_24_viewers_and_agents_do_not_edit() {
    let world = World::new().await;
    for (actor, refusal) in [
        (person("alice"), ConnectorError::Forbidden),
        (agent(), ConnectorError::Forbidden),
        (Actor::System, ConnectorError::Forbidden),
        (person("stranger"), ConnectorError::NotFound),
    ] {
        let created = world.node.create_connector(&actor, &space("default"), None, draft("{}")).await.map(drop);
        assert_eq!(created, Err(refusal.clone()), "{actor}");
        let edited = world.node.update_connector(&actor, &drive(), draft("{}"), None, false).await.map(drop);
        assert_eq!(edited, Err(refusal.clone()), "{actor}");
        assert_eq!(world.node.delete_connector(&actor, &drive()).await, Err(refusal), "{actor}");
    }
    assert_eq!(ConnectorError::Forbidden.code(), "forbidden");
    assert_eq!(ConnectorError::NotFound.code(), "not_found");
    world.connect("alice").await;
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_created_names_its_reason() {
    let world = World::new().await;
    let create = async |id, draft| world.node.create_connector(&person("ed"), &space("default"), id, draft).await.map(drop);
    let taken = create(Some(drive().id), draft("{}")).await.unwrap_err();
    assert_eq!((&taken, taken.code()), (&ConnectorError::IdTaken, "conflict"));
    world.profiles.refuse("bad", "config.tokenUrl", "must be https");
    let refused = create(None, draft("bad")).await.unwrap_err();
    assert!(matches!(&refused, ConnectorError::ConnectorConfig(invalid) if invalid.field == "config.tokenUrl"));
    let missing = connector_key("default", "other");
    let missing = world.node.update_connector(&person("ed"), &missing, draft("{}"), None, false).await.map(drop);
    assert_eq!(missing, Err(ConnectorError::NotFound));
    world.random.break_down(true);
    assert_eq!(create(None, draft("{}")).await, Err(ConnectorError::Internal));
    world.random.break_down(false);
    for method in [Method::Now, Method::Other] {
        world.store.fail_next(method, DOWN);
        assert_eq!(create(None, draft("{}")).await, Err(ConnectorError::Store(StoreError::Unavailable)));
    }
    assert_eq!(world.node.connectors(&person("ed"), &space("default")).await.unwrap().len(), 1);
    let view = world.node.create_connector(&person("ed"), &space("default"), None, draft("{}")).await.unwrap();
    assert_eq!(view.connector.key.id.as_str().len(), 32, "a random id");
}

#[tokio::test]
async fn lesson_17_what_was_created_can_be_saved_unchanged() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    for _ in 0..2 {
        let view = world.node.connector(&person("ed"), &drive()).await.unwrap().connector;
        let same = ConnectorDraft {
            name: view.name,
            profile: view.config.profile,
            auth_mode: view.auth_mode,
            config: view.config.settings,
            client_id: view.config.client_id,
            client_secret: None,
        };
        assert_eq!(world.edit(same).await, 0);
    }
    assert_eq!(world.row(id).await.state, StateKind::Authorized);
}

#[tokio::test]
async fn r64_a_client_secret_is_stored_sealed_and_bound_to_its_connector() {
    let world = World::new().await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    let (one, two) = (world.stored_connector(&drive()).await, world.stored_connector(&elsewhere()).await);
    let store = world.store.inner();
    let secret = |connector: &grantry_domain::connector::Connector| ClientSecretKey {
        incarnation: connector.incarnation,
        epoch: connector.epoch,
    };
    let stolen = store.client_secret(secret(&two)).await.unwrap().unwrap();
    let own = store.client_secret(secret(&one)).await.unwrap().unwrap();
    let swapped = grantry_domain::ports::ClientSecretRecord { sealed: stolen.sealed, ..own };
    let keep = grantry_domain::ports::Cascade::Keep;
    store.update(one.clone(), one.revision, Some(swapped), keep, Actor::System, Vec::new()).await.unwrap();
    let refused = world.try_start(request("alice", &drive())).await.err();
    assert_eq!(refused, Some(grantry_domain::usecase::StartError::Internal), "it opens in its own connector alone");
}

#[tokio::test(start_paused = true)]
async fn r53_lesson_20_deleting_a_connector_ends_a_thousand_grants_though_some_revocations_fail() {
    let world = World::new().await;
    let users: Vec<_> = (0..1000).map(|n| format!("user-{n}")).collect();
    for who in &users {
        world.directory.authorize(
            &grantry_testkit::doubles::fixtures::user(who),
            &space("default"),
            grantry_domain::identity::Role::Viewer,
        );
        world.connect(who).await;
    }
    for n in 0..300 {
        let trouble =
            if n % 3 == 0 { Err(ProviderError::NotSent) } else { Ok(grantry_domain::ports::RevocationResponse::Done) };
        world.provider.answer_revoke(trouble);
    }
    assert_eq!(world.node.delete_connector(&person("ed"), &drive()).await, Ok(1000));
    quiet().await;
    let settled = world.outcomes(AuditKind::RevocationCompleted).await.len();
    assert!((800..1000).contains(&settled), "{settled}");
    world.clock.advance(std::time::Duration::from_mins(1));
    let round = world.node.revoke_due().await.unwrap();
    assert_eq!((settled as u64 + round.settled, round.postponed), (1000, 0));
    assert_eq!(world.outcomes(AuditKind::GrantEnded).await.len(), 1000);
    let token = token_from(&world.node, &demand_for("user-7", drive())).await;
    assert_eq!(token, Err(grantry_domain::usecase::TokenError::NotFound));
    assert_eq!(world.node.delete_connector(&person("ed"), &drive()).await, Err(ConnectorError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn r54_a_connector_id_used_again_is_another_connector() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let first = world.stored_connector(&drive()).await;
    world.provider.answer_revoke(Err(ProviderError::NotSent));
    world.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    world.create_connector(&drive(), draft("{}")).await;
    let second = world.stored_connector(&drive()).await;
    assert_eq!((first.epoch, first.config.clone()), (second.epoch, second.config.clone()));
    assert_ne!((first.incarnation, first.callback_id), (second.incarnation, second.callback_id));
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
    assert!(world.token("alice").await.is_err());
    assert_eq!(world.row(id).await.owner.incarnation, first.incarnation);
    quiet().await;
    world.clock.advance(std::time::Duration::from_mins(1));
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["revoked"], "with the secret of the first");
    world.connect("alice").await;
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r80_edits_and_what_they_end_are_audited_in_the_editors_name() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.edit(draft_without_secret("{}")).await;
    world.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    world.edit(draft("edited")).await;
    world.node.delete_connector(&person("ada"), &drive()).await.unwrap();
    assert_eq!(world.outcomes(AuditKind::ConnectorCreated).await, ["ok"]);
    assert_eq!(world.outcomes(AuditKind::ConnectorUpdated).await, ["kept", "changed"]);
    assert_eq!(world.outcomes(AuditKind::ConnectorDeleted).await, ["ok"]);
    let events = world.events().await;
    let of = |kind| events.iter().find(|event| event.kind == kind).unwrap();
    assert_eq!(of(AuditKind::ConnectorUpdated).actor, person("ed"));
    assert_eq!(of(AuditKind::ConnectorDeleted).actor, person("ada"));
    let ended = of(AuditKind::GrantExpired);
    assert_eq!((&ended.actor, ended.grant, ended.outcome.as_str()), (&person("ed"), Some(id), "connector_changed"));
}

#[tokio::test]
async fn an_installed_connector_needs_no_person() {
    let world = World::without_connector();
    let key = drive();
    let installed =
        world.node.install_connector(&Actor::System, &key.space, Some(key.id.clone()), draft("{}")).await.unwrap();
    assert_eq!(installed.key, key);
    let shown = world.node.described(installed);
    assert_eq!(shown.status.kind, StatusKind::NotApplicable);
    assert!(shown.redirect_uri.ends_with("/_oauth_callback"));
    world.connect("alice").await;
    assert_eq!(world.store.inner().grant_holders(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn destinations_compare_as_a_set() {
    let destinations: fn(&[&str]) -> Vec<Origin> = |hosts| hosts.iter().map(|host| origin(host)).collect();
    let world = World::without_connector();
    world.profiles.set("ab", move |settings| {
        settings.destinations = destinations(&["https://a.example", "https://api.example"]);
    });
    world.profiles.set("ba", move |settings| {
        settings.destinations = destinations(&["https://api.example", "https://a.example"]);
    });
    world.create_connector(&drive(), draft("ab")).await;
    world.connect("alice").await;
    assert_eq!(world.edit(draft_without_secret("ba")).await, 0);
    assert!(world.token("alice").await.is_ok());
}

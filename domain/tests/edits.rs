//! Creating, editing and deleting connectors, and which grants remain.

use grantry_domain::authorization::{
    ConnectorStatus, ExpiredCause, FailureCode, Reason, StateKind, StatusKind, TerminalCause,
};
use grantry_domain::connector::{AuthMode, Connector, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditKind, ClientSecretKey, ClientSecretRecord, EditEffect, ProviderErrorKind, RevocationResponse, StoreError, Urls,
};
use grantry_domain::provider::{ClientAuthentication, Endpoints, Origin, ProviderSettings, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AccessError, ConnectorDraft, ConnectorError, StartError};
use grantry_testkit::doubles::fixtures::{connector_key, origin, space, user};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, TestUrls};

use crate::common::{
    TestApp, agent, callback_of, draft, draft_without_secret, drive, elsewhere, flow_failed, person, quiet, request,
    token_from, token_request_for,
};

type Change = fn(&mut ProviderSettings);

fn endpoints(settings: &mut ProviderSettings) -> &mut Endpoints {
    settings.endpoints.as_mut().expect("configured endpoints")
}

/// Every change that ends grants.
const RELEVANT: &[(&str, Change)] = &[
    ("authorization", |settings| endpoints(settings).authorization = "https://evil.example/authorize".to_owned()),
    ("token", |settings| endpoints(settings).token = "https://evil.example/token".to_owned()),
    ("revocation", |settings| endpoints(settings).revocation = Some("https://evil.example/revoke".to_owned())),
    ("no revocation", |settings| endpoints(settings).revocation = None),
    ("userinfo", |settings| endpoints(settings).userinfo = Some("https://as.example/me".to_owned())),
    ("refresh", |settings| endpoints(settings).refresh = Some("https://as.example/refresh".to_owned())),
    ("issuer", |settings| settings.issuer = Some("https://as.example".to_owned())),
    ("client id", |settings| settings.client_id = "client-2".to_owned()),
    ("authentication", |settings| settings.authentication = ClientAuthentication::Basic),
    ("public client", |settings| settings.authentication = ClientAuthentication::None),
    ("resources", |settings| settings.resources.push("https://api.example/v2".to_owned())),
    ("destinations", |settings| settings.destinations.push(origin("https://evil.example"))),
    ("other destination", |settings| settings.destinations = vec![origin("https://evil.example")]),
    ("domains of the API", |settings| settings.api_domains = vec!["evil.example".to_owned()]),
];

/// Changes that do not affect where tokens are sent.
const HARMLESS: &[(&str, Change)] = &[
    ("title", |settings| settings.title = "Another title".to_owned()),
    ("requested scopes", |settings| settings.requested_scopes = Scopes::new(["read"])),
    ("base path", |settings| settings.base_url = Some("https://api.example/v2".to_owned())),
    ("key set", |settings| endpoints(settings).jwks = Some("https://as.example/keys".to_owned())),
    ("doubled destination", |settings| settings.destinations.push(origin("https://api.example"))),
];

#[tokio::test(start_paused = true)]
async fn r52_lesson_16_a_security_relevant_edit_ends_every_grant_and_flow() {
    for (name, change) in RELEVANT.iter().copied() {
        let app = TestApp::new().await;
        app.profiles.set("edited", change);
        let (alice, bob) = (app.connect("alice").await, app.connect("bob").await);
        let flow = app.start("ada", &drive()).await;
        let before = app.stored_connector(&drive()).await;
        let dry = app.node.update_connector(&person("ed"), &drive(), draft("edited"), None, true).await.unwrap();
        assert_eq!((dry.disconnected_users, app.edit(draft("edited")).await), (2, 2), "{name}: dry run and run agree");
        let after = app.stored_connector(&drive()).await;
        assert_eq!((after.epoch, after.revision), (before.epoch.next(), before.revision + 1), "{name}");
        assert_eq!((after.incarnation, after.callback_id), (before.incarnation, before.callback_id));
        for (who, id) in [("alice", alice), ("bob", bob)] {
            let row = app.record(id).await;
            let cause = Some(TerminalCause::Expired(ExpiredCause::ConnectorChanged));
            assert_eq!((row.state, row.cause), (StateKind::Expired, cause), "{name}");
            let status = app.status(who).await;
            assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::ConnectorChanged)));
        }
        assert_eq!(app.record(flow.flow_id).await.cause, Some(flow_failed(FailureCode::ConnectorChanged)), "{name}");
        quiet().await;
        for call in app.token_calls().into_iter().filter(|call| call.operation() == Operation::Revoke) {
            let Call::Revoke { endpoint, client_secret, .. } = call else { panic!("a revocation") };
            assert_eq!(endpoint.as_deref(), Some("https://as.example/revoke"), "{name}: the old endpoint");
            assert_eq!(client_secret.as_deref(), Some("client-secret-1"), "{name}: the old secret");
        }
        assert_eq!(app.provider.count(Operation::Revoke), 4, "{name}");
        let refused = app.node.complete(callback_of(&flow, "ada")).await;
        assert!(refused.is_err(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn r52_lesson_16_every_other_edit_keeps_every_grant() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    for (name, change) in HARMLESS.iter().copied() {
        app.profiles.set(name, change);
        let before = app.stored_connector(&drive()).await;
        let dry = app.node.update_connector(&person("ed"), &drive(), draft_without_secret(name), None, true).await;
        assert_eq!(dry.unwrap().disconnected_users, 0, "{name}");
        assert_eq!(app.edit(draft_without_secret(name)).await, 0, "{name}");
        let after = app.stored_connector(&drive()).await;
        assert_eq!((after.epoch, after.has_client_secret), (before.epoch, true), "{name}");
        assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"), "{name}");
    }
    let renamed = ConnectorDraft { name: ConnectorName::new("Renamed").unwrap(), ..draft_without_secret("{}") };
    assert_eq!(app.edit(renamed).await, 0);
    let new_secret = ConnectorDraft { client_secret: Some(Secret::from_text("rotated")), ..draft("{}") };
    assert_eq!(app.edit(new_secret).await, 0, "a new secret alone");
    assert_eq!(
        app.edit(ConnectorDraft { client_id: None, ..draft_without_secret("{}") }).await,
        0,
        "an absent client id is kept"
    );
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    quiet().await;
    assert!(app.revoked().is_empty());
}

#[tokio::test]
async fn lesson_16_a_newly_required_scope_requires_reauthorization_where_it_is_missing() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.profiles.set("more", |settings| {
        settings.requested_scopes = Scopes::new(["read", "write", "delete"]);
        settings.required_scopes = Scopes::new(["read", "delete"]);
    });
    assert_eq!(app.edit(draft_without_secret("more")).await, 0);
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    assert!(app.token("alice").await.is_err());
    assert_eq!(app.record(id).await.state, StateKind::Authorized, "the grant is kept until the new one is committed");
    app.connect("alice").await;
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r52_the_client_secret_must_be_sent_again_with_a_security_relevant_change() {
    for (name, change) in RELEVANT.iter().copied().filter(|(name, _)| *name != "public client") {
        let app = TestApp::new().await;
        app.profiles.set("edited", change);
        app.connect("alice").await;
        for dry_run in [true, false] {
            let (editor, key, draft) = (person("ed"), drive(), draft_without_secret("edited"));
            let edited = app.node.update_connector(&editor, &key, draft, None, dry_run).await;
            let refused = edited.map(drop).unwrap_err();
            assert!(matches!(refused, ConnectorError::SecretRequired { .. }), "{name}: {refused}");
            assert_eq!(refused.code(), "invalid_request");
        }
        assert!(app.token("alice").await.is_ok(), "{name}: nothing was changed");
        assert_eq!(app.stored_connector(&drive()).await.revision, 1);
    }
    let app = TestApp::new().await;
    app.profiles.set("public", |settings| settings.authentication = ClientAuthentication::None);
    assert_eq!(app.edit(draft_without_secret("public")).await, 0);
    let connector = app.stored_connector(&drive()).await;
    assert!(!connector.has_client_secret, "the old one belongs to the old epoch");
}

#[tokio::test]
async fn a_connector_that_never_had_a_secret_may_be_edited_without_one() {
    let app = TestApp::without_connector();
    let view = app.create_connector(&drive(), draft_without_secret("{}")).await;
    assert!(view.is_missing_secrets);
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    assert_eq!(app.edit(draft_without_secret("edited")).await, 0);
    assert_eq!(app.edit(draft("edited")).await, 0);
    let view = app.node.connector(&person("ed"), &drive()).await.unwrap();
    assert!(!view.is_missing_secrets);
    app.start("alice", &drive()).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    let (connector, events) = (app.stored_connector(&drive()).await, app.events().await.len());
    let dry = app.node.update_connector(&person("ed"), &drive(), draft("edited"), Some(1), true).await.unwrap();
    assert_eq!((dry.disconnected_users, dry.view.connector), (1, connector.clone()));
    assert_eq!(app.stored_connector(&drive()).await, connector);
    assert_eq!(app.events().await.len(), events);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test]
async fn a_connector_whose_old_settings_cannot_be_parsed_any_more_counts_as_changed() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.profiles.refuse("{}", "config.tokenUrl", "is not allowed any more");
    assert_eq!(app.edit(draft("mended")).await, 1);
    assert_eq!(app.status("alice").await.reason, Some(Reason::ConnectorChanged));
}

#[tokio::test]
async fn mode_and_profile_are_fixed_and_concurrent_edits_conflict() {
    let app = TestApp::new().await;
    let edit =
        async |draft, revision| app.node.update_connector(&person("ed"), &drive(), draft, revision, false).await.map(drop);
    let other_profile = ConnectorDraft { profile: ProfileId::new(".other").unwrap(), ..draft("{}") };
    let fixed = edit(other_profile, None).await.unwrap_err();
    assert_eq!((&fixed, fixed.code()), (&ConnectorError::Fixed { field: "connector_type_id" }, "invalid_request"));
    let other_mode = ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") };
    assert_eq!(edit(other_mode, None).await, Err(ConnectorError::Fixed { field: "auth_mode" }));
    assert_eq!(edit(draft("{}"), Some(1)).await, Ok(()));
    let conflict = edit(draft("{}"), Some(1)).await.unwrap_err();
    assert_eq!((&conflict, conflict.code()), (&ConnectorError::Conflict, "conflict"));
    assert_eq!(edit(draft("{}"), Some(2)).await, Ok(()));
    // Two concurrent edits without revisions.
    let gate = app.store.hold(Method::UpdateConnector);
    let both: Vec<_> = (0..2)
        .map(|_| {
            let node = app.node.clone();
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
    let app = TestApp::new().await;
    for (actor, refusal) in [
        (person("alice"), AccessError::Forbidden),
        (agent(), AccessError::Forbidden),
        (Actor::System, AccessError::Forbidden),
        (person("stranger"), AccessError::NotFound),
    ] {
        let refusal = ConnectorError::Access(refusal);
        let created = app.node.create_connector(&actor, &space("default"), None, draft("{}")).await.map(drop);
        assert_eq!(created, Err(refusal.clone()), "{actor}");
        let edited = app.node.update_connector(&actor, &drive(), draft("{}"), None, false).await.map(drop);
        assert_eq!(edited, Err(refusal.clone()), "{actor}");
        assert_eq!(app.node.delete_connector(&actor, &drive()).await, Err(refusal), "{actor}");
    }
    let codes = [AccessError::Forbidden, AccessError::NotFound, AccessError::DirectoryUnavailable];
    let codes = codes.map(|error| ConnectorError::from(error).code());
    assert_eq!(codes, ["forbidden", "not_found", "directory_unavailable"]);
    app.connect("alice").await;
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
}

#[tokio::test]
async fn a_connector_that_cannot_be_created_is_refused_with_its_reason() {
    let app = TestApp::new().await;
    let create = async |id, draft| app.node.create_connector(&person("ed"), &space("default"), id, draft).await.map(drop);
    let taken = create(Some(drive().id), draft("{}")).await.unwrap_err();
    assert_eq!((&taken, taken.code()), (&ConnectorError::IdTaken, "conflict"));
    app.profiles.refuse("bad", "config.tokenUrl", "must be https");
    let refused = create(None, draft("bad")).await.unwrap_err();
    assert!(matches!(&refused, ConnectorError::Config(invalid) if invalid.field == "config.tokenUrl"));
    let missing = connector_key("default", "other");
    let missing = app.node.update_connector(&person("ed"), &missing, draft("{}"), None, false).await.map(drop);
    assert_eq!(missing, Err(AccessError::NotFound.into()));
    app.random.set_failing(true);
    assert_eq!(create(None, draft("{}")).await, Err(ConnectorError::Internal));
    app.random.set_failing(false);
    for method in [Method::Now, Method::CreateConnector] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        assert_eq!(create(None, draft("{}")).await, Err(ConnectorError::Store(StoreError::Unavailable)));
    }
    assert_eq!(app.node.connectors(&person("ed"), &space("default")).await.unwrap().len(), 1);
    let view = app.node.create_connector(&person("ed"), &space("default"), None, draft("{}")).await.unwrap();
    assert_eq!(view.connector.key.id.as_str().len(), 32, "a random id");
}

#[tokio::test]
async fn lesson_17_a_connector_can_be_saved_unchanged() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    for _ in 0..2 {
        let view = app.node.connector(&person("ed"), &drive()).await.unwrap().connector;
        let same = ConnectorDraft {
            name: view.name,
            profile: view.config.profile,
            auth_mode: view.auth_mode,
            settings: view.config.settings,
            client_id: view.config.client_id,
            client_secret: None,
        };
        assert_eq!(app.edit(same).await, 0);
    }
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
}

#[tokio::test]
async fn r64_a_client_secret_is_stored_sealed_and_bound_to_its_connector() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    let (one, two) = (app.stored_connector(&drive()).await, app.stored_connector(&elsewhere()).await);
    let store = &app.stored.connectors;
    let secret = |connector: &Connector| ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch };
    let stolen = store.client_secret(secret(&two)).await.unwrap().unwrap();
    let own = store.client_secret(secret(&one)).await.unwrap().unwrap();
    let swapped = ClientSecretRecord { sealed: stolen.sealed, ..own };
    let keep = EditEffect::KeepGrants;
    store.update(one.clone(), one.revision, Some(swapped), keep, Actor::System, Vec::new()).await.unwrap();
    let refused = app.try_start(request("alice", &drive())).await.err();
    let incomplete = StartError::Incomplete { field: "secrets.clientSecret".to_owned() };
    assert_eq!(refused, Some(incomplete), "it can be decrypted in its connector only");
}

#[tokio::test(start_paused = true)]
async fn r53_lesson_20_deleting_a_connector_ends_a_thousand_grants_although_some_revocations_fail() {
    let app = TestApp::new().await;
    let users: Vec<_> = (0..1000).map(|n| format!("user-{n}")).collect();
    for who in &users {
        app.directory.set_role(&user(who), &space("default"), Role::Viewer);
        app.connect(who).await;
    }
    for n in 0..300 {
        let fault = if n % 3 == 0 { Err(ProviderErrorKind::NotSent) } else { Ok(RevocationResponse::Done) };
        app.provider.respond_to_revoke(fault);
    }
    assert_eq!(app.node.delete_connector(&person("ed"), &drive()).await, Ok(1000));
    quiet().await;
    let completed = app.outcomes(AuditKind::RevocationCompleted).await.len();
    assert!((800..1000).contains(&completed), "{completed}");
    app.clock.advance(std::time::Duration::from_mins(1));
    let round = app.node.revoke_due().await.unwrap();
    assert_eq!((completed as u64 + round.completed, round.postponed), (1000, 0));
    assert_eq!(app.outcomes(AuditKind::GrantTerminated).await.len(), 1000);
    let token = token_from(&app.node, &token_request_for("user-7", drive())).await;
    assert_eq!(token, Err(AccessError::NotFound.into()));
    assert_eq!(app.node.delete_connector(&person("ed"), &drive()).await, Err(AccessError::NotFound.into()));
}

#[tokio::test(start_paused = true)]
async fn r54_a_connector_with_the_id_of_a_deleted_one_is_another_connector() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let first = app.stored_connector(&drive()).await;
    app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    app.create_connector(&drive(), draft("{}")).await;
    let second = app.stored_connector(&drive()).await;
    assert_eq!((first.epoch, first.config.clone()), (second.epoch, second.config.clone()));
    assert_ne!((first.incarnation, first.callback_id), (second.incarnation, second.callback_id));
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
    assert!(app.token("alice").await.is_err());
    assert_eq!(app.record(id).await.owner.incarnation, first.incarnation);
    quiet().await;
    app.clock.advance(std::time::Duration::from_mins(1));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"], "with the secret of the first");
    app.connect("alice").await;
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r80_edits_and_the_grants_they_end_are_audited_with_the_editor_as_actor() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.edit(draft_without_secret("{}")).await;
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    app.edit(draft("edited")).await;
    app.node.delete_connector(&person("ada"), &drive()).await.unwrap();
    assert_eq!(app.outcomes(AuditKind::ConnectorCreated).await, ["ok"]);
    assert_eq!(app.outcomes(AuditKind::ConnectorUpdated).await, ["kept", "changed"]);
    assert_eq!(app.outcomes(AuditKind::ConnectorDeleted).await, ["ok"]);
    let events = app.events().await;
    let of = |kind| events.iter().find(|event| event.kind == kind).unwrap();
    assert_eq!(of(AuditKind::ConnectorUpdated).actor, person("ed"));
    assert_eq!(of(AuditKind::ConnectorDeleted).actor, person("ada"));
    let ended = of(AuditKind::GrantExpired);
    assert_eq!((&ended.actor, ended.authorization, ended.outcome.as_str()), (&person("ed"), Some(id), "connector_changed"));
}

#[tokio::test]
async fn an_installed_connector_requires_no_user() {
    let app = TestApp::without_connector();
    let key = drive();
    let installed = app.node.install_connector(&Actor::System, &key.space, Some(key.id.clone()), draft("{}")).await.unwrap();
    assert_eq!(installed.key, key);
    let shown = app.node.describe(installed);
    assert_eq!(shown.status, ConnectorStatus::not_applicable());
    assert_eq!(shown.redirect_uri, Some(TestUrls.profile_callback()));
    app.connect("alice").await;
    assert_eq!(app.stored.housekeeping.grant_holders(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn destinations_are_compared_as_a_set() {
    let destinations: fn(&[&str]) -> Vec<Origin> = |hosts| hosts.iter().map(|host| origin(host)).collect();
    let app = TestApp::without_connector();
    app.profiles.set("ab", move |settings| {
        settings.destinations = destinations(&["https://a.example", "https://api.example"]);
    });
    app.profiles.set("ba", move |settings| {
        settings.destinations = destinations(&["https://api.example", "https://a.example"]);
    });
    app.create_connector(&drive(), draft("ab")).await;
    app.connect("alice").await;
    assert_eq!(app.edit(draft_without_secret("ba")).await, 0);
    assert!(app.token("alice").await.is_ok());
}

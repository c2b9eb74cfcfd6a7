//! Connectors whose stored row is not authentic.

use grantry_domain::authorization::{AuthorizationRecord, FailureCode, FlowFailure};
use grantry_domain::connector::{AuthMode, CallbackId, Connector, ConnectorKey, ConnectorName, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{AuditKind, EditEffect, KeyId, ProviderErrorKind, RowTag, Updated};
use grantry_domain::usecase::{
    ConnectorError, ConnectorTampered, ConnectorTestError, DiagnosticsError, ExecuteError, Outcome, StartError, TokenError,
};
use grantry_testkit::doubles::{Call, PlainVault};

use crate::common::{HOUR, TestApp, account, callback_of, draft, drive, execution, person, request};

const REFUSED: TokenError = TokenError::ConnectorTampered(ConnectorTampered);

/// Stores a connector with changes and the tag that it had before.
async fn tamper(app: &TestApp, key: &ConnectorKey, change: impl FnOnce(&mut Connector)) -> Connector {
    let before = app.stored_connector(key).await;
    let mut changed = before.clone();
    change(&mut changed);
    let (revision, actor) = (before.revision, Actor::System);
    let updated = app.stored.connectors.update(changed, revision, None, EditEffect::KeepGrants, actor, Vec::new()).await;
    assert_eq!(updated, Ok(Updated::Done { ended_grants: 0 }));
    before
}

async fn restore(app: &TestApp, before: Connector) {
    let revision = app.stored_connector(&before.key).await.revision;
    let update =
        app.stored.connectors.update(before, revision, None, EditEffect::KeepGrants, Actor::System, Vec::new()).await;
    assert_eq!(update, Ok(Updated::Done { ended_grants: 0 }));
}

#[tokio::test]
async fn r42_r52_a_connector_whose_row_was_changed_is_not_used() {
    type Change = fn(&mut Connector);
    let changes: [(&str, Change); 9] = [
        ("name", |connector| connector.name = ConnectorName::new("Another").unwrap()),
        ("settings", |connector| connector.config.settings = "{ }".to_owned()),
        ("client id", |connector| connector.config.client_id = None),
        ("mode", |connector| connector.auth_mode = AuthMode::Shared),
        ("epoch", |connector| connector.epoch = connector.epoch.next()),
        ("callback id", |connector| connector.callback_id = CallbackId([1; 16])),
        ("secret", |connector| connector.has_client_secret = false),
        ("revision", |connector| connector.revision += 1),
        ("tag", |connector| connector.tag.0[39] ^= 1),
    ];
    let app = TestApp::new().await;
    app.connect("alice").await;
    let (calls, mut seen) = (app.token_calls().len(), 0);
    for (name, change) in changes {
        let flow = app.start("bob", &drive()).await;
        let before = tamper(&app, &drive(), change).await;
        assert_eq!(app.token("alice").await, Err(REFUSED), "{name}");
        let run = app.node.execute(execution("alice", "/")).await.map(drop);
        assert_eq!(run, Err(ExecuteError::Token(REFUSED)), "{name}");
        let start = app.node.start(request("bob", &drive())).await.map(drop);
        assert_eq!(start, Err(StartError::ConnectorTampered(ConnectorTampered)), "{name}");
        let completed = app.complete(callback_of(&flow, "bob")).await;
        assert_eq!(completed.outcome, Outcome::Failed(FlowFailure::Code(FailureCode::ConnectorTampered)), "{name}");
        for dry_run in [true, false] {
            let edit = app.node.update_connector(&person("ed"), &drive(), draft("{}"), None, dry_run).await;
            assert_eq!(edit.map(drop), Err(ConnectorError::Tampered(ConnectorTampered)), "{name}");
        }
        let view = app.node.connector(&person("ed"), &drive()).await;
        assert_eq!(view, Err(ConnectorError::Tampered(ConnectorTampered)), "{name}");
        let diagnostics = app.node.connector_diagnostics(&person("ed"), &drive()).await;
        assert_eq!(diagnostics, Err(DiagnosticsError::Tampered(ConnectorTampered)), "{name}");
        let tested = app.node.test_connector(&person("ed"), &drive()).await;
        assert_eq!(tested, Err(ConnectorTestError::Tampered(ConnectorTampered)), "{name}");
        let listed = app.node.connectors(&person("ed"), &drive().space).await.unwrap().remove(0);
        assert!(listed.is_tampered(), "{name}");
        let config = &listed.connector.config;
        assert_eq!((&listed.redirect_uri, config.settings.as_str(), &config.client_id), (&None, "{}", &None), "{name}");
        // One event for each refused use; the list leaves none.
        let events = app.outcomes(AuditKind::ConnectorTampered).await;
        assert_eq!(events[seen..], ["tampered"; 9], "{name}");
        seen = events.len();
        restore(&app, before).await;
        assert!(app.token("alice").await.is_ok(), "{name}");
    }
    assert_eq!(app.token_calls().len(), calls, "no request was sent");
}

#[tokio::test]
async fn r42_a_connector_whose_row_is_moved_to_another_callback_shows_none() {
    let app = TestApp::new().await;
    for change in [CallbackId([1; 16]), CallbackId([2; 16])] {
        let before = tamper(&app, &drive(), |connector| connector.callback_id = change).await;
        let listed = app.node.connectors(&person("alice"), &drive().space).await.unwrap().remove(0);
        assert_eq!(listed.redirect_uri, None);
        restore(&app, before).await;
    }
    let listed = app.node.connectors(&person("alice"), &drive().space).await.unwrap().remove(0);
    assert!(!listed.is_tampered() && listed.redirect_uri.is_some());
}

#[tokio::test]
async fn r43_a_shared_connector_whose_row_was_changed_requests_no_token() {
    let app = TestApp::new().await;
    let before = tamper(&app, &drive(), |connector| connector.auth_mode = AuthMode::Shared).await;
    assert_eq!(app.token("alice").await, Err(REFUSED));
    restore(&app, before).await;
    assert_eq!(app.token_calls().len(), 0);
}

#[tokio::test]
async fn r49_a_disconnect_ends_the_grant_whatever_the_row_of_the_connector_contains() {
    let app = TestApp::new().await;
    for named in [None, Some(ConnectionName::default())] {
        app.connect("alice").await;
        let before = tamper(&app, &drive(), |connector| connector.auth_mode = AuthMode::Shared).await;
        let status = app.node.statuses(&person("alice"), &drive().space).await.unwrap().remove(0).1;
        assert_eq!(status.connections.len(), 1, "the mode hides no grant");
        let seen = app.outcomes(AuditKind::ConnectorTampered).await.len();
        let report = app.node.disconnect(&person("alice"), &drive(), named).await.unwrap();
        assert_eq!((report.grants, report.queued), (1, 1));
        assert_eq!(app.outcomes(AuditKind::ConnectorTampered).await.len(), seen + 1);
        restore(&app, before).await;
        assert!(matches!(app.token("alice").await, Err(TokenError::AuthorizationRequired { .. })));
    }
}

/// Starts a flow of alice that another account completes. Returns the login hint and the outcome.
async fn reconnect(app: &TestApp, who: &str) -> (Option<String>, Outcome) {
    app.provider.set_account(Some(account(who)));
    let flow = app.start("alice", &drive()).await;
    let hint = app
        .provider
        .calls()
        .into_iter()
        .rev()
        .find_map(|call| if let Call::AuthorizationUrl { login_hint, .. } = call { Some(login_hint) } else { None });
    (hint.flatten(), app.complete(callback_of(&flow, "alice")).await.outcome)
}

#[tokio::test]
async fn r35_r76_an_account_label_that_was_changed_confirms_no_account_and_is_no_login_hint() {
    let mismatch = Outcome::Failed(FlowFailure::Code(FailureCode::AccountMismatch));
    let label = |who: &str| Some(account(who).label);
    for is_former in [true, false] {
        let app = TestApp::new().await;
        app.provider.set_account(Some(account("alice")));
        let id = app.connect("alice").await;
        app.provider.set_account(Some(account("mallory")));
        let other = app.record(app.connect("bob").await).await;
        if is_former {
            app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
            app.clock.advance(HOUR);
            assert!(app.token("alice").await.is_err());
        } else {
            let sealed = other.sealed.clone();
            app.tamper(AuthorizationRecord { sealed, ..app.record(id).await }).await;
        }
        let before = app.record(id).await;
        let changes = [
            AuthorizationRecord { account: label("mallory"), ..before.clone() },
            AuthorizationRecord { account: label("mallory"), account_tag: other.account_tag, ..before.clone() },
            AuthorizationRecord { account: label("mallory"), account_tag: None, ..before.clone() },
            AuthorizationRecord { account: None, ..before.clone() },
            AuthorizationRecord { account: None, account_tag: None, ..before.clone() },
        ];
        for changed in changes {
            app.tamper(changed).await;
            assert_eq!(reconnect(&app, "mallory").await, (None, mismatch), "{is_former}");
            assert_eq!(reconnect(&app, "alice").await, (None, mismatch), "{is_former}: the user is asked");
        }
        app.tamper(before).await;
        assert_eq!(reconnect(&app, "mallory").await, (label("alice"), mismatch), "{is_former}");
        assert_eq!(reconnect(&app, "alice").await, (label("alice"), Outcome::Connected), "{is_former}");
    }
}

#[tokio::test]
async fn a_connector_whose_row_was_changed_can_be_deleted_and_created_again() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    tamper(&app, &drive(), |connector| connector.tag = RowTag::NONE).await;
    assert_eq!(app.node.delete_connector(&person("ed"), &drive()).await, Ok(1));
    let created = app.create_connector(&drive(), draft("{}")).await;
    assert_ne!(created.connector.incarnation, Incarnation([0; 16]));
    app.connect("alice").await;
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test]
async fn r75_a_connector_whose_key_is_missing_is_not_used_until_the_key_is_available_again() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.vault.forget(PlainVault::FIRST_KEY);
    assert_eq!(app.token("alice").await, Err(REFUSED));
    assert_eq!(app.outcomes(AuditKind::ConnectorTampered).await, ["unknown_key"]);
    app.vault.restore(PlainVault::FIRST_KEY);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test]
async fn an_edit_tags_the_connector_with_the_write_key() {
    let app = TestApp::new().await;
    let second = KeyId(*b"key-0002");
    app.vault.rotate_to(second);
    app.connect("alice").await;
    assert_eq!(app.edit(draft("{}")).await, 0, "the grant is kept");
    assert_eq!(app.stored_connector(&drive()).await.tag.key_id(), second.0);
    app.vault.forget(PlainVault::FIRST_KEY);
    assert!(app.token("alice").await.is_ok());
}

//! Sealing and decrypting, with a vault without encryption and a mock of the store of client secrets.

use std::sync::Arc;

use grantry_domain::authorization::{
    Authorization, AuthorizationKey, AuthorizationRecord, FlowCookieHash, FlowSecrets, Input, Revision, StateHash,
    TerminationCause,
};
use grantry_domain::connector::{ConnectorId, Epoch, Incarnation};
use grantry_domain::ports::{
    AssociatedData, AuditOutcome, ClientSecretKey, ClientSecretRecord, MockConnectorStore, StoreError, VaultError,
};
use grantry_domain::provider::{BindingDigest, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::parts::{DecryptError, NoCredentials, Sealer};
use grantry_testkit::doubles::PlainVault;
use grantry_testkit::doubles::fixtures::{authorization, authorization_id, connection, space, user};

use super::TestParts;
use crate::common::{SECOND, text};

/// A sealer whose store must not be called.
fn sealer(parts: &TestParts) -> Sealer {
    Sealer::new(parts.vault.clone(), Arc::new(MockConnectorStore::new()), parts.vault.clone())
}

fn refused(sealer: &Sealer, record: &AuthorizationRecord) -> Option<DecryptError> {
    sealer.open_grant(&authorization(record)).err()
}

#[tokio::test]
async fn a_grant_is_decrypted_with_the_tokens_it_was_sealed_with() {
    let parts = TestParts::new().await;
    let (sealer, secrets) = (sealer(&parts), parts.secrets("alice").await);
    let record = parts.record(parts.owner("alice"), &secrets);
    let grant = authorization(&record);
    let opened = sealer.open_grant(&grant).ok().unwrap();
    assert_eq!((text(&opened.access_token), opened.expires_at), ("access-0".to_owned(), secrets.expires_at));
    assert_eq!((opened.account, opened.provider), (secrets.account.clone(), secrets.provider.clone()));
    assert!(sealer.decrypts(&grant));
    let tokens = sealer.seal_grant(&record.owner, record.id, &secrets).unwrap();
    assert_eq!((tokens.revision, tokens.refreshable), (Revision::FIRST, true));
    assert_eq!((tokens.account.as_deref(), tokens.expires_at), (Some("alice@provider.example"), secrets.expires_at));
    assert_eq!(tokens.scopes, Scopes::new(["read", "write"]));
}

#[tokio::test]
async fn r76_tokens_of_an_older_generation_are_stale() {
    let parts = TestParts::new().await;
    let sealer = sealer(&parts);
    let record = parts.record(parts.owner("alice"), &parts.secrets("alice").await);
    let next = AuthorizationRecord { revision: Revision(2), ..record.clone() };
    assert_eq!(refused(&sealer, &next), Some(DecryptError::Stale));
    assert_eq!(AuditOutcome::from(DecryptError::Stale), AuditOutcome::Stale);
    assert_eq!(refused(&sealer, &record), None);
    let other_epoch = grantry_domain::authorization::GrantSecrets { epoch: Epoch(7), ..parts.secrets("alice").await };
    assert_eq!(refused(&sealer, &parts.record(parts.owner("alice"), &other_epoch)), Some(DecryptError::Stale));
}

type Change = fn(AuthorizationKey) -> AuthorizationKey;

#[tokio::test]
async fn r76_an_envelope_that_was_moved_to_another_record_is_tampered() {
    let parts = TestParts::new().await;
    let sealer = sealer(&parts);
    let record = parts.record(parts.owner("alice"), &parts.secrets("alice").await);
    let changes: [(&str, Change); 6] = [
        ("space", |owner| AuthorizationKey { space: space("marketing"), ..owner }),
        ("connector", |owner| AuthorizationKey { connector: ConnectorId::new("other").unwrap(), ..owner }),
        ("incarnation", |owner| AuthorizationKey { incarnation: Incarnation([9; 16]), ..owner }),
        ("digest", |owner| AuthorizationKey { digest: grantry_domain::provider::BindingDigest([9; 32]), ..owner }),
        ("user", |owner| AuthorizationKey { user: user("bob"), ..owner }),
        ("connection", |owner| AuthorizationKey { connection: connection("work"), ..owner }),
    ];
    for (name, change) in changes {
        let moved = AuthorizationRecord { owner: change(record.owner.clone()), ..record.clone() };
        assert_eq!(refused(&sealer, &moved), Some(DecryptError::Vault(VaultError::Tampered)), "{name}");
    }
    let other_id = AuthorizationRecord { id: authorization_id(99), ..record.clone() };
    assert_eq!(refused(&sealer, &other_id), Some(DecryptError::Vault(VaultError::Tampered)));
    let sealed = record.sealed.clone().unwrap();
    let unclaimed = sealer.open_unclaimed(&record.owner, record.id, &sealed);
    assert_eq!(unclaimed.err(), Some(DecryptError::Vault(VaultError::Tampered)), "another type of record");
    assert_eq!(AuditOutcome::from(DecryptError::Vault(VaultError::Tampered)), AuditOutcome::Tampered);
}

#[tokio::test]
async fn r76_a_missing_key_is_distinguished_and_temporary() {
    let parts = TestParts::new().await;
    let sealer = sealer(&parts);
    let record = parts.record(parts.owner("alice"), &parts.secrets("alice").await);
    parts.vault.forget(PlainVault::FIRST_KEY);
    assert_eq!(refused(&sealer, &record), Some(DecryptError::Vault(VaultError::UnknownKey)));
    assert_eq!(AuditOutcome::from(DecryptError::Vault(VaultError::UnknownKey)), AuditOutcome::UnknownKey);
    assert!(!sealer.decrypts(&authorization(&record)));
    parts.vault.restore(PlainVault::FIRST_KEY);
    assert!(sealer.decrypts(&authorization(&record)));
}

#[tokio::test]
async fn a_former_grant_is_decrypted_while_its_revocation_is_pending() {
    let parts = TestParts::new().await;
    let sealer = sealer(&parts);
    let grant = authorization(&parts.record(parts.owner("alice"), &parts.secrets("alice").await));
    let end = |grant: Authorization, revoke| {
        grant.on(Input::Terminated { cause: TerminationCause::Disconnected, revoke }, parts.now()).unwrap()
    };
    assert!(sealer.decrypts(&end(grant.clone(), true)));
    assert_eq!(sealer.open_grant(&end(grant, false)).err(), Some(DecryptError::Stale), "its tokens are destroyed");
}

#[tokio::test]
async fn flow_secrets_and_unclaimed_tokens_are_decrypted_in_their_records() {
    let parts = TestParts::new().await;
    let (sealer, owner) = (sealer(&parts), parts.owner("alice"));
    let associated = |owner, state| AssociatedData::Flow { owner, state, flow_cookie_hash: FlowCookieHash([6; 32]) };
    let flow = associated(owner.clone(), StateHash([5; 32]));
    let secrets = FlowSecrets {
        verifier: Secret::from_text("verifier"),
        state: Secret::from_text("state"),
        nonce: Some("nonce".to_owned()),
        provider: parts.snapshot().await,
        requested_scopes: Scopes::new(["read"]),
        return_path: Some("/after".to_owned()),
        allow_account_change: false,
        select_account: false,
        deadline: parts.now().plus(SECOND),
        epoch: Epoch::FIRST,
    };
    let sealed = sealer.seal_flow(&flow, &secrets).unwrap();
    let opened = sealer.open_flow(&flow, &sealed).ok().unwrap();
    assert_eq!((text(&opened.verifier), opened.nonce.as_deref()), ("verifier".to_owned(), Some("nonce")));
    let work = AuthorizationKey { connection: connection("work"), ..owner.clone() };
    for other in [associated(work, StateHash([5; 32])), associated(owner.clone(), StateHash([7; 32]))] {
        assert_eq!(sealer.open_flow(&other, &sealed).err(), Some(DecryptError::Vault(VaultError::Tampered)));
    }
    let (id, tokens) = (authorization_id(3), parts.secrets("alice").await);
    let sealed = sealer.seal_unclaimed(&owner, id, &tokens.encode()).unwrap();
    assert_eq!(text(&sealer.open_unclaimed(&owner, id, &sealed).ok().unwrap().access_token), "access-0");
    assert!(sealer.open_unclaimed(&owner, authorization_id(4), &sealed).is_err());
}

/// A sealer whose store returns this client secret.
fn with_secret(parts: &TestParts, stored: Result<Option<ClientSecretRecord>, StoreError>) -> Sealer {
    let mut connectors = MockConnectorStore::new();
    let key = ClientSecretKey { incarnation: parts.connector.incarnation, epoch: Epoch::FIRST };
    connectors.expect_client_secret().withf(move |requested| *requested == key).times(1).return_once(move |_| stored);
    Sealer::new(parts.vault.clone(), Arc::new(connectors), parts.vault.clone())
}

#[tokio::test]
async fn r64_a_client_secret_is_decrypted_for_its_connector_epoch_and_configuration() {
    let parts = TestParts::new().await;
    let owner = parts.owner("alice");
    let credentials_of = async |sealer: Sealer, owner: &AuthorizationKey, needs_secret| {
        let credentials = sealer.client_of(owner, needs_secret).await;
        credentials.map(|client| client.secret.as_ref().map(text))
    };
    let credentials = async |sealer, needs_secret| credentials_of(sealer, &owner, needs_secret).await;
    assert_eq!(credentials(sealer(&parts), false).await, Ok(None), "a public client reads no secret");
    let stored = parts.client_secret();
    let found = credentials(with_secret(&parts, Ok(Some(stored.clone()))), true).await;
    assert_eq!(found, Ok(Some("client-secret-1".to_owned())));
    assert_eq!(credentials(with_secret(&parts, Ok(None)), true).await, Err(NoCredentials::Missing));
    let unavailable = credentials(with_secret(&parts, Err(StoreError::Unavailable)), true).await;
    assert_eq!(unavailable, Err(NoCredentials::Store(StoreError::Unavailable)));
    // What the request is made for decides, and not what the row contains.
    let others = [
        AuthorizationKey { connector: ConnectorId::new("other").unwrap(), ..owner.clone() },
        AuthorizationKey { space: space("marketing"), ..owner.clone() },
        AuthorizationKey { digest: BindingDigest([7; 32]), ..owner.clone() },
    ];
    for other in others {
        let (connector, digest) = (other.connector_key(), other.digest);
        for record in [stored.clone(), ClientSecretRecord { connector, digest, ..stored.clone() }] {
            let refused = credentials_of(with_secret(&parts, Ok(Some(record))), &other, true).await;
            assert_eq!(refused, Err(NoCredentials::Undecryptable), "{other:?}");
        }
    }
}

//! Refresh with the three kinds of rotation, revocation, client credentials, withdrawal.

use std::time::Duration;

use super::*;
use crate::provider::{GrantEnd, RefreshTokens, Rotation};

#[tokio::test]
async fn strict_rotation_ends_the_family_when_a_used_token_is_presented_again() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let second = tokens(&party.refresh(&first.refresh).await.unwrap());
    assert_ne!(first.refresh, second.refresh);
    assert!(party.provider.accepts_refresh_token(&second.refresh));

    assert_eq!(error(&party.refresh(&first.refresh).await.unwrap()), "invalid_grant");
    assert!(!party.provider.accepts_access_token(&second.access));
    assert_eq!(error(&party.refresh(&second.refresh).await.unwrap()), "invalid_grant");
    assert_eq!(party.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));
    assert_eq!(party.provider.ledger().refreshes_with(&first.refresh).len(), 2);
}

#[tokio::test]
async fn grace_accepts_a_used_token_for_its_period_and_not_longer() {
    let grace = Rotation::Grace(Duration::from_secs(30));
    let party = Party::with(MockProvider::builder().rotation(grace)).await;
    let first = party.connect("alice").await;
    let second = tokens(&party.refresh(&first.refresh).await.unwrap());
    let third = tokens(&party.refresh(&first.refresh).await.unwrap());
    assert!(party.provider.accepts_refresh_token(&second.refresh));
    assert!(party.provider.accepts_refresh_token(&third.refresh));

    party.provider.advance(Duration::from_secs(30));
    assert_eq!(error(&party.refresh(&first.refresh).await.unwrap()), "invalid_grant");
    assert!(!party.provider.accepts_refresh_token(&third.refresh));
}

#[tokio::test]
async fn without_rotation_the_first_token_stays_valid_and_is_never_sent_again() {
    let party = Party::with(MockProvider::builder().rotation(Rotation::None)).await;
    let first = party.connect("alice").await;
    for _ in 0..2 {
        let response = party.refresh(&first.refresh).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(json(&response).get("refresh_token"), None);
    }
}

#[tokio::test]
async fn refresh_may_narrow_the_scope_and_never_widen_it() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let wider = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh.as_str()),
        ("scope", "openid files.read files.write"),
    ];
    assert_eq!(error(&party.post("/token", &wider).await.unwrap()), "invalid_grant");
    let narrower = [wider[0], wider[1], ("scope", "openid")];
    assert_eq!(json(&party.post("/token", &narrower).await.unwrap())["scope"], "openid");
}

#[tokio::test]
async fn tokens_expire_on_command() {
    let lives = MockProvider::builder().access_ttl(Duration::from_mins(1)).refresh_ttl(Duration::from_hours(1));
    let party = Party::with(lives).await;
    let first = party.connect("alice").await;
    party.provider.expire_access_tokens();
    assert_eq!(party.get("/api/me", &first.access).await.status(), 401);
    let second = tokens(&party.refresh(&first.refresh).await.unwrap());
    assert_eq!(party.get("/api/me", &second.access).await.status(), 200);
    party.provider.advance(Duration::from_hours(1));
    assert_eq!(error(&party.refresh(&second.refresh).await.unwrap()), "invalid_grant");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_grant_and_an_access_token_only_itself() {
    let party = Party::new().await;
    let (alice, bob) = (party.connect("alice").await, party.connect("bob").await);

    let form = [("token", alice.refresh.as_str()), ("token_type_hint", "refresh_token")];
    assert_eq!(party.post("/revoke", &form).await.unwrap().status(), 200);
    assert!(!party.provider.accepts_access_token(&alice.access));
    assert_eq!(error(&party.refresh(&alice.refresh).await.unwrap()), "invalid_grant");

    party.post("/revoke", &[("token", &bob.access)]).await.unwrap();
    assert!(!party.provider.accepts_access_token(&bob.access));
    assert!(party.provider.accepts_refresh_token(&bob.refresh));

    let ends: Vec<_> = party.provider.grants().iter().map(|grant| grant.ended).collect();
    assert_eq!(ends, [Some(GrantEnd::Revoked), None]);
    let ledger = party.provider.ledger();
    assert_eq!(ledger.revocations()[0].param("token_type_hint"), Some("refresh_token"));
}

#[tokio::test]
async fn revoking_an_unknown_token_succeeds_and_a_foreign_one_is_refused() {
    let party = Party::new().await;
    assert_eq!(party.post("/revoke", &[("token", "unknown")]).await.unwrap().status(), 200);
    let alice = party.connect("alice").await;
    party.provider.register(Client::new("other", "s"));
    let form = [("client_id", "other"), ("client_secret", "s"), ("token", &alice.refresh)];
    assert_eq!(party.post_as("/revoke", &[], &form).await.unwrap().status(), 400);
    assert!(party.provider.accepts_refresh_token(&alice.refresh));
}

#[tokio::test]
async fn a_refresh_token_is_useless_to_another_client() {
    let party = Party::new().await;
    let alice = party.connect("alice").await;
    party.provider.register(Client::new("other", "s"));
    let form =
        [("client_id", "other"), ("client_secret", "s"), ("grant_type", "refresh_token"), ("refresh_token", &alice.refresh)];
    let response = party.post_as("/token", &[], &form).await.unwrap();
    assert_eq!(error(&response), "invalid_grant");
    assert!(party.provider.accepts_refresh_token(&alice.refresh));
}

#[tokio::test]
async fn a_client_credentials_token_has_no_user_and_cannot_be_refreshed() {
    let party = Party::new().await;
    let form = [("grant_type", "client_credentials"), ("scope", "files.read")];
    let response = party.post("/token", &form).await.unwrap();
    assert_eq!(json(&response).get("refresh_token"), None);
    let me = json(&party.get("/api/me", &tokens(&response).access).await);
    assert_eq!(me["user"], Value::Null);
    assert_eq!(me["client_id"], "demo");
    assert_eq!(party.get("/userinfo", &tokens(&response).access).await.status(), 401);
}

#[tokio::test]
async fn refresh_tokens_can_be_limited_to_offline_access() {
    let rule = MockProvider::builder().refresh_tokens(RefreshTokens::OfflineAccess);
    let party = Party::with(rule).await;
    assert_eq!(party.connect("alice").await.refresh, "");
    let code = party.code_of("alice", &[("scope", "files.read offline_access")]).await;
    assert_ne!(tokens(&party.exchange(&code).await).refresh, "");
}

#[tokio::test]
async fn a_user_can_withdraw_access_without_the_client() {
    let party = Party::new().await;
    let (alice, bob) = (party.connect("alice").await, party.connect("bob").await);
    party.provider.withdraw("alice");
    assert_eq!(error(&party.refresh(&alice.refresh).await.unwrap()), "invalid_grant");
    assert_eq!(party.refresh(&bob.refresh).await.unwrap().status(), 200);
}

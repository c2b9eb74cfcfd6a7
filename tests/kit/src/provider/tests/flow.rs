//! Authorization requests, consent, codes, pushed requests, ID tokens, metadata.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::provider::{ClientAuth, Pkce, RedirectMatching, ScriptedUser, ScriptedUserError};

#[tokio::test]
async fn alice_connects_and_the_api_returns_the_user_of_the_token() {
    let party = Party::new().await;
    let callback = party.provider.approve(&party.authorization_url(&[]), "alice").await.unwrap();
    assert!(callback.as_str().starts_with(CALLBACK));
    assert_eq!(query(&callback, "state").as_deref(), Some("a-state"));
    assert_eq!(query(&callback, "iss").as_deref(), Some(party.provider.base_url()));

    let response = party.exchange(&query(&callback, "code").unwrap()).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(json(&response)["token_type"], "Bearer");
    assert_eq!(json(&response)["expires_in"], 300);
    assert_eq!(json(&response)["scope"], "openid files.read");
    let tokens = tokens(&response);
    assert_eq!(party.user_of(&tokens.access).await.as_deref(), Some("alice@example.test"));
    assert_eq!(json(&party.get("/userinfo", &tokens.access).await)["sub"], "sub-alice");

    let ledger = party.provider.ledger();
    assert_eq!(ledger.exchanges().len(), 1);
    let owner = ledger.api_calls()[0].subject.clone().expect("the API accepted the token");
    assert_eq!(owner.username.as_deref(), Some("alice"));
    assert_eq!(ledger.authorization_requests()[0].param("scope"), Some("openid files.read"));
}

#[tokio::test]
async fn echo_returns_the_request_without_the_token() {
    let party = Party::new().await;
    let token = party.connect("alice").await.access;
    let response = party.get("/api/echo/files/7?page=2&page=3", &token).await;
    assert_eq!(json(&response)["path"], "/api/echo/files/7");
    assert_eq!(json(&response)["query"], serde_json::json!([["page", "2"], ["page", "3"]]));
    assert!(!String::from_utf8_lossy(response.body()).contains(&token));
}

#[tokio::test]
async fn a_denied_consent_redirects_with_access_denied() {
    let party = Party::new().await;
    let callback = party.provider.deny(&party.authorization_url(&[]), "bob").await.unwrap();
    assert_eq!(query(&callback, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&callback, "state").as_deref(), Some("a-state"));
    assert_eq!(query(&callback, "iss").as_deref(), Some(party.provider.base_url()));
    assert_eq!(query(&callback, "code"), None);
}

#[tokio::test]
async fn the_consent_page_can_narrow_the_scope() {
    let party = Party::new().await;
    let careful = ScriptedUser::new("alice", "alice-pw").granting(["openid"]);
    let callback = careful.approve(&party.authorization_url(&[])).await.unwrap();
    let response = party.exchange(&query(&callback, "code").unwrap()).await;
    assert_eq!(json(&response)["scope"], "openid");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let party = Party::new().await;
    let stranger = ScriptedUser::new("alice", "guess");
    let refused = stranger.approve(&party.authorization_url(&[])).await;
    assert_eq!(refused, Err(ScriptedUserError::LogInRefused));
}

#[tokio::test]
async fn missing_plain_and_malformed_pkce_is_refused() {
    let party = Party::new().await;
    // As long as an S256 challenge, so that only the method distinguishes it.
    let plain = &VERIFIER[..43];
    for changes in [
        [("code_challenge", ""), ("code_challenge_method", "")],
        [("code_challenge", ""), ("code_challenge_method", "S256")],
        [("code_challenge", plain), ("code_challenge_method", "plain")],
        [("code_challenge", plain), ("code_challenge_method", "")],
        [("code_challenge", "short"), ("code_challenge_method", "S256")],
    ] {
        let callback = party.provider.approve(&party.authorization_url(&changes), "alice").await.unwrap();
        assert_eq!(query(&callback, "error").as_deref(), Some("invalid_request"), "{changes:?}");
        assert_eq!(query(&callback, "code"), None, "{changes:?}");
    }
}

#[tokio::test]
async fn optional_pkce_still_refuses_plain() {
    let party = Party::with(MockProvider::builder().pkce(Pkce::Optional)).await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let callback = party.provider.approve(&party.authorization_url(&without), "alice").await.unwrap();
    assert!(query(&callback, "code").is_some());
    let plain = [("code_challenge", &VERIFIER[..43]), ("code_challenge_method", "plain")];
    let callback = party.provider.approve(&party.authorization_url(&plain), "alice").await.unwrap();
    assert_eq!(query(&callback, "error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_gets_no_token() {
    let party = Party::new().await;
    for verifier in ["another-verifier-of-forty-three-characters-x", ""] {
        let code = party.code_of("alice", &[]).await;
        let form =
            [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", verifier)];
        assert_eq!(error(&party.post("/token", &form).await.unwrap()), "invalid_grant");
    }
    assert!(party.provider.grants().is_empty());
}

#[tokio::test]
async fn redirect_uris_are_compared_by_exact_string() {
    let party = Party::new().await;
    for uri in ["http://127.0.0.1:9/callback/", "http://127.0.0.1:9/Callback", "http://localhost:9/callback"] {
        let url = party.authorization_url(&[("redirect_uri", uri)]);
        let stuck = party.provider.approve(&url, "alice").await;
        assert_eq!(stuck, Err(ScriptedUserError::Stuck(400)), "{uri}");
    }
    let code = party.code_of("alice", &[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:9/other"),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(error(&party.post("/token", &form).await.unwrap()), "invalid_grant");
}

#[tokio::test]
async fn redirect_uris_are_compared_as_the_client_is_set() {
    use RedirectMatching::{Exact, Prefix, SubPath, Wildcard};
    let registered = "http://127.0.0.1:9/a/callback";
    let cases = [
        (registered, "", vec![Exact, SubPath, Prefix, Wildcard]),
        (registered, "/own", vec![SubPath, Prefix]),
        (registered, "/own/..", vec![SubPath, Prefix]),
        (registered, "?own=1", vec![SubPath, Prefix]),
        (registered, "_own", vec![Prefix]),
        (registered, "/../own", vec![]),
        (registered, "/x/%2e%2e/../own", vec![]),
        ("http://127.0.0.1:9/a/callback*", "/own", vec![Wildcard]),
        ("http://127.0.0.1:9/a/callback*", "", vec![Wildcard]),
        ("http://127.0.0.1:9/*/callback", "", vec![Wildcard]),
        ("http://127.0.0.1:9/a/callback*", "/../own", vec![]),
    ];
    let provider = MockProvider::builder().start().await.unwrap();
    for (pattern, rest, accepted) in cases {
        for matching in RedirectMatching::ALL {
            provider.register(Client::new("demo", "demo-secret").redirect_uri(pattern).redirect_matching(matching));
            let uri = format!("{registered}{rest}");
            let mut url = Url::parse(&provider.url("/authorize")).unwrap();
            url.query_pairs_mut().extend_pairs([
                ("response_type", "code"),
                ("client_id", "demo"),
                ("redirect_uri", &uri),
                ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
                ("code_challenge_method", "S256"),
            ]);
            let is_accepted = provider.approve(url.as_str(), "alice").await.is_ok();
            assert_eq!(is_accepted, accepted.contains(&matching), "{matching:?} of {pattern} for {uri}");
        }
    }
}

#[tokio::test]
async fn a_code_works_once_and_its_reuse_ends_the_grant() {
    let party = Party::new().await;
    let code = party.code_of("alice", &[]).await;
    let tokens = tokens(&party.exchange(&code).await);
    assert!(party.provider.accepts_access_token(&tokens.access));
    assert_eq!(error(&party.exchange(&code).await), "invalid_grant");
    assert!(!party.provider.accepts_access_token(&tokens.access));
    assert!(!party.provider.accepts_refresh_token(&tokens.refresh));
}

#[tokio::test]
async fn a_code_expires() {
    let party = Party::new().await;
    let code = party.code_of("alice", &[]).await;
    party.provider.advance(std::time::Duration::from_secs(61));
    assert_eq!(error(&party.exchange(&code).await), "invalid_grant");
}

#[tokio::test]
async fn clients_authenticate_only_by_their_registered_method() {
    let party = Party::new().await;
    party.provider.register(Client::new("basic", "s").auth(ClientAuth::Basic));
    party.provider.register(Client::new("post", "s").auth(ClientAuth::Post));
    let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let grant = ("grant_type", "client_credentials");
    for (id, secret, in_header, status) in [
        ("basic", "s", true, 200),
        ("basic", "s", false, 401),
        ("post", "s", false, 200),
        ("post", "s", true, 401),
        ("demo", "demo-secret", true, 200),
        ("demo", "demo-secret", false, 200),
        ("demo", "wrong", true, 401),
        ("nobody", "s", true, 401),
    ] {
        let header = basic(id, secret);
        let response = if in_header {
            party.post_as("/token", &[("authorization", &header)], &[grant]).await
        } else {
            let form = [grant, ("client_id", id), ("client_secret", secret)];
            party.post_as("/token", &[], &form).await
        };
        assert_eq!(response.unwrap().status(), status, "{id} {secret} {in_header}");
    }
}

#[tokio::test]
async fn a_pushed_request_works_once() {
    let party = Party::with(MockProvider::builder().require_par(true)).await;
    let plain = party.provider.approve(&party.authorization_url(&[]), "alice").await.unwrap();
    assert_eq!(query(&plain, "error").as_deref(), Some("invalid_request"));

    let url = Url::parse(&party.authorization_url(&[])).unwrap();
    let params: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let response = party.post("/par", &params).await.unwrap();
    assert_eq!(response.status(), 201);
    let pushed = json(&response)["request_uri"].as_str().unwrap().to_owned();
    let url = Url::parse_with_params(&party.provider.url("/authorize"), [("client_id", "demo"), ("request_uri", &pushed)]);
    let url = String::from(url.unwrap());
    let callback = party.provider.approve(&url, "alice").await.unwrap();
    assert_eq!(party.exchange(&query(&callback, "code").unwrap()).await.status(), 200);
    let again = party.provider.approve(&url, "alice").await;
    assert_eq!(again, Err(ScriptedUserError::Stuck(400)));
}

#[tokio::test]
async fn a_pushed_request_belongs_to_the_client_that_pushed_it() {
    let party = Party::new().await;
    party.provider.register(Client::new("other", "s").redirect_uri(CALLBACK));
    let challenge = s256(VERIFIER);
    let form = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let response = json(&party.post("/par", &form).await.unwrap());
    let pushed = response["request_uri"].as_str().unwrap();
    let query = [("client_id", "other"), ("request_uri", pushed)];
    let url = Url::parse_with_params(&party.provider.url("/authorize"), query).unwrap();
    let stuck = party.provider.approve(url.as_str(), "alice").await;
    assert_eq!(stuck, Err(ScriptedUserError::Stuck(400)));
}

#[tokio::test]
async fn the_id_token_contains_user_client_and_nonce_and_its_signature_is_valid() {
    let party = Party::new().await;
    let code = party.code_of("alice", &[("nonce", "n-1")]).await;
    let token = json(&party.exchange(&code).await)["id_token"].as_str().unwrap().to_owned();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let part = |at: usize| -> Value { serde_json::from_slice(&decode(signed.split('.').nth(at).unwrap())).unwrap() };
    let claims = part(1);
    assert_eq!(claims["iss"], party.provider.base_url());
    assert_eq!(claims["sub"], "sub-alice");
    assert_eq!(claims["aud"], "demo");
    assert_eq!(claims["nonce"], "n-1");

    let keys = json(&party.get("/jwks", "").await);
    assert_eq!(part(0)["kid"], keys["keys"][0]["kid"]);
    let coordinate = |name: &str| decode(keys["keys"][0][name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature))
        .expect("the published key verifies the token");
}

#[tokio::test]
async fn without_openid_there_is_no_id_token() {
    let party = Party::new().await;
    let code = party.code_of("alice", &[("scope", "files.read")]).await;
    assert_eq!(json(&party.exchange(&code).await).get("id_token"), None);
}

#[tokio::test]
async fn both_metadata_documents_name_the_same_endpoints() {
    let party = Party::with(MockProvider::builder().announce_iss(false)).await;
    let oauth = json(&party.get("/.well-known/oauth-authorization-server", "").await);
    let openid = json(&party.get("/.well-known/openid-configuration", "").await);
    assert_eq!(oauth, openid);
    assert_eq!(oauth["issuer"], party.provider.base_url());
    assert_eq!(oauth["token_endpoint"], party.provider.url("/token"));
    assert_eq!(oauth["authorization_response_iss_parameter_supported"], false);
    let callback = party.provider.deny(&party.authorization_url(&[]), "bob").await.unwrap();
    assert_eq!(query(&callback, "iss"), None);
}

//! Both real authorization servers start, serve their metadata, and log users in.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use grantry_system_tests::authorization_server::{Consent, Kind, RealServer, RealServerError};
use serde_json::Value;
use url::Url;

const CALLBACK: &str = "http://127.0.0.1:9/callback";
/// Verifier and challenge of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn authorization_url(server: &RealServer) -> String {
    let mut url = Url::parse(&server.endpoint("authorize")).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "demo")
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("scope", server.scope())
        .append_pair("state", "a-state")
        .append_pair("code_challenge", CHALLENGE)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(server.extra_parameters());
    url.into()
}

fn query(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn json(request: reqwest::RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

async fn check_server(kind: Kind) {
    let mut server = RealServer::start(kind, CALLBACK, &[]).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();

    let metadata = json(http.get(server.endpoint("metadata"))).await;
    assert_eq!(metadata["issuer"].as_str().unwrap().trim_end_matches('/'), server.issuer());
    assert_eq!(metadata["token_endpoint"], server.endpoint("token"));

    let callback = server.login(&authorization_url(&server), "alice", Consent::Allow).await.unwrap();
    assert!(callback.starts_with(CALLBACK), "{callback}");
    assert_eq!(query(&callback, "state").as_deref(), Some("a-state"));
    assert_eq!(query(&callback, "iss").as_deref(), metadata["issuer"].as_str());
    let code = query(&callback, "code").expect("the callback has a code");
    let form =
        [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    let exchange = http.post(server.endpoint("token")).basic_auth("demo", Some("demo-secret"));
    let tokens = json(exchange.form(&form)).await;
    assert!(tokens["refresh_token"].is_string(), "{kind:?} issues a refresh token");
    let access = tokens["access_token"].as_str().expect("an access token");
    let user = json(http.get(server.endpoint("userinfo")).bearer_auth(access)).await;
    assert_eq!(user["sub"], "alice");

    let callback = server.login(&authorization_url(&server), "bob", Consent::Deny).await.unwrap();
    assert_eq!(query(&callback, "error").as_deref(), Some("access_denied"));

    let before = server.port();
    server.restart().await.unwrap();
    assert_eq!(server.port(), before);
    let user = http.get(server.endpoint("userinfo")).bearer_auth(access).send().await.unwrap();
    assert_eq!(user.status().is_success(), kind == Kind::Canaille, "only canaille keeps tokens over a restart");

    server.end().await;
    assert!(http.get(server.endpoint("metadata")).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn oidc_provider_logs_alice_in() {
    check_server(Kind::OidcProvider).await;
}

#[tokio::test]
async fn canaille_logs_alice_in() {
    check_server(Kind::Canaille).await;
}

#[tokio::test]
async fn an_unknown_user_is_distinguished_from_a_failing_server() {
    let server = RealServer::start(Kind::OidcProvider, CALLBACK, &[]).await.unwrap();
    let refused = server.login(&authorization_url(&server), "mallory", Consent::Allow).await;
    let Err(RealServerError::LogIn(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("wrong user or password"), "{reason}");
}

#[tokio::test]
async fn the_error_of_a_failed_start_contains_the_output() {
    let wrong = [("NODE_OPTIONS", "--no-such-option")];
    let failed = RealServer::start(Kind::OidcProvider, CALLBACK, &wrong).await.unwrap_err();
    assert!(failed.to_string().contains("--no-such-option"), "{failed}");
}

//! ID tokens and userinfo.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, AuthorizationServer as _, Identified, Lifetime, ProviderError, ProviderErrorKind,
    ProviderOperation, TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSnapshot};
use grantry_domain::secret::Secret;

use super::{BY_HAND, by_hand};
use crate::TransportError;
use crate::fake_transport::{NOW, TestServer, client};

const ISSUER: &str = "https://as.example";

/// The signing key of an issuer.
struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap())
    }

    fn jwks(&self, id: &str) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        format!(
            r#"{{"keys":[{{"kty":"XYZ"}},{{"kty":"oct","k":"AAAA","alg":"HS256"}},
                {{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{id}","x":"{x}","y":"{y}"}}]}}"#
        )
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k1"}"#;

fn claims() -> String {
    let expires = NOW + 300;
    format!(
        r#"{{"iss":"{ISSUER}","aud":"client-1","sub":"sub-1","exp":{expires},"nonce":"n-1","email":"alice@example.test"}}"#
    )
}

fn token_response(id_token: Option<&str>) -> TokenResponse {
    TokenResponse {
        access_token: Secret::from_text("at-1"),
        token_type: "Bearer".to_owned(),
        refresh_token: None,
        lifetime: Lifetime::Unknown,
        refresh_lifetime: Lifetime::Unknown,
        scopes: None,
        id_token: id_token.map(Secret::from_text),
        account: None,
        api_base: None,
        anomalies: Vec::new(),
    }
}

/// A provider with a known issuer, with or without published keys.
async fn provider(test: &TestServer, with_keys: bool) -> ProviderSnapshot {
    let mut provider = test.provider(".oauth2", &by_hand(r#""issuer":"https://as.example""#)).await;
    provider.endpoints.jwks = with_keys.then(|| "https://as.example/jwks".to_owned());
    provider
}

async fn identified(
    test: &TestServer,
    provider: &ProviderSnapshot,
    id_token: Option<&str>,
) -> Result<Option<Account>, ProviderErrorKind> {
    identified_with(test, provider, id_token).await.map(|identified| identified.account)
}

async fn identified_with(
    test: &TestServer,
    provider: &ProviderSnapshot,
    id_token: Option<&str>,
) -> Result<Identified, ProviderErrorKind> {
    test.server
        .identify(provider, &client(), &token_response(id_token), Some("n-1".to_owned()))
        .await
        .map_err(|error| error.kind)
}

/// Checks that an ID token gives no account, an anomaly of this kind, and no error.
async fn assert_unused(test: &TestServer, provider: &ProviderSnapshot, token: &str, kind: AnomalyKind) {
    let mut provider = provider.clone();
    provider.endpoints.userinfo = None;
    let identified = identified_with(test, &provider, Some(token)).await;
    let anomalies = vec![Anomaly::new("id_token", kind)];
    assert_eq!(identified, Ok(Identified { anomalies, ..Identified::default() }), "{token}");
}

/// Checks that an ID token whose keys are not available gives no account and an anomaly. Returns the reason.
async fn without_keys(test: &TestServer, provider: &ProviderSnapshot, token: &str) -> ProviderError {
    let mut provider = provider.clone();
    provider.endpoints.userinfo = None;
    let identified = identified_with(test, &provider, Some(token)).await.unwrap();
    let anomalies = vec![Anomaly::new("id_token", AnomalyKind::KeysUnavailable)];
    assert_eq!((identified.account, identified.anomalies), (None, anomalies));
    let failure = identified.failure.unwrap();
    let diagnosis = &failure.diagnosis;
    assert_eq!(diagnosis.operation, Some(ProviderOperation::Userinfo));
    assert_eq!(diagnosis.endpoint_host.as_deref(), Some("as.example"));
    failure
}

fn unsigned(header: &str) -> String {
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims()))
}

fn alice() -> Account {
    Account { subject: "sub-1".to_owned(), label: "alice@example.test".to_owned() }
}

#[tokio::test]
async fn r35_a_valid_id_token_identifies_the_account() {
    let (test, key) = (TestServer::new(), Key::new());
    let provider = provider(&test, true).await;
    test.transport.respond(200, key.jwks("k1"));
    let token = key.sign(HEADER, &claims());
    assert_eq!(identified(&test, &provider, Some(&token)).await, Ok(Some(alice())));
    assert_eq!(identified(&test, &provider, Some(&token)).await, Ok(Some(alice())));
    assert_eq!(test.transport.sent().len(), 1, "keys are cached and userinfo is not requested");
    assert!(test.transport.last().authorization.is_none());
}

#[tokio::test]
async fn r35_an_id_token_with_a_wrong_claim_is_refused() {
    let key = Key::new();
    let late = format!("\"exp\":{}", NOW - 61);
    for (from, to) in [
        (r#""iss":"https://as.example""#, r#""iss":"https://as.example/""#),
        (r#""aud":"client-1""#, r#""aud":"client-2""#),
        (r#""aud":"client-1""#, r#""aud":["client-2","client-3"]"#),
        (r#""aud":"client-1""#, r#""aud":["client-1","client-2"],"azp":"client-2""#),
        (r#""aud":"client-1""#, r#""aud":"client-1","azp":"client-2""#),
        (r#""nonce":"n-1""#, r#""nonce":"n-2""#),
        (r#""nonce":"n-1","#, ""),
        (&format!("\"exp\":{}", NOW + 300), &late),
        (&format!("\"exp\":{}", NOW + 300), "\"exp\":-1.9e9"),
    ] {
        let test = TestServer::new();
        let provider = provider(&test, false).await;
        let changed = claims().replacen(from, to, 1);
        assert_ne!(changed, claims(), "{from}");
        for header in [HEADER, r#"{"alg":"HS256"}"#] {
            let token = key.sign(header, &changed);
            assert_eq!(identified(&test, &provider, Some(&token)).await, Err(ProviderErrorKind::Malformed), "{to}");
        }
    }
    let test = TestServer::new();
    let provider = provider(&test, false).await;
    let shared = claims().replace(r#""aud":"client-1""#, r#""aud":["client-1","client-2"],"azp":"client-1""#);
    assert_eq!(identified(&test, &provider, Some(&key.sign(HEADER, &shared))).await, Ok(Some(alice())));
}

#[tokio::test]
async fn r35_an_id_token_that_cannot_be_read_identifies_no_account() {
    let key = Key::new();
    let expires = format!("\"exp\":{}", NOW + 300);
    for (from, to) in [
        (r#""iss":"https://as.example","#, ""),
        (r#""aud":"client-1","#, ""),
        (r#""aud":"client-1""#, r#""aud":[]"#),
        (r#""aud":"client-1""#, r#""aud":["client-1","client-2"]"#),
        (r#""aud":"client-1""#, r#""aud":["client-1",7]"#),
        (r#""aud":"client-1""#, r#""aud":["client-2",{}]"#),
        (r#""aud":"client-1""#, r#""aud":7"#),
        (r#""aud":"client-1""#, r#""aud":"client-1","azp":7"#),
        (r#""aud":"client-1""#, r#""aud":["client-1","client-2"],"azp":["client-1"]"#),
        (&expires, "\"exp\":\"soon\""),
        (&format!("{expires},"), ""),
        (r#""sub":"sub-1""#, r#""sub":"sub-1","sub":"sub-2""#),
        (r#""sub":"sub-1""#, r#""sub":"sub-1","x":1,"x":1"#),
        ("}", ""),
    ] {
        let test = TestServer::new();
        let provider = provider(&test, false).await;
        let changed = claims().replacen(from, to, 1);
        assert_ne!(changed, claims(), "{from}");
        assert_unused(&test, &provider, &key.sign(HEADER, &changed), AnomalyKind::NotReadable).await;
    }
    let good = key.sign(HEADER, &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for token in [
        key.sign(r#"{"alg":"ES256","alg":"ES256"}"#, &claims()),
        key.sign(r#"{"alg":"ES256","x":1,"x":2}"#, &claims()),
        key.sign(r#"{"alg":7}"#, &claims()),
        key.sign("[]", &claims()),
        format!("{good}.x"),
        format!("={good}"),
        signed.to_owned(),
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c.d.e".to_owned(),
    ] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        assert_unused(&test, &provider, &token, AnomalyKind::NotReadable).await;
    }
}

#[tokio::test]
async fn r35_the_signature_is_verified_if_the_issuer_publishes_keys() {
    let (issuer, other) = (Key::new(), Key::new());
    let good = issuer.sign(HEADER, &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let bad_signature = ["AAAA", "="].map(|signature| format!("{signed}.{signature}"));
    for token in [other.sign(HEADER, &claims()), unsigned(HEADER)].into_iter().chain(bad_signature) {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.respond(200, issuer.jwks("k1"));
        assert_eq!(identified(&test, &provider, Some(&token)).await, Err(ProviderErrorKind::Malformed), "{token}");
    }
    for header in [r#"{"alg":"ES256","kid":"k2"}"#, r#"{"alg":"ES384","kid":"k1"}"#, r#"{"alg":"RS256","kid":"k1"}"#] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.respond(200, issuer.jwks("k1"));
        assert_unused(&test, &provider, &issuer.sign(header, &claims()), AnomalyKind::Unverified).await;
    }
}

#[tokio::test]
async fn r35_without_a_key_set_an_announced_key_verifies_nothing() {
    let key = Key::new();
    let token = key.sign(HEADER, &claims());
    let twice = format!(r#"{{"keys":[],{}"#, &key.jwks("k1")[1..]);
    let throttled = ProviderErrorKind::Throttled { retry_after: None, unprocessed: true };
    for (status, body, kind) in [
        (404, key.jwks("k1"), ProviderErrorKind::Refused),
        (503, String::new(), ProviderErrorKind::NoResponse),
        (429, String::new(), throttled),
        (302, String::new(), ProviderErrorKind::Malformed),
        (200, "<html>".to_owned(), ProviderErrorKind::Malformed),
        (200, "{}".to_owned(), ProviderErrorKind::Malformed),
        (200, r#"{"keys":{}}"#.to_owned(), ProviderErrorKind::Malformed),
        (200, twice, ProviderErrorKind::Malformed),
    ] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.respond(status, body);
        let failure = without_keys(&test, &provider, &token).await;
        assert_eq!((failure.kind, failure.diagnosis.http_status), (kind, Some(status)));
        let has_hint = failure.diagnosis.problem.is_some();
        assert_eq!(has_hint, matches!(kind, ProviderErrorKind::Refused | ProviderErrorKind::Malformed), "{status}");
    }
    let test = TestServer::new();
    let announced = provider(&test, true).await;
    test.transport.respond(200, r#"{"keys":[]}"#);
    assert_unused(&test, &announced, &token, AnomalyKind::Unverified).await;
    let mut elsewhere = announced.clone();
    elsewhere.endpoints.jwks = Some("http://as.example/jwks".to_owned());
    let failure = without_keys(&test, &elsewhere, &token).await;
    assert_eq!((failure.kind, failure.diagnosis.problem.is_some()), (ProviderErrorKind::NotAllowed, true), "egress policy");
    for error in [TransportError::Cut, TransportError::NotSent, TransportError::NotAllowed, TransportError::TooLarge] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.fail(error);
        assert_eq!(without_keys(&test, &provider, &token).await.kind, ProviderError::from(error).kind);
        test.transport.respond(200, key.jwks("k1"));
        assert_eq!(identified(&test, &provider, Some(&token)).await, Ok(Some(alice())), "a failure is not cached");
    }
}

#[tokio::test]
async fn r35_none_and_shared_keys_identify_no_account() {
    let (test, key) = (TestServer::new(), Key::new());
    for with_keys in [false, true] {
        let provider = provider(&test, with_keys).await;
        for alg in ["none", "None", "HS256", "HS512", "ES256K", ""] {
            let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
            for token in [key.sign(&header, &claims()), unsigned(&header)] {
                assert_unused(&test, &provider, &token, AnomalyKind::Unsupported).await;
            }
        }
        for header in [r#"{"kid":"k1"}"#, r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#] {
            assert_unused(&test, &provider, &key.sign(header, &claims()), AnomalyKind::Unsupported).await;
        }
    }
    assert!(test.transport.sent().is_empty());
    test.transport.respond(200, r#"{"sub":"sub-2","email":"bob@example.test"}"#);
    let identified = identified(&test, &provider(&test, true).await, Some(&unsigned(r#"{"alg":"none"}"#))).await;
    assert_eq!(identified.unwrap().unwrap().subject, "sub-2", "userinfo identifies the account");
}

/// Also under the key id of the old one, and for tokens without a key id.
#[tokio::test]
async fn r35_after_a_change_of_keys_the_cached_ones_are_fetched_again() {
    for (header, id) in [(r#"{"alg":"ES256","kid":"k2"}"#, "k2"), (HEADER, "k1"), (r#"{"alg":"ES256"}"#, "k1")] {
        let (test, old, new) = (TestServer::new(), Key::new(), Key::new());
        let provider = provider(&test, true).await;
        test.transport.respond(200, old.jwks("k1")).respond(200, new.jwks(id));
        let before = old.sign(HEADER, &claims());
        assert_eq!(identified(&test, &provider, Some(&before)).await, Ok(Some(alice())));
        let after = new.sign(header, &claims());
        assert_eq!(identified(&test, &provider, Some(&after)).await, Ok(Some(alice())), "{header}");
        assert_eq!(test.transport.sent().len(), 2);
        test.transport.respond(200, new.jwks(id));
        let forged = Key::new().sign(header, &claims());
        assert_eq!(identified(&test, &provider, Some(&forged)).await, Err(ProviderErrorKind::Malformed), "{header}");
        assert_eq!(test.transport.sent().len(), 3, "one request more, and no other");
    }
}

#[tokio::test]
async fn r35_a_key_that_cannot_verify_anything_proves_nothing() {
    let (issuer, other) = (Key::new(), Key::new());
    let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let point = URL_SAFE_NO_PAD.encode([1; 32]);
    let ed = URL_SAFE_NO_PAD.encode([1; 31]);
    for (alg, key) in [
        ("RS256", format!(r#"{{"kty":"RSA","n":"{short}","e":"AQAB"}}"#)),
        ("RS256", r#"{"kty":"RSA","e":"AQAB"}"#.to_owned()),
        ("RS256", r#"{"kty":"RSA","n":"?","e":"AQAB"}"#.to_owned()),
        ("ES256", format!(r#"{{"kty":"EC","crv":"P-256","x":"{point}","y":"{point}"}}"#)),
        ("ES256", r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#.to_owned()),
        ("ES384", format!(r#"{{"kty":"EC","crv":"P-384","x":"{point}","y":"{point}"}}"#)),
        ("EdDSA", format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ed}"}}"#)),
    ] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.respond(200, format!(r#"{{"keys":[{key}]}}"#));
        let token = issuer.sign(&format!(r#"{{"alg":"{alg}"}}"#), &claims());
        assert_unused(&test, &provider, &token, AnomalyKind::Unverified).await;
    }
    let broken = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{point}","y":"{point}"}},"#);
    let both = broken + &other.jwks("k1")[r#"{"keys":["#.len()..];
    let test = TestServer::new();
    let provider = provider(&test, true).await;
    test.transport.respond(200, both.clone()).respond(200, both);
    let header = r#"{"alg":"ES256"}"#;
    assert_unused(&test, &provider, &issuer.sign(header, &claims()), AnomalyKind::Unverified).await;
    let good = other.sign(header, &claims());
    assert_eq!(identified(&test, &provider, Some(&good)).await, Ok(Some(alice())), "by the other key");
}

#[tokio::test]
async fn r35_the_expiry_is_read_in_every_form_of_a_number() {
    let key = Key::new();
    for expires in ["1.9e9", "1900000000.5", "1.9E+9", "\"1900000000\"", "1e400", "99999999999999999999"] {
        let test = TestServer::new();
        let provider = provider(&test, false).await;
        let claims = claims().replace(&(NOW + 300).to_string(), expires);
        assert_eq!(identified(&test, &provider, Some(&key.sign(HEADER, &claims))).await, Ok(Some(alice())), "{expires}");
    }
}

#[tokio::test]
async fn r35_userinfo_supplies_claims_missing_in_the_id_token() {
    let (test, key) = (TestServer::new(), Key::new());
    let provider = provider(&test, false).await;
    let bare = key.sign(HEADER, &claims().replace(r#","email":"alice@example.test""#, ""));
    test.transport.respond(200, r#"{"sub":"sub-1","preferred_username":"alice"}"#);
    let account = identified(&test, &provider, Some(&bare)).await.unwrap().unwrap();
    assert_eq!((account.subject.as_str(), account.label.as_str()), ("sub-1", "alice"));
    assert_eq!(test.transport.last().authorization.as_deref(), Some("Bearer at-1"));

    for body in [r#"{"sub":"sub-2","email":"mallory@example.test"}"#, r#"{"email":"e"}"#, "{}"] {
        test.transport.respond(200, body);
        let account = Some(Account { subject: "sub-1".to_owned(), label: "sub-1".to_owned() });
        let anomalies = vec![Anomaly::new("userinfo", AnomalyKind::OtherSubject)];
        let expected = Identified { account, anomalies, ..Identified::default() };
        assert_eq!(identified_with(&test, &provider, Some(&bare)).await, Ok(expected), "another subject: {body}");
    }
}

#[tokio::test]
async fn r35_userinfo_alone_identifies_the_account() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", BY_HAND).await;
    for (body, subject, label) in [
        (r#"{"sub":"s","email":"e","name":"n"}"#, "s", "e"),
        (r#"{"id":9007199254740993,"login":"octo"}"#, "9007199254740993", "octo"),
        (r#"{"sub":"s","email":null,"preferred_username":"","name":" n "}"#, "s", "n"),
        (r#"{"sub":"s"}"#, "s", "s"),
        (r#"{"sub":"s","email":"a\u0000b\u202ec\r\nd"}"#, "s", "abcd"),
        (r#"{"sub":"s","email":"a\u061cb\u00adc\u180ed\u206fe\ufff9f\udb40\udc41"}"#, "s", "abcdef"),
        (r#"{"sub":"s","email":"\u200b \u200b","name":"\u200b n\u202e "}"#, "s", "n"),
        (r#"{"sub":"\u200b \u00ad","id":"s"}"#, "s", "s"),
    ] {
        test.transport.respond(200, body);
        let account = identified(&test, &provider, None).await.unwrap().unwrap();
        assert_eq!((account.subject.as_str(), account.label.as_str()), (subject, label), "{body}");
    }
}

/// Userinfo only serves the label: an error there does not fail the grant, and the subject of the ID token is kept.
#[tokio::test]
async fn r35_an_unreadable_userinfo_counts_as_absent() {
    let (test, key) = (TestServer::new(), Key::new());
    let by_hand = test.provider(".oauth2", BY_HAND).await;
    let with_issuer = provider(&test, false).await;
    let bare = key.sign(HEADER, &claims().replace(r#","email":"alice@example.test""#, ""));
    let subject_alone = Account { subject: "sub-1".to_owned(), label: "sub-1".to_owned() };
    for (status, body) in [
        (200, "[]"),
        (200, "<html>"),
        (302, ""),
        (401, r#"{"error":"invalid_token"}"#),
        (403, r#"{"error":"insufficient_scope"}"#),
        (404, ""),
        (429, ""),
        (500, ""),
    ] {
        test.transport.respond(status, body).respond(status, body);
        assert_eq!(identified(&test, &by_hand, None).await, Ok(None), "{status} {body}");
        let known = identified(&test, &with_issuer, Some(&bare)).await;
        assert_eq!(known, Ok(Some(subject_alone.clone())), "{status} {body}");
    }
    for body in ["{}", r#"{"email":"e"}"#] {
        test.transport.respond(200, body);
        assert_eq!(identified(&test, &by_hand, None).await, Ok(None), "a label without a subject: {body}");
    }
    test.transport.fail(TransportError::Cut);
    assert_eq!(identified(&test, &by_hand, None).await, Ok(None));
}

#[tokio::test]
async fn r35_without_a_userinfo_endpoint_no_request_is_sent() {
    let test = TestServer::new();
    let config = BY_HAND.replace(r#""userinfoUrl":"https://as.example/userinfo","#, "");
    let provider = test.provider(".oauth2", &config).await;
    assert_eq!(identified(&test, &provider, None).await, Ok(None));
    assert_eq!(identified(&test, &provider, Some("an.id.token")).await, Ok(None), "its issuer is not known");
}

#[tokio::test]
async fn r35_github_accounts_are_identified_by_number() {
    let test = TestServer::new();
    let provider = test.provider(".github", "{}").await;
    test.transport.respond(200, r#"{"login":"octocat","id":583231,"node_id":"x","name":"The Octocat","email":null}"#);
    let account = identified(&test, &provider, None).await.unwrap().unwrap();
    assert_eq!((account.subject.as_str(), account.label.as_str()), ("583231", "octocat"));
    let sent = test.transport.last();
    assert_eq!(sent.url, "https://api.github.com/user");
    assert!(sent.headers["user-agent"].to_str().unwrap().starts_with("grantry/"));
}

#[tokio::test]
async fn r35_a_key_with_a_repeated_member_is_not_used() {
    let issuer = Key::new();
    let token = issuer.sign(HEADER, &claims());
    for repeated in [r#""x":"AAAA""#, r#""use":"enc""#, r#""kty":"XYZ""#, r#""\u0063rv":"P-384""#] {
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        let keys = issuer.jwks("k1").replace("}]}", &format!(",{repeated}}}]}}"));
        test.transport.respond(200, keys);
        assert_unused(&test, &provider, &token, AnomalyKind::Unverified).await;
    }
}

/// Each try hashes the token, which may be long, and the set names no key.
#[tokio::test]
async fn r35_a_bounded_number_of_keys_is_tried() {
    const MOST: usize = 32;
    let issuer = Key::new();
    let own = issuer.jwks("k1").split_once(r#"{"kty":"EC""#).unwrap().1.to_owned();
    let token = issuer.sign(HEADER, &claims());
    let other = |_| Key::new().jwks("k1").split_once(r#"{"kty":"EC""#).unwrap().1.trim_end_matches("]}").to_owned();
    for (others, is_found) in [(MOST - 1, true), (MOST, false)] {
        let keys: Vec<String> =
            (0..others).map(other).chain([own.clone()]).map(|key| format!(r#"{{"kty":"EC"{key}"#)).collect();
        let test = TestServer::new();
        let provider = provider(&test, true).await;
        test.transport.respond(200, format!(r#"{{"keys":[{}"#, keys.join(",")));
        if is_found {
            assert!(identified(&test, &provider, Some(&token)).await.unwrap().is_some());
        } else {
            assert_unused(&test, &provider, &token, AnomalyKind::Unverified).await;
        }
    }
}

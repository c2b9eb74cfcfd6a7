//! A corpus of token responses.

use proptest::prelude::*;

use std::time::Duration;

use grantry_domain::ports::Lifetime;

use super::lifetime::MAX_LIFETIME;
use super::members::{MAX_ID_TOKEN, MAX_TOKEN};
use super::*;
use crate::fake_transport::{NOW, response, text};
use crate::profile::rules::Absent;

const MALFORMED: ProviderErrorKind = ProviderErrorKind::Malformed;

fn read_with(
    wire: &Wire,
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Result<TokenResponse, ProviderErrorKind> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    decode(wire, &response(status, &headers, body.as_bytes().to_vec())).map_err(|error| error.kind)
}

/// Decodes a response to a code exchange.
fn decode(wire: &Wire, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    decode_call(wire, CallKind::Exchange(&[]), response)
}

fn decode_call(wire: &Wire, kind: CallKind<'_>, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    let policy = EgressPolicy::new(&["*"], &[]).unwrap();
    let now = Timestamp::from_millis(NOW * 1000);
    Received { wire, api: None, policy: &policy, kind, response, now }.decode()
}

fn standard(body: &str) -> Result<TokenResponse, ProviderErrorKind> {
    read_with(&Wire::default(), 200, &[], body)
}

fn error(response: Result<TokenResponse, ProviderErrorKind>) -> ProviderErrorKind {
    response.err().expect("an error")
}

/// The anomalies in their written form.
fn anomalies(response: &TokenResponse) -> Vec<String> {
    response.anomalies.iter().map(ToString::to_string).collect()
}

/// A response with further members.
fn with(members: &str) -> String {
    format!(r#"{{"access_token":"at-1","token_type":"Bearer"{members}}}"#)
}

#[test]
fn r28_a_complete_response_is_read() {
    let response = standard(
        r#"{"access_token":"at-1","token_type":"bEaReR","refresh_token":"rt-1","expires_in":3600,
            "refresh_token_expires_in":86400,"scope":"b a","id_token":"x.y.z","more":{"is":["ignored",null]}}"#,
    );
    let response = response.ok().unwrap();
    assert_eq!(text(&response.access_token), "at-1");
    assert_eq!(response.token_type, "bEaReR");
    assert_eq!(response.refresh_token.as_ref().map(text), Some("rt-1"));
    assert_eq!(response.lifetime, Lifetime::For(Duration::from_hours(1)));
    assert_eq!(response.refresh_lifetime, Lifetime::For(Duration::from_hours(24)));
    assert_eq!(response.scopes.as_ref().unwrap().to_record(), "a b");
    assert_eq!(response.id_token.as_ref().map(text), Some("x.y.z"));
    assert_eq!(anomalies(&response), [""; 0]);
}

#[test]
fn r28_absent_members_stay_absent() {
    let response = standard(&with("")).ok().unwrap();
    assert_eq!(anomalies(&response), [""; 0]);
    let response = standard(&with(r#","refresh_token":null,"scope":null,"expires_in":null"#)).ok().unwrap();
    assert_eq!(anomalies(&response), ["refresh_token=empty", "expires_in=empty", "scope=empty"]);
    assert!(response.refresh_token.is_none() && response.scopes.is_none() && response.id_token.is_none());
    assert_eq!((response.lifetime, response.refresh_lifetime), (Lifetime::Unknown, Lifetime::Unknown));
}

#[test]
fn r28_every_2xx_with_tokens_is_a_success() {
    for status in [200, 201, 202, 203, 206, 226] {
        assert!(read_with(&Wire::default(), status, &[], &with("")).is_ok(), "{status}");
    }
    for status in [301, 302, 307] {
        assert_eq!(error(read_with(&Wire::default(), status, &[], &with(""))), MALFORMED, "{status}");
    }
    for status in [404, 418] {
        assert_eq!(error(read_with(&Wire::default(), status, &[], &with(""))), ProviderErrorKind::Refused, "{status}");
    }
    assert_eq!(error(read_with(&Wire::default(), 204, &[], "")), MALFORMED);
}

#[test]
fn r28_a_secondary_member_is_ignored_or_interpreted_and_recorded() {
    let long = "a".repeat(MAX_TOKEN + 1);
    for (members, found) in [
        (r#","id_token":"""#, "id_token=empty"),
        (r#","id_token":null"#, "id_token=empty"),
        (r#","id_token":7"#, "id_token=wrong_type"),
        (r#","id_token":{"a":1}"#, "id_token=wrong_type"),
        (r#","id_token":"a b.c.d""#, "id_token=invalid_characters"),
        (r#","id_token":"opaque""#, "id_token=unsupported"),
        (r#","id_token":"an.encrypted.token.of.five""#, "id_token=unsupported"),
        (r#","id_token":"a.b.c","id_token":"d.e.f""#, "id_token=repeated"),
        (r#","refresh_token":"""#, "refresh_token=empty"),
        (r#","refresh_token":" ""#, "refresh_token=empty"),
        (r#","refresh_token":null"#, "refresh_token=empty"),
        (r#","refresh_token":false"#, "refresh_token=wrong_type"),
        (r#","refresh_token":["rt"]"#, "refresh_token=wrong_type"),
        (r#","refresh_token":"a\u0000b""#, "refresh_token=invalid_characters"),
        (&format!(r#","refresh_token":"{long}""#), "refresh_token=too_long"),
        (r#","scope":7"#, "scope=wrong_type"),
        (r#","scope":{"read":true}"#, "scope=wrong_type"),
        (r#","scope":[1]"#, "scope=wrong_type"),
        (r#","scope":"a\u0000b""#, "scope=invalid_characters"),
        (&format!(r#","scope":"{long}""#), "scope=too_long"),
        (r#","expires_in":"never""#, "expires_in=not_readable"),
        (r#","expires_in":"NaN""#, "expires_in=not_readable"),
        (r#","expires_in":[3600]"#, "expires_in=wrong_type"),
        (r#","expires_in":0"#, "expires_in=out_of_range"),
        (r#","expires_in":-1"#, "expires_in=out_of_range"),
        (r#","refresh_token_expires_in":"never""#, "refresh_token_expires_in=not_readable"),
        (r#","refresh_expires_in":true"#, "refresh_expires_in=wrong_type"),
        (r#","x_vendor":1,"x_vendor":2"#, "x_vendor=repeated"),
        (r#","a b":1,"a b":2"#, "other=repeated"),
        (r#","error":"none""#, "error=unsupported"),
        (r#","error":"none","error":"invalid_grant""#, "error=repeated"),
        (r#","error":"invalid_grant","error":"invalid_grant""#, "error=repeated"),
    ] {
        let response = standard(&with(members)).unwrap_or_else(|error| panic!("{members}: {error}"));
        assert_eq!(text(&response.access_token), "at-1");
        assert!(anomalies(&response).contains(&found.to_owned()), "{members}: {:?}", anomalies(&response));
        assert!(response.id_token.is_none() && response.refresh_token.is_none(), "{members}");
        assert_eq!((response.lifetime, response.refresh_lifetime), (Lifetime::Unknown, Lifetime::Unknown), "{members}");
    }
}

#[test]
fn r28_a_member_that_can_be_interpreted_is_used() {
    let response = standard(&with(r#","scope":["b","a"],"refresh_token":"r t~\u00e4","expires_in":"3.6e3""#)).ok().unwrap();
    assert_eq!(response.scopes.as_ref().unwrap().to_record(), "a b");
    assert_eq!(response.refresh_token.as_ref().map(text), Some("r t~\u{e4}"));
    assert_eq!(response.lifetime, Lifetime::For(Duration::from_hours(1)));
    assert_eq!(anomalies(&response), ["expires_in=not_integer", "scope=wrong_type"]);
    let response = standard(&with(r#","refresh_token_expires_in":"never","refresh_expires_in":60"#)).ok().unwrap();
    assert_eq!(response.refresh_lifetime, Lifetime::For(Duration::from_mins(1)), "the second name is read");
}

#[test]
fn r28_an_id_token_may_be_long_and_is_limited() {
    for (length, kept) in [(33 * 1024, true), (MAX_ID_TOKEN, true), (MAX_ID_TOKEN + 1, false)] {
        let token = format!("a.b.{}", "c".repeat(length - 4));
        let response = standard(&with(&format!(r#","id_token":"{token}""#))).ok().unwrap();
        assert_eq!(response.id_token.is_some(), kept, "{length}");
        assert_eq!(anomalies(&response).is_empty(), kept);
    }
}

#[test]
fn r28_a_byte_order_mark_and_bytes_in_another_encoding_are_accepted() {
    let mut body = format!("\u{feff}{}", with(r#","name":"?","refresh_token":"rt-1""#)).into_bytes();
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xe4;
    let decoded = |body: &[u8]| decode(&Wire::default(), &response(200, &[], body.to_vec())).map_err(|error| error.kind);
    let read = decoded(&body).ok().unwrap();
    assert_eq!((text(&read.access_token), read.refresh_token.as_ref().map(text)), ("at-1", Some("rt-1")));
    assert_eq!(anomalies(&read), ["body=byte_order_mark", "body=not_text"]);
    let at = body.windows(4).position(|part| part == b"at-1").unwrap();
    body[at] = 0xff;
    assert_eq!(error(decoded(&body)), MALFORMED, "in the access token");
}

#[test]
fn r28_malformed_bodies_are_refused() {
    let cut = with("");
    for body in [
        "",
        "null",
        "[]",
        "\"at\"",
        "<!doctype html>",
        "access_token=at-1&token_type=bearer",
        &cut[..cut.len() - 1],
        &with(r#","access_token":"at-2""#),
        &with(r#","token_type":"bearer""#),
        &with(r#","refresh_token":"a","refresh_token":"b""#),
        &with(r#","refresh_token":null,"refresh_token":"b""#),
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":1,"token_type":"Bearer"}"#,
        r#"{"access_token":["at-1"],"token_type":"Bearer"}"#,
        r#"{"access_token":null,"token_type":"Bearer"}"#,
        r#"{"access_token":"at-1","token_type":"mac"}"#,
        r#"{"access_token":"at-1","token_type":["Bearer"]}"#,
        r#"{"access_token":"at-1","token_type":7}"#,
        &with(r#","error":"invalid_grant""#),
        r#"{"error":"none","error":"invalid_grant"}"#,
        r#"{"access_token":"","token_type":"Bearer","error":"none","error":"none"}"#,
    ] {
        assert_eq!(error(standard(body)), MALFORMED, "{body}");
    }
}

#[test]
fn r28_only_tokens_that_fit_into_a_header_field_are_accepted() {
    for bad in [" ", "a b", "a\\r\\nX: y", "a\\u0000", "\\u00e4", "\u{e4}", "a\\tb", "a\\u007f"] {
        let body = format!(r#"{{"access_token":"{bad}","token_type":"Bearer"}}"#);
        assert_eq!(error(standard(&body)), MALFORMED, "{bad}");
    }
    let escaped = r#"{"access_token":"a\/b\u002bc\"\\","token_type":"Bearer"}"#;
    assert_eq!(text(&standard(escaped).ok().unwrap().access_token), "a/b+c\"\\");
    for (length, fits) in [(1, true), (MAX_TOKEN, true), (MAX_TOKEN + 1, false)] {
        let body = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "a".repeat(length));
        assert_eq!(standard(&body).is_ok(), fits, "{length}");
    }
}

#[test]
fn lesson_09_form_responses_only_where_declared() {
    let body = "access_token=at%2F1&scope=repo%2Cgist&token_type=bearer&expires_in=60";
    let mut wire = Wire::default();
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(error(read_with(&wire, 200, &form, body)), MALFORMED);
    wire.token.response_format = ResponseFormat::JsonOrForm;
    wire.scopes.response_separator = ",".to_owned();
    let response = read_with(&wire, 200, &form, body).ok().unwrap();
    assert_eq!(text(&response.access_token), "at/1");
    assert_eq!(response.scopes.unwrap().to_record(), "gist repo");
    assert_eq!(response.lifetime, Lifetime::For(Duration::from_mins(1)));
    for twice in ["access_token=b", "token_type=mac", "refresh_token=c&refresh_token=d"] {
        let body = format!("access_token=a&token_type=bearer&{twice}");
        assert_eq!(error(read_with(&wire, 200, &form, &body)), MALFORMED, "{twice}");
    }
    let odd = "access_token=a&token_type=bearer&refresh_token=&expires_in=1h&x=1&x=2&name=%ff&bare&id_token=%";
    let response = read_with(&wire, 200, &form, odd).ok().unwrap();
    assert_eq!(
        anomalies(&response),
        ["refresh_token=empty", "expires_in=not_readable", "id_token=unsupported", "x=repeated"]
    );
    assert_eq!(error(read_with(&wire, 200, &[], body)), MALFORMED, "a form without its content type");
    assert!(read_with(&wire, 200, &[("content-type", "application/json")], &with("")).is_ok());
}

#[test]
fn lesson_09_errors_with_status_200_only_where_declared() {
    let body = r#"{"error":"bad_refresh_token","error_description":"x"}"#;
    let mut wire = Wire::default();
    assert_eq!(error(read_with(&wire, 200, &[], body)), MALFORMED);
    wire.token.error_in_200 = true;
    assert_eq!(error(read_with(&wire, 200, &[], body)), ProviderErrorKind::OtherOauthError);
    wire.token.errors.insert("bad_refresh_token".to_owned(), "invalid_grant".to_owned());
    assert_eq!(error(read_with(&wire, 200, &[], body)), ProviderErrorKind::InvalidGrant);
    assert_eq!(error(read_with(&wire, 200, &[], r#"{"error":{}}"#)), MALFORMED);
}

#[test]
fn lesson_09_an_absent_token_type_only_where_declared() {
    let body = r#"{"access_token":"at-1"}"#;
    let mut wire = Wire::default();
    assert_eq!(error(read_with(&wire, 200, &[], body)), MALFORMED);
    wire.token.token_type_optional = true;
    for body in [body, r#"{"access_token":"at-1","token_type":null}"#, r#"{"access_token":"at-1","token_type":" "}"#] {
        let response = read_with(&wire, 200, &[], body).ok().unwrap();
        assert_eq!((response.token_type.as_str(), anomalies(&response)), ("Bearer", vec!["token_type=missing".to_owned()]));
    }
    let bound = standard(r#"{"access_token":"at-1","token_type":"DPoP"}"#).ok().unwrap();
    assert_eq!((bound.token_type.as_str(), anomalies(&bound)), ("DPoP", vec!["token_type=unsupported".to_owned()]));
    assert_eq!(error(read_with(&wire, 200, &[], r#"{"access_token":"at-1","token_type":"mac"}"#)), MALFORMED);
}

#[test]
fn lesson_09_the_profile_defines_the_meaning_of_an_absent_expires_in() {
    let life = |wire: &Wire| read_with(wire, 200, &[], &with("")).ok().unwrap().lifetime;
    let mut wire = Wire::default();
    assert_eq!(life(&wire), Lifetime::Unknown);
    wire.token.access_lifetime.absent = Absent::Never;
    assert_eq!(life(&wire), Lifetime::Never);
    wire.token.access_lifetime.assumed_seconds = Some(7200);
    assert_eq!(life(&wire), Lifetime::For(Duration::from_hours(2)));
}

#[test]
fn lesson_09_a_nested_token_set_only_where_declared() {
    let body = r#"{"ok":true,"authed_user":{"access_token":"at-1","token_type":"user","scope":"a"}}"#;
    let body = body.replace("\"user\",\"scope", "\"bearer\",\"scope");
    let mut wire = Wire::default();
    assert_eq!(error(read_with(&wire, 200, &[], &body)), MALFORMED);
    wire.token.nested_in = Some("authed_user".to_owned());
    assert_eq!(text(&read_with(&wire, 200, &[], &body).ok().unwrap().access_token), "at-1");
    assert_eq!(error(read_with(&wire, 200, &[], &with(""))), MALFORMED);
}

#[test]
fn r28_lifetimes_are_clamped() {
    let life = |value: &str| standard(&with(&format!(r#","expires_in":{value}"#))).ok().unwrap().lifetime;
    let seconds = |seconds| Lifetime::For(Duration::from_secs(seconds));
    for (value, expected) in [
        ("3600", seconds(3600)),
        ("\"3600\"", seconds(3600)),
        ("3600.9", seconds(3600)),
        ("\" 3600.0 \"", seconds(3600)),
        ("3.6e3", seconds(3600)),
        ("1e20", Lifetime::For(MAX_LIFETIME)),
        ("315619201", Lifetime::For(MAX_LIFETIME)),
        ("99999999999999999999999999999999", Lifetime::For(MAX_LIFETIME)),
    ] {
        assert_eq!(life(value), expected, "{value}");
    }
}

#[test]
fn r28_zero_means_no_expiry_only_where_declared() {
    let response = standard(&with(r#","expires_in":0,"refresh_expires_in":0"#)).ok().unwrap();
    assert_eq!(response.lifetime, Lifetime::Unknown, "a token that is returned is not expired");
    assert_eq!(response.refresh_lifetime, Lifetime::Never);
    let mut wire = Wire::default();
    wire.token.access_lifetime.zero_means_never = true;
    let response = read_with(&wire, 200, &[], &with(r#","expires_in":"0""#)).ok().unwrap();
    assert_eq!(response.lifetime, Lifetime::Never);
}

#[test]
fn r13_granted_scopes_are_read_by_the_rules_of_the_profile() {
    let mut wire = Wire::default();
    let scopes = |wire: &Wire, value: &str| {
        read_with(wire, 200, &[], &with(&format!(r#","scope":{value}"#)))
            .map(|response| response.scopes.unwrap().to_record())
    };
    assert_eq!(scopes(&wire, r#""b a a""#), Ok("a b".to_owned()));
    assert_eq!(scopes(&wire, r#""""#), Ok(String::new()), "no scope was granted");
    assert_eq!(scopes(&wire, r#""a,b""#), Ok("a b".to_owned()), "a comma separates in every response");
    wire.scopes.response_separator = ",".to_owned();
    assert_eq!(scopes(&wire, r#""a, b""#), Ok("a b".to_owned()));
    wire.scopes.response_list = true;
    assert_eq!(scopes(&wire, r#"["b","a"]"#), Ok("a b".to_owned()));
    assert_eq!(scopes(&wire, r#"["b",1]"#), Ok("b".to_owned()));
    wire.scopes.implies.insert("b".to_owned(), vec!["c".to_owned()]);
    assert_eq!(scopes(&wire, r#"["b"]"#), Ok("b c".to_owned()));
}

#[test]
fn r78_errors_contain_nothing_of_the_response() {
    let canary = "canary-4d1f";
    for body in [
        format!(r#"{{"access_token":"{canary}","#),
        format!(r#"{{"access_token":"{canary}","token_type":"{canary}"}}"#),
        format!(r#"{{"access_token":"{canary}","token_type":"Bearer","expires_in":"{canary}"}}"#),
        format!(r#"{{"error":"{canary}"}}"#),
        canary.to_owned(),
    ] {
        for status in [200, 400, 401, 429, 500] {
            let headers = [];
            let read = decode(&Wire::default(), &response(status, &headers, body.as_bytes().to_vec()));
            let shown = match read {
                Ok(read) => format!("{:?}", read.anomalies),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(canary), "{body}");
        }
    }
}

proptest! {
    /// For every value of `expires_in`, the tokens are kept and the lifetime is within its bounds or unknown.
    #[test]
    fn r28_any_expires_in_is_clamped_or_unknown(value in prop_oneof![
        any::<i128>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("JSON has no such numbers", |number| number.is_finite()).prop_map(|number| format!("{number}")),
        "[0-9]{1,40}", "-?[0-9]{1,3}(\\.[0-9]{0,3})?",
        "\"[-+0-9a-z. ]{0,12}\"", "true|null|\\[\\]|\\{\\}",
    ]) {
        let body = with(&format!(r#","expires_in":{value}"#));
        let response = standard(&body);
        let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok();
        prop_assert!(response.is_ok() || !is_json, "{}", body);
        let Ok(response) = response else { return Ok(()) };
        match response.lifetime {
            Lifetime::For(life) => prop_assert!(life <= MAX_LIFETIME && !life.is_zero()),
            Lifetime::Unknown => {}
            Lifetime::Never => prop_assert!(false, "no rule declares it"),
        }
    }

    /// A response with a usable access token is kept for every value of a secondary member.
    #[test]
    fn r28_no_secondary_member_prevents_the_use_of_the_tokens(
        name in prop_oneof!["id_token", "refresh_token", "scope", "expires_in", "refresh_expires_in", "x"],
        value in prop_oneof![
            "-?[1-9][0-9]{0,30}(\\.[0-9]{1,9})?([eE][-+]?[0-9]{1,4})?", "\"[ -!#-\\[\\]-~\u{e4}]{0,20}\"", "true|null|\\[\\]|\\{\\}|\\[1,\"a\",null\\]",
        ],
    ) {
        let response = standard(&with(&format!(r#","{name}":{value}"#)));
        let response = response.ok().unwrap();
        prop_assert_eq!(text(&response.access_token), "at-1");
    }

    /// A whole number of seconds within the bounds is kept exactly, as number and as text.
    #[test]
    fn r28_an_expires_in_within_the_bounds_is_kept(seconds in 1_u64..=315_619_200) {
        for value in [seconds.to_string(), format!("\"{seconds}\"")] {
            let response = standard(&with(&format!(r#","expires_in":{value}"#))).ok().unwrap();
            prop_assert_eq!(response.lifetime, Lifetime::For(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn r28_any_body_ends_without_panic_and_within_the_limits(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let response = decode(&Wire::default(), &response(200, &[], body));
        prop_assert!(response.is_err());
    }

    #[test]
    fn r28_an_accepted_token_is_visible_ascii(token in "\\PC{0,20}") {
        let escaped = token.replace('\\', "\\\\").replace('"', "\\\"");
        let body = format!(r#"{{"access_token":"{escaped}","token_type":"bearer"}}"#);
        let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        match standard(&body) {
            Ok(response) => prop_assert!(visible && text(&response.access_token) == token),
            Err(_) => prop_assert!(!visible),
        }
    }
}

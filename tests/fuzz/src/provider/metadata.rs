//! Metadata of authorization servers.

use grantry_domain::ports::AuthorizationServer as _;
use http::HeaderMap;
use serde_json::Value;

use super::{Lab, REDIRECT_URI, policy, ready};
use crate::input::{assert_clean, variant};
use crate::json;

const ISSUERS: [&str; 3] = ["https://as.example", "https://as.example/", "https://as.example/tenant/1"];

/// A metadata document, at the first or at the second well-known URL.
pub(crate) fn metadata(data: &[u8]) {
    let (variant, document) = variant(data);
    let issuer = ISSUERS[usize::from(variant) % ISSUERS.len()];
    let config = format!(r#"{{"issuer":"{issuer}","baseUrl":"https://api.example/"}}"#);
    Lab::with(|lab| {
        let lab = lab.fresh();
        let missing = (404, HeaderMap::new(), Vec::new());
        let found = (200, HeaderMap::new(), document.to_vec());
        lab.respond((variant & 0x40 != 0).then_some(missing).into_iter().chain([found]));
        let provider = match ready(lab.server.resolve(&lab.settings(".oauth2", &config), REDIRECT_URI, &config)) {
            Ok(provider) => provider,
            Err(error) => {
                // An endpoint in its accepted form is quoted.
                let text = format!("{error} {error:?}");
                assert!(text.len() < 1500, "a long error: {text}");
                if !text.contains("this one as https://") {
                    assert_clean(&text);
                }
                return;
            }
        };
        assert!(provider.issuer_in_response && provider.issuer.as_deref() == Some(issuer));
        let endpoints = &provider.endpoints;
        let optional = [&endpoints.revocation, &endpoints.userinfo, &endpoints.jwks];
        for url in [&endpoints.authorization, &endpoints.token].into_iter().chain(optional.into_iter().flatten()) {
            let checked = policy().check(url).expect("every endpoint is allowed");
            assert_eq!(checked.as_str(), url, "the URL that is checked is the one that is called");
        }
        if let Some(members) = json::object(document) {
            assert_eq!(members.get("issuer").and_then(Value::as_str), Some(issuer));
            assert_eq!(members.get("token_endpoint").and_then(Value::as_str), Some(endpoints.token.as_str()));
            assert_eq!(members.get("authorization_response_iss_parameter_supported"), Some(&Value::Bool(true)));
        }
    });
}

//! Profile files, and the settings of connectors.

use std::collections::BTreeMap;

use grantry_domain::ports::{AuthorizationRequest, AuthorizationServer as _, ProviderProfiles as _};
use grantry_domain::provider::{CallbackPath, Origin, ProviderSettings, Scopes};
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::Profiles;
use url::Url;

use super::{CLIENT_ID, Lab, REDIRECT_URI, client, connector, options, policy, ready};
use crate::input::variant;
use crate::json;

/// The settings of a connector of three types.
pub(crate) fn connector_settings(data: &[u8]) {
    const PROFILES: [&str; 3] = [".oauth2", ".github", ".vendor"];
    let (variant, settings) = variant(data);
    let profile = PROFILES[usize::from(variant) % PROFILES.len()];
    let Ok(settings) = std::str::from_utf8(settings) else { return };
    Lab::with(|lab| match lab.profiles.settings(&connector(profile, settings)) {
        Ok(parsed) => {
            assert_usable(&parsed);
            let found = json::structure(settings).expect("the settings are JSON");
            assert!(found.repeated.is_empty() && settings.trim_start().starts_with('{'));
            if parsed.endpoints.is_some() {
                assert_authorization_url(lab, &parsed, settings, profile == ".vendor");
            }
        }
        Err(refused) => {
            assert!(refused.field.len() <= 400 && refused.problem.len() <= 7000, "{refused}");
            assert!(!refused.to_string().chars().any(char::is_control), "{refused:?}");
        }
    });
}

/// Every URL of the settings is allowed and normalised.
fn assert_usable(settings: &ProviderSettings) {
    let policy = policy();
    let endpoints = settings.endpoints.clone().unwrap_or_default();
    let optional = [endpoints.refresh, endpoints.revocation, endpoints.userinfo, endpoints.jwks];
    let required = settings.endpoints.as_ref().map(|_| [endpoints.authorization, endpoints.token]);
    for url in required.into_iter().flatten().chain(optional.into_iter().flatten()).chain(settings.base_url.clone()) {
        let allowed = policy.check(&url).expect("every URL is allowed");
        assert_eq!(allowed.as_str(), url);
    }
    if let Some(base_url) = &settings.base_url {
        let base = policy.check(base_url).ok().and_then(|url| url.origin()).expect("the base URL has an origin");
        assert!(settings.destinations.contains(&base) && !base_url.contains('?'));
    }
    for destination in &settings.destinations {
        assert!(policy.check(destination.as_str()).is_ok(), "{destination}");
        assert_eq!(Origin::new(destination.as_str()).as_ref(), Ok(destination));
    }
    for scopes in [&settings.requested_scopes, &settings.required_scopes, &settings.expected_scopes] {
        assert_eq!(&Scopes::from_record(&scopes.to_record()), scopes);
    }
}

/// The authorization URL is that of the endpoint, and each parameter of the protocol occurs once.
fn assert_authorization_url(lab: &Lab, parsed: &ProviderSettings, settings: &str, renames: bool) {
    let provider = ready(lab.server.resolve(parsed, REDIRECT_URI, settings)).expect("the endpoints are allowed");
    let request = AuthorizationRequest {
        state: Secret::from_text("state-1"),
        code_challenge: "challenge-1".to_owned(),
        scopes: parsed.requested_scopes.clone(),
        nonce: Some("nonce-1".to_owned()),
        login_hint: Some("hint&state=2".to_owned()),
        select_account: true,
    };
    let built = ready(lab.server.authorization_url(&provider, &client(), request)).expect("the URL is built");
    let url = Url::parse(built.expose_text().expect("a text")).expect("a URL");
    let endpoint = Url::parse(&provider.endpoints.authorization).expect("a URL");
    assert_eq!((url.origin(), url.path(), url.fragment()), (endpoint.origin(), endpoint.path(), None));
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        pairs.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    for (name, value) in [
        (if renames { "app_id" } else { "client_id" }, CLIENT_ID),
        ("state", "state-1"),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge", "challenge-1"),
        ("code_challenge_method", "S256"),
        ("nonce", "nonce-1"),
        ("login_hint", "hint&state=2"),
    ] {
        assert_eq!(pairs.get(name).map(Vec::as_slice), Some([value.to_owned()].as_slice()), "{name}");
    }
    let response_type = pairs.get("response_type").map(Vec::as_slice);
    assert_eq!(response_type, (!renames).then_some(["code".to_owned()].as_slice()));
    for name in ["response_mode", "request", "request_uri", "client_secret", "code"] {
        assert_eq!(pairs.get(name), None, "{name}");
    }
}

/// A profile file, and after a line of dashes the settings of one of its connectors.
pub(crate) fn profile_file(data: &[u8]) {
    let Ok(data) = std::str::from_utf8(data) else { return };
    let (file, settings) = data.split_once("\n---\n").unwrap_or((data, "{}"));
    let Ok(profiles) = Profiles::new(policy(), options(("own.toml", file))) else { return };
    let table: toml::Table = toml::from_str(file).expect("a profile is TOML");
    let id = table["id"].as_str().expect("a profile has an id");
    assert!(profiles.connector_types().iter().any(|kind| kind.id == id));
    let Ok(parsed) = profiles.settings(&connector(id, settings)) else { return };
    assert_usable(&parsed);
    if parsed.callback == CallbackPath::Profiles {
        assert_vendor_hosts(&table, &parsed);
    }
}

/// The host of an endpoint ends in what the profile fixes.
fn assert_vendor_hosts(table: &toml::Table, parsed: &ProviderSettings) {
    let endpoints = parsed.endpoints.as_ref().expect("a profile has endpoints");
    let resolved = [
        ("authorization", Some(&endpoints.authorization)),
        ("token", Some(&endpoints.token)),
        ("refresh", endpoints.refresh.as_ref()),
        ("revocation", endpoints.revocation.as_ref()),
        ("userinfo", endpoints.userinfo.as_ref()),
        ("jwks", endpoints.jwks.as_ref()),
    ];
    for (name, url) in resolved.into_iter().filter_map(|(name, url)| Some((name, url?))) {
        let template = table["endpoints"][name].as_str().expect("an endpoint is a text");
        let host = template.trim_start_matches("https://").split(['/', '?', '#']).next().unwrap_or_default();
        let url = Url::parse(url).expect("an endpoint is a URL");
        let resolved = url.host_str().expect("an endpoint has a host");
        let mut names = host.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
        // The profile contains every possible host.
        if names.clone().count() > 0 && names.all(|name| table["variables"][name]["kind"].as_str() == Some("one-of")) {
            continue;
        }
        let fixed = match host.rsplit_once('}') {
            None => host.to_owned(),
            Some((_, "")) => {
                let suffixes = table["variables"][host.trim_matches(['{', '}'])]["suffixes"].as_array();
                let suffixes = suffixes.expect("a variable for a host has suffixes").iter().filter_map(toml::Value::as_str);
                let mut matching = suffixes.filter(|suffix| resolved.ends_with(suffix));
                matching.next().expect("the host is below a suffix").to_owned()
            }
            Some((_, suffix)) => suffix.to_owned(),
        };
        let fixed = fixed.split(':').next().unwrap_or_default();
        let host = resolved;
        if fixed.starts_with('[') {
            continue;
        }
        assert!(fixed.trim_start_matches('.').contains('.') || fixed == host, "{fixed} is no domain of a vendor");
        assert!(host.ends_with(fixed), "{host} is not below {fixed}");
    }
}

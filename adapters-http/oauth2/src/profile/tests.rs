//! Connector configurations: parsed, or refused with the name of the field.

use grantry_domain::connector::AuthMode;
use grantry_domain::provider::{BindingKind, CallbackPath, ClientAuthentication, EndpointSource};

use super::template::VariableKind;
use super::*;
use crate::fake_transport::connector_config;

const BY_HAND: &str = r#"{"authorizationUrl":"https://as.example/authorize","tokenUrl":"https://as.example/token","baseUrl":"https://api.example/v1"}"#;

fn profiles() -> Profiles {
    Profiles::new(EgressPolicy::new(&["*"], &[]).unwrap(), ProfileOptions::default()).unwrap()
}

fn by_hand(settings: &str) -> String {
    format!("{},{settings}}}", BY_HAND.strip_suffix('}').unwrap())
}

fn custom(config: &str) -> Result<ProviderSettings, InvalidConfig> {
    profiles().settings(&connector_config(".oauth2", config))
}

fn refused(config: &str) -> String {
    custom(config).expect_err(config).field
}

#[test]
fn r09_endpoints_in_the_connector_have_a_separate_callback() {
    let settings = custom(&by_hand(r#""scope":"openid files.read","revocationUrl":"https://as.example/revoke""#)).unwrap();
    assert_eq!((settings.kind, settings.callback), (BindingKind::Pinned, CallbackPath::PerConnector));
    let endpoints = settings.endpoints.unwrap();
    assert_eq!(endpoints.token, "https://as.example/token");
    assert_eq!(endpoints.revocation.as_deref(), Some("https://as.example/revoke"));
    assert_eq!(settings.authentication, ClientAuthentication::Basic);
    assert_eq!(settings.base_url.as_deref(), Some("https://api.example/v1"));
    assert_eq!(settings.destinations.iter().map(Origin::as_str).collect::<Vec<_>>(), ["https://api.example"]);
    assert_eq!(settings.requested_scopes.to_record(), "files.read openid");
    assert_eq!(settings.expected_scopes.to_record(), "files.read", "responses seldom include openid");
    assert!(settings.required_scopes.is_empty(), "nothing is required by default");
    assert_eq!(settings.missing, None);
}

#[test]
fn r09_an_issuer_alone_shares_the_callback_and_with_endpoints_does_not() {
    let alone = custom(r#"{"issuer":"https://as.example","baseUrl":"https://api.example"}"#).unwrap();
    assert_eq!((alone.kind, alone.callback, alone.endpoints), (BindingKind::Issuer, CallbackPath::Issuers, None));
    assert_eq!(alone.issuer.as_deref(), Some("https://as.example"), "as written, without a slash");
    let both = custom(&by_hand(r#""issuer":"https://as.example""#)).unwrap();
    assert_eq!((both.kind, both.callback), (BindingKind::Pinned, CallbackPath::PerConnector));
    assert_eq!(both.issuer.as_deref(), Some("https://as.example"));
}

#[test]
fn unknown_and_invalid_fields_are_refused_by_name() {
    for (settings, field) in [
        (r#""clientSecret":"x""#, "config.clientSecret"),
        (r#""TokenUrl":"https://as.example/t""#, "config.TokenUrl"),
        (r#""jwksUrl":"https://as.example/t""#, "config.jwksUrl"),
        (r#""scope":["a"]"#, "config.scope"),
        (r#""scope":"a\"b""#, "config.scope"),
        (r#""scope":"ä""#, "config.scope"),
        (r#""useBasicAuth":"yes""#, "config.useBasicAuth"),
        (r#""useBasicAuth":true,"clientAuth":"post""#, "config.useBasicAuth"),
        (r#""useBasicAuth":false,"clientAuth":"none""#, "config.useBasicAuth"),
        (r#""clientAuth":"private_key_jwt""#, "config.clientAuth"),
        (r#""clientAuth":"tls_client_auth""#, "config.clientAuth"),
        (r#""pkce":"plain""#, "config.pkce"),
        (r#""pkce":"off""#, "config.pkce"),
        (r#""pkce":false"#, "config.pkce"),
        (r#""scopeParameter":"state""#, "config.scopeParameter"),
        (r#""scopeParameter":"a b""#, "config.scopeParameter"),
        (r#""scopeSeparator":"ab""#, "config.scopeSeparator"),
        (r#""scopeSeparator":",,,,""#, "config.scopeSeparator"),
        (r#""destinations":"https://api.example""#, "config.destinations"),
        (r#""destinations":["https://api.example","https://other.example/path"]"#, "config.destinations"),
        (r#""destinations":["https://other.example"]"#, "config.destinations"),
        (r#""destinations":["https://api.example","http://other.example"]"#, "config.destinations"),
        (r#""extraAuthorizationParameters":["a"]"#, "config.extraAuthorizationParameters"),
        (r#""extraAuthorizationParameters":{"a":1}"#, "config.extraAuthorizationParameters"),
        (r#""extraAuthorizationParameters":{"state":"x"}"#, "config.extraAuthorizationParameters.state"),
        (r#""extraAuthorizationParameters":{"Redirect_URI":"x"}"#, "config.extraAuthorizationParameters.Redirect_URI"),
        (r#""extraAuthorizationParameters":{"scope":"x"}"#, "config.extraAuthorizationParameters.scope"),
        (r#""extraAuthorizationParameters":{"a&b":"x"}"#, "config.extraAuthorizationParameters.a&b"),
        (r#""extraAuthorizationParameters":{"a":"x\n"}"#, "config.extraAuthorizationParameters.a"),
        (r#""scopeParameter":"us","extraAuthorizationParameters":{"us":"x"}"#, "config.extraAuthorizationParameters.us"),
        (r#""issuer":"http://as.example""#, "config.issuer"),
        (r#""issuer":"https://as.example?x""#, "config.issuer"),
    ] {
        assert_eq!(refused(&by_hand(settings)), field, "{settings}");
    }
    for (config, field) in [
        ("", "config"),
        ("[]", "config"),
        (r#"{"baseUrl":"https://a.example","baseUrl":"https://b.example"}"#, "config"),
        ("{}", "config.authorizationUrl"),
        (r#"{"authorizationUrl":"https://as.example/a","baseUrl":"https://api.example"}"#, "config.tokenUrl"),
        (r#"{"tokenUrl":"https://as.example/t","baseUrl":"https://api.example"}"#, "config.authorizationUrl"),
        (r#"{"issuer":"https://as.example"}"#, "config.baseUrl"),
        (r#"{"issuer":"https://as.example","baseUrl":"https://api.example?x=y"}"#, "config.baseUrl"),
        (
            r#"{"issuer":"https://as.example","tokenUrl":"https://as.example/t","baseUrl":"https://api.example"}"#,
            "config.authorizationUrl",
        ),
        (
            r#"{"issuer":"https://as.example","revocationUrl":"https://as.example/r","baseUrl":"https://api.example"}"#,
            "config.revocationUrl",
        ),
        (r#"{"issuer":"https://as.example","pkce":"off","baseUrl":"https://api.example"}"#, "config.pkce"),
    ] {
        assert_eq!(refused(config), field, "{config}");
    }
    let large = by_hand(&format!(r#""scope":"{}""#, "a".repeat(17_000)));
    assert_eq!(refused(&large), "config");
}

#[test]
fn r15_resources_are_settings_of_every_profile_and_part_of_the_binding() {
    let without = custom(BY_HAND).unwrap();
    assert!(without.resources.is_empty());
    for (value, resources) in [
        (r#""https://graph.example/""#, vec!["https://graph.example/"]),
        (r#""https://a.example api://b ""#, vec!["https://a.example", "api://b"]),
        (r#"["https://a.example","urn:b","https://a.example"]"#, vec!["https://a.example", "urn:b"]),
        (r#""""#, vec![]),
        ("[]", vec![]),
    ] {
        let settings = custom(&by_hand(&format!(r#""resource":{value}"#))).unwrap();
        assert_eq!(settings.resources, resources, "{value}");
        assert_eq!(
            settings.binding_bytes(AuthMode::PerUser) == without.binding_bytes(AuthMode::PerUser),
            resources.is_empty(),
            "{value}"
        );
        let config = format!(r#"{{"resource":{value}}}"#);
        assert_eq!(profiles().settings(&connector_config(".github", &config)).unwrap().resources, resources);
    }
    let many: Vec<String> = (0..17).map(|number| format!("\"urn:{number}\"")).collect();
    for bad in [
        "7",
        "{}",
        "[1]",
        r#""https://a.example/#b""#,
        r#"["a b"]"#,
        r#"[""]"#,
        r#""\u00e4""#,
        &format!("[{}]", many.join(",")),
    ] {
        assert_eq!(refused(&by_hand(&format!(r#""resource":{bad}"#))), "config.resource", "{bad}");
    }
    let extra = custom(&by_hand(r#""extraAuthorizationParameters":{"resource":"https://a.example"}"#)).unwrap_err();
    assert_eq!(extra.problem, "is set by the setting resource");
}

#[test]
fn r28_flags_of_the_token_rules_are_read_as_booleans_and_as_form_values() {
    let wire =
        |settings: &str| profiles().parse_connector(&connector_config(".oauth2", &by_hand(settings))).unwrap().wire.clone();
    for (value, on) in
        [("true", true), ("\"true\"", true), ("false", false), ("\"false\"", false), ("\"\"", false), ("null", false)]
    {
        let wire = wire(&format!(r#""sendScopeOnRefresh":{value},"zeroExpiresMeansNever":{value}"#));
        assert_eq!((wire.refresh.send_scope, wire.token.access_lifetime.zero_means_never), (on, on), "{value}");
        assert!(wire.token.token_type_optional);
    }
    for name in ["sendScopeOnRefresh", "zeroExpiresMeansNever"] {
        assert_eq!(refused(&by_hand(&format!(r#""{name}":"yes""#))), format!("config.{name}"));
        assert_eq!(refused(&by_hand(&format!(r#""{name}":1"#))), format!("config.{name}"));
    }
}

#[test]
fn r70_a_url_in_another_spelling_is_refused_with_the_accepted_form() {
    for (written, accepted) in [
        ("https://AS.example/token", "https://as.example/token"),
        ("https://as.example:443/token", "https://as.example/token"),
        ("https://as.example/a/../token", "https://as.example/token"),
        ("https://as.example/a b", "https://as.example/a%20b"),
        ("HTTPS://as.example/token", "https://as.example/token"),
        ("https://b\u{fc}cher.example/token", "https://xn--bcher-kva.example/token"),
    ] {
        let config = BY_HAND.replace("https://as.example/token", written);
        let refused = custom(&config).unwrap_err();
        assert_eq!(refused.field, "config.tokenUrl");
        assert_eq!(refused.problem, format!("is not in its normalised form; write {accepted}"));
        assert!(custom(&BY_HAND.replace("https://as.example/token", accepted)).is_ok(), "{accepted}");
    }
}

#[test]
fn r13_required_scopes_are_a_setting_of_every_profile() {
    for (value, required) in [
        (r#""files.read""#, "files.read"),
        (r#"" files.read, mail  calendar""#, "calendar files.read mail"),
        (r#"["mail","files.read","mail"]"#, "files.read mail"),
        (r#"["openid","files.read"]"#, "files.read"),
        (r#""""#, ""),
        ("[]", ""),
    ] {
        let settings = custom(&by_hand(&format!(r#""scope":"files.read","requiredScopes":{value}"#))).unwrap();
        assert_eq!(settings.required_scopes.to_record(), required, "{value}");
        assert_eq!(settings.requested_scopes.to_record(), "files.read", "{value}");
        let without = custom(&by_hand(r#""scope":"files.read""#)).unwrap();
        assert_eq!(
            settings.binding_bytes(AuthMode::PerUser),
            without.binding_bytes(AuthMode::PerUser),
            "required scopes do not end grants"
        );
    }
    let github = profiles().settings(&connector_config(".github", r#"{"requiredScopes":"repo"}"#)).unwrap();
    assert_eq!(github.required_scopes.to_record(), "repo");
    for bad in ["7", "{}", "[1]", r#""a\"b""#, r#"["\u00e4"]"#] {
        assert_eq!(refused(&by_hand(&format!(r#""requiredScopes":{bad}"#))), "config.requiredScopes", "{bad}");
    }
}

#[test]
fn r16_an_unsupported_client_authentication_is_refused_with_the_supported_ones() {
    for unsupported in ["private_key_jwt", "tls_client_auth", "client_secret_jwt", "Basic"] {
        let refused = custom(&by_hand(&format!(r#""clientAuth":"{unsupported}""#))).unwrap_err();
        assert_eq!(refused.field, "config.clientAuth", "{unsupported}");
        assert_eq!(refused.problem, r#"must be "basic", "post" or "none""#, "{unsupported}");
    }
}

#[test]
fn lesson_25_urls_outside_the_allow_list_are_refused_at_write() {
    let policy = EgressPolicy::new(&["as.example", "api.example"], &[]).unwrap();
    let profiles = Profiles::new(policy, ProfileOptions::default()).unwrap();
    let config = by_hand(
        r#""revocationUrl":"https://as.example/revoke","userinfoUrl":"https://as.example/me","issuer":"https://as.example/i","destinations":["https://api.example"]"#,
    );
    assert!(profiles.settings(&connector_config(".oauth2", &config)).is_ok());
    for (url, field) in [
        ("https://as.example/authorize", "config.authorizationUrl"),
        ("https://as.example/token", "config.tokenUrl"),
        ("https://as.example/revoke", "config.revocationUrl"),
        ("https://as.example/me", "config.userinfoUrl"),
        ("https://as.example/i", "config.issuer"),
        ("https://api.example/v1", "config.baseUrl"),
        ("https://api.example\"]", "config.destinations"),
    ] {
        for (bad, is_a_host_matter) in [("https://evil.test", true), ("https://10.0.0.1", true), ("ftp://as.example", false)]
        {
            let tail = if url.ends_with("\"]") { "\"]" } else { "/x" };
            let refused =
                profiles.settings(&connector_config(".oauth2", &config.replace(url, &format!("{bad}{tail}")))).unwrap_err();
            assert_eq!((refused.field.as_str(), refused.host_not_allowed), (field, is_a_host_matter), "{url} {bad}");
            assert!(!refused.to_string().contains("evil.test"), "errors do not contain values");
        }
    }
}

#[test]
fn a_client_id_may_be_added_later_but_must_be_valid() {
    let mut open = connector_config(".oauth2", BY_HAND);
    open.client_id = None;
    assert_eq!(profiles().settings(&open).unwrap().missing.as_deref(), Some("secrets.clientId"));
    for bad in ["a b", "\u{e4}", "a\n", &"a".repeat(513)] {
        open.client_id = Some(bad.to_owned());
        assert_eq!(profiles().settings(&open).unwrap_err().field, "secrets.clientId");
    }
    let mut github = connector_config(".github", "{}");
    for bad in ["../x", "a/b", "a?b", ".."] {
        github.client_id = Some(bad.to_owned());
        assert!(profiles().settings(&github).is_err(), "{bad} would change the path");
    }
}

#[test]
fn r09_github_is_a_profile_that_shares_the_callback() {
    let settings = profiles().settings(&connector_config(".github", r#"{"scope":"repo,user gist"}"#)).unwrap();
    assert_eq!((settings.title.as_str(), settings.callback), ("GitHub", CallbackPath::Profiles));
    assert_eq!(settings.authentication, ClientAuthentication::Post);
    assert_eq!(settings.expected_scopes.to_record(), "gist repo user");
    let endpoints = settings.endpoints.unwrap();
    assert_eq!(endpoints.token, "https://github.com/login/oauth/access_token");
    assert_eq!(endpoints.revocation.as_deref(), Some("https://api.github.com/applications/client-1/token"));
    assert_eq!(profiles().settings(&connector_config(".github", "{}")).unwrap().requested_scopes.to_record(), "read:user");
    let unknown = profiles().settings(&connector_config(".github", r#"{"tokenUrl":"https://evil.test/"}"#)).unwrap_err();
    assert_eq!(unknown.field, "config.tokenUrl");
}

#[test]
fn profiles_are_refused_if_unknown_denied_or_outside_the_policy() {
    let missing = profiles().settings(&connector_config(".unknown", "{}")).unwrap_err();
    assert_eq!(missing.field, "connector_type_id");
    let deny = ProfileOptions { deny: vec![ProfileId::new(".github").unwrap()], ..ProfileOptions::default() };
    let denied = Profiles::new(EgressPolicy::new(&["*"], &[]).unwrap(), deny).unwrap();
    assert_eq!(denied.settings(&connector_config(".github", "{}")).unwrap_err().field, "connector_type_id");
    assert!(denied.connector_types().iter().all(|kind| kind.id != ".github"));
    let narrow = Profiles::new(EgressPolicy::new(&["api.example"], &[]).unwrap(), ProfileOptions::default()).unwrap();
    assert!(narrow.settings(&connector_config(".github", "{}")).unwrap_err().host_not_allowed);
}

#[test]
fn results_are_cached_by_exact_equality_and_within_bounds() {
    let profiles = profiles();
    let one = profiles.settings(&connector_config(".oauth2", BY_HAND)).unwrap();
    assert_eq!(profiles.settings(&connector_config(".oauth2", BY_HAND)).unwrap(), one);
    assert_eq!(profiles.cache.read().unwrap().len(), 1);
    let other = profiles.settings(&connector_config(".oauth2", &by_hand(r#""scope":"x""#))).unwrap();
    assert_ne!(other, one);
    for number in 0..2 * MAX_CACHED {
        drop(profiles.settings(&connector_config(".oauth2", &format!("{{\"{number}\":1}}"))));
    }
    assert!(profiles.cache.read().unwrap().len() <= MAX_CACHED);
    assert_eq!(profiles.settings(&connector_config(".oauth2", BY_HAND)).unwrap(), one);
}

const GITHUB_FIELDS: [&str; 4] = ["scope", "requiredScopes", "resource", "refreshErrors"];

#[test]
fn connector_types_list_their_fields() {
    let types = profiles().connector_types();
    let profiles = BUILT_IN.iter().map(|(file, _)| format!(".{}", file.strip_suffix(".toml").unwrap()));
    let mut expected: Vec<_> = profiles.collect();
    expected.sort();
    expected.insert(0, ".oauth2".to_owned());
    assert_eq!(types.iter().map(|kind| kind.id.clone()).collect::<Vec<_>>(), expected);
    let custom: Vec<_> = types[0].fields.iter().map(|field| field.name.as_str()).collect();
    assert!(super::custom::FIELDS.iter().all(|name| *name == "useBasicAuth" || custom.contains(name)));
    assert_eq!(custom.len() + 1, super::custom::FIELDS.len());
    let github = types.iter().find(|kind| kind.id == ".github").unwrap();
    assert_eq!(github.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), GITHUB_FIELDS);
    assert_eq!((types[0].callback, github.callback), (None, Some(CallbackPath::Profiles)));
}

#[test]
fn the_two_names_of_the_client_authentication_agree() {
    let authentication = |settings: &str| custom(&by_hand(settings)).unwrap().authentication;
    for (settings, expected) in [
        (r#""useBasicAuth":true"#, ClientAuthentication::Basic),
        (r#""useBasicAuth":false"#, ClientAuthentication::Post),
        (r#""useBasicAuth":true,"clientAuth":"basic""#, ClientAuthentication::Basic),
        (r#""useBasicAuth":false,"clientAuth":"post""#, ClientAuthentication::Post),
        (r#""clientAuth":"none""#, ClientAuthentication::None),
    ] {
        assert_eq!(authentication(settings), expected, "{settings}");
    }
}

#[test]
fn without_a_base_url_tokens_go_to_the_origin_of_the_token_url_only() {
    let endpoints = r#""authorizationUrl":"https://as.example/a","tokenUrl":"https://tokens.as.example/t?x=1""#;
    let settings = custom(&format!("{{{endpoints}}}")).unwrap();
    assert_eq!(settings.base_url.as_deref(), Some("https://tokens.as.example/"));
    assert_eq!(settings.destinations.iter().map(Origin::as_str).collect::<Vec<_>>(), ["https://tokens.as.example"]);
    let explicit = custom(&format!(r#"{{{endpoints},"baseUrl":"https://tokens.as.example"}}"#)).unwrap();
    assert_eq!(explicit, settings, "the same settings, so that writing the default down ends no grant");
    assert_eq!(refused(&format!(r#"{{{endpoints},"destinations":["https://api.example"]}}"#)), "config.destinations");
}

#[test]
fn a_connector_may_repeat_the_endpoints_of_its_profile_and_set_no_others() {
    let profiles = profiles();
    let github = |config: &str| profiles.settings(&connector_config(".github", config));
    let plain = github("{}").unwrap();
    for repeated in [
        r#"{"authorizationUrl":"https://github.com/login/oauth/authorize","tokenUrl":"https://github.com/login/oauth/access_token"}"#,
        r#"{"tokenUrl":"https://github.com/login/oauth/access_token","useBasicAuth":true}"#,
        r#"{"authorizationUrl":"","useBasicAuth":false}"#,
    ] {
        assert_eq!(github(repeated).as_ref(), Ok(&plain), "{repeated}");
    }
    for (config, field) in [
        (r#"{"tokenUrl":"https://evil.example/login/oauth/access_token"}"#, "config.tokenUrl"),
        (r#"{"tokenUrl":"https://github.com/login/oauth/authorize"}"#, "config.tokenUrl"),
        (r#"{"authorizationUrl":"https://github.com/login/oauth/authorize?x=1"}"#, "config.authorizationUrl"),
        (r#"{"authorizationUrl":"http://github.com/login/oauth/authorize"}"#, "config.authorizationUrl"),
        (r#"{"tokenUrl":7}"#, "config.tokenUrl"),
        (r#"{"useBasicAuth":"yes"}"#, "config.useBasicAuth"),
        (r#"{"revocationUrl":"https://github.com/x"}"#, "config.revocationUrl"),
    ] {
        assert_eq!(github(config).unwrap_err().field, field, "{config}");
    }
}

#[test]
fn a_profile_can_have_a_sunset() {
    let profiles = with(&TENANTS.replacen("id = ", "sunset = \"2027-06-30\"\nid = ", 1)).unwrap();
    let sunset = |id: &str| profiles.connector_types().into_iter().find(|kind| kind.id == id).unwrap().sunset;
    assert_eq!((sunset(".tenants").as_deref(), sunset(".oauth2")), (Some("2027-06-30"), None));
    assert!(with(&TENANTS.replacen("id = ", "sunset = \"soon\"\nid = ", 1)).is_err());
}

/// A profile with variables.
const TENANTS: &str = r#"
id = ".tenants"
title = "Tenants"
verified_on = "2026-01-31"
source = "https://docs.example/"
[setup]
console_url = "https://console.example/"
steps = ["Enter {redirect_uri}."]
[variables.tenant]
label = "Tenant"
kind = "label"
[variables.region]
label = "Region"
kind = "one-of"
values = ["eu", "us"]
default = "eu"
[endpoints]
authorization = "https://{tenant}.login.example/authorize"
token = "https://{tenant}.login.example/token"
[client]
authentication = "basic"
client_credentials = true
[api]
base_url = "https://{region}.api.example/v1"
[wire.refresh]
tokens = "kept"
[wire.scopes]
default = ["read"]
always = ["offline_access"]
"#;

fn with(text: &str) -> Result<Profiles, InvalidProfile> {
    let id = text.split("id = \".").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("test");
    let additional = vec![(format!("{id}.toml"), text.to_owned())];
    Profiles::new(EgressPolicy::new(&["*"], &[]).unwrap(), ProfileOptions { additional, ..ProfileOptions::default() })
}

#[test]
fn variables_fill_templates_and_are_checked() {
    let profiles = with(TENANTS).unwrap();
    let settings = profiles.settings(&connector_config(".tenants", r#"{"tenant":"acme","scope":"write"}"#)).unwrap();
    assert_eq!(settings.endpoints.unwrap().token, "https://acme.login.example/token");
    assert_eq!(settings.base_url.as_deref(), Some("https://eu.api.example/v1"));
    assert_eq!(settings.requested_scopes.to_record(), "offline_access write");
    assert_eq!(settings.expected_scopes.to_record(), "write");
    assert_eq!(settings.callback, CallbackPath::Profiles);
    for (config, field) in [
        ("{}", "config.tenant"),
        (r#"{"tenant":"a.b"}"#, "config.tenant"),
        (r#"{"tenant":"evil.test/"}"#, "config.tenant"),
        (r#"{"tenant":"acme","region":"cn"}"#, "config.region"),
        (r#"{"tenant":"acme","other":"x"}"#, "config.other"),
    ] {
        assert_eq!(profiles.settings(&connector_config(".tenants", config)).unwrap_err().field, field, "{config}");
    }
    let kind = profiles.connector_types().into_iter().find(|kind| kind.id == ".tenants").unwrap();
    assert_eq!(kind.auth_modes, ["per-user", "shared"]);
    let shared = |id, config| profiles.settings(&connector_config(id, config)).unwrap().client_credentials;
    assert!(shared(".tenants", r#"{"tenant":"acme"}"#) && !shared(".github", "{}"), "consistent with the catalogue");
    assert_eq!(kind.fields[0].name, "region");
    assert!(kind.fields[1].required && !kind.fields[0].required);
}

#[test]
fn r09_a_profile_with_a_free_host_has_no_shared_callback() {
    let free = TENANTS.replace("{tenant}.login.example", "{tenant}").replace("kind = \"label\"", "kind = \"host\"");
    let profiles = with(&free).unwrap();
    let settings = profiles.settings(&connector_config(".tenants", r#"{"tenant":"login.acme.test"}"#)).unwrap();
    assert_eq!(settings.callback, CallbackPath::PerConnector);
}

#[test]
fn profile_files_are_strict() {
    for (from, to) in [
        ("title = \"Tenants\"", ""),
        ("title = \"Tenants\"", "title = \"Tenants\"\ncolour = \"red\""),
        ("verified_on = \"2026-01-31\"", "verified_on = \"today\""),
        ("verified_on = \"2026-01-31\"", "verified_on = \"2026-1-31\""),
        ("token = \"https://", "introspection = \"https://as.example/introspect\"\ntoken = \"https://"),
        ("source = \"https://docs.example/\"", "source = \"wiki\""),
        ("id = \".tenants\"", "id = \"tenants\""),
        ("id = \".tenants\"", "id = \".github\""),
        ("id = \".tenants\"", "id = \".oauth2\""),
        ("authentication = \"basic\"", "authentication = \"private_key_jwt\""),
        ("default = \"eu\"", "default = \"cn\""),
        ("kind = \"label\"", "kind = \"regex\""),
        ("tokens = \"kept\"", ""),
        ("tokens = \"kept\"", "tokens = \"sometimes\""),
        ("tokens = \"kept\"", "tokens = \"kept\"\nparameters = { client_secret = \"x\" }"),
        ("tokens = \"kept\"", "tokens = \"kept\"\ntoken_parameter = \"code\""),
        ("{redirect_uri}", "the redirect URI"),
        ("console_url = \"https://", "console_url = \"http://"),
        ("console_url", "colour = \"red\"\nconsole_url"),
        ("base_url = \"https://", "base_url = \"http://"),
        ("[wire.scopes]", "[wire]\nheaders = { Authorization = \"x\" }\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.identity]\nbody = \"{}\"\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.identity]\nmethod = \"POST\"\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.revocation]\nauthentication = \"mutual\"\n[wire.scopes]"),
        ("[endpoints]", "[grant_values.tenant]\nfrom = \"callback\"\nmember = \"t\"\nkind = \"id\"\n[endpoints]"),
        ("[endpoints]", "[grant_values.api]\nfrom = \"callback\"\nmember = \"t\"\nkind = \"url\"\n[endpoints]"),
        ("[variables.tenant]", "[variables.scope]"),
        ("[variables.tenant]", "[variables.tokenUrl]"),
        ("token = \"https://", "token = \"http://"),
        ("default = [\"read\"]", "parameter = \"state\""),
        ("default = [\"read\"]", "default = [\"read write\"]"),
        ("always = [\"offline_access\"]", "always = [\"a\\\"b\"]"),
        ("[wire.scopes]", "[wire.scopes]\nimplies = { admin = [\"read\\n\"] }"),
        ("[wire.scopes]", "[wire.scopes]\nimplies = { \"a b\" = [] }"),
        ("[wire.scopes]", "[wire.scopes]\nseparator = \"\""),
        ("[wire.scopes]", "[wire.scopes]\nresponse_separator = \"\""),
        ("[wire.scopes]", "[wire.authorize]\nparameters = { state = \"x\" }\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.authorize]\npkce = \"plain\"\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.token]\nsurprise = 1\n[wire.scopes]"),
        ("[wire.scopes]", "[wire.revocation]\nstyle = \"fax\"\n[wire.scopes]"),
    ] {
        let changed = TENANTS.replacen(from, to, 1);
        assert_ne!(changed, TENANTS, "{from}");
        assert!(with(&changed).is_err(), "{to}");
    }
    assert!(with("not toml").is_err());
}

/// A page must not promise a call that is not sent.
#[test]
fn connections_of_these_profiles_cannot_be_tried() {
    let without: Vec<_> = profiles()
        .known
        .iter()
        .filter(|(_, profile)| profile.file.probe().is_none())
        .map(|(id, _)| id.as_str().trim_start_matches('.').to_owned())
        .collect();
    for id in &without {
        let page = profiles().page(&ProfileId::new(format!(".{id}")).unwrap()).unwrap();
        assert!(!page.contains("a call that succeeds with every token"), "{id}");
    }
    // A POST names the account, the API is named by the grant, or no call succeeds with every scope.
    let expected = "asana docusign dropbox hubspot linear mailchimp monday netsuite quickbooks salesforce shopify snowflake twitch zoho";
    assert_eq!(without.join(" "), expected);
}

#[test]
fn a_violation_names_the_line_the_field_and_the_accepted_form() {
    let rows = [
        ("verified_on = \"2026-01-31\"", "verified_on = \"2026-02-30\"", "`verified_on` must be a date such as"),
        ("verified_on = ", "sunset = \"2026-99-99\"\nverified_on = ", "`sunset` must be a date such as"),
        (
            "{tenant}.login.example/token",
            "{tennant}.login.example/token",
            "`endpoints.token` names {tennant}, which is no variable",
        ),
        ("{tenant}.login.example/token", "{tenant.login.example/token", "`endpoints.token` has a brace that is not closed"),
        ("{tenant}.login.example/token", "tenant}.login.example/token", "`endpoints.token` has a brace that is not opened"),
        ("{region}.api.example", "{regoin}.api.example", "`api.base_url` names {regoin}, which is no variable"),
        ("[wire.refresh]", "probe = \"http://api.example/me\"\n[wire.refresh]", "`api.probe` must start with https://"),
        (
            "[wire.refresh]",
            "probe = \"https://other.example/me\"\n[wire.refresh]",
            "`api.probe` must be at the host of api.base_url or of one of api.destinations",
        ),
        ("[wire.refresh]", "destinations = [\"https://{x}.example\"]\n[wire.refresh]", "`api.destinations` names {x}"),
        (
            "kind = \"label\"",
            "kind = \"host\"\nsuffixes = [\"example.com\"]",
            "suffixes` must be domains with a leading dot",
        ),
        (
            "kind = \"label\"",
            "kind = \"label\"\nsuffixes = [\".example.com\"]",
            "suffixes` are for variables of the kind host",
        ),
        ("kind = \"label\"", "kind = \"label\"\nvalues = [\"a\"]", "values` are required for variables of the kind one-of"),
        ("kind = \"label\"", "kind = \"one-of\"", "values` are required for variables of the kind one-of"),
        (
            "tokens = \"kept\"",
            "tokens = \"kept\"\nparameters = { code = \"x\" }",
            "`wire.refresh.parameters.code` is a name",
        ),
        ("tokens = \"kept\"", "tokens = \"kept\"\ntoken_parameter = \"state\"", "`wire.refresh.token_parameter` is a name"),
        (
            "[wire.scopes]",
            "[wire.revocation]\nclient_id_parameter = \"a b\"\n[wire.scopes]",
            "`wire.revocation.client_id_parameter` is",
        ),
        ("[wire.scopes]", "[wire]\nheaders = { Cookie = \"x\" }\n[wire.scopes]", "`wire.headers.Cookie` is no header field"),
        ("authentication = \"basic\"", "authentication = \"mutual\"", "`client.authentication` must be basic, post or none"),
    ];
    for (from, to, expected) in rows {
        let changed = TENANTS.replacen(from, to, 1);
        let problem = with(&changed).err().unwrap_or_else(|| panic!("{to} is accepted")).problem;
        assert!(problem.contains(expected), "{to}: {problem}");
        // The line of the mistake; of a field that is missing, the line of the table that lacks it.
        let line = changed[..changed.find(to).unwrap() + to.rfind('\n').map_or(0, |at| at + 1)].matches('\n').count() + 1;
        let found: usize = problem.split(':').next().unwrap().strip_prefix("line ").unwrap().parse().unwrap();
        assert!(line.abs_diff(found) <= 2, "{to}: line {line}, and the message is {problem}");
    }
}

#[test]
fn a_profile_of_the_operator_ends_with_its_service() {
    let text = TENANTS.replacen("verified_on", "sunset = \"2026-05-31\"\nverified_on", 1);
    let on = |today: Option<&str>, skip_invalid| {
        let additional = vec![("tenants.toml".to_owned(), text.clone())];
        let today = today.map(str::to_owned);
        let options = ProfileOptions { additional, skip_invalid, today, ..ProfileOptions::default() };
        Profiles::new(EgressPolicy::new(&["*"], &[]).unwrap(), options)
    };
    assert!(on(None, false).is_ok() && on(Some("2026-05-31"), false).is_ok());
    let problem = on(Some("2026-06-01"), false).err().unwrap().problem;
    assert!(problem.starts_with("line 4: `sunset` 2026-05-31 has passed"), "{problem}");
    let skipping = on(Some("2026-06-01"), true).unwrap();
    assert_eq!(skipping.skipped().len(), 1);
    assert!(skipping.settings(&connector_config(".tenants", r#"{"tenant":"a"}"#)).is_err());
}

#[test]
fn a_profile_of_the_operator_keeps_the_rules_of_the_built_in_ones() {
    for (name, text) in BUILT_IN {
        assert!(Profile::read_whole(name, text, None).is_ok(), "{name}");
    }
    let problem = |name: &str, unverified: &str| {
        let text = TENANTS.replacen("verified_on", &format!("unverified = [\"{unverified}\"]\nverified_on"), 1);
        Profile::read_whole(name, &text, None).err().map(|invalid| invalid.problem)
    };
    let misnamed = problem("other.toml", "sunset").unwrap();
    assert!(misnamed.starts_with("line 2: `id` must be \".other\""), "{misnamed}");
    for field in ["sunset", "wire", "wire.token", "wire.token.errors", "wire.authorize.pkce", "variables.tenant.values"] {
        assert_eq!(problem("tenants.toml", field), None, "{field}");
    }
    for path in [
        "",
        ".",
        "suns",
        "wire.tokens",
        "wire.token.error",
        "id.x",
        "variables.other",
        "variables.other.values",
        "grant_values.other",
        "wire..token",
        "endpoints.",
    ] {
        let problem = problem("tenants.toml", path).unwrap_or_else(|| panic!("{path} is accepted"));
        assert!(problem.starts_with("line 4: `unverified` names "), "{path}: {problem}");
    }
}

#[test]
fn the_domains_in_which_a_grant_names_its_api_are_part_of_the_settings() {
    let facts = |profile: &str, settings: &str| {
        let settings = profiles().settings(&connector_config(profile, settings)).unwrap();
        let origins: Vec<_> = settings.destinations.iter().map(|origin| origin.as_str().to_owned()).collect();
        (origins.join(" "), settings.api_domains.join(" "))
    };
    let within = |origins: &str, domains: &str| (origins.to_owned(), domains.to_owned());
    assert_eq!(facts(".pipedrive", "{}"), within("https://api.pipedrive.com", "pipedrive.com"));
    assert_eq!(facts(".github", "{}"), within("https://api.github.com", ""));
    assert_eq!(facts(".quickbooks", "{}"), within("https://quickbooks.api.intuit.com", ""));
    assert_eq!(facts(".salesforce", "{}"), within("", "salesforce.com"));
    assert_eq!(facts(".docusign", "{}"), within("", "docusign.net"));
    assert_eq!(facts(".mailchimp", "{}"), within("", "api.mailchimp.com"));
}

#[test]
fn the_refresh_endpoint_is_part_of_the_settings() {
    let settings = profiles().settings(&connector_config(".figma", "{}")).unwrap();
    let endpoints = settings.endpoints.unwrap();
    assert_eq!(endpoints.refresh.as_deref(), Some("https://api.figma.com/v1/oauth/refresh"));
}

/// A host that an editor enters is not one that the operator approves.
#[test]
fn r19_a_host_that_an_editor_can_choose_is_not_approved() {
    let source =
        |profile: &str, settings: &str| profiles().settings(&connector_config(profile, settings)).unwrap().endpoint_source;
    assert_eq!(source(".github", "{}"), EndpointSource::Operator);
    assert_eq!(source(".gitlab", "{}"), EndpointSource::Operator, "the host of the profile");
    assert_eq!(source(".gitlab", r#"{"host":"gitlab.com"}"#), EndpointSource::Operator);
    assert_eq!(source(".gitlab", r#"{"host":"evil.example"}"#), EndpointSource::User);
    let chosen: Vec<_> = profiles()
        .known
        .values()
        .filter(|profile| profile.callback == CallbackPath::PerConnector)
        .map(|profile| profile.id.as_str().to_owned())
        .collect();
    assert!(chosen.iter().any(|id| id == ".keycloak") && chosen.iter().any(|id| id == ".gitea"), "{chosen:?}");
    for profile in profiles().known.values() {
        // The callback that connectors share requires endpoints that the operator approves.
        let mut hosts = profile.file.endpoints.all().chain([profile.file.api.base_url.as_str()]);
        let is_open = |url: &str| {
            template::names_of_host(url).any(|name| {
                let variable = profile.file.variables.get(name);
                variable.is_some_and(|variable| variable.kind == VariableKind::Host && variable.suffixes.is_empty())
            })
        };
        let open = hosts.any(is_open);
        assert!(!open || profile.callback == CallbackPath::PerConnector, "{:?}", profile.id);
    }
}

#[test]
fn every_built_in_profile_has_the_id_of_its_file() {
    let profiles = profiles();
    assert_eq!(profiles.known.len(), BUILT_IN.len());
    for id in profiles.known.keys() {
        assert!(Profiles::is_built_in(id), "{id:?}");
    }
}

#[test]
fn the_example_of_the_readme_is_a_profile() {
    let readme = include_str!("../../profiles/README.md");
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let profiles = with(example).unwrap();
    assert_eq!(profiles.settings(&connector_config(".example", "{}")).unwrap().callback, CallbackPath::Profiles);
}

fn probe(profile: &str, settings: &str) -> Option<Probe> {
    profiles().probe(&connector_config(profile, settings))
}

#[test]
fn a_connection_is_tried_at_the_probe_or_at_userinfo() {
    let github = probe(".github", "{}").unwrap();
    assert_eq!((github.url.as_str(), github.origin.as_str()), ("https://api.github.com/user", "https://api.github.com"));
    assert_eq!(github.headers[0], ("accept".to_owned(), "application/json".to_owned()));
    let discord = probe(".discord", "{}").unwrap();
    assert_eq!(discord.url, "https://discord.com/api/v10/oauth2/@me", "the probe, and not userinfo");
    let notion = probe(".notion", "{}").unwrap();
    assert!(notion.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("notion-version")), "{:?}", notion.headers);
    assert_eq!(probe(".linear", "{}"), None, "userinfo is a POST");
    assert_eq!(
        probe(".oauth2", &by_hand(r#""userinfoUrl":"https://api.example/me""#)).unwrap().url,
        "https://api.example/me"
    );
    assert_eq!(probe(".oauth2", BY_HAND), None);
    assert_eq!(probe(".oauth2", "{}"), None, "settings that cannot be used");
}

//! Files and environments, good and bad. Every refusal is one sentence that names the key and repeats no value.

use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::identity::Role;

use super::keys::{KEYS, Kind, variable};
use super::{Config, ConfigError, Identity};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSByYW5kb20gc2FsdA$YGEGRm5Jb3mlLIBIFlgoANKqOAzH3zp95SPGXCUGu6o";
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The least that is understood.
fn least() -> String {
    format!(
        r#"
public_base_url = "https://connect.example.com"
keys.write = "file:primary.key"
[[spaces]]
id = "marketing"
[[identity.accounts]]
id = "u_alice"
username = "alice"
password_hash = "{HASH}"
roles = {{ default = "editor" }}
"#
    )
}

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, Path::new("grantry.toml"), PathBuf::from("/etc/grantry"), environment)
}

fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
    match parse(text, environment) {
        Ok(_) => panic!("accepted: {text} {environment:?}"),
        Err(error) => error.to_string(),
    }
}

/// `least`, with lines before it.
fn with(lines: &str) -> String {
    format!("{lines}\n{}", least())
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = parse(&least(), &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database, Path::new("/etc/grantry/grantry.db"));
    assert_eq!((config.flow_ttl, config.pending_per_user), (Duration::from_mins(10), 10));
    assert_eq!((config.unused_grants, config.ended), (Duration::from_hours(90 * 24), Duration::from_hours(30 * 24)));
    assert_eq!(config.max_body, 1024 * 1024);
    assert_eq!(config.log, "info");
    assert_eq!(config.rate_limits, grantry_runtime::RateLimits::default());
    let spaces: Vec<&str> = config.spaces.iter().map(grantry_domain::identity::SpaceId::as_str).collect();
    assert_eq!(spaces, ["default", "marketing"]);
    let Identity::Accounts(accounts) = &config.identity else { panic!("accounts") };
    assert_eq!(accounts[0].roles.values().collect::<Vec<_>>(), [&Role::Editor]);
}

#[test]
fn the_example_file_is_understood_and_names_every_key() {
    let text = include_str!("../../../grantry.example.toml");
    parse(text, &[]).unwrap();
    // A key is named where its last part stands at the beginning of a line, commented out or not, or in a table in line.
    let fields = KEYS.iter().flat_map(|(path, kind)| match kind {
        Kind::Tables(fields) => fields.iter().map(|(name, _)| *name).collect(),
        Kind::Text | Kind::Number | Kind::Flag | Kind::Texts | Kind::Names => vec![path.rsplit('.').next().unwrap_or(path)],
    });
    for name in fields {
        let named = text.contains(&format!("\n{name} = "))
            || text.contains(&format!("\n# {name} = "))
            || text.contains(&format!(" {name} = \""));
        assert!(named, "{name} is missing from grantry.example.toml");
    }
}

#[test]
fn every_key_of_the_table_has_a_place_in_the_structure() {
    for (path, kind) in KEYS {
        let sample: toml::Value = match kind {
            Kind::Text => "x".into(),
            Kind::Number => 1.into(),
            Kind::Flag => true.into(),
            Kind::Texts => vec!["x"].into(),
            Kind::Names => toml::Table::new().into(),
            Kind::Tables(_) => toml::Value::Array(Vec::new()),
        };
        let mut table = toml::Table::new();
        super::keys::insert(&mut table, path, sample);
        assert!(table.try_into::<super::file::File>().is_ok(), "{path}");
    }
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (text, key) in [
        ("lisen = \"127.0.0.1:1\"", "`lisen`; known there: listen, public_base_url, store,"),
        ("store.uri = \"canary\"", "`store.uri`; known there: url, deployment_id"),
        ("oauth.rate_limits.begin = \"1/1m\"", "`oauth.rate_limits.begin`; known there: start, callback,"),
        ("[canary.canary]\nx = 1", "`canary`"),
        ("[[identity.agents]]\nname = \"a\"\nkey = \"canary\"", "`identity.agents[0].key`; known there: name, key_sha256,"),
        ("spaces = [{ id = \"a\" }, { name = \"canary\" }]", "`spaces[1].name`"),
    ] {
        let error = refusal(text, &[]);
        assert!(error.starts_with(&format!("unknown key {key}")), "{error}");
        assert!(!error.contains("\"canary\""), "{error}");
    }
}

#[test]
fn values_of_another_kind_are_refused_by_name_and_never_repeated() {
    for (text, expected) in [
        ("listen = 8080", "`listen` must be text in quotes"),
        ("keys = \"canary\"", "`keys` must be a table"),
        ("keys.write = [\"canary\"]", "`keys.write` must be text in quotes"),
        ("keys.read = \"canary\"", "`keys.read` must be a list of texts"),
        ("keys.read = [\"canary\", 1]", "`keys.read` must be a list of texts"),
        ("oauth.pending_per_user = \"canary\"", "`oauth.pending_per_user` must be a whole number"),
        ("identity.accounts = \"canary\"", "`identity.accounts` must be a list of tables"),
        ("identity.accounts = [\"canary\"]", "`identity.accounts[0]` must be a list of tables"),
        ("identity.accounts = [{ roles = \"canary\" }]", "`identity.accounts[0].roles` must be a table of texts"),
        ("identity.agents = [{ access_tokens = \"canary\" }]", "`identity.agents[0].access_tokens` must be true or false"),
    ] {
        assert_eq!(refusal(text, &[]), expected, "{text}");
    }
}

#[test]
fn r78_a_file_that_is_not_toml_is_told_by_its_place_alone() {
    let error = refusal("listen = \"127.0.0.1:1\"\n[keys]\nwrite = canary", &[]);
    assert!(error.starts_with("the configuration grantry.toml is not valid TOML at line 3, column "), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn each_refusal_says_what_to_set() {
    let agent = format!("[[identity.agents]]\nname = \"a\"\nkey_sha256 = \"{DIGEST}\"\n");
    let cases: Vec<(String, &str)> = vec![
        (
            least().replace("public_base_url", "# "),
            "`public_base_url` is missing; set it to the URL under which people reach this server",
        ),
        (least().replace("https://", "http://"), "`public_base_url` must be https unless the host is loopback"),
        (
            least().replace("keys.write", "# "),
            "`keys.write` is missing; make a key with `grantry keys generate --out primary.key`",
        ),
        (
            least().replace("file:primary.key", "canary"),
            "`keys.write` cannot be used: a key is configured as `file:PATH` or `env:NAME`",
        ),
        (with("keys.read = [\"canary\"]"), "`keys.read` cannot be used"),
        (with("listen = \"canary\""), "`listen` must be an IP address and a port"),
        (with("store.url = \"postgres://canary\""), "`store.url` names a PostgreSQL database, which is not available yet"),
        (with("store.url = \"canary\""), "`store.url` must be \"sqlite:\" and the path of a file"),
        (with("store.url = \"sqlite::memory:\""), "`store.url` must be"),
        (with("store.deployment_id = \"canary\""), "`store.deployment_id` must be 32 lower-case hex digits"),
        (with("identity.mode = \"jwt\""), "`identity.mode` names `jwt`, which is not available yet"),
        (with("identity.mode = \"canary\""), "`identity.mode` must be \"accounts\" or \"proxy-header\""),
        (with("egress.allowed_hosts = [\"https://canary\"]"), "`egress.allowed_hosts` must hold"),
        (with("egress.allow = [\"canary\"]"), "`egress.allow` must hold \"host:port\" entries"),
        (with("oauth.flow_ttl = \"canary\""), "`oauth.flow_ttl` must be a duration, such as"),
        (with("retention.ended = \"0d\""), "`retention.ended` must be a duration"),
        (with("oauth.pending_per_user = 11"), "`oauth.pending_per_user` must be between 1 and 10"),
        (
            with("oauth.callback_mode = \"two-step\""),
            "`oauth.callback_mode` must be \"direct\"; other modes are not available yet",
        ),
        (
            with("oauth.rate_limits.start = \"canary\""),
            "`oauth.rate_limits.start` must be a number in a span, such as \"20/10m\"",
        ),
        (with("execute.max_body = 1"), "`execute.max_body` must be a number of bytes"),
        (with("providers.deny = [\"canary\"]"), "`providers.deny` must hold ids of built-in profiles"),
        (with("providers.deny = [\".githb\"]"), "`providers.deny` must hold ids of built-in profiles"),
        (with("telemetry.log = \"=canary=\""), "`telemetry.log` must be a level"),
        (
            with("telemetry.otlp_endpoint = \"https://canary\""),
            "`telemetry.otlp_endpoint` is set, but traces cannot be exported yet",
        ),
        (least().replace("marketing", "a/b"), "`spaces[0].id` may hold only letters"),
        (format!("{}[[spaces]]\nid = \"marketing\"", least()), "`spaces[1].id` is there twice"),
        (least().replace("u_alice", ""), "`identity.accounts[0].id` must not be empty"),
        (least().replace("\"alice\"", "\"\""), "`identity.accounts[0].username` is missing"),
        (least().replace(HASH, "canary"), "`identity.accounts[0].password_hash` is not an Argon2id hash; make one with"),
        (least().replace("argon2id", "argon2i"), "`identity.accounts[0].password_hash` is not an Argon2id hash"),
        (
            least().replace("\"editor\"", "\"canary\""),
            "`identity.accounts[0].roles.default` must be \"viewer\", \"editor\" or \"admin\"",
        ),
        (least().replace("default =", "sales ="), "`identity.accounts[0].roles.sales` names a space that does not exist"),
        (
            least().replace("[[identity.accounts]]", "[[identity.agents]]\nname = \"a b\"\n[[identity.accounts]]"),
            "`identity.agents[0].name` must be",
        ),
        (
            format!("{}{}", least(), agent.replace(DIGEST, &DIGEST.to_uppercase())),
            "`identity.agents[0].key_sha256` must be 64 lower-case hex digits",
        ),
        (format!("{}{agent}", least()), "`identity.agents[0].spaces` is missing"),
        (format!("{}{agent}spaces = [\"sales\"]", least()), "`identity.agents[0].spaces` names a space that does not exist"),
        (format!("{}{agent}spaces = [\"default\"]\n{agent}", least()), "`identity.agents[1].name` is used by another agent"),
        (with("identity.accounts = []").replace("[[identity.accounts]]", "[ignored]"), "unknown key `ignored`"),
    ];
    for (text, expected) in cases {
        let error = refusal(&text, &[]);
        assert!(error.starts_with(expected), "{error}\n  expected: {expected}");
        assert!(!error.contains("canary") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn accounts_are_told_apart() {
    let second = |id: &str, username: &str| {
        format!("{}[[identity.accounts]]\nid = \"{id}\"\nusername = \"{username}\"\npassword_hash = \"{HASH}\"", least())
    };
    assert!(parse(&second("u_bob", "bob"), &[]).is_ok());
    assert!(refusal(&second("u_alice", "bob"), &[]).starts_with("`identity.accounts[1].id` is used by another account"));
    assert!(
        refusal(&second("u_bob", "alice"), &[]).starts_with("`identity.accounts[1].username` is used by another account")
    );
}

#[test]
fn nobody_to_let_in_is_refused() {
    let text = "public_base_url = \"https://a.example\"\nkeys.write = \"file:k\"";
    assert!(refusal(text, &[]).starts_with("`identity.accounts` is empty, so nobody could sign in"));
    assert!(parse(&format!("{text}\nidentity.mode = \"proxy-header\""), &[]).is_ok());
}

#[test]
fn r57_a_proxy_is_believed_only_from_its_addresses() {
    let mode = "identity.mode = \"proxy-header\"\nidentity.proxy";
    let proxy = |lines: &str| parse(&with(&format!("{mode}.{lines}")), &[]);
    let config = proxy("roles_header = \"\"").unwrap();
    assert_eq!(config.trusted_proxies, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    let Identity::ProxyHeader(defaults) = config.identity else { panic!("proxy") };
    assert_eq!((defaults.user_header.as_str(), defaults.roles_header), ("x-forwarded-user", None));
    assert!(parse(&least(), &[]).unwrap().trusted_proxies.is_empty(), "who has no proxy believes none");
    let behind_one = parse(&with("identity.proxy.trusted_proxies = [\"10.0.0.1\"]"), &[]).unwrap();
    assert_eq!(behind_one.trusted_proxies.len(), 1, "a proxy for https stands in front of accounts, too");
    for (lines, expected) in [
        ("trusted_proxies = []", "`identity.proxy.trusted_proxies` is empty"),
        ("trusted_proxies = [\"*\"]", "`identity.proxy.trusted_proxies` must hold IP addresses"),
        ("user_header = \"a b\"", "`identity.proxy.user_header` is not a header name"),
        ("roles_header = \"a b\"", "`identity.proxy.roles_header` is not a header name"),
    ] {
        let error = proxy(lines).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let agents = format!(r#"[{{"name":"a","key_sha256":"{DIGEST}","spaces":["default"],"access_tokens":true}}]"#);
    let config = parse(
        &with("listen = \"127.0.0.1:1\"\noauth.rate_limits.start = \"5/1m\""),
        &[
            ("GRANTRY_LISTEN", "127.0.0.1:9"),
            ("GRANTRY_STORE_URL", "sqlite:/data/other.db"),
            ("GRANTRY_KEYS_WRITE", "env:MY_KEY"),
            ("GRANTRY_KEYS_READ", "file:a.key, file:b.key,"),
            ("GRANTRY_OAUTH_FLOW_TTL", "5m"),
            ("GRANTRY_OAUTH_PENDING_PER_USER", "3"),
            ("GRANTRY_OAUTH_RATE_LIMITS_CALLBACK", "7/1h"),
            ("GRANTRY_EGRESS_ALLOWED_HOSTS", r#"["*.example.com"]"#),
            ("GRANTRY_IDENTITY_AGENTS", &agents),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.port(), 9);
    assert_eq!(config.database, Path::new("/data/other.db"));
    assert_eq!(config.write_key.to_string(), "env:MY_KEY");
    assert_eq!(config.read_keys.len(), 2);
    assert_eq!((config.flow_ttl, config.pending_per_user), (Duration::from_mins(5), 3));
    assert_eq!((config.rate_limits.start.times.get(), config.rate_limits.callback.times.get()), (5, 7));
    assert!(config.egress.check("https://a.example.com/").is_ok() && config.egress.check("https://example.org/").is_err());
    assert!(config.agents[0].access_tokens);
}

#[test]
fn the_environment_is_refused_by_the_name_of_its_variable() {
    for (name, value, expected) in [
        ("GRANTRY_FLOW_TTL", "canary", "unknown environment variable `GRANTRY_FLOW_TTL`"),
        ("GRANTRY_OAUTH_PENDING_PER_USER", "canary", "`GRANTRY_OAUTH_PENDING_PER_USER` must be a whole number"),
        ("GRANTRY_SPACES", "canary", "`GRANTRY_SPACES` must be a JSON array of objects"),
        ("GRANTRY_SPACES", "[{\"name\": \"canary\"}]", "unknown key `GRANTRY_SPACES[0].name`"),
        ("GRANTRY_KEYS_READ", "[1]", "`GRANTRY_KEYS_READ` must be a list of texts"),
        ("GRANTRY_KEYS_READ", "[canary", "`GRANTRY_KEYS_READ` must be a list separated by commas, or a JSON array"),
    ] {
        let error = refusal(&least(), &[(name, value)]);
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_variable_that_holds_a_key_is_no_stranger() {
    let text = least().replace("file:primary.key", "env:GRANTRY_PRIMARY_KEY");
    assert!(parse(&text, &[("GRANTRY_PRIMARY_KEY", "x")]).is_ok());
    assert!(refusal(&text, &[("GRANTRY_OTHER_KEY", "x")]).contains("`GRANTRY_OTHER_KEY`"));
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let names: Vec<String> = KEYS.iter().map(|(path, _)| variable(path)).collect();
    assert!(names.iter().all(|name| name.starts_with("GRANTRY_")));
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "two keys share a variable");
}

//! Valid and invalid files and environments. Every refusal is one sentence that names the key and contains no value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::usecase::Policy;
use grantry_runtime::RateLimits;

use super::settings::{Account, Agent, Settings, Space};
use super::{Config, ConfigError, Digest, IdentityMode, MOST_MISTAKES, defaults, keys, variable};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSByYW5kb20gc2FsdA$YGEGRm5Jb3mlLIBIFlgoANKqOAzH3zp95SPGXCUGu6o";
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The least valid configuration.
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

/// The first mistake, without its line.
fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
    let first = refusals(text, environment).remove(0);
    match first.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, mistake)) => mistake.to_owned(),
        None => first,
    }
}

/// All mistakes.
fn refusals(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match parse(text, environment) {
        Ok(_) => panic!("accepted: {text} {environment:?}"),
        Err(ConfigError::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// `least`, with lines before it.
fn with(lines: &str) -> String {
    format!("{lines}\n{}", least())
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = parse(&least(), &[]).unwrap();
    let settings = &config.settings;
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.to_string(), "/etc/grantry/grantry.db");
    assert_eq!(settings.execute.max_body.get(), 1024 * 1024);
    assert_eq!(settings.telemetry.log.as_str(), "info");
    assert_eq!(RateLimits::from(&settings.oauth.rate_limits), RateLimits::default());
    let spaces: Vec<&str> = config.spaces.iter().map(SpaceId::as_str).collect();
    assert_eq!(spaces, ["default", "marketing"]);
    assert_eq!(settings.identity.mode, IdentityMode::Accounts);
    assert_eq!(settings.identity.accounts[0].roles.values().collect::<Vec<_>>(), [&Role::Editor]);
}

#[test]
fn the_defaults_of_times_and_limits_are_those_of_the_use_cases() {
    let policy = Policy::default();
    let Settings { oauth, retention, .. } = Settings::default();
    assert_eq!((oauth.flow_ttl, oauth.pending_per_user.get()), (policy.flow_ttl, policy.pending.per_user));
    assert_eq!((retention.unused_grants, retention.ended), (policy.sweep.unused_grants, policy.sweep.ended_grants));
    assert_eq!(
        (policy.flow_ttl, policy.sweep.unused_grants, policy.sweep.ended_grants),
        (Duration::from_mins(10), Duration::from_hours(90 * 24), Duration::from_hours(30 * 24))
    );
}

/// The example file with the settings that are commented out: `# key = value` and `# [section]`.
fn example() -> toml::Table {
    let is_setting = |line: &&str| {
        let name = line.split(" = ").next().filter(|name| *name != *line).unwrap_or_default();
        line.starts_with('[')
            || !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
    };
    let text = include_str!("../../../grantry.example.toml");
    let lines = text.lines().map(|line| line.strip_prefix("# ").filter(is_setting).unwrap_or(line));
    toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

fn at<'t>(table: &'t toml::Table, key: &str) -> Option<&'t toml::Value> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match rest {
        None => table.get(first),
        Some(rest) => at(table.get(first)?.as_table()?, rest),
    }
}

#[test]
fn the_example_file_is_valid_and_lists_every_setting_with_its_default() {
    parse(include_str!("../../../grantry.example.toml"), &[]).unwrap();
    let (example, defaults) = (example(), defaults());
    assert!(keys().len() > 20, "{:?}", keys());
    for key in keys() {
        let shown = at(&example, &key).unwrap_or_else(|| panic!("{key} is missing from grantry.example.toml"));
        let default = at(&defaults, &key).unwrap();
        // Where the default is empty, the example shows a value.
        let has_default =
            default.as_str().is_none_or(|text| !text.is_empty()) && default.as_array().is_none_or(|list| !list.is_empty());
        assert!(!has_default || shown == default, "{key}: the example has {shown}, the default is {default}");
        assert!(shown.same_type(default), "{key}");
    }
}

#[test]
fn the_example_file_lists_every_key_of_a_row() {
    let id = UserId::new("u").unwrap();
    let account =
        Account { id, name: String::new(), username: String::new(), password_hash: String::new(), roles: BTreeMap::new() };
    let agent = Agent { name: String::new(), key_sha256: Digest([0; 32]), spaces: Vec::new(), access_tokens: false };
    let space = Space { id: SpaceId::default_space(), name: String::new() };
    let rows = [
        ("identity.accounts", toml::Table::try_from(account)),
        ("identity.agents", toml::Table::try_from(agent)),
        ("spaces", toml::Table::try_from(space)),
    ];
    let example = example();
    for (key, row) in rows {
        let shown = at(&example, key).and_then(|rows| rows.get(0)).unwrap_or_else(|| panic!("{key}"));
        for name in row.unwrap().keys() {
            assert!(shown.get(name).is_some(), "{name} is missing from {key} in grantry.example.toml");
        }
    }
}

#[test]
fn unknown_keys_are_refused_by_name_with_a_similar_one() {
    for (text, expected) in [
        ("lisen = \"127.0.0.1:1\"", "`lisen`; did you mean `listen`?"),
        ("store.uri = \"canary\"", "`store.uri`; did you mean `store.url`?"),
        ("oauth.rate_limits.begin = \"1/1m\"", "`oauth.rate_limits.begin`; existing keys: start, callback,"),
        ("oauth.flow_tll = \"canary\"", "`oauth.flow_tll`; did you mean `oauth.flow_ttl`?"),
        ("[canary.canary]\nx = 1", "`canary`; existing keys: listen, public_base_url, additional_hosts, store,"),
        ("log = \"canary\"", "`log`; did you mean `telemetry.log`?"),
        ("[telemtry]\nlog = \"canary\"", "`telemtry`; did you mean `telemetry`?"),
        (
            "[[identity.agents]]\nname = \"a\"\nkey = \"canary\"",
            "`identity.agents[0].key`; existing keys: name, key_sha256,",
        ),
        ("spaces = [{ id = \"a\" }, { title = \"canary\" }]", "`spaces[1].title`; existing keys: id, name"),
    ] {
        let found = refusals(text, &[]).join("\n");
        assert!(found.contains(&format!("unknown key {expected}")), "{found}");
        assert!(!found.contains("\"canary\""), "{found}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let text = format!(
        r#"lisen = "127.0.0.1:1"
public_base_url = "http://canary.example"

[store]
url = "mysql://canary"

[oauth]
flow_ttl = "11m"
pending_per_user = 11

[egress]
allow = ["canary"]

[[spaces]]
id = "sales"

[[spaces]]
id = "a/canary"

[[identity.accounts]]
id = "u_alice"
username = "alice"
password_hash = "canary"
roles = {{ default = "canary", sales = "viewer" }}

[[identity.accounts]]
id = "u_alice"
username = "bob"
password_hash = "{HASH}"

[[identity.agents]]
name = "a"
key_sha256 = "canary"
spaces = ["default"]

[retention]
unused_grants = "1h"

[telemetry]
log = "loud"
"#
    );
    let variables = [("GRANTRY_OAUTH_PENDING_PER_USER", "canary"), ("GRANTRY_KEYS_WRTIE", "canary")];
    let found = refusals(&text, &variables);
    let expected = [
        "line 1: unknown key `lisen`; did you mean `listen`?",
        "line 2: `public_base_url` must be https",
        "line 5: `store.url` must be",
        "line 8: `oauth.flow_ttl` must be between",
        "line 12: `egress.allow` must contain",
        "line 18: `spaces[1].id` may contain only",
        "line 23: `identity.accounts[0].password_hash` is not an Argon2id hash",
        "line 24: `identity.accounts[0].roles.default` must be",
        "line 27: `identity.accounts[1].id` is used by another account",
        "line 33: `identity.agents[0].key_sha256` must be",
        "line 37: `retention.unused_grants` must be between one day and 10 years",
        "line 40: `telemetry.log` must be a level (off, error, warn, info, debug, trace)",
        "`GRANTRY_OAUTH_PENDING_PER_USER` must be a whole number",
        "unknown environment variable `GRANTRY_KEYS_WRTIE`; did you mean `GRANTRY_KEYS_WRITE`?",
        "`keys.write` is missing",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n  expected: {expected}");
        assert!(!found.contains("canary"), "{found}");
    }
    let whole = parse(&text, &variables).err().unwrap().to_string();
    assert!(whole.starts_with("the configuration has 15 mistakes:\n  line 1: unknown key `lisen`"), "{whole}");
}

#[test]
fn a_bounded_number_of_mistakes_is_looked_for() {
    let keys: Vec<_> = (0..1000).map(|index| format!("k{index} = 1\n")).collect();
    let keys = keys.concat();
    assert_eq!(refusals(&with(&keys), &[]).len(), MOST_MISTAKES);
    let spaces = format!("{}{}", least(), "[[spaces]]\nid = \"twice\"\n".repeat(1000));
    assert_eq!(refusals(&spaces, &[]).len(), MOST_MISTAKES);
}

#[test]
fn a_mistake_is_not_followed_by_others_that_result_from_it() {
    for (text, expected) in [
        (least().replace("\"marketing\"", "7").replace("default =", "marketing ="), "`spaces[0].id` must be text"),
        (least().replace("u_alice", ""), "`identity.accounts[0].id` must not be empty"),
        (least().replace("file:primary.key", "canary"), "`keys.write` cannot be used"),
        (least().replace("https://", "http://"), "`public_base_url` must be https"),
        (with("identity.mode = \"canary\""), "`identity.mode` must be"),
        (with("egress.allow = [7]"), "`egress.allow[0]` must be text"),
        (with("keys = 7").replace("keys.write = ", "# "), "`keys` must be a table"),
    ] {
        let found = refusals(&text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn variables_of_kubernetes_services_are_ignored() {
    let config = parse(
        &least(),
        &[
            ("GRANTRY_SERVICE_HOST", "10.96.0.7"),
            ("GRANTRY_SERVICE_PORT", "8080"),
            ("GRANTRY_PORT", "tcp://10.96.0.7:8080"),
            ("GRANTRY_PORT_8080_TCP_ADDR", "10.96.0.7"),
            ("GRANTRY_DB_SERVICE_HOST", "fd00::7"),
            ("GRANTRY_LISTEN", "127.0.0.1:9"),
        ],
    )
    .unwrap();
    assert_eq!(config.ignored_variables.len(), 5, "{:?}", config.ignored_variables);
    assert_eq!(config.settings.listen.port(), 9);
    let refused = refusal(&least(), &[("GRANTRY_PORT", "8080"), ("GRANTRY_SERVICE_HOST", "10.96.0.7")]);
    assert!(refused.starts_with("unknown environment variable `GRANTRY_PORT`"), "{refused}");
}

#[test]
fn spaces_and_users_can_have_names() {
    let text = least()
        .replace(
            "id = \"marketing\"",
            "id = \"marketing\"\nname = \"Marketing & Sales\"\n[[spaces]]\nid = \"default\"\nname = \"Company\"",
        )
        .replace("id = \"u_alice\"", "id = \"u_alice\"\nname = \"Alice Example\"");
    let config = parse(&text, &[]).unwrap();
    let names: Vec<_> = config.space_names.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    assert_eq!(names, [("default", "Company"), ("marketing", "Marketing & Sales")]);
    assert_eq!(config.spaces.len(), 2);
    assert_eq!(config.settings.identity.accounts[0].name, "Alice Example");
    for bad in ["\\n", " ", &"x".repeat(101)] {
        let refused = refusal(&text.replace("Alice Example", bad), &[]);
        assert_eq!(refused, "`identity.accounts[0].name` must be 1 to 100 characters on one line", "{bad}");
    }
}

#[test]
fn values_of_another_type_are_refused_by_name_and_not_quoted() {
    for (text, expected) in [
        ("listen = 8080", "`listen` must be text in quotes"),
        ("listen = 1.5", "`listen` must be text in quotes"),
        ("keys = \"canary\"", "`keys` must be a table"),
        ("keys.write = [\"canary\"]", "`keys.write` must be text in quotes"),
        ("keys.read = \"canary\"", "`keys.read` must be a list"),
        ("keys.read = [\"file:canary\", 1]", "`keys.read[1]` must be text in quotes"),
        ("oauth.pending_per_user = \"canary\"", "`oauth.pending_per_user` must be a whole number"),
        ("identity.accounts = \"canary\"", "`identity.accounts` must be a list"),
        ("identity.accounts = [\"canary\"]", "`identity.accounts[0]` must be a table"),
        ("identity.accounts = [{ roles = \"canary\" }]", "`identity.accounts[0].roles` must be a table"),
        ("identity.accounts = [{ roles = { a = 1 } }]", "`identity.accounts[0].roles.a` must be text in quotes"),
        ("identity.agents = [{ access_tokens = \"canary\" }]", "`identity.agents[0].access_tokens` must be true or false"),
        ("egress.allow = [1]", "`egress.allow[0]` must be text in quotes"),
    ] {
        assert_eq!(refusal(text, &[]), expected, "{text}");
    }
}

#[test]
fn r78_a_file_that_is_not_toml_is_refused_by_its_position() {
    let error = refusal("listen = \"127.0.0.1:1\"\n[keys]\nwrite = canary", &[]);
    assert!(error.starts_with("the configuration grantry.toml is not valid TOML at line 3, column "), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn each_refusal_names_what_to_set() {
    let agent = format!("[[identity.agents]]\nname = \"a\"\nkey_sha256 = \"{DIGEST}\"\n");
    let cases: Vec<(String, &str)> = vec![
        (
            least().replace("public_base_url", "# "),
            "`public_base_url` is missing; set it to the URL under which users reach this server",
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
        (with("keys.read = [\"canary\"]"), "`keys.read[0]` cannot be used"),
        (with("listen = \"canary\""), "`listen` must be an IP address and a port"),
        (with("store.url = \"postgres://u:canary@db.example/g?sslmode=prefer\""), "`store.url` contains an `sslmode`"),
        (with("store.url = \"postgres://u:canary@host:port/g\""), "`store.url` is not a URL of a PostgreSQL database"),
        (with("store.connections = 0"), "`store.connections`"),
        (with("store.url = \"canary\""), "`store.url` must be \"sqlite:\" and the path of a file"),
        (with("store.url = \"sqlite::memory:\""), "`store.url` must be"),
        (with("store.deployment_id = \"canary\""), "`store.deployment_id` must be 32 lower-case hex digits"),
        (with("identity.mode = \"jwt\""), "`identity.mode` must be \"accounts\" or \"proxy-header\""),
        (with("identity.mode = \"canary\""), "`identity.mode` must be \"accounts\" or \"proxy-header\""),
        (with("egress.allowed_hosts = [\"https://canary\"]"), "`egress.allowed_hosts` must contain"),
        (with("egress.allow = [\"canary\"]"), "`egress.allow` must contain \"host:port\" entries"),
        (with("oauth.flow_ttl = \"canary\""), "`oauth.flow_ttl` must be a duration, such as"),
        (with("retention.ended = \"0d\""), "`retention.ended` must be a duration"),
        (with("oauth.pending_per_user = 11"), "`oauth.pending_per_user` must be between 1 and 10"),
        (with("oauth.callback_mode = \"canary\""), "unknown key `oauth.callback_mode`"),
        (
            with("oauth.rate_limits.start = \"canary\""),
            "`oauth.rate_limits.start` must be a number per duration, such as \"20/10m\"",
        ),
        (with("execute.max_body = 1"), "`execute.max_body` must be between 1024 and 67108864"),
        (with("providers.deny = [\"canary\"]"), "`providers.deny[0]` must be the id of a built-in profile"),
        (with("providers.deny = [\".githb\"]"), "`providers.deny[0]` must be the id of a built-in profile"),
        (with("telemetry.log = \"=canary=\""), "`telemetry.log` must be a level"),
        (
            with("telemetry.log = \"canary\""),
            "`telemetry.log` must be a level (off, error, warn, info, debug, trace) or a list",
        ),
        (with("telemetry.metrics_token = \"canary\""), "`telemetry.metrics_token` cannot be used"),
        (with("audit.on_failure = \"canary\""), "`audit.on_failure` must be \"continue\" or \"refuse\""),
        (with("telemetry.listen = \"canary\""), "`telemetry.listen` must be an IP address and a port"),
        (with("telemetry.listen = \"127.0.0.1:8080\""), "`telemetry.listen` must be another address than `listen`"),
        (with("additional_hosts = [\"https://canary\"]"), "`additional_hosts[0]` must be a host name"),
        (with("telemetry.otlp_endpoint = \"canary\""), "unknown key `telemetry.otlp_endpoint`"),
        (with("identity.jwt.issuer = \"canary\""), "unknown key `identity.jwt`"),
        (least().replace("marketing", "a/b"), "`spaces[0].id` may contain only letters"),
        (format!("{}[[spaces]]\nid = \"marketing\"", least()), "`spaces[1].id` is listed twice"),
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
            format!("{}{}spaces = [\"default\"]", least(), agent.replace("\"a\"", "\"a b\"")),
            "`identity.agents[0].name` must be",
        ),
        (
            format!("{}{}", least(), agent.replace(DIGEST, &DIGEST.to_uppercase())),
            "`identity.agents[0].key_sha256` must be 64 lower-case hex digits",
        ),
        (format!("{}{agent}", least()), "`identity.agents[0].spaces` is missing"),
        (format!("{}{agent}spaces = [\"sales\"]", least()), "`identity.agents[0].spaces` names a space that does not exist"),
        (
            format!("{}{agent}spaces = [\"default\"]\n{agent}spaces = [\"default\"]", least()),
            "`identity.agents[1].name` is used by another agent",
        ),
        (with("identity.accounts = []").replace("[[identity.accounts]]", "[ignored]"), "`identity.accounts` is empty"),
    ];
    for (text, expected) in cases {
        let error = refusal(&text, &[]);
        assert!(error.starts_with(expected), "{error}\n  expected: {expected}");
        assert!(!error.contains("canary") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn accounts_have_different_ids_and_names() {
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
fn a_configuration_without_users_is_refused() {
    let text = "public_base_url = \"https://a.example\"\nkeys.write = \"file:k\"";
    assert!(refusal(text, &[]).starts_with("`identity.accounts` is empty, so no user could sign in"));
    assert!(parse(&format!("{text}\nidentity.mode = \"proxy-header\""), &[]).is_ok());
}

#[test]
fn r57_a_proxy_is_trusted_only_at_its_addresses() {
    let mode = "identity.mode = \"proxy-header\"\nidentity.proxy";
    let proxy = |lines: &str| parse(&with(&format!("{mode}.{lines}")), &[]);
    let config = proxy("roles_header = \"\"").unwrap();
    assert_eq!(config.trusted_proxies, ["127.0.0.1".parse().unwrap()]);
    let defaults = &config.settings.identity.proxy;
    assert_eq!((defaults.user_header.as_str(), &defaults.roles_header), ("x-forwarded-user", &None));
    assert!(parse(&least(), &[]).unwrap().trusted_proxies.is_empty(), "without a proxy, no address is trusted");
    let behind_one = parse(&with("identity.proxy.trusted_proxies = [\"10.0.0.1\"]"), &[]).unwrap();
    assert_eq!(behind_one.trusted_proxies.len(), 1, "a proxy that terminates TLS works with accounts, too");
    let networks = "identity.proxy.trusted_proxies = [\"10.244.0.0/16\", \"fd00:10::/32\", \"::1\"]";
    let written: Vec<String> =
        parse(&with(networks), &[]).unwrap().trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["10.244.0.0/16", "fd00:10::/32", "::1"]);
    for (lines, expected) in [
        ("trusted_proxies = []", "`identity.proxy.trusted_proxies` is empty"),
        ("trusted_proxies = [\"*\"]", "`identity.proxy.trusted_proxies[0]` must be an IP address or a network"),
        ("trusted_proxies = [\"10.0.0.0/40\"]", "`identity.proxy.trusted_proxies[0]` must be an IP address or a network"),
        ("trusted_proxies = [\"0.0.0.0/0\"]", "`identity.proxy.trusted_proxies[0]` must not contain every address"),
        ("user_header = \"a b\"", "`identity.proxy.user_header` is not a header name"),
        ("roles_header = \"a b\"", "`identity.proxy.roles_header` is not a header name"),
    ] {
        let error = refusal(&with(&format!("{mode}.{lines}")), &[]);
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
    let settings = &config.settings;
    let rates = RateLimits::from(&settings.oauth.rate_limits);
    assert_eq!(settings.listen.port(), 9);
    assert_eq!(config.database.to_string(), "/data/other.db");
    assert_eq!(config.write_key.to_string(), "env:MY_KEY");
    assert_eq!(settings.keys.read.len(), 2);
    assert_eq!((settings.oauth.flow_ttl, settings.oauth.pending_per_user.get()), (Duration::from_mins(5), 3));
    assert_eq!((rates.start.times.get(), rates.callback.times.get()), (5, 7));
    assert!(config.egress.check("https://a.example.com/").is_ok() && config.egress.check("https://example.org/").is_err());
    assert!(settings.identity.agents[0].access_tokens);
}

#[test]
fn the_environment_is_refused_by_the_name_of_its_variable() {
    for (name, value, expected) in [
        ("GRANTRY_FLOW_TTL", "canary", "unknown environment variable `GRANTRY_FLOW_TTL`"),
        ("GRANTRY_OAUTH_PENDING_PER_USER", "canary", "`GRANTRY_OAUTH_PENDING_PER_USER` must be a whole number"),
        ("GRANTRY_SPACES", "canary", "`GRANTRY_SPACES[0]` must be a JSON object"),
        ("GRANTRY_SPACES", "[canary", "`GRANTRY_SPACES` must be a list separated by commas, or a JSON array"),
        ("GRANTRY_OAUTH_FLOW_TTL", "canary", "`GRANTRY_OAUTH_FLOW_TTL` must be a duration"),
        ("GRANTRY_SPACES", "[{\"title\": \"canary\"}]", "unknown key `GRANTRY_SPACES[0].title`"),
        ("GRANTRY_OAUTH_FLOW_TTL", "11m", "`GRANTRY_OAUTH_FLOW_TTL` must be between 30 seconds and 10 minutes"),
        (
            "GRANTRY_TELEMETRY_LOG",
            "loud",
            "`GRANTRY_TELEMETRY_LOG` must be a level (off, error, warn, info, debug, trace) or",
        ),
        ("GRANTRY_KEYS_READ", "[1]", "`GRANTRY_KEYS_READ[0]` must be text in quotes"),
        ("GRANTRY_KEYS_READ", "[canary", "`GRANTRY_KEYS_READ` must be a list separated by commas, or a JSON array"),
    ] {
        let error = refusal(&least(), &[(name, value)]);
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_variable_that_contains_a_key_is_accepted() {
    let text = least().replace("file:primary.key", "env:GRANTRY_PRIMARY_KEY");
    assert!(parse(&text, &[("GRANTRY_PRIMARY_KEY", "x")]).is_ok());
    assert!(refusal(&text, &[("GRANTRY_OTHER_KEY", "x")]).contains("`GRANTRY_OTHER_KEY`"));
}

#[test]
fn every_setting_has_a_separate_variable() {
    let names: Vec<String> = keys().iter().map(|key| variable(key)).collect();
    assert!(names.iter().all(|name| name.starts_with("GRANTRY_")));
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "two keys share a variable");
}

//! From what is written to what it means. Each refusal says in one sentence what to set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::connector::ProfileId;
use grantry_domain::identity::SpaceId;
use grantry_domain::usecase::{Policy, PublicBaseUrl};
use grantry_provider_oauth2::{EgressPolicy, Profiles};
use grantry_runtime::{Quota, RateLimits};

use crate::config::identity::lower_hex;
use crate::config::{Config, ConfigError, file, identity, values};

/// Largest body of `_execute` that can be configured: it is held in memory.
const LARGEST_BODY: i64 = 64 * 1024 * 1024;

pub(super) fn validate(file: file::File, folder: PathBuf) -> Result<Config, ConfigError> {
    let public_base_url = public_base_url(&file.public_base_url)?;
    let defaults = Policy::new(public_base_url.clone());
    let spaces = spaces(&file.spaces)?;
    let identity::Validated { identity, agents, trusted_proxies } = identity::validate(file.identity, &spaces)?;
    let database = folder.join(sqlite_file(file.store.url.as_deref().unwrap_or("sqlite:grantry.db"))?);
    later(&file.telemetry.otlp_endpoint, "telemetry.otlp_endpoint", "traces cannot be exported yet; leave it empty")?;
    if file.oauth.callback_mode.as_deref().is_some_and(|mode| mode != "direct") {
        return Err(ConfigError::invalid("oauth.callback_mode", "must be \"direct\"; other modes are not available yet"));
    }
    Ok(Config {
        listen: listen(file.listen.as_deref().unwrap_or("127.0.0.1:8080"))?,
        database,
        deployment_id: deployment_id(&file.store.deployment_id)?,
        write_key: key_source("keys.write", &file.keys.write)?,
        read_keys: file.keys.read.iter().map(|text| key_source("keys.read", text)).collect::<Result<_, _>>()?,
        spaces,
        identity,
        trusted_proxies,
        agents,
        egress: egress(&file.egress)?,
        flow_ttl: span("oauth.flow_ttl", file.oauth.flow_ttl.as_deref(), defaults.flow_ttl)?,
        pending_per_user: pending(file.oauth.pending_per_user, defaults.pending.per_user)?,
        pkce_off_hosts: file.oauth.pkce_off_hosts,
        rate_limits: rate_limits(&file.oauth.rate_limits)?,
        max_body: max_body(file.execute.max_body)?,
        denied_profiles: denied(&file.providers.deny)?,
        unused_grants: span(
            "retention.unused_grants",
            file.retention.unused_grants.as_deref(),
            defaults.sweep.unused_grants,
        )?,
        ended: span("retention.ended", file.retention.ended.as_deref(), defaults.sweep.ended_grants)?,
        log: log(file.telemetry.log)?,
        public_base_url,
        folder,
    })
}

fn public_base_url(text: &str) -> Result<PublicBaseUrl, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::invalid(
            "public_base_url",
            "is missing; set it to the URL under which people reach this server, such as \"https://connect.example.com\"",
        ));
    }
    PublicBaseUrl::new(text).map_err(|error| ConfigError::invalid("public_base_url", error.problem))
}

fn listen(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::invalid("listen", "must be an IP address and a port, such as \"127.0.0.1:8080\""))
}

fn sqlite_file(url: &str) -> Result<&str, ConfigError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(ConfigError::invalid(
            "store.url",
            "names a PostgreSQL database, which is not available yet; set it to a file, such as \"sqlite:grantry.db\"",
        ));
    }
    url.strip_prefix("sqlite:").filter(|path| !path.is_empty() && !path.starts_with("//") && *path != ":memory:").ok_or_else(
        || ConfigError::invalid("store.url", "must be \"sqlite:\" and the path of a file, such as \"sqlite:grantry.db\""),
    )
}

fn deployment_id(text: &str) -> Result<Option<[u8; 16]>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    lower_hex(text).map(Some).ok_or_else(|| {
        ConfigError::invalid("store.deployment_id", "must be 32 lower-case hex digits, as `grantry check` prints them")
    })
}

fn key_source(key: &str, text: &str) -> Result<KeySource, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::invalid(
            key,
            "is missing; make a key with `grantry keys generate --out primary.key` and set it to \"file:primary.key\"",
        ));
    }
    KeySource::parse(text).map_err(|error| ConfigError::invalid(key, format!("cannot be used: {error}")))
}

fn spaces(written: &[file::Space]) -> Result<Vec<SpaceId>, ConfigError> {
    let mut spaces = vec![SpaceId::default_space()];
    for (index, space) in written.iter().enumerate() {
        let key = format!("spaces[{index}].id");
        let id = SpaceId::new(space.id.as_str()).map_err(|error| ConfigError::invalid(&key, error.problem))?;
        // The default space may be named, too; anything else twice is a slip.
        if id.is_default() {
            continue;
        }
        if spaces.contains(&id) {
            return Err(ConfigError::invalid(&key, "is there twice"));
        }
        spaces.push(id);
    }
    Ok(spaces)
}

fn egress(written: &file::Egress) -> Result<EgressPolicy, ConfigError> {
    let everywhere = vec!["*".to_owned()];
    EgressPolicy::new(written.allowed_hosts.as_ref().unwrap_or(&everywhere), &written.allow).map_err(|error| {
        let expected = if error.list == "allow" { "\"host:port\" entries" } else { "\"*\", \"*.suffix\" or host names" };
        ConfigError::invalid(&format!("egress.{}", error.list), format!("must hold {expected}, in lower case"))
    })
}

fn span(key: &str, text: Option<&str>, otherwise: Duration) -> Result<Duration, ConfigError> {
    match text {
        None => Ok(otherwise),
        Some(text) => values::duration(text)
            .filter(|span| !span.is_zero())
            .ok_or_else(|| ConfigError::invalid(key, "must be a duration, such as \"90s\", \"10m\", \"8h\" or \"90d\"")),
    }
}

fn pending(written: Option<i64>, otherwise: u32) -> Result<u32, ConfigError> {
    written.map_or(Ok(otherwise), |number| {
        u32::try_from(number)
            .ok()
            .filter(|number| (1..=10).contains(number))
            .ok_or_else(|| ConfigError::invalid("oauth.pending_per_user", "must be between 1 and 10"))
    })
}

fn rate_limits(written: &file::Rates) -> Result<RateLimits, ConfigError> {
    let defaults = RateLimits::default();
    let quota = |name: &str, text: &Option<String>, otherwise: Quota| match text {
        None => Ok(otherwise),
        Some(text) => values::rate(text).ok_or_else(|| {
            let key = format!("oauth.rate_limits.{name}");
            ConfigError::invalid(&key, "must be a number in a span, such as \"20/10m\"")
        }),
    };
    Ok(RateLimits {
        start: quota("start", &written.start, defaults.start)?,
        callback: quota("callback", &written.callback, defaults.callback)?,
        log_in: quota("log_in", &written.log_in, defaults.log_in)?,
        status: quota("status", &written.status, defaults.status)?,
        disconnect: quota("disconnect", &written.disconnect, defaults.disconnect)?,
    })
}

fn max_body(written: Option<i64>) -> Result<usize, ConfigError> {
    let bytes = written.unwrap_or(1024 * 1024);
    usize::try_from(bytes)
        .ok()
        .filter(|_| (1024..=LARGEST_BODY).contains(&bytes))
        .ok_or_else(|| ConfigError::invalid("execute.max_body", "must be a number of bytes between 1024 and 67108864"))
}

/// A name that means nothing denies nothing, and nobody would notice; so it is refused.
fn denied(written: &[String]) -> Result<Vec<ProfileId>, ConfigError> {
    let known = |id: &String| ProfileId::new(id.as_str()).ok().filter(Profiles::is_built_in);
    let ids = written.iter().map(|id| {
        known(id)
            .ok_or_else(|| ConfigError::invalid("providers.deny", "must hold ids of built-in profiles, such as \".github\""))
    });
    ids.collect()
}

fn log(written: Option<String>) -> Result<String, ConfigError> {
    let directives = written.unwrap_or_else(|| "info".to_owned());
    tracing_subscriber::EnvFilter::builder().parse(&directives).map(|_| directives).map_err(|_| {
        ConfigError::invalid(
            "telemetry.log",
            "must be a level or a list of them, such as \"info\" or \"info,grantry=debug\"",
        )
    })
}

fn later(value: &str, key: &str, problem: &str) -> Result<(), ConfigError> {
    if value.is_empty() { Ok(()) } else { Err(ConfigError::invalid(key, format!("is set, but {problem}"))) }
}

//! The URL of the database. It contains a password, which no text of this program repeats.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// The port of a server whose URL contains none.
pub(crate) const PORT: u16 = 5432;

/// The pause before the system checks whether the server of an idle connection is still there. The driver sets two hours.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_OF_DRIVER: Duration = Duration::from_hours(2);
/// How often, and how many times, it asks again before the connection is lost.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long data that was sent may stay without an acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A checked URL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `postgresql://`.
///
/// Several hosts are separated by commas; the one that accepts writes is used. `target_session_attrs` and
/// `load_balance_hosts` have no effect. Parameters are those of the driver (`application_name`, `connect_timeout`, `keepalives_idle`,
/// `options` …) and:
///
/// | parameter | value |
/// |---|---|
/// | `sslmode` | `verify-full`: TLS, with a certificate that is valid for the host name. The default, and the only mode for other machines. `disable`: no TLS. The default, and only allowed, for a loopback address, `localhost` and a Unix socket |
/// | `sslrootcert` | a file with the trusted certificates, PEM. `system`, the default: those of the system. Implies `verify-full` |
///
/// `Display` and `Debug` show hosts and database only.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(crate) config: Config,
    /// Whether connections use TLS.
    pub(crate) is_encrypted: bool,
    /// The file with trusted certificates; `None`: those of the system.
    pub(crate) root_certificates: Option<PathBuf>,
}

impl PostgresUrl {
    /// Parses a URL. Connects to nothing. The error contains no part of the URL.
    pub fn parse(url: &str) -> Result<Self, InvalidPostgresUrl> {
        parse(url).map_err(|problem| InvalidPostgresUrl { problem })
    }

    /// What the driver needs to connect, without hosts and ports.
    pub(crate) fn settings(&self) -> Config {
        let (given, mut settings) = (&self.config, Config::new());
        if let Some(user) = given.get_user() {
            settings.user(user);
        }
        if let Some(password) = given.get_password() {
            settings.password(password);
        }
        if let Some(database) = given.get_dbname() {
            settings.dbname(database);
        }
        if let Some(options) = given.get_options() {
            settings.options(options);
        }
        if let Some(name) = given.get_application_name() {
            settings.application_name(name);
        }
        settings.ssl_mode(given.get_ssl_mode());
        settings.ssl_negotiation(given.get_ssl_negotiation());
        settings.channel_binding(given.get_channel_binding());
        settings.target_session_attrs(TargetSessionAttrs::ReadWrite);
        settings.keepalives(given.get_keepalives());
        settings.keepalives_idle(match given.get_keepalives_idle() {
            KEEPALIVE_OF_DRIVER => KEEPALIVE,
            idle => idle,
        });
        settings.keepalives_interval(given.get_keepalives_interval().unwrap_or(KEEPALIVE_INTERVAL));
        settings.keepalives_retries(given.get_keepalives_retries().unwrap_or(KEEPALIVE_RETRIES));
        settings.tcp_user_timeout(given.get_tcp_user_timeout().copied().unwrap_or(UNACKNOWLEDGED));
        settings
    }
}

impl FromStr for PostgresUrl {
    type Err = InvalidPostgresUrl;

    fn from_str(url: &str) -> Result<Self, InvalidPostgresUrl> {
        Self::parse(url)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) if name.contains(':') && !name.starts_with('[') => write!(f, "{separator}[{name}]")?,
                Host::Tcp(name) => write!(f, "{separator}{name}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}", path.display())?,
            }
            // One port is that of all hosts.
            if let Some(port) = ports.get(index).or(ports.first()).filter(|port| **port != PORT) {
                write!(f, ":{port}")?;
            }
        }
        match self.config.get_dbname() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

/// A text that is not the URL of a database. `problem` completes a sentence that begins with the name of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPostgresUrl {
    /// What is wrong, such as `names no host`.
    pub problem: &'static str,
}

impl fmt::Display for InvalidPostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the URL of the database {}", self.problem)
    }
}

impl Error for InvalidPostgresUrl {}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresUrl")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .field("is_encrypted", &self.is_encrypted)
            .finish_non_exhaustive()
    }
}

/// The parameters of TLS, which the driver does not have in this form.
#[derive(Default)]
struct TlsParameters {
    /// Whether `sslmode` requires TLS.
    mode: Option<bool>,
    /// Whether there is an `sslrootcert`.
    has_roots: bool,
    roots: Option<PathBuf>,
}

fn parse(url: &str) -> Result<PostgresUrl, &'static str> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("does not begin with postgres:// or postgresql://");
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut tls = TlsParameters::default();
    let mut others = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        if !take(&mut tls, parameter)? {
            others.push(parameter);
        }
    }
    let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
    let mut config = Config::from_str(&rest).map_err(|_| "is not a URL of a PostgreSQL database")?;
    if config.get_hosts().is_empty() {
        return Err("names no host");
    }
    if !has_matching_counts(&config) {
        return Err("contains a number of `hostaddr` or of ports that is not that of the hosts");
    }
    let is_local = config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    let is_encrypted = tls.mode.unwrap_or(!is_local || tls.has_roots);
    if !is_encrypted && tls.has_roots {
        return Err("contains `sslrootcert` and `sslmode=disable`, of which one has no effect");
    }
    if !is_encrypted && !is_local {
        return Err("contains `sslmode=disable`, which is allowed only for this machine; use verify-full");
    }
    config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
    if config.get_application_name().is_none() {
        config.application_name("grantry");
    }
    Ok(PostgresUrl { config, is_encrypted, root_certificates: tls.roots })
}

/// Takes a parameter that the driver does not get; false for any other.
fn take(tls: &mut TlsParameters, parameter: &str) -> Result<bool, &'static str> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    match (name, value) {
        ("sslmode", "verify-full") => tls.mode = Some(true),
        ("sslmode", "disable") => tls.mode = Some(false),
        ("sslmode", _) => return Err("contains an `sslmode` that is neither verify-full nor disable"),
        ("sslrootcert", "system") => (tls.has_roots, tls.roots) = (true, None),
        ("sslrootcert", file) => {
            let file = percent_decode_str(file).decode_utf8();
            let file = file.map_err(|_| "contains an `sslrootcert` that is not UTF-8")?;
            (tls.has_roots, tls.roots) = (true, Some(PathBuf::from(file.into_owned())));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether there are as many addresses and ports as hosts, where there are any. One port is that of all hosts.
fn has_matching_counts(config: &Config) -> bool {
    let (hosts, addresses, ports) = (config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len());
    (addresses == 0 || addresses == hosts) && (ports <= 1 || ports == hosts)
}

/// Whether data to a host does not leave this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> &'static str {
        PostgresUrl::parse(url).expect_err("the URL is refused").problem
    }

    #[test]
    fn r72_tls_with_a_verified_name_is_the_default_for_other_machines() {
        let encrypted = |url: &str| PostgresUrl::parse(url).unwrap().is_encrypted;
        assert!(encrypted("postgres://u:p@db.example/grantry"));
        assert!(encrypted("postgres://u:p@10.0.0.1,127.0.0.1/grantry"));
        assert!(encrypted("postgres://u:p@localhost/grantry?sslmode=verify-full"));
        assert!(encrypted("postgres://u:p@localhost/grantry?sslrootcert=/etc/root.pem"));
        assert!(encrypted("postgres://u:p@localhost/grantry?sslrootcert=system"));
        assert!(refusal("postgres://u:p@localhost/grantry?sslrootcert=system&sslmode=disable").contains("`sslrootcert`"));
        for local in ["127.0.0.1", "[::1]", "localhost", "%2Frun%2Fpostgresql"] {
            assert!(!encrypted(&format!("postgres://u:p@{local}/grantry")), "{local}");
        }
        assert!(refusal("postgres://u:p@db.example/grantry?sslmode=disable").contains("only for this machine"));
        assert!(refusal("postgres://u:p@localhost/grantry?hostaddr=10.0.0.1&sslmode=disable").contains("only for this"));
        assert!(refusal("postgres://u:p@a,b/grantry?hostaddr=10.0.0.1").contains("`hostaddr`"));
        for weaker in ["prefer", "require", "verify-ca", "allow"] {
            assert!(refusal(&format!("postgres://db.example/g?sslmode={weaker}")).contains("`sslmode`"), "{weaker}");
        }
    }

    #[test]
    fn the_text_shows_hosts_and_database() {
        for (given, shown) in [
            ("postgresql://u:p@a:1,b:2/g?sslmode=verify-full", "postgres://a:1,b:2/g"),
            ("postgres://u@[::1]:5433/g?password=hunter2", "postgres://[::1]:5433/g"),
            ("postgres://u@%2Frun%2Fpostgresql/g", "postgres:///run/postgresql/g"),
            ("postgres://u@a,b:5433", "postgres://a,b:5433"),
        ] {
            assert_eq!(PostgresUrl::parse(given).unwrap().to_string(), shown, "{given}");
        }
    }

    #[test]
    fn parameters_of_the_driver_are_kept() {
        let url =
            PostgresUrl::parse("postgresql://u@db/g?application_name=a&sslrootcert=%2Fetc%2Froot.pem&sslmode=verify-full");
        let url = url.unwrap();
        assert_eq!(url.config.get_application_name(), Some("a"));
        assert_eq!(url.root_certificates, Some(PathBuf::from("/etc/root.pem")));
        assert_eq!(PostgresUrl::parse("postgres://u@db/g?sslrootcert=system").unwrap().root_certificates, None);
    }

    #[test]
    fn r36_only_a_server_that_accepts_writes_is_used() {
        for url in ["postgres://u@db/g", "postgres://u@a,b/g", "postgres://u@db/g?target_session_attrs=any"] {
            let settings = PostgresUrl::parse(url).unwrap().settings();
            assert_eq!(settings.get_target_session_attrs(), TargetSessionAttrs::ReadWrite, "{url}");
        }
    }

    #[test]
    fn a_server_that_vanished_is_noticed_within_a_minute_unless_the_url_says_otherwise() {
        let settings = PostgresUrl::parse("postgres://u@db/g").unwrap().settings();
        assert_eq!(settings.get_keepalives_idle(), KEEPALIVE);
        assert_eq!(settings.get_keepalives_interval(), Some(KEEPALIVE_INTERVAL));
        assert_eq!(settings.get_keepalives_retries(), Some(KEEPALIVE_RETRIES));
        assert_eq!(settings.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED));
        let given = "postgres://u@db/g?keepalives_idle=60&keepalives_interval=7&keepalives_retries=2&tcp_user_timeout=5";
        let settings = PostgresUrl::parse(given).unwrap().settings();
        assert_eq!(settings.get_keepalives_idle(), Duration::from_mins(1));
        assert_eq!(settings.get_keepalives_interval(), Some(Duration::from_secs(7)));
        assert_eq!(settings.get_keepalives_retries(), Some(2));
        assert_eq!(settings.get_tcp_user_timeout(), Some(&Duration::from_secs(5)));
    }

    #[test]
    fn r78_no_text_contains_a_part_of_the_password() {
        let url = PostgresUrl::parse("postgres://user:hunter2@db.example/grantry").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.to_string(), "postgres://db.example/grantry");
        for wrong in ["mysql://user:hunter2@h/d", "postgres://user:hunter2@h:port/d", "postgres://hunter2?sslmode=hunter2"] {
            assert!(!refusal(wrong).contains("hunter2"), "{wrong}");
        }
    }
}

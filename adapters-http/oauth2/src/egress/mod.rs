//! Where this deployment may send requests: rules for URLs and for the addresses they resolve to.
//!
//! The same policy applies when a connector is saved, when metadata is discovered, when a flow starts, and before every
//! request. Resolved addresses are checked when the connection is made, by [`AddressScope::allows`].

mod address;

use std::collections::BTreeSet;
use std::net::IpAddr;

use grantry_domain::provider::Origin;
use thiserror::Error;
use url::{Host, Url};

/// Maximum length of a URL in bytes.
const MAX_URL: usize = 2048;

/// What the operator allows: host names of public targets, and single `host:port` targets that may be private.
#[derive(Debug, Clone)]
pub struct EgressPolicy {
    hosts: Vec<HostPattern>,
    targets: BTreeSet<(String, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// Every name below this suffix, which starts with a dot.
    Below(String),
    Exactly(String),
}

/// A URL that passed the policy, and the addresses its host may resolve to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl {
    url: Url,
    address_scope: AddressScope,
}

/// The addresses a request may connect to. It depends on how the target is listed and not on what its name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressScope {
    /// Public addresses only.
    Public,
    /// Any address: the operator listed this host and port.
    Listed,
    /// Loopback addresses only: plain http to a listed loopback target.
    Loopback,
}

impl AddressScope {
    /// Whether a connection to this address is allowed.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => address::is_public(address),
            Self::Listed => true,
            Self::Loopback => address::is_loopback(address),
        }
    }
}

impl EgressPolicy {
    /// Every public host.
    pub(crate) fn any_public() -> Self {
        Self { hosts: vec![HostPattern::Any], targets: BTreeSet::new() }
    }

    /// Parses the operator's lists. `allowed_hosts` contains `*`, `*.suffix` (names below it, at any depth) or exact names.
    /// `allow` contains `host:port` of targets that may be private, or use plain http if they are loopback. Both are in
    /// normalised form: lower case, IDN as ASCII, IPv6 in brackets.
    pub fn new<S: AsRef<str>>(allowed_hosts: &[S], allow: &[S]) -> Result<Self, InvalidEgress> {
        let hosts = allowed_hosts.iter().map(|entry| host_pattern(entry.as_ref())).collect::<Result<_, _>>()?;
        let targets = allow.iter().map(|entry| target(entry.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { hosts, targets })
    }

    /// Checks a URL, except for name resolution. The text must already be in normalised form, so that the URL that is
    /// shown, stored and called is the same; only the `/` after a bare host may be missing.
    pub fn check(&self, text: &str) -> Result<AllowedUrl, UrlRefused> {
        if text.len() > MAX_URL {
            return Err(UrlRefused::TooLong);
        }
        let url = Url::parse(text).map_err(|_| UrlRefused::NotAUrl)?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(UrlRefused::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlRefused::Fragment);
        }
        let bare_host = url.path() == "/" && url.as_str().strip_suffix('/') == Some(text);
        if url.as_str() != text && !bare_host {
            return Err(UrlRefused::NotNormalised);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(UrlRefused::NotAUrl);
        };
        if let Host::Domain(name) = host {
            if name.ends_with('.') {
                return Err(UrlRefused::TrailingDot);
            }
            if !is_dns_name(name) {
                return Err(UrlRefused::HostName);
            }
        }
        let address_scope = self.address_scope(plain, &host, port)?;
        Ok(AllowedUrl { url, address_scope })
    }

    fn address_scope(&self, plain: bool, host: &Host<&str>, port: u16) -> Result<AddressScope, UrlRefused> {
        let name = host.to_string();
        let listed = self.targets.contains(&(name.clone(), port));
        if plain {
            return match (is_loopback_host(host), listed) {
                (false, _) => Err(UrlRefused::Scheme),
                (true, false) => Err(UrlRefused::LoopbackNotListed),
                (true, true) => Ok(AddressScope::Loopback),
            };
        }
        if listed {
            return Ok(AddressScope::Listed);
        }
        if port != 443 {
            return Err(UrlRefused::Port);
        }
        if !self.hosts.iter().any(|pattern| pattern.matches(&name)) {
            return Err(UrlRefused::HostNotAllowed);
        }
        let literal = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        };
        if is_loopback_host(host) || literal.is_some_and(|address| !address::is_public(address)) {
            return Err(UrlRefused::Address);
        }
        Ok(AddressScope::Public)
    }
}

impl AllowedUrl {
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The parsed URL.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// The addresses its host may resolve to.
    pub fn address_scope(&self) -> AddressScope {
        self.address_scope
    }

    /// Host as written in the URL, IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The IP address, if the host is one.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        }
    }

    /// Scheme, host and port. `None` for hosts that [`Origin`] does not accept, such as `a_b.example.com`.
    pub fn origin(&self) -> Option<Origin> {
        Origin::new(self.url.origin().ascii_serialization()).ok()
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.strip_suffix(suffix.as_str()).is_some_and(|below| !below.is_empty()),
            Self::Exactly(name) => host == name,
        }
    }
}

fn is_loopback_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address::is_loopback(IpAddr::V4(*address)),
        Host::Ipv6(address) => address::is_loopback(IpAddr::V6(*address)),
    }
}

fn host_pattern(entry: &str) -> Result<HostPattern, InvalidEgress> {
    if entry == "*" {
        return Ok(HostPattern::Any);
    }
    match entry.strip_prefix("*.") {
        Some(suffix) => normalised_host(suffix).map(|suffix| HostPattern::Below(format!(".{suffix}"))),
        None => normalised_host(entry).map(|name| HostPattern::Exactly(name.to_owned())),
    }
    .ok_or_else(|| InvalidEgress { list: "allowed_hosts", entry: entry.to_owned() })
}

fn target(entry: &str) -> Result<(String, u16), InvalidEgress> {
    entry
        .rsplit_once(':')
        .and_then(|(host, port)| Some((normalised_host(host)?.to_owned(), normalised_port(port)?)))
        .ok_or_else(|| InvalidEgress { list: "allow", entry: entry.to_owned() })
}

fn normalised_host(text: &str) -> Option<&str> {
    let is_normal = Host::parse(text).is_ok_and(|host| {
        host.to_string() == text
            && match host {
                Host::Domain(name) => is_dns_name(&name),
                Host::Ipv4(_) | Host::Ipv6(_) => true,
            }
    });
    is_normal.then_some(text)
}

/// A port as it is written in a URL: without sign and leading zeros.
fn normalised_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| *port != 0 && port.to_string() == text)
}

/// Whether a name can be in the DNS: labels of 1 to 63 characters, 253 in total (RFC 1035 §2.3.4). The underscore is not
/// permitted in names of hosts, but in use.
fn is_dns_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(plain))
}

/// Why a URL may not be used. Does not contain the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlRefused {
    /// Not an absolute URL with a host.
    #[error("is not an absolute URL")]
    NotAUrl,
    /// Longer than 2048 bytes.
    #[error("is longer than 2048 bytes")]
    TooLong,
    /// Neither https nor http to a loopback host.
    #[error("must start with https://")]
    Scheme,
    /// A user name or password.
    #[error("must not contain a user name or password")]
    UserInfo,
    /// A fragment.
    #[error("must not contain a fragment")]
    Fragment,
    /// Written differently from its parsed form: upper case, default port, tabs, `..`, a decimal address …
    #[error("is not in its normalised form")]
    NotNormalised,
    /// A host that ends with a dot.
    #[error("must not have a host that ends with a dot")]
    TrailingDot,
    /// A host that is no name of the DNS: an empty or too long label, or another character than letters, digits, `-` and `_`.
    #[error("has a host that is not a valid name")]
    HostName,
    /// A port that is neither 443 nor listed.
    #[error("uses a port other than 443 that the operator has not listed")]
    Port,
    /// Plain http to a loopback target that is not listed.
    #[error("has a loopback host and a port that the operator has not listed")]
    LoopbackNotListed,
    /// Outside `allowed_hosts`.
    #[error("has a host that the operator does not allow")]
    HostNotAllowed,
    /// A private, local or reserved address.
    #[error("has a private or reserved address that the operator has not listed")]
    Address,
}

impl UrlRefused {
    /// The form in which a URL would be accepted, if only its spelling is the reason.
    pub fn accepted_form(self, text: &str) -> Option<String> {
        let is_spelling = self == Self::NotNormalised;
        let url = is_spelling.then(|| Url::parse(text).ok()).flatten()?;
        // A control character in the quoted form would be shown to the user.
        Some(String::from(url)).filter(|form| form.bytes().all(|byte| byte.is_ascii_graphic()))
    }

    /// Whether the operator can allow it (`host_not_allowed`). The other reasons are mistakes in the URL.
    pub fn operator_can_allow(self) -> bool {
        match self {
            Self::Port | Self::LoopbackNotListed | Self::HostNotAllowed | Self::Address => true,
            Self::NotAUrl
            | Self::TooLong
            | Self::Scheme
            | Self::UserInfo
            | Self::Fragment
            | Self::NotNormalised
            | Self::TrailingDot
            | Self::HostName => false,
        }
    }
}

/// An invalid entry in the operator's lists.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("[egress] {list}: {entry:?} is not valid; expected {}", if *.list == "allow" { "host:port" } else { "*, *.suffix or a host name" })]
pub struct InvalidEgress {
    /// `allowed_hosts` or `allow`.
    pub list: &'static str,
    /// The entry.
    pub entry: String,
}

#[cfg(test)]
mod tests;

//! Providers in the domain: settings of a connector, the endpoints at the time of consent, scopes and origins.

mod scopes;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use thiserror::Error;

pub use self::scopes::Scopes;
use crate::connector::{AuthMode, CallbackId, ProfileId};
use crate::encoding::{FieldReader, FieldWriter, MalformedFields, length_of};

/// Hash of the security-relevant provider configuration. The associated data of every sealed record contains it, so that
/// editing a connector or a row cannot redirect a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingDigest(pub [u8; 32]);

impl fmt::Debug for BindingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingDigest({})", crate::encoding::hex(&self.0))
    }
}

/// Scheme, host and port of a URL, normalised: `https://api.example.com` or `http://127.0.0.1:8081`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Wraps an origin that a URL library has normalised. Checks the form; the adapter applies the egress policy.
    pub fn new(normalised: impl Into<String>) -> Result<Self, InvalidOrigin> {
        let text = normalised.into();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(InvalidOrigin)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
        let name = if rest.starts_with('[') { "ipv6" } else { rest.split(':').next().unwrap_or_default() };
        if name.split('.').any(str::is_empty) || !rest.bytes().all(plain) {
            return Err(InvalidOrigin);
        }
        Ok(Self(text))
    }

    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not scheme, host and optional port in normalised form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an origin is a scheme and a host with an optional port, in lower case")]
pub struct InvalidOrigin;

/// How the client authenticates at the token endpoint (RFC 6749 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// HTTP Basic with form-encoded id and secret.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// A public client: only `client_id` in the body.
    None,
}

impl ClientAuthentication {
    /// The name used in configuration, records and the binding digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
            Self::None => "none",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "basic" => Some(Self::Basic),
            "post" => Some(Self::Post),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// Whether a client secret is needed.
    pub fn needs_secret(self) -> bool {
        self != Self::None
    }
}

/// How endpoints are determined, and so what the binding digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingKind {
    /// Endpoints are configured, in a profile or in the connector.
    Pinned,
    /// Endpoints come from the issuer's validated metadata at run time (RFC 8414, RFC 9207).
    Issuer,
}

/// Who chose the endpoints of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointSource {
    /// They come from a profile that the operator approved.
    Operator,
    /// A connector editor wrote the endpoints or the issuer into the connector.
    User,
}

/// The endpoints of an authorization server. All are normalised absolute URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Authorization endpoint (RFC 6749 §3.1).
    pub authorization: String,
    /// Token endpoint (RFC 6749 §3.2).
    pub token: String,
    /// Where tokens are refreshed, if not at the token endpoint.
    pub refresh: Option<String>,
    /// Token revocation (RFC 7009), if offered.
    pub revocation: Option<String>,
    /// Userinfo endpoint for the account label, if offered.
    pub userinfo: Option<String>,
    /// Key set for ID tokens, if announced. Public keys only, so not part of the binding digest.
    pub jwks: Option<String>,
}

impl Endpoints {
    /// Where tokens are refreshed (RFC 6749 §6).
    pub fn for_refresh(&self) -> &str {
        self.refresh.as_deref().unwrap_or(&self.token)
    }
}

/// Which callback URL a connector registers at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackPath {
    /// The URL that connectors in issuer mode share. Each of their providers announces `iss` in its responses (RFC 9207).
    Issuers,
    /// The URL that connectors of operator-approved profiles share. All their providers are trusted, so that it needs no `iss`.
    Profiles,
    /// The connector's path, which contains its callback id.
    PerConnector,
}

/// A callback of the host, by its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// See [`CallbackPath::Issuers`].
    Issuers,
    /// See [`CallbackPath::Profiles`].
    Profiles,
    /// That of one connector, with the id in its path.
    Connector(CallbackId),
}

/// A parsed `ConnectorConfig`, as `ProviderProfiles` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The profile.
    pub profile: ProfileId,
    /// Display name of the profile, such as `GitHub`.
    pub title: String,
    /// How endpoints are determined.
    pub kind: BindingKind,
    /// The issuer identifier, required for [`BindingKind::Issuer`].
    pub issuer: Option<String>,
    /// Who chose the endpoints. Not part of the binding digest, which covers the endpoints themselves.
    pub endpoint_source: EndpointSource,
    /// Configured endpoints; `None` exactly for [`BindingKind::Issuer`].
    pub endpoints: Option<Endpoints>,
    /// Client id; empty while it is not entered.
    pub client_id: String,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
    /// Resource indicators (RFC 8707).
    pub resources: Vec<String>,
    /// Origins that tokens may be sent to.
    pub destinations: Vec<Origin>,
    /// Base URL of the API, to which `_execute` joins its path. `None` if each grant has a separate one, which the provider
    /// names at the consent ([`ApiBase`]).
    pub base_url: Option<String>,
    /// Domains that may receive tokens, such as `example.com`: the provider names the API of each grant within one of them. Empty
    /// if `destinations` contains every host.
    pub api_domains: Vec<String>,
    /// Scopes requested at the authorization endpoint.
    pub requested_scopes: Scopes,
    /// Those of the requested scopes that responses name. The others are of the protocol, such as `openid`.
    pub expected_scopes: Scopes,
    /// Scopes without which a grant needs a new consent.
    pub required_scopes: Scopes,
    /// The callback URL to use.
    pub callback: CallbackPath,
    /// Whether the connector may be `shared`: the provider supports the client credentials grant (RFC 6749 §4.4).
    pub client_credentials: bool,
    /// Whether a superseded grant must not be revoked, because the provider revokes per client and user.
    pub revocation_is_per_user: bool,
    /// How long before its expiry an access token is refreshed at most, because the provider refuses to do so earlier.
    pub refresh_margin: Option<Duration>,
    /// Name of an empty setting without which the connector cannot be used.
    pub missing: Option<String>,
}

impl ProviderSettings {
    /// Whether a grant may have this API: one of the destinations, or a host at or below one of the domains.
    pub(crate) fn allows_api(&self, api: &ApiBase) -> bool {
        let host = api.origin.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let is_within =
            |domain: &String| host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.destinations.contains(&api.origin) || self.api_domains.iter().any(is_within)
    }

    /// The bytes whose SHA-256 is the binding digest: `OTE1-BIND`, then tagged fields, each with a presence byte; lists are
    /// sorted and counted. The refresh endpoint and the domains of the API occur only where a connector has them. `mode` is that
    /// of the connector.
    pub fn binding_bytes(&self, mode: AuthMode) -> Vec<u8> {
        let mut out = b"OTE1-BIND".to_vec();
        let mut field = |tag: u8, value: Option<&[u8]>| {
            let length = 1 + value.map_or(0, <[u8]>::len);
            out.push(tag);
            out.extend_from_slice(&length_of(length));
            out.push(u8::from(value.is_some()));
            out.extend_from_slice(value.unwrap_or_default());
        };
        let kind = match self.kind {
            BindingKind::Pinned => 1_u8,
            BindingKind::Issuer => 2_u8,
        };
        field(0x01, Some(&[kind]));
        field(0x02, Some(self.profile.as_str().as_bytes()));
        field(0x03, self.issuer.as_deref().map(str::as_bytes));
        if self.kind == BindingKind::Pinned {
            let endpoints = self.endpoints.clone().unwrap_or_default();
            field(0x04, Some(endpoints.authorization.as_bytes()));
            field(0x05, Some(endpoints.token.as_bytes()));
            field(0x06, endpoints.revocation.as_deref().map(str::as_bytes));
            if let Some(refresh) = &endpoints.refresh {
                field(0x07, Some(refresh.as_bytes()));
            }
            field(0x08, endpoints.userinfo.as_deref().map(str::as_bytes));
        }
        field(0x0b, Some(self.client_id.as_bytes()));
        field(0x0c, Some(self.authentication.as_str().as_bytes()));
        field(0x0d, Some(&counted(self.resources.iter().map(String::as_str))));
        field(0x0e, Some(&counted(self.destinations.iter().map(Origin::as_str))));
        field(0x15, Some(mode.as_str().as_bytes()));
        if !self.api_domains.is_empty() {
            field(0x16, Some(&counted(self.api_domains.iter().map(String::as_str))));
        }
        out
    }
}

/// A sorted list: count, then each item with its length.
fn counted<'a>(items: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let sorted: BTreeSet<&str> = items.collect();
    let mut out = length_of(sorted.len()).to_vec();
    for item in sorted {
        out.extend_from_slice(&length_of(item.len()));
        out.extend_from_slice(item.as_bytes());
    }
    out
}

/// The provider of one flow and its grant: settings with resolved endpoints, sealed at start. Exchange, refresh and
/// revocation use this and never the live connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSnapshot {
    /// The profile.
    pub profile: ProfileId,
    /// The issuer identifier, if there is one (RFC 9207).
    pub issuer: Option<String>,
    /// Whether the issuer announced `iss` in authorization responses, so that a response without it is refused.
    pub issuer_in_response: bool,
    /// Resolved endpoints.
    pub endpoints: Endpoints,
    /// Client id.
    pub client_id: String,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
    /// Resource indicators (RFC 8707).
    pub resources: Vec<String>,
    /// Origins that tokens may be sent to, besides that of `api`.
    pub destinations: Vec<Origin>,
    /// The redirect URI of the flow, repeated in the token request (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// The connector's settings at the time of consent, for profile rules with variables.
    pub config: String,
    /// The API of this grant, if the provider names one at the consent.
    pub api: Option<ApiBase>,
}

/// The API of one grant, as the provider named it at the consent, such as the instance of the account. The adapter has checked
/// that it is within the domains of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase {
    /// The base URL.
    pub url: String,
    /// Its origin.
    pub origin: Origin,
}

impl ApiBase {
    /// Reads the origin from a base URL that a URL library has normalised.
    fn of_normalised_url(url: String) -> Result<Self, MalformedFields> {
        let end = url.match_indices('/').nth(2).map_or(url.len(), |(end, _)| end);
        let origin = url.get(..end).and_then(|origin| Origin::new(origin).ok()).ok_or(MalformedFields::Value)?;
        Ok(Self { url, origin })
    }
}

impl ProviderSnapshot {
    /// The provider of a grant with this API, instead of the one that it had. Without one, it keeps the one that it had.
    pub(crate) fn with_api(self, api: Option<ApiBase>) -> Self {
        Self { api: api.or(self.api), ..self }
    }

    /// Encodes for sealing; tags are those of the binding digest where both have the field.
    pub(crate) fn encode(&self) -> zeroize::Zeroizing<Vec<u8>> {
        FieldWriter::default()
            .bytes(0x02, self.profile.as_str().as_bytes())
            .optional(0x03, self.issuer.as_deref().map(str::as_bytes))
            .bytes(0x04, self.endpoints.authorization.as_bytes())
            .bytes(0x05, self.endpoints.token.as_bytes())
            .optional(0x06, self.endpoints.revocation.as_deref().map(str::as_bytes))
            .optional(0x07, self.endpoints.refresh.as_deref().map(str::as_bytes))
            .optional(0x08, self.endpoints.userinfo.as_deref().map(str::as_bytes))
            .bytes(0x0b, self.client_id.as_bytes())
            .bytes(0x0c, self.authentication.as_str().as_bytes())
            .texts(0x0d, self.resources.iter().map(String::as_str))
            .texts(0x0e, self.destinations.iter().map(Origin::as_str))
            .bytes(0x0f, self.redirect_uri.as_bytes())
            .number(0x10, i64::from(self.issuer_in_response))
            .optional(0x11, self.endpoints.jwks.as_deref().map(str::as_bytes))
            .bytes(0x12, self.config.as_bytes())
            .optional(0x13, self.api.as_ref().map(|api| api.url.as_bytes()))
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MalformedFields> {
        let mut fields = FieldReader::new(bytes)?;
        let provider = Self {
            profile: ProfileId::new(fields.text(0x02)?).map_err(|_| MalformedFields::Value)?,
            issuer: fields.optional_text(0x03)?,
            endpoints: Endpoints {
                authorization: fields.text(0x04)?,
                token: fields.text(0x05)?,
                revocation: fields.optional_text(0x06)?,
                refresh: fields.optional_text(0x07)?,
                userinfo: fields.optional_text(0x08)?,
                jwks: fields.optional_text(0x11)?,
            },
            client_id: fields.text(0x0b)?,
            authentication: ClientAuthentication::parse(&fields.text(0x0c)?).ok_or(MalformedFields::Value)?,
            resources: fields.texts(0x0d)?,
            destinations: fields
                .texts(0x0e)?
                .into_iter()
                .map(|text| Origin::new(text).map_err(|_| MalformedFields::Value))
                .collect::<Result<_, _>>()?,
            redirect_uri: fields.text(0x0f)?,
            issuer_in_response: match fields.number(0x10)? {
                0 => false,
                1 => true,
                _ => return Err(MalformedFields::Value),
            },
            config: fields.text(0x12)?,
            api: fields.optional_text(0x13)?.map(ApiBase::of_normalised_url).transpose()?,
        };
        fields.finish()?;
        Ok(provider)
    }

    /// Whether tokens of this grant may be sent to an origin.
    pub fn may_receive(&self, destination: &Origin) -> bool {
        self.destinations.contains(destination) || self.api.as_ref().is_some_and(|api| api.origin == *destination)
    }
}

/// The account at the provider that consented: a label for display and a subject for comparison. Never used for log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Stable subject id at the provider.
    pub subject: String,
    /// A name that the user recognises, such as an e-mail address.
    pub label: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_an_api_is_that_of_its_url() {
        for (url, origin) in [
            ("https://eu.api.example/v1", "https://eu.api.example"),
            ("https://eu.api.example", "https://eu.api.example"),
            ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
        ] {
            let api = ApiBase::of_normalised_url(url.to_owned()).unwrap();
            assert_eq!((api.url.as_str(), api.origin.as_str()), (url, origin));
        }
        for bad in ["", "/", "https://", "https://user@api.example/", "https://api.example?x", "https://API.example/"] {
            assert_eq!(ApiBase::of_normalised_url(bad.to_owned()), Err(MalformedFields::Value), "{bad:?}");
        }
    }

    #[test]
    fn origins_are_normalised_or_refused() {
        assert!(Origin::new("https://api.example.com").is_ok());
        assert!(Origin::new("http://127.0.0.1:8081").is_ok());
        assert!(Origin::new("https://[2606:4700::1]:8443").is_ok());
        for bad in [
            "",
            "https://",
            "ftp://a",
            "https://a/b",
            "https://A",
            "https://u@a",
            "https://a?b",
            "https://a..b",
            "https://.a",
            "https://a.:8",
            "https://:8",
        ] {
            assert!(Origin::new(bad).is_err(), "{bad:?}");
        }
    }
}

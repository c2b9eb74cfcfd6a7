//! A connector as it is sent, and how its settings are read.
//!
//! Front ends that were written for an earlier API send the settings of the client as `secrets`, together with an empty
//! `config`. The members that are no secrets move to `config` on arrival. What they mean is decided by the profile.

use std::collections::BTreeMap;

use grantry_domain::connector::{AuthMode, Connector, ConnectorName, ProfileId};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::ConnectorDraft;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::connector_types::AuthModeName;
use crate::extract::{SecretText, optional_object};
use crate::problem::Problem;

/// Longest `config`, in bytes of its text.
const LONGEST_CONFIG: usize = 16 * 1024;

/// Name of the setting that repeats the mode. It is not stored.
const AUTH_TYPE: &str = "authType";

/// The settings that name the provider. If one changes, the other settings belong to another provider.
const ENDPOINTS: [&str; 2] = ["authorizationUrl", "tokenUrl"];

/// Two names of one setting.
const CLIENT_AUTHENTICATION: [&str; 2] = ["useBasicAuth", "clientAuth"];

/// A connector as it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorBody {
    /// Display name: 1 to 200 characters.
    name: String,
    /// Profile id. An edit may omit it and cannot change it.
    connector_type_id: Option<String>,
    /// `per-user` (default) or `shared`. An edit may omit it and cannot change it.
    auth_mode: Option<AuthModeName>,
    /// Settings of the profile. `authType` is accepted if it is the one of the mode.
    #[schema(value_type = Object)]
    config: Box<RawValue>,
    /// Client id and secret. An edit keeps the ones that are absent.
    #[serde(default, deserialize_with = "optional_object")]
    secrets: Option<ConnectorSecrets>,
    /// Only for an edit: the revision it is based on. 409 if the connector has a newer one.
    pub(super) revision: Option<u64>,
}

/// The client's registration at the provider. Client id and secret are write-only.
///
/// The other members are settings and move to `config`. An edit with one of them keeps the settings that it does not contain.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConnectorSecrets {
    /// Client id.
    client_id: Option<String>,
    /// Client secret.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretText>,
    /// The same as `auth_mode`, which may be omitted then.
    #[schema(value_type = Option<AuthTypeName>)]
    auth_type: Option<AuthType>,
    /// `config.authorizationUrl`.
    authorization_url: Option<String>,
    /// `config.tokenUrl`.
    token_url: Option<String>,
    /// `config.scope`.
    scope: Option<String>,
    /// `config.useBasicAuth`.
    use_basic_auth: Option<bool>,
}

/// The mode of a connector, by the name of the OAuth grant type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AuthType(AuthMode);

impl AuthType {
    const fn as_str(self) -> &'static str {
        match self.0 {
            AuthMode::PerUser => "oauth_authorization_code",
            AuthMode::Shared => "oauth_client_credentials",
        }
    }
}

impl<'de> Deserialize<'de> for AuthType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = [Self(AuthMode::PerUser), Self(AuthMode::Shared)];
        let found = known.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| D::Error::unknown_variant(&name, &["oauth_authorization_code", "oauth_client_credentials"]))
    }
}

/// How the client of a connector gets tokens.
#[derive(ToSchema)]
#[schema(as = AuthType, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values")]
pub(crate) enum AuthTypeName {
    /// A connector of the mode `per-user`.
    OauthAuthorizationCode,
    /// A connector of the mode `shared`.
    OauthClientCredentials,
}

impl ConnectorBody {
    /// The connector to create.
    pub(super) fn into_draft(self) -> Result<ConnectorDraft, Problem> {
        let profile = self.profile()?.ok_or_else(|| Problem::invalid("connector_type_id", "is missing"))?;
        self.draft(profile, None)
    }

    /// The edited connector. `revision` is set if settings of the current one were kept.
    pub(super) fn into_edit(mut self, current: &Connector) -> Result<(ConnectorDraft, Option<u64>), Problem> {
        let profile = self.profile()?.unwrap_or_else(|| current.config.profile.clone());
        let revision = self.revision.take();
        let is_merged = self.keeps_settings(current)?;
        let draft = self.draft(profile, Some((current, is_merged)))?;
        // A concurrent edit must not be undone by settings that were read before it.
        Ok((draft, revision.or(is_merged.then_some(current.revision))))
    }

    fn profile(&self) -> Result<Option<ProfileId>, Problem> {
        let id = self.connector_type_id.as_deref().map(ProfileId::new).transpose();
        id.map_err(|invalid| Problem::invalid("connector_type_id", invalid.problem))
    }

    /// Whether the settings of an edit are those of a front end that sends them as secrets. Without any, it keeps all.
    fn keeps_settings(&self, current: &Connector) -> Result<bool, Problem> {
        if self.secrets.as_ref().is_some_and(ConnectorSecrets::has_settings) {
            return Ok(true);
        }
        let is_empty = Settings::read(self.config.get())?.0.keys().all(|name| name == AUTH_TYPE);
        let current = Settings::read(&current.config.settings)?;
        Ok(is_empty && ENDPOINTS.iter().all(|name| current.0.contains_key(*name)))
    }

    fn draft(self, profile: ProfileId, current: Option<(&Connector, bool)>) -> Result<ConnectorDraft, Problem> {
        let name = ConnectorName::new(self.name).map_err(|invalid| Problem::invalid("name", invalid.problem))?;
        let sent = String::from(Box::<str>::from(self.config));
        let mut settings = Settings::read(&sent)?;
        let mut secrets = self.secrets.unwrap_or_default();
        secrets.refuse_unusable()?;

        let stated = settings.take_auth_type()?;
        let in_secrets = secrets.auth_type.take();
        let fixed = self.auth_mode.map(AuthMode::from).or(current.map(|(connector, _)| connector.auth_mode));
        let auth_mode = mode(fixed, in_secrets, stated)?;
        let moved = secrets.take_settings();
        let changed = stated.is_some() || !moved.is_empty();
        let replaced = settings.add(moved)?;
        let settings = match current {
            Some((connector, true)) => settings.over(Settings::read(&connector.config.settings)?, &replaced).into_text(),
            Some((_, false)) | None if changed => settings.into_text(),
            Some((_, false)) | None => sent,
        };
        if settings.len() > LONGEST_CONFIG {
            return Err(Problem::invalid("config", format!("is longer than {LONGEST_CONFIG} bytes")));
        }
        let client_secret = secrets.client_secret.map(|SecretText(secret)| secret);
        Ok(ConnectorDraft { name, profile, auth_mode, settings, client_id: secrets.client_id, client_secret })
    }
}

/// Longest client secret in bytes.
const LONGEST_SECRET: usize = 4096;

/// What is wrong with a client secret (RFC 6749 appendix A.2). A line end at its end is a mistake of pasting.
fn problem_of_secret(secret: &Secret) -> Option<&'static str> {
    let bytes = secret.expose();
    if bytes.len() > LONGEST_SECRET {
        Some("must not be longer than 4096 bytes")
    } else if bytes.iter().any(u8::is_ascii_control) {
        Some("must not contain control characters, such as a line end")
    } else if bytes.trim_ascii().len() < bytes.len() {
        Some("must not begin or end with a blank")
    } else {
        None
    }
}

impl ConnectorSecrets {
    fn refuse_unusable(&self) -> Result<(), Problem> {
        let is_empty = [
            ("secrets.clientId", self.client_id.as_ref().is_some_and(String::is_empty)),
            ("secrets.clientSecret", self.client_secret.as_ref().is_some_and(|SecretText(secret)| Secret::is_empty(secret))),
        ];
        if let Some((field, _)) = is_empty.into_iter().find(|(_, is_empty)| *is_empty) {
            return Err(Problem::invalid(field, "must not be empty; omit it to keep the current one"));
        }
        match self.client_secret.as_ref().and_then(|SecretText(secret)| problem_of_secret(secret)) {
            Some(problem) => Err(Problem::invalid("secrets.clientSecret", problem)),
            None => Ok(()),
        }
    }

    fn has_settings(&self) -> bool {
        let Self { client_id: _, client_secret: _, auth_type, authorization_url, token_url, scope, use_basic_auth } = self;
        let has_text = [authorization_url, token_url, scope].into_iter().any(Option::is_some);
        has_text || auth_type.is_some() || use_basic_auth.is_some()
    }

    /// The settings among the secrets, by their names in `config`.
    fn take_settings(&mut self) -> Vec<(&'static str, Value)> {
        let texts = [
            ("authorizationUrl", self.authorization_url.take().map(Value::from)),
            ("tokenUrl", self.token_url.take().map(Value::from)),
            ("scope", self.scope.take().map(Value::from)),
            ("useBasicAuth", self.use_basic_auth.take().map(Value::from)),
        ];
        texts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The mode: the one that is `fixed`, else the one of `authType`, else per user. All that are given must agree.
fn mode(fixed: Option<AuthMode>, secrets: Option<AuthType>, config: Option<AuthType>) -> Result<AuthMode, Problem> {
    let stated = secrets.or(config).map(|AuthType(mode)| mode);
    let mode = fixed.or(stated).unwrap_or(AuthMode::PerUser);
    for (field, kind) in [("config.authType", config), ("secrets.authType", secrets)] {
        if kind.is_some_and(|AuthType(stated)| stated != mode) {
            return Err(Problem::invalid(field, "contradicts the auth_mode of the connector"));
        }
    }
    Ok(mode)
}

/// The members of a `config`, with values as they were written.
struct Settings(BTreeMap<String, Box<RawValue>>);

impl Settings {
    fn read(text: &str) -> Result<Self, Problem> {
        if text.len() > LONGEST_CONFIG {
            return Err(Problem::invalid("config", format!("is longer than {LONGEST_CONFIG} bytes")));
        }
        serde_json::from_str(text).map(Self).map_err(|_| Problem::invalid("config", "must be an object"))
    }

    fn take_auth_type(&mut self) -> Result<Option<AuthType>, Problem> {
        let Some(value) = self.0.remove(AUTH_TYPE) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|_| {
            let problem = "must be oauth_authorization_code or oauth_client_credentials";
            Problem::invalid(format!("config.{AUTH_TYPE}"), problem)
        })
    }

    /// A setting that is present and not null.
    fn value(&self, name: &str) -> Option<Value> {
        let value = self.0.get(name).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        value.filter(|value| !value.is_null())
    }

    /// Adds settings that were sent as secrets, and returns their names. An empty text is absent, as in `config`.
    fn add(&mut self, moved: Vec<(&'static str, Value)>) -> Result<Vec<&'static str>, Problem> {
        let mut names = Vec::new();
        for (name, value) in moved {
            if self.value(name).is_some_and(|written| written != value) {
                return Err(Problem::invalid(format!("secrets.{name}"), format!("differs from config.{name}")));
            }
            names.push(name);
            match to_raw_value(&value) {
                Ok(raw) if value != "" => drop(self.0.insert(name.to_owned(), raw)),
                Ok(_) | Err(_) => drop(self.0.remove(name)),
            }
        }
        Ok(names)
    }

    /// Keeps the current settings that are neither in this edit nor `replaced` by it. Those of another provider are dropped.
    fn over(mut self, current: Self, replaced: &[&str]) -> Self {
        let is_same_provider = ENDPOINTS.iter().all(|name| match self.value(name) {
            None => !replaced.contains(name),
            sent @ Some(_) => sent == current.value(name),
        });
        let is_sent_again = replaced.iter().any(|name| CLIENT_AUTHENTICATION.contains(name));
        for (name, value) in current.0 {
            let is_replaced = replaced.contains(&name.as_str())
                || (is_sent_again && CLIENT_AUTHENTICATION.contains(&name.as_str()))
                || !(is_same_provider || ENDPOINTS.contains(&name.as_str()) || name == "scope");
            if !is_replaced {
                self.0.entry(name).or_insert(value);
            }
        }
        self
    }

    fn into_text(self) -> String {
        // Names are texts and values are JSON already.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// The stored settings as they are returned: with the mode under its second name.
pub(super) fn config_of(settings: String, mode: AuthMode) -> Box<RawValue> {
    let with_auth_type = Settings::read(&settings).ok().and_then(|mut settings| {
        settings.0.insert(AUTH_TYPE.to_owned(), to_raw_value(AuthType(mode).as_str()).ok()?);
        to_raw_value(&settings.0).ok()
    });
    // Only objects are stored.
    with_auth_type.unwrap_or_else(|| RawValue::from_string(settings).unwrap_or_default())
}

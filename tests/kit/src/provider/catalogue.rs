//! The fault catalogue: deviations of a provider by name, for command lines and for tests that read faults from data.
//!
//! ```
//! use grantry_testkit::provider::{MockProvider, NamedFault, fault_catalogue};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let faults: Vec<NamedFault> = vec!["grace=10".parse()?, "unavailable=2@refresh".parse()?];
//! let provider = MockProvider::builder().named_faults(faults);
//! # drop(provider);
//! for entry in fault_catalogue() {
//!     println!("{} {}", entry.name, entry.about);
//! }
//! # Ok(())
//! # }
//! ```

mod entries;

use std::fmt;
use std::str::FromStr;

use super::config::Settings;
use super::endpoint::Endpoint;
use super::fault::{Fault, PermanentFault};

/// The requests on which a fault of the catalogue acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// Every request to the token endpoint.
    Token,
    /// Token requests with the grant type `authorization_code`.
    Code,
    /// Token requests with the grant type `refresh_token`.
    Refresh,
    /// Requests to the revocation endpoint.
    Revocation,
    /// Requests to the userinfo endpoint.
    Userinfo,
    /// Requests for a metadata document.
    Metadata,
    /// Requests to the API.
    Api,
}

impl FaultPlace {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Token, Self::Code, Self::Refresh, Self::Revocation, Self::Userinfo, Self::Metadata, Self::Api];

    /// The name after `@`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Revocation => "revocation",
            Self::Userinfo => "userinfo",
            Self::Metadata => "metadata",
            Self::Api => "api",
        }
    }

    fn with(self, fault: Fault) -> PermanentFault {
        let (endpoint, grant_type) = match self {
            Self::Token => (Endpoint::Token, None),
            Self::Code => (Endpoint::Token, Some("authorization_code")),
            Self::Refresh => (Endpoint::Token, Some("refresh_token")),
            Self::Revocation => (Endpoint::Revocation, None),
            Self::Userinfo => (Endpoint::Userinfo, None),
            Self::Metadata => (Endpoint::Metadata, None),
            Self::Api => (Endpoint::Api, None),
        };
        PermanentFault { endpoint, grant_type, fault }
    }
}

/// The value that a fault takes after `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultValue {
    /// Its meaning and unit.
    pub meaning: &'static str,
    /// The value if none is given.
    pub default: u32,
    /// The greatest value.
    pub max: u32,
}

/// One fault of the catalogue.
#[derive(Debug)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Its name, in lower case with hyphens.
    pub name: &'static str,
    /// Its effect, one sentence.
    pub about: &'static str,
    /// Its value; absent for a fault that takes none.
    pub value: Option<FaultValue>,
    effect: Effect,
}

impl CatalogueEntry {
    /// Whether `@` and a [`FaultPlace`] may follow. Otherwise the fault has a fixed place, or acts on the whole provider.
    pub const fn takes_place(&self) -> bool {
        match self.effect {
            Effect::Response(_) => true,
            Effect::Setting(_) | Effect::At(..) | Effect::Redirect(_) => false,
        }
    }
}

/// How a fault acts. The number is its value.
#[derive(Debug)]
enum Effect {
    /// By a setting of the provider.
    Setting(fn(&mut Settings, u32)),
    /// On responses; on those to every token request unless another place is given.
    Response(fn(u32) -> Fault),
    /// On responses at these places.
    At(&'static [FaultPlace], fn() -> Fault),
    /// On the redirect to the client.
    Redirect(fn() -> Fault),
}

/// The catalogue. Faults that are combined act in this order, in whichever order they are named.
pub fn fault_catalogue() -> &'static [CatalogueEntry] {
    entries::ENTRIES
}

/// A fault of the catalogue with its value and place; parsed from `NAME`, `NAME=VALUE`, `NAME@PLACE` or `NAME=VALUE@PLACE`.
#[derive(Clone, Copy, Debug)]
pub struct NamedFault {
    /// Index in the catalogue.
    index: usize,
    value: u32,
    place: Option<FaultPlace>,
}

impl NamedFault {
    /// The entry in the catalogue.
    pub fn entry(&self) -> &'static CatalogueEntry {
        &entries::ENTRIES[self.index]
    }

    /// Its value; 0 if it takes none.
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// The position in the order in which faults act.
    pub(super) const fn position(&self) -> usize {
        self.index
    }

    /// Changes the settings, or returns the faults of further requests.
    pub(super) fn apply(&self, settings: &mut Settings) -> Vec<PermanentFault> {
        match &self.entry().effect {
            Effect::Setting(set) => {
                set(settings, self.value);
                Vec::new()
            }
            Effect::Response(fault) => vec![self.place.unwrap_or(FaultPlace::Token).with(fault(self.value))],
            Effect::At(places, fault) => places.iter().map(|place| place.with(fault())).collect(),
            Effect::Redirect(fault) => {
                vec![PermanentFault { endpoint: Endpoint::Consent, grant_type: None, fault: fault() }]
            }
        }
    }
}

impl fmt::Display for NamedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().name)?;
        if self.entry().value.is_some() {
            write!(f, "={}", self.value)?;
        }
        match self.place {
            Some(place) => write!(f, "@{}", place.name()),
            None => Ok(()),
        }
    }
}

/// Why a text names no fault of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamedFaultError {
    /// No entry has this name.
    #[error("`{0}` is not a fault; the faults are {names}", names = list(entries::ENTRIES.iter().map(|entry| entry.name)))]
    UnknownName(String),
    /// The fault takes no value.
    #[error("the fault `{0}` takes no value")]
    NoValue(&'static str),
    /// The value is not a number, or too great.
    #[error("the value of `{name}` must be a whole number from 0 to {max}: {meaning}", max = value.max, meaning = value.meaning)]
    Value {
        /// The fault.
        name: &'static str,
        /// The value it takes.
        value: FaultValue,
    },
    /// No place has this name.
    #[error("`@{0}` is not a place; the places are {names}", names = list(FaultPlace::ALL.iter().map(|place| place.name())))]
    UnknownPlace(String),
    /// The fault takes no place.
    #[error("the fault `{0}` takes no place; omit `@` and what follows")]
    NoPlace(&'static str),
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl FromStr for NamedFault {
    type Err = NamedFaultError;

    fn from_str(text: &str) -> Result<Self, NamedFaultError> {
        let (text, place) = text.split_once('@').map_or((text, None), |(text, place)| (text, Some(place)));
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let index = entries::ENTRIES.iter().position(|entry| entry.name == name);
        let index = index.ok_or_else(|| NamedFaultError::UnknownName(name.to_owned()))?;
        let entry = &entries::ENTRIES[index];
        let value = match (entry.value, value) {
            (Some(takes), Some(given)) => {
                let number = given.parse().ok().filter(|number| *number <= takes.max);
                number.ok_or(NamedFaultError::Value { name: entry.name, value: takes })?
            }
            (Some(takes), None) => takes.default,
            (None, Some(_)) => return Err(NamedFaultError::NoValue(entry.name)),
            (None, None) => 0,
        };
        let place = match place {
            Some(_) if !entry.takes_place() => return Err(NamedFaultError::NoPlace(entry.name)),
            Some(name) => {
                let place = FaultPlace::ALL.into_iter().find(|place| place.name() == name);
                Some(place.ok_or_else(|| NamedFaultError::UnknownPlace(name.to_owned()))?)
            }
            None => None,
        };
        Ok(Self { index, value, place })
    }
}

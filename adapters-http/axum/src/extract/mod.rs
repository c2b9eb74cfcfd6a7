//! Extractors: the caller, the address, the ids of the path, query parameters and bodies.

mod body;
mod caller;
mod json;
mod pairs;
mod structure;
mod url;

pub(crate) use self::body::{ExecuteJsonBody, JsonBody, connection_name};
#[cfg(feature = "fuzzing")]
pub(crate) use self::caller::client_of;
pub(crate) use self::caller::{CallerAtConnector, ClientAddress, Editor, User};
#[cfg(feature = "fuzzing")]
pub(crate) use self::json::parse;
pub(crate) use self::json::{SecretText, object, optional_object};
pub(crate) use self::pairs::{Pairs, QueryParams};
#[cfg(feature = "fuzzing")]
pub(crate) use self::structure::Exceptions;
pub(crate) use self::url::{ConnectorPath, PathParams, Query, SpacePath};

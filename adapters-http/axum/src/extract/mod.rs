//! Extractors: the caller, the address, the ids of the path, query parameters and bodies.

mod body;
mod caller;
mod json;
mod pairs;
mod structure;
mod url;

pub(crate) use self::body::{ExecuteJsonBody, JsonBody, connection_name};
pub(crate) use self::caller::{CallerAtConnector, ClientAddress, Editor, User};
pub(crate) use self::json::{SecretText, object, optional_object};
pub(crate) use self::pairs::{Pairs, QueryParams};
pub(crate) use self::url::{ConnectorPath, PathParams, Query, SpacePath};

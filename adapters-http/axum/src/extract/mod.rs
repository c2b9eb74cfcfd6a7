//! What handlers take out of a request: who asks, in which space, on which connector, with which body.

mod body;
mod caller;
mod json;
mod path;
mod query;

pub(crate) use self::body::{ExecuteJsonBody, JsonBody};
pub(crate) use self::caller::{Caller, ClientAddress, Person};
pub(crate) use self::json::{Pairs, SecretText, object, optional_object};
pub(crate) use self::path::{AtConnector, InSpace, PathParams};
pub(crate) use self::query::Query;

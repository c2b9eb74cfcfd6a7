//! Bounds on what precedes the body (R58).

use axum::extract::Request;

use crate::problem::Problem;
use crate::state::Limits;

pub(super) fn within_limits(limits: &Limits, request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.url {
        return Err(Problem::invalid("url", format!("is longer than {} bytes", limits.url)));
    }
    let fields = request.headers();
    if fields.len() > limits.header_fields {
        return Err(Problem::invalid("headers", format!("are more than {} fields", limits.header_fields)));
    }
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.headers {
        return Err(Problem::invalid("headers", format!("are longer than {} bytes", limits.headers)));
    }
    Ok(())
}

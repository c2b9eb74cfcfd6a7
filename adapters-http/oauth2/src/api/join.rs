//! Joins a caller's path and query to a base URL so that the result stays below it.

use grantry_domain::ports::ApiRequestRefused;
use grantry_domain::provider::Origin;

use crate::codec::form::has_complete_escapes;
use crate::egress::EgressPolicy;

/// Joins, or returns the reason why not. Paths are checked before the URL library can reinterpret them.
pub(super) fn join(
    policy: &EgressPolicy,
    base_url: &str,
    path: &str,
    query: &[(String, String)],
) -> Result<(String, Origin), ApiRequestRefused> {
    let in_path = |problem| ApiRequestRefused { field: "params.path", problem };
    let in_base = |problem| ApiRequestRefused { field: "config.baseUrl", problem };
    let base = policy.check(base_url).map_err(|_| in_base("is not a URL that may be called"))?;
    if base.as_url().query().is_some() {
        return Err(in_base("must not contain a query"));
    }
    if let Some(problem) = problem_of(path) {
        return Err(in_path(problem));
    }
    let mut url = base.as_url().clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    let below = path.strip_prefix('/').unwrap_or(path);
    if !below.is_empty() {
        url.set_path(&format!("{prefix}/{below}"));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    // Defence in depth: check the result as well.
    let inside = url.path() == base.as_url().path() || url.path().starts_with(&format!("{prefix}/"));
    let joined = policy.check(url.as_str()).ok().filter(|_| inside && url.origin() == base.as_url().origin());
    let origin = joined.and_then(|joined| joined.origin()).ok_or_else(|| in_path("leaves the base URL or is too long"))?;
    Ok((url.into(), origin))
}

fn problem_of(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    if path.chars().any(char::is_control) || path.contains('\\') {
        Some("must not contain control characters or backslashes")
    } else if path.contains(['?', '#']) {
        Some("must not contain a query or fragment; use params.query")
    } else if !has_complete_escapes(path) {
        Some("contains an incomplete percent escape")
    } else if ["%2e", "%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape)) {
        Some("must not contain escaped dots, slashes, backslashes or zeros")
    } else if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        Some("must not contain empty or dot segments")
    } else {
        None
    }
}

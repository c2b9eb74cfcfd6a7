//! The parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207), parsed strictly.

use grantry_domain::secret::Secret;
use grantry_domain::usecase::AuthorizationResponse;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// Longest `state`, which this program chooses.
const LONGEST_STATE: usize = 4096;
/// Longest `iss`.
const LONGEST_ISSUER: usize = 2048;
/// Longest `error`; registered names are short.
const LONGEST_ERROR: usize = 256;

/// The known parameters. Others are ignored, because providers add their own (RFC 6749 §4.1.2).
const KNOWN: [&str; 4] = ["code", "state", "error", "iss"];

/// A well-formed authorization response. A code can have every length that the limit on URLs leaves.
pub(crate) struct CallbackParams {
    /// Present in every response with a code. Some providers omit it in an error.
    pub(crate) state: Option<Secret>,
    pub(crate) issuer: Option<String>,
    pub(crate) response: AuthorizationResponse,
}

impl CallbackParams {
    /// Reads a raw query: each known parameter at most once, exactly one of `code` and `error`, and
    /// `state` with a code.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: [Option<Zeroizing<String>>; 4] = Default::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // Some frameworks read `state[]` and `state[0]` as a list of states.
            let plain = name.split('[').next().unwrap_or_default();
            let Some(known) = KNOWN.iter().position(|known| *known == plain) else { continue };
            if plain != name || values[known].is_some() {
                return Err(Problem::invalid(KNOWN[known], "is given twice or as a list"));
            }
            values[known] = Some(Zeroizing::new(value.into_owned()));
        }
        let [code, state, error, issuer] = values;
        let state = checked("state", state.filter(|state| !state.is_empty()), Some(LONGEST_STATE))?;
        let issuer = checked("iss", issuer, Some(LONGEST_ISSUER))?.map(|issuer| issuer.as_str().to_owned());
        let response = match (checked("code", code, None)?, checked("error", error, Some(LONGEST_ERROR))?) {
            (Some(code), None) => AuthorizationResponse::Code(Secret::from_text(&code)),
            (None, Some(error)) => AuthorizationResponse::Error { denied: error.as_str() == "access_denied" },
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid("code", "or error must be given, and only one of them"));
            }
        };
        match (&response, &state) {
            (AuthorizationResponse::Code(_), None) => Err(Problem::invalid("state", "is missing")),
            (AuthorizationResponse::Code(_) | AuthorizationResponse::Error { .. }, _) => {
                Ok(Self { state: state.map(|state| Secret::from_text(&state)), issuer, response })
            }
        }
    }
}

/// Visible ASCII and space (RFC 6749 appendix A), not empty, not too long.
fn checked(
    name: &'static str,
    value: Option<Zeroizing<String>>,
    longest: Option<usize>,
) -> Result<Option<Zeroizing<String>>, Problem> {
    match value {
        None => Ok(None),
        Some(value) if value.is_empty() => Err(Problem::invalid(name, "is empty")),
        Some(value) if longest.is_some_and(|longest| value.len() > longest) => Err(Problem::invalid(name, "is too long")),
        Some(value) if !value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => {
            Err(Problem::invalid(name, "contains characters that are not allowed"))
        }
        Some(value) => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lesson_04_unknown_parameters_are_ignored() {
        let query =
            "code=c%2F1&scope=a+b&authuser=0&hd=x&prompt=consent&session_state=9&state=s&iss=https%3A%2F%2Fas.example";
        let params = CallbackParams::parse(query).ok().unwrap();
        assert_eq!(params.state.as_ref().and_then(Secret::expose_text), Some("s"));
        assert_eq!(params.issuer.as_deref(), Some("https://as.example"));
        assert!(matches!(params.response, AuthorizationResponse::Code(code) if code.expose_text() == Some("c/1")));
    }

    #[test]
    fn r21_doubled_listed_missing_and_contradicting_parameters_are_refused() {
        let refused = [
            "",
            "code=c",
            "state=s",
            "code=c&state=s&state=s",
            "code=c&code=d&state=s",
            "code=c&error=e&state=s",
            "error=a&error=b&state=s",
            "code=c&state[]=s",
            "code=c&state[0]=s&state=t",
            "code[]=c&state=s",
            "code=c&state=",
            "code=&state=s",
            "error=&state=s",
            "code=c&state=s&iss=a&iss=a",
            "code=c&state=s&iss=",
            "code=c%00&state=s",
            "code=c&state=%0d%0a",
            "code=c&state=%ff",
            "code=c&state=s%C3%A4",
            "co%64e=c&code=d&state=s",
        ];
        for query in refused {
            assert!(CallbackParams::parse(query).is_err(), "{query}");
        }
        let long = "x".repeat(LONGEST_STATE);
        assert!(CallbackParams::parse(&format!("code={}&state=s", "x".repeat(64 * 1024))).is_ok());
        assert!(CallbackParams::parse(&format!("code=c&state={long}")).is_ok());
        assert!(CallbackParams::parse(&format!("code=c&state={long}x")).is_err());
    }

    #[test]
    fn r24_an_error_may_lack_its_state_and_a_code_may_not() {
        for query in ["error=access_denied", "error=access_denied&state=", "error=server_error&iss=https://as.example"] {
            let params = CallbackParams::parse(query).ok().unwrap();
            assert!(params.state.is_none() && matches!(params.response, AuthorizationResponse::Error { .. }), "{query}");
        }
        for query in ["code=c", "code=c&state=", "error=e&state[]=s", "error=e&state=%ff", "error=e&code=c"] {
            assert!(CallbackParams::parse(query).is_err(), "{query}");
        }
    }

    proptest! {
        /// The verdict does not depend on the order.
        #[test]
        fn t09_r21_the_order_of_parameters_does_not_matter(mut names in proptest::sample::subsequence(
            vec!["code=1", "state=2", "error=access_denied", "iss=4", "code=5", "scope=6", "state[]=7"], 0..7), seed: u64) {
            let verdict = |parts: &[&str]| CallbackParams::parse(&parts.join("&")).is_ok();
            let straight = verdict(&names);
            let middle = usize::try_from(seed % 7).unwrap().min(names.len());
            names.rotate_left(middle);
            prop_assert_eq!(verdict(&names), straight);
            names.reverse();
            prop_assert_eq!(verdict(&names), straight);
        }

        #[test]
        fn r21_no_query_makes_it_panic(query in ".{0,200}") {
            let _ = CallbackParams::parse(&query);
        }
    }
}

//! The parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207), parsed strictly.

use std::collections::BTreeMap;

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

/// Longest value of a parameter that no standard defines, and the most of them.
const LONGEST_OTHER: usize = 512;
const MOST_OTHERS: usize = 16;

/// The known parameters. Providers add their own (RFC 6749 §4.1.2), of which a profile may need some.
const KNOWN: [&str; 4] = ["code", "state", "error", "iss"];

/// A well-formed authorization response. A code can have every length that the limit on URLs leaves.
pub(crate) struct CallbackParams {
    /// Present in every response with a code. Some providers omit it in an error.
    pub(crate) state: Option<Secret>,
    pub(crate) issuer: Option<String>,
    pub(crate) response: AuthorizationResponse,
    /// The other parameters that occur once, as far as they are short.
    pub(crate) others: Vec<(String, String)>,
}

impl CallbackParams {
    /// Reads a raw query: each known parameter at most once, exactly one of `code` and `error`, and
    /// `state` with a code.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: [Option<Zeroizing<String>>; 4] = Default::default();
        let mut others = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // Some frameworks read `state[]` and `state[0]` as a list of states.
            let plain = name.split('[').next().unwrap_or_default();
            let Some(known) = KNOWN.iter().position(|known| *known == plain) else {
                let is_first = !others.contains_key(name.as_ref());
                others.insert(name.into_owned(), is_first.then(|| value.into_owned()));
                continue;
            };
            if plain != name || values[known].is_some() {
                return Err(Problem::invalid(KNOWN[known], "is given twice or as a list"));
            }
            values[known] = Some(Zeroizing::new(value.into_owned()));
        }
        let is_short = |text: &str| (1..=LONGEST_OTHER).contains(&text.len());
        let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let others = others.filter(|(name, value)| is_short(name) && is_short(value)).take(MOST_OTHERS).collect();
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
                Ok(Self { state: state.map(|state| Secret::from_text(&state)), issuer, response, others })
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
        let names: Vec<&str> = params.others.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authuser", "hd", "prompt", "scope", "session_state"]);
    }

    #[test]
    fn other_parameters_are_kept_if_they_are_short_and_occur_once() {
        let long = "x".repeat(LONGEST_OTHER + 1);
        let many = (0..40).map(|number| format!("n{number}=1")).collect::<Vec<_>>().join("&");
        let of = |query: &str| CallbackParams::parse(&format!("code=c&state=s&{query}")).ok().unwrap().others;
        assert_eq!(of("realmId=12"), [("realmId".to_owned(), "12".to_owned())]);
        for query in ["a=1&a=1", "a=", "=1", &format!("a={long}"), &format!("{long}=1")] {
            assert!(of(query).is_empty(), "{query}");
        }
        assert_eq!(of(&many).len(), MOST_OTHERS);
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

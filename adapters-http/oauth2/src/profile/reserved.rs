//! Authorization parameters that no configuration may set.

/// Parameters that this crate sets, or that would change the response mode or the client.
const RESERVED: &[&str] = &[
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "iss",
    "login_hint",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Whether a name is reserved, also in spellings that some servers treat as the same name: other case, and `a.b`, `a b` and
/// `a[]` as in PHP.
pub(crate) fn is_reserved(name: &str) -> bool {
    let plain = name.split('[').next().unwrap_or_default().trim();
    let folded: String =
        plain.chars().map(|letter| if "-. ".contains(letter) { '_' } else { letter.to_ascii_lowercase() }).collect();
    RESERVED.contains(&folded.as_str())
}

/// Whether a name is that of resource indicators (RFC 8707), which a setting defines.
pub(crate) fn is_resource(name: &str) -> bool {
    name.split('[').next().is_some_and(|name| name.eq_ignore_ascii_case("resource"))
}

/// Whether the characters of a name are valid for an additional parameter.
pub(crate) fn is_parameter_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && name.as_bytes()[0].is_ascii_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_reserved_names_are_recognized_in_every_spelling() {
        for name in
            ["state", "STATE", "Redirect_Uri", "redirect.uri", "redirect-uri", "scope[]", "state[x]", "code_challenge"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["prompt", "audience", "access_type", "user_scope", "allow_signup", "grant_options[]", "hd"] {
            assert!(!is_reserved(name) && is_parameter_name(name), "{name}");
        }
        for name in ["", " state", "a b", "a=b", "a&b", "\u{e4}", "[state]", "_state", &"a".repeat(65)] {
            assert!(!is_parameter_name(name), "{name}");
        }
    }
}

//! The `Location` of a response that is passed on under another URL.

use http::header::LOCATION;
use url::Url;

/// Resolves `Location` (RFC 9110 §10.2.2) against the URL of the request. A relative one would lead the caller to a path of this
/// server, with the credentials of the caller. One that is no URL is removed.
pub(super) fn make_absolute(headers: &mut Vec<(String, Vec<u8>)>, url: &str) {
    headers.retain_mut(|(name, value)| {
        if name != LOCATION.as_str() {
            return true;
        }
        let base = Url::parse(url).ok();
        let location = std::str::from_utf8(value).ok().zip(base).and_then(|(text, base)| base.join(text).ok());
        location.is_some_and(|location| {
            *value = String::from(location).into_bytes();
            true
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_leads_to_the_api() {
        for (given, expected) in [
            ("/v1/b?c=d", Some("https://api.example/v1/b?c=d")),
            ("b", Some("https://api.example/v1/b")),
            ("//other.example/x", Some("https://other.example/x")),
            ("https://other.example/x#y", Some("https://other.example/x#y")),
            ("https://[", None),
        ] {
            let mut headers = vec![("location".to_owned(), given.as_bytes().to_vec()), ("x-a".to_owned(), b"1".to_vec())];
            make_absolute(&mut headers, "https://api.example/v1/a");
            let found = headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_slice());
            assert_eq!(found, expected.map(str::as_bytes), "{given}");
            assert!(headers.iter().any(|(name, _)| name == "x-a"));
        }
    }
}

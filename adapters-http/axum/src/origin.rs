//! Origins of URLs.

use std::net::Ipv4Addr;

use grantry_domain::provider::Origin;

/// Longest host name (RFC 1035 §2.3.4). Longer ones are parsed.
const LONGEST_NAME: usize = 253;

/// The origin of a URL, if the URL has one that a token may be sent to.
pub(crate) fn origin_of(url: &str) -> Option<Origin> {
    origin_in_normal_form(url).or_else(|| parsed_origin(url))
}

/// As [`parsed_origin`], for a text that consists of scheme, host and port in the form that parsing would give them. Other texts
/// are `None`. Most back ends send this form, and parsing a URL takes longer than deciding about it.
pub(crate) fn origin_in_normal_form(text: &str) -> Option<Origin> {
    let (rest, default_port) =
        text.strip_prefix("https://").map(|rest| (rest, 443)).or_else(|| Some((text.strip_prefix("http://")?, 80)))?;
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let has_normal_port = port
        .is_none_or(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok_and(|number| number != default_port));
    let is_plain = |label: &str| {
        let characters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with("xn--") && label.bytes().all(characters)
    };
    // A host whose last label begins with a digit can be an IPv4 address in another notation.
    let is_name = || host.rsplit('.').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
    let is_normal = has_normal_port
        && host.len() <= LONGEST_NAME
        && host.split('.').all(is_plain)
        && (is_name() || host.parse::<Ipv4Addr>().is_ok());
    if is_normal { Origin::new(text).ok() } else { None }
}

fn parsed_origin(url: &str) -> Option<Origin> {
    let url = url::Url::parse(url).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
    Origin::new(url.origin().ascii_serialization()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_in_normal_form_is_recognised() {
        for text in [
            "https://api.example.com",
            "http://127.0.0.1:8081",
            "https://localhost:8443",
            "http://a-1.b--c.example:65535",
            "https://example.com:80",
        ] {
            let origin = origin_in_normal_form(text).expect(text);
            assert_eq!(origin.as_str(), text);
            assert_eq!(parsed_origin(text), Some(origin));
        }
    }

    #[test]
    fn every_other_text_is_parsed() {
        for text in [
            "https://api.example.com/",
            "https://api.example.com/path",
            "https://API.example.com",
            "HTTPS://api.example.com",
            "https://api.example.com:443",
            "http://api.example.com:80",
            "https://api.example.com:",
            "https://api.example.com:080",
            "https://api.example.com:+80",
            "https://api.example.com:65536",
            "https://api.example.com:1:2",
            "https://api.example.com.",
            "https://.example.com",
            "https://",
            "https://xn--bcher-kva.example",
            "https://b\u{fc}cher.example",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://127.0.0.01",
            "https://1.2.3.4.5",
            "https://[::1]",
            "https://user@example.com",
            "https://a_b.example",
            "https://a b.example",
            "https://a%2eb.example",
            "ftp://example.com",
            "example.com",
            "",
        ] {
            assert_eq!(origin_in_normal_form(text), None, "{text}");
        }
    }

    #[test]
    fn recognising_an_origin_equals_parsing_it() {
        let parts =
            ["a", "z9", "-", "--", "xn--", "1", "0", "0x7f", "127", "255", "256", ".", "..", ":", "80", "443", "8081"];
        let mut recognised = 0;
        for scheme in ["http://", "https://"] {
            for first in parts {
                for second in parts {
                    for third in parts {
                        for fourth in parts {
                            let text = format!("{scheme}{first}{second}{third}{fourth}");
                            if let Some(origin) = origin_in_normal_form(&text) {
                                assert_eq!(parsed_origin(&text), Some(origin), "{text}");
                                recognised += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(recognised > 1000, "{recognised}");
    }
}

//! Addresses, URLs and paths.

use std::net::IpAddr;

use grantry_domain::ports::{ApiQuery, ResourceServer as _};
use grantry_http_axum::{Network, PublicBaseUrl};
use grantry_provider_oauth2::{AddressScope, ApiCaller, EgressPolicy, UrlRefused};
use percent_encoding::percent_decode;
use std::sync::Arc;
use url::{Host, Url};

use crate::input::{line, text, variant};
use crate::provider::{Canned, policy};

/// An address, or a network in CIDR notation.
pub(crate) fn network(data: &[u8]) {
    let text = text(data);
    if let Ok(network) = text.parse::<Network>() {
        let written = network.to_string();
        assert_eq!(written.parse(), Ok(network), "{written}");
        let (address, _) = written.split_once('/').unwrap_or((&written, ""));
        let address: IpAddr = address.parse().expect("an address");
        assert!(network.contains(address));
        if let IpAddr::V4(address) = address {
            assert!(network.contains(address.to_ipv6_mapped().into()), "the same address in its other form");
        }
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let site = Network::of_client(address);
        assert!(site.contains(address) && Network::from(address).contains(address.to_canonical()));
        assert!(AddressScope::Listed.allows(address));
        // A mapped address is the same target.
        assert_eq!(AddressScope::Public.allows(address), AddressScope::Public.allows(address.to_canonical()));
        assert!(!(AddressScope::Public.allows(address) && AddressScope::Loopback.allows(address)));
    }
}

/// The URL under which users reach the server.
pub(crate) fn public_base_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(base) = PublicBaseUrl::new(text) else { return };
    assert_eq!(PublicBaseUrl::new(base.as_str()).as_ref(), Ok(&base));
    assert_eq!(format!("{}{}", base.origin(), base.path_prefix()), base.as_str());
    let url = Url::parse(base.as_str()).expect("a base URL is a URL");
    assert_eq!(url.scheme() == "https", base.is_https());
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none());
    let host = url.host().expect("a base URL has a host");
    let is_loopback = match &host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    assert!(base.is_https() || is_loopback, "plain http to {host}");
    let origin = Url::parse(base.origin()).expect("an origin is a URL");
    assert_eq!(origin.origin(), url.origin());
    assert!(base.origin().to_ascii_lowercase().contains(&host.to_string()), "browsers write another host: {host}");
    assert_eq!(base.path_prefix(), url.path().trim_end_matches('/'), "browsers write another path");
}

/// The operator's lists in the first two lines, and a URL.
pub(crate) fn egress_url(data: &[u8]) {
    let (hosts, rest) = line(data);
    let (targets, url) = line(rest);
    let (hosts, targets) = (text(hosts), text(targets));
    let list = |text: &'_ str| text.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (hosts, targets) = (list(&hosts), list(&targets));
    let Ok(url) = std::str::from_utf8(url) else { return };
    let listed = EgressPolicy::new(&hosts, &targets);
    if listed.is_ok() {
        for target in &targets {
            let (host, port) = target.rsplit_once(':').expect("a host and a port");
            let port: u16 = port.parse().expect("a port");
            assert_eq!(&format!("{host}:{port}"), target, "an entry in another form");
        }
    }
    assert_checked(url, &policy(), &["*".to_owned()], &["localhost:8081".to_owned(), "private.example:8443".to_owned()]);
    if let Ok(policy) = listed {
        assert_checked(url, &policy, &hosts, &targets);
    }
}

fn assert_checked(url: &str, policy: &EgressPolicy, hosts: &[String], targets: &[String]) {
    let allowed = match policy.check(url) {
        Ok(allowed) => allowed,
        Err(refused) => {
            // The form that is suggested is as good as the text allows.
            if let Some(form) = refused.accepted_form(url) {
                assert_ne!(policy.check(&form), Err(UrlRefused::NotNormalised), "{form}");
            }
            return;
        }
    };
    let parsed = Url::parse(allowed.as_str()).expect("an allowed URL is a URL");
    assert_eq!(&parsed, allowed.as_url());
    assert_eq!(policy.check(allowed.as_str()).as_ref(), Ok(&allowed), "the check is stable");
    assert!(url.len() <= 2048 && allowed.as_str().trim_end_matches('/') == url.trim_end_matches('/'));
    assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none());
    let (host, port) = (allowed.host(), parsed.port_or_known_default().expect("a port"));
    assert!(url.contains(host), "the host is written as it is: {host}");
    let segments = parsed.path().split('/').filter(|segment| matches!(&*decoded(segment.as_bytes(), 1), b"." | b".."));
    assert_eq!(segments.count(), 0, "{url}");
    let is_listed = targets.contains(&format!("{host}:{port}"));
    let matches = |pattern: &String| {
        pattern == "*" || pattern == host || pattern.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix))
    };
    match allowed.address_scope() {
        AddressScope::Listed => assert!(is_listed && parsed.scheme() == "https"),
        AddressScope::Loopback => assert!(is_listed && parsed.scheme() == "http"),
        AddressScope::Public => {
            assert!(parsed.scheme() == "https" && port == 443 && hosts.iter().any(matches), "{url}");
            assert!(allowed.literal().is_none_or(|address| AddressScope::Public.allows(address)), "{url}");
        }
    }
    if let Some(origin) = allowed.origin() {
        assert_eq!(origin.as_str(), parsed.origin().ascii_serialization());
    }
}

/// Decodes percent escapes a number of times.
fn decoded(text: &[u8], times: usize) -> Vec<u8> {
    (0..times).fold(text.to_vec(), |text, _| percent_decode(&text).collect())
}

/// A base URL, a path and a query, in lines.
pub(crate) fn execute_path(data: &[u8]) {
    let (variant, rest) = variant(data);
    let (base, rest) = line(rest);
    let (path, query) = line(rest);
    let (Ok(base), Ok(path), Ok(query)) = (std::str::from_utf8(base), std::str::from_utf8(path), std::str::from_utf8(query))
    else {
        return;
    };
    let query = if variant & 1 == 0 {
        ApiQuery::Encoded(query.to_owned())
    } else {
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        ApiQuery::Pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    let caller = ApiCaller::new(Arc::new(Canned::default()), policy(), ApiCaller::MAX_BODY);
    let Ok((joined, origin)) = caller.join(base, path, &query) else { return };
    let url = Url::parse(&joined).expect("a joined URL is a URL");
    let base = Url::parse(base).expect("an accepted base URL is a URL");
    assert_eq!(url.origin(), base.origin());
    assert_eq!(origin.as_str(), base.origin().ascii_serialization());
    assert!(policy().check(&joined).is_ok_and(|allowed| allowed.as_str() == joined), "{joined}");
    let prefix = base.path().trim_end_matches('/');
    let below = url.path().strip_prefix(prefix).expect("the path is below that of the base URL");
    assert!(below.is_empty() || below.starts_with('/'), "{joined}");
    // The base URL is the operator's or the editor's; what the caller adds contains no way out, however often it is decoded.
    for times in 0..=5 {
        let path = decoded(below.as_bytes(), times);
        let is_dots = |segment: &[u8]| {
            let name = segment.split(|byte| b";?#".contains(byte)).next().unwrap_or_default();
            matches!(name.trim_ascii(), b"." | b"..")
        };
        assert!(!path.split(|byte| b"/\\".contains(byte)).any(is_dots), "dot segments in {joined}");
        assert!(times > 1 || !path.iter().any(u8::is_ascii_control), "control characters in {joined}");
    }
    let sent = path.split_once('?').map_or(path, |(path, _)| path);
    let sent = sent.strip_prefix('/').unwrap_or(sent);
    // Without a path the base URL is called as it is.
    let below = if sent.is_empty() { "" } else { below.strip_prefix('/').unwrap_or(below) };
    assert!(!sent.is_empty() || url.path() == base.path(), "{joined}");
    assert_eq!(decoded(sent.as_bytes(), 1), decoded(below.as_bytes(), 1), "the path is sent as it is written");
    if let ApiQuery::Pairs(pairs) = &query
        && !path.contains('?')
    {
        let received: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert_eq!(&received, pairs, "{joined}");
    }
}

//! The URL rules with many spellings of each case.

use super::*;

fn policy(hosts: &[&str], allow: &[&str]) -> EgressPolicy {
    EgressPolicy::new(hosts, allow).unwrap()
}

fn open() -> EgressPolicy {
    policy(&["*"], &[])
}

#[test]
fn r70_a_url_must_be_https_and_in_normalised_form() {
    use UrlRefused::{Fragment, HostName, NotAUrl, NotNormalised, Port, Scheme, TrailingDot, UserInfo};
    let open = open();
    for good in [
        "https://example.com/token",
        "https://example.com",
        "https://example.com/",
        "https://example.com/a?b=c",
        "https://xn--bcher-kva.example/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/",
    ] {
        assert!(open.check(good).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("", NotAUrl),
        ("example.com", NotAUrl),
        ("//example.com/", NotAUrl),
        ("https://", NotAUrl),
        ("https://[fe80::1%25eth0]/", NotAUrl),
        ("https://exa mple.com/", NotAUrl),
        ("http://example.com/", Scheme),
        ("ftp://example.com/", Scheme),
        ("javascript:alert(1)", Scheme),
        ("data:text/html,x", Scheme),
        ("file:///etc/passwd", Scheme),
        ("ws://example.com/", Scheme),
        ("https://user@example.com/", UserInfo),
        ("https://user:pw@example.com/", UserInfo),
        ("https://example.com/#f", Fragment),
        ("https://example.com/#", Fragment),
        ("https://@example.com/", NotNormalised),
        ("HTTPS://example.com/", NotNormalised),
        ("https://EXAMPLE.com/", NotNormalised),
        ("https://example.com:443/", NotNormalised),
        ("https:///example.com/", NotNormalised),
        ("https:example.com", NotNormalised),
        ("https://example.com\\@evil.example/", NotNormalised),
        ("https://exam\tple.com/", NotNormalised),
        (" https://example.com/", NotNormalised),
        ("https://example.com/\n", NotNormalised),
        ("https://example.com/a/../b", NotNormalised),
        ("https://example.com/a/%2e%2e/b", NotNormalised),
        ("https://example.com/a b", NotNormalised),
        ("https://b\u{fc}cher.example/", NotNormalised),
        ("https://\u{ff45}xample.com/", NotNormalised),
        ("https://%65xample.com/", NotNormalised),
        ("https://127.1/", NotNormalised),
        ("https://2130706433/", NotNormalised),
        ("https://0x7f.0.0.1/", NotNormalised),
        ("https://0177.0.0.1/", NotNormalised),
        ("https://[::ffff:127.0.0.1]/", NotNormalised),
        ("https://[0:0:0:0:0:0:0:1]/", NotNormalised),
        ("https://example.com./", TrailingDot),
        ("https://./", TrailingDot),
        ("https://a..b/", HostName),
        ("https://a..b", HostName),
        ("https://.a/", HostName),
        ("https://..a/", HostName),
        ("https://a...b.example/x", HostName),
        ("https://a*b.example/", HostName),
        ("https://*.example/", HostName),
        ("https://a$b.example/", HostName),
        ("https://a;b.example/", HostName),
        ("https://a,b.example/", HostName),
        ("https://a'b.example/", HostName),
        ("https://example.com:8443/", Port),
        ("https://example.com:80/", Port),
    ] {
        assert_eq!(open.check(bad).unwrap_err(), why, "{bad}");
    }
    let (label, longest) =
        ("a".repeat(63), format!("{}.example", ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join(".")));
    for (host, is_name) in [
        (format!("{label}.example"), true),
        (format!("a{label}.example"), false),
        (format!("{}.{longest}", "d".repeat(53)), true),
        (format!("{}.{longest}", "d".repeat(54)), false),
        ("a_b.example".to_owned(), true),
        ("a--b.example".to_owned(), true),
    ] {
        let expected = if is_name { Ok(()) } else { Err(HostName) };
        assert_eq!(open.check(&format!("https://{host}/")).map(drop), expected, "{host}");
    }
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
    assert_eq!(open.check(&long).unwrap_err(), UrlRefused::TooLong);
}

#[test]
fn r69_address_literals_are_checked_after_parsing() {
    let open = open();
    for bad in [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00:ec2::254]/",
        "https://localhost/",
        "https://a.localhost/",
    ] {
        assert_eq!(open.check(bad).unwrap_err(), UrlRefused::Address, "{bad}");
    }
}

#[test]
fn r66_plain_http_only_to_a_listed_port_of_this_machine() {
    let listed = policy(&["*"], &["127.0.0.1:8081", "localhost:8082", "[::1]:8083", "10.0.0.5:8084", "idp.example:80"]);
    for good in ["http://127.0.0.1:8081/token", "http://localhost:8082/", "http://[::1]:8083/"] {
        assert_eq!(listed.check(good).unwrap().address_scope(), AddressScope::Loopback, "{good}");
    }
    for (bad, why) in [
        ("http://127.0.0.1:8082/", UrlRefused::LoopbackNotListed),
        ("http://127.0.0.1/", UrlRefused::LoopbackNotListed),
        ("http://localhost:8081/", UrlRefused::LoopbackNotListed),
        ("http://10.0.0.5:8084/", UrlRefused::Scheme),
        ("http://idp.example/", UrlRefused::Scheme),
    ] {
        assert_eq!(listed.check(bad).unwrap_err(), why, "{bad}");
    }
}

#[test]
fn r69_a_private_target_needs_an_entry_with_host_and_port() {
    let listed = policy(&["*.example.com"], &["10.0.0.5:8443", "idp.corp.internal:443"]);
    assert_eq!(listed.check("https://10.0.0.5:8443/").unwrap().address_scope(), AddressScope::Listed);
    assert_eq!(listed.check("https://idp.corp.internal/").unwrap().address_scope(), AddressScope::Listed);
    assert_eq!(listed.check("https://a.example.com/").unwrap().address_scope(), AddressScope::Public);
    assert_eq!(listed.check("https://10.0.0.5/").unwrap_err(), UrlRefused::HostNotAllowed);
    assert_eq!(listed.check("https://10.0.0.5:8444/").unwrap_err(), UrlRefused::Port);

    let private = "10.0.0.5".parse().unwrap();
    assert!(!AddressScope::Public.allows(private));
    assert!(AddressScope::Listed.allows(private));
    assert!(!AddressScope::Loopback.allows(private));
}

#[test]
fn lesson_25_hosts_outside_the_list_are_refused() {
    let narrow = policy(&["*.example.com", "login.partner.test"], &[]);
    for good in ["https://a.example.com/", "https://a.b.example.com/", "https://login.partner.test/x"] {
        assert!(narrow.check(good).is_ok(), "{good}");
    }
    for bad in [
        "https://example.com/",
        "https://evilexample.com/",
        "https://a.example.com.evil.test/",
        "https://partner.test/",
        "https://x.login.partner.test/",
        "https://1.1.1.1/",
    ] {
        assert_eq!(narrow.check(bad).unwrap_err(), UrlRefused::HostNotAllowed, "{bad}");
    }
    assert!(policy(&[], &[]).check("https://example.com/").is_err(), "an empty list allows nothing");
}

#[test]
fn the_operators_lists_are_checked() {
    for bad in [
        "",
        "*.",
        "**",
        "Example.com",
        "https://example.com",
        "example.com/",
        "a.*",
        "example.com.",
        "*.*.com",
        "a..b",
        "*..com",
        ".a",
    ] {
        assert!(EgressPolicy::new(&[bad], &[]).is_err(), "{bad:?}");
    }
    for bad in [
        "",
        "example.com",
        ":80",
        "example.com:0",
        "example.com:x",
        "example.com:+443",
        "example.com:0443",
        "127.1:80",
        "::1:80",
        "http://a:80",
        "a..b:80",
        ".a:80",
    ] {
        let error = EgressPolicy::new(&[], &[bad]).unwrap_err();
        assert_eq!(error.list, "allow", "{bad:?}");
    }
}

#[test]
fn origins_are_normalised() {
    let origin = |text| open().check(text).unwrap().origin().unwrap();
    assert_eq!(origin("https://api.example.com/v1/x").as_str(), "https://api.example.com");
    assert_eq!(origin("https://[2606:4700:4700::1111]/").as_str(), "https://[2606:4700:4700::1111]");
}

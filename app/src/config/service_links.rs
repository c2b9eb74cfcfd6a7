//! Variables that Kubernetes puts into every container: the addresses of the services of its namespace. The variables of a
//! service named like this program begin with the same prefix as the settings.

use std::net::IpAddr;

/// Whether a variable has the form of a service link, in its name and in its value.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name(name) {
        return false;
    }
    if name.ends_with("_SERVICE_HOST") {
        return value.parse::<IpAddr>().is_ok();
    }
    if name.ends_with("_SERVICE_PORT") || name.split_once("_SERVICE_PORT_").is_some_and(|(_, port)| is_name(port)) {
        return is_port(value);
    }
    if name.ends_with("_PORT") && is_address(value, None) {
        return true;
    }
    let Some((_, link)) = name.rsplit_once("_PORT_") else { return false };
    let parts: Vec<&str> = link.split('_').collect();
    match parts.as_slice() {
        [port, protocol] => is_port(port) && is_protocol(protocol) && is_address(value, Some((protocol, port))),
        [port, protocol, "PROTO"] => is_port(port) && is_protocol(protocol) && protocol.eq_ignore_ascii_case(value),
        [port, protocol, "PORT"] => is_port(port) && is_protocol(protocol) && *port == value,
        [port, protocol, "ADDR"] => is_port(port) && is_protocol(protocol) && value.parse::<IpAddr>().is_ok(),
        _ => false,
    }
}

/// `tcp://10.0.0.1:8080`, or with an IPv6 address in brackets; of this protocol and port, if they are known.
fn is_address(value: &str, expected: Option<(&str, &str)>) -> bool {
    let Some((protocol, target)) = value.split_once("://") else { return false };
    let Some((host, port)) = target.rsplit_once(':') else { return false };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_expected = expected.is_none_or(|(known, number)| known.eq_ignore_ascii_case(protocol) && number == port);
    is_protocol(protocol) && is_port(port) && host.parse::<IpAddr>().is_ok() && is_expected
}

fn is_protocol(text: &str) -> bool {
    ["tcp", "udp", "sctp"].iter().any(|protocol| text.eq_ignore_ascii_case(protocol))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_recognised_by_name_and_value() {
        for (name, value) in [
            ("GRANTRY_SERVICE_HOST", "10.96.0.7"),
            ("GRANTRY_SERVICE_HOST", "fd00:10:96::7"),
            ("GRANTRY_SERVICE_PORT", "8080"),
            ("GRANTRY_SERVICE_PORT_HTTP", "8080"),
            ("GRANTRY_SERVICE_PORT_HTTP_METRICS", "9090"),
            ("GRANTRY_PORT", "tcp://10.96.0.7:8080"),
            ("GRANTRY_PORT", "udp://[fd00:10:96::7]:53"),
            ("GRANTRY_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
            ("GRANTRY_PORT_8080_TCP_PROTO", "tcp"),
            ("GRANTRY_PORT_8080_TCP_PORT", "8080"),
            ("GRANTRY_PORT_8080_TCP_ADDR", "10.96.0.7"),
            ("GRANTRY_PORT_53_UDP", "udp://10.96.0.7:53"),
            ("GRANTRY_PORT_53_UDP_ADDR", "fd00::7"),
            ("GRANTRY_PORT_9_SCTP_PROTO", "sctp"),
            ("GRANTRY_DB_SERVICE_HOST", "10.96.0.8"),
            ("GRANTRY_DB_PORT_5432_TCP_PORT", "5432"),
            ("GRANTRY_DB_PORT", "tcp://10.96.0.8:5432"),
            ("GRANTRY_PORT_SERVICE_HOST", "10.96.0.9"),
            ("GRANTRY_PORT_PORT_80_TCP", "tcp://10.96.0.9:80"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn other_names_and_values_are_no_service_links() {
        for (name, value) in [
            ("GRANTRY_SERVICE_HOST", "db.example.com"),
            ("GRANTRY_SERVICE_HOST", ""),
            ("GRANTRY_SERVICE_PORT", "http"),
            ("GRANTRY_SERVICE_PORT", "70000"),
            ("GRANTRY_SERVICE_PORT_", "8080"),
            ("GRANTRY_PORT", "8080"),
            ("GRANTRY_PORT", "http://10.96.0.7:8080"),
            ("GRANTRY_PORT", "tcp://grantry:8080"),
            ("GRANTRY_PORT_8080_TCP", "tcp://10.96.0.7:9090"),
            ("GRANTRY_PORT_8080_TCP", "udp://10.96.0.7:8080"),
            ("GRANTRY_PORT_8080_TCP_PROTO", "udp"),
            ("GRANTRY_PORT_8080_TCP_PORT", "80"),
            ("GRANTRY_PORT_8080_TCP_ADDR", "canary"),
            ("GRANTRY_PORT_8080_HTTP", "http://10.96.0.7:8080"),
            ("GRANTRY_PORT_8080", "8080"),
            ("GRANTRY_SERVICE", "10.96.0.7"),
            ("GRANTRY_KEYS_RIGHT", "tcp://10.96.0.7:8080"),
            ("GRANTRY_TCP_ADDR", "10.96.0.7"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}

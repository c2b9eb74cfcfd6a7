//! A small HTTP client: one connection per request, a cookie jar, no redirects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A client of one server that keeps cookies.
pub(crate) struct Browser {
    port: u16,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) key: Option<String>,
    /// Sent with every request.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

impl Browser {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, cookies: BTreeMap::new(), key: None, headers: Vec::new() }
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send("GET", target, None, None)
    }

    pub(crate) fn post(&mut self, target: &str, body: &Value) -> Response {
        self.send("POST", target, Some(("application/json", body.to_string())), None)
    }

    /// Posts a form. The values are sent as they are: the tests use none that need an escape.
    #[cfg(feature = "demo")]
    pub(crate) fn post_form(&mut self, target: &str, form: &[(&str, &str)]) -> Response {
        let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.send("POST", target, Some(("application/x-www-form-urlencoded", pairs.join("&"))), None)
    }

    pub(crate) fn delete(&mut self, target: &str) -> Response {
        self.send("DELETE", target, None, None)
    }

    pub(crate) fn with_host(&mut self, target: &str, host: &str) -> Response {
        self.send("GET", target, None, Some(host))
    }

    /// Logs in, or panics.
    pub(crate) fn log_in(&mut self, username: &str, password: &str) {
        let response = self.post("/api/session", &serde_json::json!({ "username": username, "password": password }));
        assert_eq!(response.status, 200, "{response:?}");
    }

    fn send(&mut self, method: &str, target: &str, body: Option<(&str, String)>, host: Option<&str>) -> Response {
        let (kind, body) = body.unwrap_or_default();
        let own = format!("127.0.0.1:{}", self.port);
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", host.unwrap_or(&own));
        if !body.is_empty() {
            write!(head, "content-type: {kind}\r\ncontent-length: {}\r\n", body.len()).unwrap();
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(head, "cookie: {}\r\n", pairs.join("; ")).unwrap();
        }
        if let Some(key) = &self.key {
            write!(head, "authorization: Bearer {key}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let response = parse(&String::from_utf8(bytes).unwrap());
        for (_, value) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            self.keep(value);
        }
        response
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        if value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn parse(text: &str) -> Response {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { dechunked(body) } else { body.to_owned() };
    Response { status: status.unwrap_or_else(|| panic!("no response: {text:?}")), headers, body }
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    whole
}

//! Runs against an API that records the bytes it receives.

use std::sync::{Arc, Mutex};

use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::TestApp;
use grantry_testkit::provider::MockProvider;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const RAW: ConnectorPath = ConnectorPath::of("raw");

/// An API below `/v1` that keeps requests as bytes.
#[derive(Clone)]
struct RawApi {
    port: u16,
    requests: Arc<Mutex<Vec<Received>>>,
    response: Arc<Mutex<Vec<u8>>>,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    /// Request line and header fields.
    head: String,
    body: Vec<u8>,
}

impl Received {
    fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl RawApi {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let api = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            response: Arc::new(Mutex::new(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        };
        let server = api.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        api
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                match stream.read_buf(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => continue,
                }
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut received = Received { head, body: Vec::new() };
            let length = received.field("content-length").map_or(0, |length| length.parse().unwrap());
            while bytes.len() < end + 4 + length {
                stream.read_buf(&mut bytes).await.unwrap();
            }
            received.body = bytes[end + 4..end + 4 + length].to_vec();
            bytes.drain(..end + 4 + length);
            self.requests.lock().unwrap().push(received);
            let response = self.response.lock().unwrap().clone();
            stream.write_all(&response).await.unwrap();
        }
    }

    fn respond(&self, response: &[u8]) {
        *self.response.lock().unwrap() = response.to_vec();
    }

    fn last(&self) -> Received {
        self.requests.lock().unwrap().last().cloned().unwrap()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A deployment with the connector `raw`, the API behind it, and a browser of a connected user.
struct Runs {
    _app: TestApp,
    api: RawApi,
    alice: Browser,
}

impl Runs {
    async fn new() -> Self {
        let api = RawApi::start().await;
        let target = format!("127.0.0.1:{}", api.port);
        let app = TestApp::with(MockProvider::builder(), |settings| settings.egress.push(target.clone())).await;
        app.create(RAW, &Draft::issuer(app.provider.base_url(), &format!("http://{target}/v1"))).await;
        let alice = app.connected("alice", RAW).await;
        Self { _app: app, api, alice }
    }

    /// Runs with the text of `params`, which is sent unchanged.
    async fn run(&mut self, params: &str) -> Response {
        let request = self.alice.fetch(Method::POST, &RAW.public("/_execute"));
        let body = format!(r#"{{"params": {params}}}"#);
        self.alice.send(request.header("content-type", "application/json").body(body)).await
    }

    /// The request that the API received for this run.
    async fn sent(&mut self, params: &str) -> Received {
        let before = self.api.count();
        let response = self.run(params).await;
        assert_eq!(response.status, 200, "{params}: {}", response.text());
        assert_eq!(self.api.count(), before + 1, "{params}");
        self.api.last()
    }

    /// The request line that the API received for `GET path`.
    async fn target(&mut self, path: &str) -> String {
        let params = json!({ "method": "GET", "path": path }).to_string();
        let line = self.sent(&params).await.line().to_owned();
        line.strip_prefix("GET /v1").and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap().to_owned()
    }

    /// The field of a refusal. Nothing reaches the API.
    async fn refused(&mut self, params: &str) -> String {
        let before = self.api.count();
        let response = self.run(params).await;
        assert_eq!(response.outcome(), (400, "invalid_request".to_owned()), "{params}: {}", response.text());
        assert_eq!(self.api.count(), before, "{params}");
        response.json()["field"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn r43_a_path_reaches_the_api_as_it_was_written() {
    let mut runs = Runs::new().await;
    for path in [
        "/projects/group%2Fproject",
        "/projects/group%2fsub%2Fproject/issues",
        "/sites/https%3A%2F%2Fwww.example.com%2F/searchAnalytics/query",
        "/users/john%2Edoe",
        "/a%252Fb%3F%23/%C3%A4%E4",
        "/a//b/",
        "/me/drive/root:/docs;v=1:/children",
    ] {
        assert_eq!(runs.target(path).await, path);
    }
    assert_eq!(runs.target("/ü/a b").await, "/%C3%BC/a%20b");
    for path in [
        "/..",
        "/a/../../admin",
        "/a/%2e%2E/admin",
        "/.%2e/admin",
        "/a/.",
        "/..;/admin",
        "/%252e%252e/admin",
        "/a%2F..%2F..%2Fadmin",
        "/a\\..\\admin",
        "/a%5Cadmin",
        "/a%00",
        "/a\u{0}",
        "/a\r\nx: y",
        "/a%0d%0ax",
        "//evil.example/",
        "https://evil.example/",
    ] {
        let params = json!({ "method": "GET", "path": path }).to_string();
        assert_eq!(runs.refused(&params).await, "params.path", "{path}");
    }
}

#[tokio::test]
async fn queries_reach_the_api_from_the_path_and_from_params() {
    let mut runs = Runs::new().await;
    assert_eq!(runs.target("/items?limit=5&q=a%20b").await, "/items?limit=5&q=a%20b");
    for (path, query, expected) in [
        ("/items?limit=5", r#"{"page": 2, "q": "a b&c+d"}"#, "/items?limit=5&page=2&q=a%20b%26c%2Bd"),
        ("/users", r#"{"role": ["admin", "editor"], "active": true}"#, "/users?role=admin&role=editor&active=true"),
        ("/users", r#"{"id": 1, "name": "x", "id": 2}"#, "/users?id=1&name=x&id=2"),
        ("/items", r#""filter[a]=1&b=c%2Fd&e=f+g&h=i j""#, "/items?filter[a]=1&b=c%2Fd&e=f+g&h=i%20j"),
        ("/items?a=1", r#""b=2""#, "/items?a=1&b=2"),
        (
            "/n",
            r#"{"a": -9223372036854775809, "b": 1432.0531571421431500, "c": 1e2, "d": [1e400, -0, 10000000000000000000000.50]}"#,
            "/n?a=-9223372036854775809&b=1432.0531571421431500&c=1e2&d=1e400&d=-0&d=10000000000000000000000.50",
        ),
        ("/items", "{}", "/items"),
        ("/items", r#""""#, "/items"),
        ("/items", r#"{"none": []}"#, "/items"),
    ] {
        let sent = runs.sent(&format!(r#"{{"method": "GET", "path": "{path}", "query": {query}}}"#)).await;
        assert_eq!(sent.line(), format!("GET /v1{expected} HTTP/1.1"), "{path} {query}");
    }
    for (query, field) in [
        (r#""a#b""#, "params.query"),
        (r#""a\nb""#, "params.query"),
        (r#""a=\u0000""#, "params.query"),
        (r#""a=%4""#, "params.query"),
        ("7", "params.query"),
        (r#"{"a": {"b": 1}}"#, "params.query.a"),
        (r#"{"a": [[1]]}"#, "params.query.a"),
    ] {
        let params = format!(r#"{{"method": "GET", "path": "/x", "query": {query}}}"#);
        assert_eq!(runs.refused(&params).await, field, "{query}");
    }
    let twice = r#"{"method": "GET", "path": "/x", "headers": {"x-a": "1", "x-a": "2"}}"#;
    assert_eq!(runs.refused(twice).await, "params.headers.x-a");
}

#[tokio::test]
async fn bodies_reach_the_api_byte_for_byte() {
    let mut runs = Runs::new().await;
    let deepest = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for body in [
        r#"{ "a":-9223372036854775809,"b" :1432.0531571421431500, "c":[1e2,1e400,-0,1E+5,0.10] }"#,
        "1e400",
        "[ ]",
        r#"{"text":"\u00e4\/ä"}"#,
        deepest.as_str(),
    ] {
        let sent = runs.sent(&format!(r#"{{"method": "POST", "path": "/x", "body":  {body} }}"#)).await;
        assert_eq!(String::from_utf8(sent.body.clone()).unwrap(), body);
        assert_eq!(sent.field("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(sent.field("content-type"), Some("application/json"));
    }
    let too_deep = |field: &str, depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"method": "POST", "path": "/x", "{field}": {value}}}"#)
    };
    assert_eq!(runs.refused(&too_deep("body", 129)).await, "params.body");
    assert_eq!(runs.refused(&too_deep("headers", 15)).await, "body");
    let text = runs.sent(r#"{"method": "PUT", "path": "/x", "body": "1e400 ä"}"#).await;
    assert_eq!(
        (text.body.as_slice(), text.field("content-type")),
        ("1e400 ä".as_bytes(), Some("text/plain; charset=utf-8"))
    );
}

#[tokio::test]
async fn a_request_without_a_body_has_a_length_where_one_is_expected() {
    let mut runs = Runs::new().await;
    for (method, length) in
        [("POST", Some("0")), ("PUT", Some("0")), ("PATCH", Some("0")), ("GET", None), ("DELETE", None), ("HEAD", None)]
    {
        for body in ["", r#", "body": null"#] {
            let sent = runs.sent(&format!(r#"{{"method": "{method}", "path": "/x"{body}}}"#)).await;
            assert_eq!((sent.field("content-length"), sent.body.len()), (length, 0), "{}", sent.head);
            assert_eq!(sent.field("transfer-encoding"), None);
        }
    }
    let empty = runs.sent(r#"{"method": "POST", "path": "/x", "body": ""}"#).await;
    assert_eq!(empty.field("content-length"), Some("0"));
}

#[tokio::test]
async fn header_values_of_the_api_that_are_not_utf_8_arrive_whole() {
    let mut runs = Runs::new().await;
    runs.api
        .respond(b"HTTP/1.1 200 OK\r\nX-Owner: Zo\xeb\r\nX-City: K\xc3\xb6ln\r\nX-Plain: a\r\nContent-Length: 2\r\n\r\nok");
    let data = runs.run(r#"{"method": "GET", "path": "/x"}"#).await.json()["data"].clone();
    let of = |name: &str| (data["headers"][name].clone(), data["headers_base64"][name].clone());
    assert_eq!(of("x-owner"), (json!("Zoë"), json!("Wm/r")));
    assert_eq!(of("x-city"), (json!("Köln"), Value::Null));
    assert_eq!(of("x-plain"), (json!("a"), Value::Null));
    runs.api.respond(b"HTTP/1.1 200 OK\r\nX-Plain: a\r\nContent-Length: 2\r\n\r\nok");
    let response = runs.run(r#"{"method": "GET", "path": "/x"}"#).await.json();
    assert_eq!(response["data"].get("headers_base64"), None);
}

#[tokio::test]
async fn numbers_of_the_api_arrive_byte_for_byte() {
    let mut runs = Runs::new().await;
    let body = r#"{ "a":-9223372036854775809, "b":1432.0531571421431500, "c":[1e2,1e400,-0] }"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    runs.api.respond(format!("{head}{body}").as_bytes());
    let response = runs.run(r#"{"method": "GET", "path": "/x"}"#).await;
    assert!(response.text().contains(&format!(r#""body":{body}"#)), "{}", response.text());
}

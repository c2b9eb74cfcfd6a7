//! The hostile clients. Each future runs until it is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use grantry_system_tests::browser::{Browser, FetchSite, unknown_value};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_testkit::provider::Client;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::Soak;

/// Pause before a client connects again.
const PAUSE: Duration = Duration::from_millis(20);
/// The length of a body that is never complete: almost the most that the server reads of a caller who is not known.
const BODY: usize = 15_000;

/// Allows this process as many open files as the system does.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

impl Soak {
    /// The path of the largest script of the console, else of the API description.
    pub(crate) async fn largest_asset(&self) -> String {
        let page = self.anonymous().get("/").await.text();
        let scripts = page.split('"').filter(|part| part.contains("/assets/") && part.contains(".js"));
        scripts
            .map(|url| url.trim_start_matches(&self.installation.public()).to_owned())
            .next()
            .unwrap_or_else(|| "/openapi.json".to_owned())
    }
}

/// A request as bytes, with the cookies of a browser.
pub(crate) fn request(method: &str, path: &str, browser: &Browser, body: &str) -> String {
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nsec-fetch-site: same-origin\r\ncontent-type: application/json\r\n{length}cookie: {}\r\n\r\n{body}",
        browser.host(),
        cookies.join("; "),
    )
}

/// HTTP/2 clients that request a file many times, accept no byte of it, and respond to PINGs.
pub(crate) async fn closed_windows(server: SocketAddr, path: String, clients: usize) {
    let client = async || {
        loop {
            drop(closed_window(server, &path).await);
            tokio::time::sleep(PAUSE).await;
        }
    };
    join_all((0..clients).map(|_| client())).await;
}

async fn closed_window(server: SocketAddr, path: &str) -> Result<(), h2::Error> {
    let Ok(stream) = TcpStream::connect(server).await else { return Ok(()) };
    let (client, connection) = h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await?;
    let requests = async {
        let mut client = client;
        let mut responses = Vec::new();
        for _ in 0..256 {
            client = client.ready().await?;
            let request = axum::http::Request::get(format!("http://{server}{path}")).body(()).unwrap_or_default();
            responses.push(client.send_request(request, true)?.0);
        }
        std::future::pending::<Result<(), h2::Error>>().await
    };
    tokio::select! {
        ended = connection => ended,
        failed = requests => failed,
    }
}

/// Sockets that send nothing, or one byte.
pub(crate) async fn silent(server: SocketAddr, sockets: usize) {
    let client = async |sent: &'static [u8]| {
        loop {
            if let Ok(mut stream) = TcpStream::connect(server).await {
                drop(stream.write_all(sent).await);
                drop(stream.read(&mut [0; 1]).await);
            }
            tokio::time::sleep(25 * PAUSE).await;
        }
    };
    join_all((0..sockets).map(|number| client(if number % 2 == 0 { b"" } else { b"P" }))).await;
}

/// Clients that read a byte of each response from time to time.
pub(crate) async fn slow_readers(server: SocketAddr, requests: Vec<String>, clients: usize) {
    let client = async |request: &str| {
        loop {
            if let Ok(mut stream) = TcpStream::connect(server).await {
                drop(stream.write_all(request.as_bytes()).await);
                while stream.read(&mut [0; 1]).await.is_ok_and(|read| read > 0) {
                    tokio::time::sleep(10 * PAUSE).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let requests = requests.iter().cycle().take(clients);
    join_all(requests.map(|request| client(request))).await;
}

/// Clients of two addresses that send the head of a log-in at once and its body byte by byte.
pub(crate) async fn slow_bodies(server: SocketAddr, browser: Browser, clients: usize) {
    let log_in = request("POST", "/api/session", &browser, &" ".repeat(BODY));
    let head = log_in.trim_end_matches(' ');
    let client = async |number: usize| {
        loop {
            if let Ok(mut stream) = connect_from(number, server).await
                && stream.write_all(head.as_bytes()).await.is_ok()
            {
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(50 * PAUSE).await;
                }
            }
            tokio::time::sleep(25 * PAUSE).await;
        }
    };
    join_all((0..clients).map(client)).await;
}

/// The same over HTTP/2, with 32 requests on each connection. A client that has lost its connection waits for five seconds: held
/// connections are the subject, not the rate of requests.
pub(crate) async fn slow_http2_bodies(server: SocketAddr, browser: Browser, clients: usize) {
    let client = async |number: usize| {
        loop {
            drop(slow_http2_connection(connect_from(number, server).await, &browser).await);
            tokio::time::sleep(250 * PAUSE).await;
        }
    };
    join_all((0..clients).map(client)).await;
}

async fn slow_http2_connection(stream: std::io::Result<TcpStream>, browser: &Browser) -> Result<(), h2::Error> {
    let Ok(stream) = stream else { return Ok(()) };
    let (client, connection) = h2::client::handshake(stream).await?;
    let requests = async {
        let mut client = client;
        let mut bodies = Vec::new();
        for _ in 0..32 {
            client = client.ready().await?;
            let log_in = axum::http::Request::post(format!("http://{}/api/session", browser.host()))
                .header("sec-fetch-site", "same-origin")
                .header("content-type", "application/json")
                .header("content-length", BODY);
            let (response, mut body) = client.send_request(log_in.body(()).unwrap_or_default(), false)?;
            body.send_data(Bytes::from_static(b" "), false)?;
            bodies.push((response, body));
        }
        // The connection is held as long as the server reads one of the bodies.
        while !bodies.is_empty() {
            tokio::time::sleep(50 * PAUSE).await;
            bodies.retain_mut(|(_, body)| body.send_data(Bytes::from_static(b" "), false).is_ok());
        }
        Ok(())
    };
    tokio::select! {
        ended = connection => ended,
        failed = requests => failed,
    }
}

/// A connection from one of two addresses, which are not that of the bystander.
async fn connect_from(number: usize, server: SocketAddr) -> std::io::Result<TcpStream> {
    let last = if number.is_multiple_of(2) { 2 } else { 3 };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    socket.connect(server).await
}

/// Clients that send a body with as many fields as fit.
pub(crate) async fn many_fields(browser: Browser, path: String, clients: usize) {
    let fields: Vec<String> = (0..72_000).map(|number| format!("\"{number:x}\":0")).collect();
    let repeated = format!("{{\"params\":{{\"query\":{{{}}}}}}}", vec!["\"a\":0"; 128_000].join(","));
    let bodies =
        [format!("{{{}}}", fields.join(",")), format!("{{\"params\":{{\"body\":{{{}}}}}}}", fields.join(",")), repeated];
    let client = async |body: &str| {
        loop {
            let request =
                browser.fetch(Method::POST, &path).header("content-type", "application/json").body(body.to_owned());
            drop(request.send().await);
        }
    };
    let bodies = bodies.iter().cycle().take(clients);
    join_all(bodies.map(|body| client(body))).await;
}

/// Callbacks and log-ins that cannot succeed, about a thousand a minute of each.
pub(crate) async fn junk(browser: Browser) {
    let callbacks = async {
        for number in 0_u64.. {
            let path = format!("/api/actions/connector/_oauth_callback?code=c&state={}{number}", unknown_value(7));
            drop(browser.navigation(Method::GET, &path, FetchSite::CrossSite).send().await);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    let log_ins = async {
        for number in 0_u64.. {
            let name = if number % 2 == 0 { "alice".to_owned() } else { format!("nobody-{number}") };
            let body = json!({ "username": name, "password": "guess" });
            drop(browser.fetch(Method::POST, "/api/session").json(&body).send().await);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::join!(callbacks, log_ins);
}

/// Runs whose API does not respond.
pub(crate) async fn hanging_runs(browser: Browser, connector: ConnectorPath, runs: usize) {
    let client = async || {
        loop {
            let body = json!({ "params": { "method": "GET", "path": "/hang" } });
            drop(browser.fetch(Method::POST, &connector.public("/_execute")).json(&body).send().await);
            tokio::time::sleep(PAUSE).await;
        }
    };
    join_all((0..runs).map(|_| client())).await;
}

/// Connects a user many times to a connector whose revocation endpoint does not respond, and disconnects all of them.
pub(crate) async fn disconnect_with_hanging_revocations(soak: &Soak, bob: &mut Browser, connections: usize) {
    const HANGING: ConnectorPath = ConnectorPath::of("hanging");
    let mut editor = soak.browser("alice").await;
    let draft = Draft::with_endpoints(soak.provider.base_url()).config("revocationUrl", soak.api.url("/revoke"));
    let created = editor.post(&HANGING.public(""), draft.client("hanging", "hanging-secret").body).await.json();
    soak.provider.register(
        Client::new("hanging", "hanging-secret").redirect_uri(created["redirect_uri"].as_str().unwrap_or_default()),
    );
    for number in 0..connections {
        let flow = bob.start_named(HANGING, &format!("c{number}")).await;
        let callback = soak.provider.approve(&flow.authorization_url, "alice").await.unwrap();
        bob.open_callback(callback.as_str()).await;
    }
    for number in 0..connections {
        assert_eq!(bob.disconnect_named(HANGING, &format!("c{number}")).await.status, 204);
    }
}

//! Starting and stopping. Every refusal is one sentence on standard error and exit code 1, and changes nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::support::{Browser, Running, Site, grantry, run};

fn refusal(site: &Site) -> String {
    let finished = run(&mut grantry(&["serve", "--config", &site.config_path()]), "");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("grantry: ")).collect();
    assert_eq!(lines.len(), 1, "{}", finished.stderr);
    lines[0].to_owned()
}

#[test]
fn r75_a_missing_weak_or_exposed_key_stops_the_start() {
    let site = Site::new("");
    let key = site.path("primary.key");
    let good = fs::read_to_string(&key).unwrap();
    for (text, mode, expected) in [
        (good.as_str(), 0o644, "is open to other users (mode 0644); set its mode to 0600"),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0o600, "its bytes follow a pattern and are not random"),
        ("c2hvcnQ=\n", 0o600, "it is not 32 bytes long"),
    ] {
        fs::write(&key, text).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let sentence = refusal(&site);
        assert!(sentence.contains(expected) && !sentence.contains(text.trim_end()), "{sentence}");
    }
    fs::remove_file(&key).unwrap();
    assert_eq!(
        refusal(&site),
        "grantry: there is no key at `file:primary.key`; make one there with `grantry keys generate`"
    );
    assert!(!site.path("grantry.db").exists(), "without a key no database is created");
}

#[tokio::test]
async fn r75_r76_a_wrong_key_stops_the_start_unless_it_is_allowed() {
    let site = Site::new("");
    let endpoints = serde_json::json!({
        "authorizationUrl": "https://id.example.com/a", "tokenUrl": "https://id.example.com/t", "baseUrl": "https://api.example.com"
    });
    site.install("files", endpoints, "secret").await;
    fs::rename(site.path("primary.key"), site.path("old.key")).unwrap();
    grantry::key_file::write_new(&site.path("primary.key")).unwrap();
    let sentence = refusal(&site);
    assert!(sentence.starts_with("grantry: 2 stored records are sealed with keys that are not configured"), "{sentence}");
    assert!(sentence.contains("--allow-unknown-keys"), "{sentence}");

    let mut anyway = Running::start(&mut grantry(&["serve", "--allow-unknown-keys", "--config", &site.config_path()]));
    anyway.until("\"ready\"");
    assert_eq!(anyway.stop(Signal::TERM).0, Some(0));

    site.replace("keys.write", "keys.read = [\"file:old.key\"]\nkeys.write");
    let status = run(&mut grantry(&["keys", "status", "--json", "--config", &site.config_path()]), "");
    let rows: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (rows[0]["records"].as_u64(), rows[1]["records"].as_u64()),
        (Some(0), Some(2)),
        "no record was sealed again or lost"
    );
    drop(site.serve());
}

#[tokio::test]
async fn the_database_of_another_deployment_stops_the_start() {
    let site = Site::new("store.deployment_id = \"000102030405060708090a0b0c0d0e0f\"");
    site.serve().stop(Signal::TERM);
    site.replace("000102", "ff0102");
    let sentence = refusal(&site);
    assert!(sentence.contains("the database belongs to another deployment"), "{sentence}");
    fs::write(site.path("grantry.db"), "x".repeat(8192)).unwrap();
    let sentence = refusal(&site);
    assert!(sentence.contains("the file is not a database"), "{sentence}");
}

#[test]
fn settings_that_cannot_be_used_stop_the_start() {
    let site = Site::new("oauth.flow_ttl = \"11m\"");
    assert_eq!(refusal(&site), "grantry: line 1: `oauth.flow_ttl` must be between 30 seconds and 10 minutes");
    site.replace("flow_ttl", "flow_tll");
    assert_eq!(refusal(&site), "grantry: line 1: unknown key `oauth.flow_tll`; did you mean `oauth.flow_ttl`?");
    site.replace("oauth.flow_tll", "telemetry.log = \"loud\"\nlog");
    let done = run(&mut grantry(&["serve", "--config", &site.config_path()]), "");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!((done.code, lines.len(), lines[0]), (Some(1), 3, "grantry: the configuration has 2 mistakes:"), "{lines:?}");
    assert!(lines[1].starts_with("  line 1: `telemetry.log` must be a level (off, error, warn, info, debug, trace) or"));
    assert_eq!(lines[2], "  line 2: unknown key `log`; did you mean `telemetry.log`?");
    let site = Site::new("");
    let mut command = grantry(&["serve", "--config", &site.config_path()]);
    let finished = run(command.env("GRANTRY_KEYS_RIGHT", "canary"), "");
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.starts_with("grantry: unknown environment variable `GRANTRY_KEYS_RIGHT`"),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("canary"));
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_is_created() {
    let site = Site::new("");
    let taken = TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let sentence = refusal(&site);
    assert_eq!(
        sentence,
        format!(
            "grantry: port {} of 127.0.0.1 is already in use; stop the process that listens there or choose another port",
            site.port
        )
    );
    assert!(!site.path("grantry.db").exists());
    drop(taken);
}

#[test]
fn r72_both_signals_shut_the_server_down_and_leave_one_closed_file() {
    let site = Site::new("");
    for signal in [Signal::TERM, Signal::INT] {
        let server = site.serve();
        let mut browser = Browser::new(site.port);
        assert_eq!((browser.get("/livez").status, browser.get("/readyz").status), (200, 200));
        browser.log_in("alice", "password-canary");
        let (code, lines) = server.stop(signal);
        assert_eq!(code, Some(0), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("\"stopped\"")), "{lines:?}");
        assert!(!site.path("grantry.db-wal").exists(), "the write-ahead log was written back");
        let mode = fs::metadata(site.path("grantry.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn r57_only_the_public_host_and_the_listening_address_are_accepted() {
    let site = Site::new("");
    site.replace(
        &format!("public_base_url = \"http://127.0.0.1:{}\"", site.port),
        "public_base_url = \"https://connect.example.com\"",
    );
    let server = site.serve();
    let mut browser = Browser::new(site.port);
    assert_eq!(browser.with_host("/livez", "connect.example.com").status, 200);
    assert_eq!(browser.get("/livez").status, 200, "a health check uses the address itself");
    for host in ["evil.example.com", "connect.example.com.evil.com", "127.0.0.1", "grantry:8080"] {
        assert_eq!(browser.with_host("/api/session", host).status, 421, "{host}");
        assert_eq!(browser.with_host("/readyz", host).status, 200, "{host}");
    }
    for name in ["localhost", "[::1]"] {
        let host = format!("{name}:{}", site.port);
        assert_eq!(browser.with_host("/api/session", &host).status, 401, "a proxy on this machine: {host}");
    }
    drop(server);
    site.replace("keys.write", "additional_hosts = [\"grantry:8080\"]\nkeys.write");
    let server = site.serve();
    assert_eq!(browser.with_host("/api/session", "grantry:8080").status, 401);
    drop(server);
}

#[test]
fn service_links_of_kubernetes_are_ignored_and_logged_once_at_debug() {
    let site = Site::new("telemetry.log = \"debug\"");
    let mut command = grantry(&["serve", "--config", &site.config_path()]);
    for (name, value) in [
        ("GRANTRY_SERVICE_HOST", "10.96.0.7"),
        ("GRANTRY_SERVICE_PORT_HTTP", "8080"),
        ("GRANTRY_PORT", "tcp://10.96.0.7:8080"),
        ("GRANTRY_PORT_8080_TCP_PROTO", "tcp"),
        ("GRANTRY_DB_SERVICE_HOST", "fd00::7"),
    ] {
        command.env(name, value);
    }
    let mut server = Running::start(&mut command);
    server.until("\"ready\"");
    assert_eq!(Browser::new(site.port).get("/livez").status, 200);
    let (code, lines) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    let logged: Vec<&String> = lines.iter().filter(|line| line.contains("GRANTRY_PORT_8080_TCP_PROTO")).collect();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains("DEBUG") && !logged[0].contains("10.96.0.7"), "{logged:?}");
}

#[test]
fn health_and_metrics_are_served_at_one_listener() {
    let port = grantry_test_ports::reserve();
    let site = Site::new("");
    site.replace(&format!("\"http://127.0.0.1:{}\"", site.port), &format!("\"http://127.0.0.1:{}/grantry\"", site.port));
    let server = site.serve();
    let (mut main, mut operations) = (Browser::new(site.port), Browser::new(port));
    let paths = ["/livez", "/readyz", "/metrics", "/grantry/livez", "/grantry/readyz", "/grantry/metrics"];
    let statuses = |browser: &mut Browser, host: &str| paths.map(|path| browser.with_host(path, host).status);
    let own = format!("127.0.0.1:{}", site.port);
    for host in [&own, "10.244.1.7"] {
        assert_eq!(statuses(&mut main, host), [200, 200, 404, 200, 200, 404], "{host}");
    }
    drop(server);

    site.replace("listen =", &format!("telemetry.listen = \"127.0.0.1:{port}\"\nlisten ="));
    let server = site.serve();
    for host in [&own, "10.244.1.7"] {
        assert_eq!(statuses(&mut operations, host), [200, 200, 200, 404, 404, 404], "{host}");
        assert_eq!(statuses(&mut main, host), [404; 6], "{host}");
    }
    assert!(operations.get("/metrics").body.contains("grantry_"), "the metrics of this process");
    assert_eq!((operations.get("/api/session").status, main.get("/api/session").status), (404, 401));
    let (code, _) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn metrics_require_their_token_wherever_they_are_served() {
    let port = grantry_test_ports::reserve();
    let site = Site::new("telemetry.metrics_token = \"file:metrics.token\"");
    grantry::key_file::write_new(&site.path("metrics.token")).unwrap();
    let token = fs::read_to_string(site.path("metrics.token")).unwrap().trim().to_owned();
    let check = |port: u16| {
        let mut prometheus = Browser::new(port);
        for key in [None, Some(String::new()), Some("wrong".to_owned()), Some(token[1..].to_owned())] {
            prometheus.key = key;
            let refused = prometheus.get("/metrics");
            assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{refused:?}");
            assert!(!refused.body.contains("grantry_"), "{refused:?}");
            assert_eq!(prometheus.get("/livez").status, 200);
        }
        prometheus.key = Some(token.clone());
        assert!(prometheus.get("/metrics").body.contains("grantry_"));
    };
    let server = site.serve();
    check(site.port);
    drop(server);
    site.replace("listen =", &format!("telemetry.listen = \"127.0.0.1:{port}\"\nlisten ="));
    let server = site.serve();
    check(port);
    assert_eq!(Browser::new(site.port).get("/metrics").status, 404);
    drop(server);
    fs::write(site.path("metrics.token"), "short").unwrap();
    let refused = run(&mut grantry(&["serve", "--config", &site.config_path()]), "");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("telemetry.metrics_token"), "{}", refused.stderr);
}

#[test]
fn display_names_of_the_configuration_are_in_the_session() {
    let site = Site::new("");
    site.replace("id = \"marketing\"", "id = \"marketing\"\nname = \"Marketing & Sales\"");
    site.replace("id = \"u_alice\"", "id = \"u_alice\"\nname = \"Alice Example\"");
    let server = site.serve();
    let mut browser = Browser::new(site.port);
    browser.log_in("alice", "password-canary");
    let session = browser.get("/api/session").json();
    assert_eq!(session["user"], serde_json::json!({ "id": "u_alice", "name": "Alice Example" }));
    assert_eq!(session["spaces"][1]["name"], "Marketing & Sales");
    assert_eq!(session["spaces"][0].get("name"), None, "{session}");
    drop(server);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_leaves_no_core_dump_and_cannot_be_read_by_others() {
    let site = Site::new("");
    let server = site.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    drop(server);
}

#[test]
fn r57_a_user_header_is_accepted_only_from_the_proxy() {
    let site = Site::new("identity.mode = \"proxy-header\"\nidentity.proxy.roles_header = \"x-roles\"");
    let server = site.serve();
    let mut browser = Browser::new(site.port);
    assert_eq!(browser.get("/api/session").status, 401);
    browser.headers = vec![("x-forwarded-user", "u_dora"), ("x-roles", "marketing=editor")];
    let session = browser.get("/api/session").json();
    assert_eq!(session["user_id"], "u_dora", "{session}");
    assert_eq!(session["spaces"].as_array().unwrap().len(), 1, "{session}");
    assert_eq!(browser.get("/s/marketing/api/actions/connectors").status, 200);
    assert_eq!(browser.get("/api/actions/connectors").status, 404);
    drop(server);
    site.replace("identity.mode", "identity.proxy.trusted_proxies = [\"127.0.0.0/8\"]\nidentity.mode");
    let server = site.serve();
    assert_eq!(browser.get("/api/session").status, 200, "this machine is in the network");
    drop(server);
    site.replace("127.0.0.0/8", "10.0.0.0/8");
    let server = site.serve();
    assert_eq!(browser.get("/api/session").status, 401, "this machine is not the proxy");
    drop(server);
}

#[test]
fn r59_the_addresses_of_an_ipv6_site_share_a_limit_behind_a_trusted_network() {
    let site = Site::new("identity.proxy.trusted_proxies = [\"127.0.0.0/8\"]\noauth.rate_limits.log_in = \"2/10m\"");
    let server = site.serve();
    let log_in = |address: &'static str| {
        let mut browser = Browser::new(site.port);
        browser.headers = vec![("x-forwarded-for", address)];
        browser.post("/api/session", &serde_json::json!({ "username": "alice", "password": "wrong" })).status
    };
    assert_eq!(log_in("2001:db8:1:2::1"), 401);
    assert_eq!(log_in("2001:db8:1:2:ffff::1"), 401);
    assert_eq!(log_in("2001:db8:1:2:3:4:5:6"), 429);
    assert_eq!(log_in("2001:db8:1:3::1"), 401);
    assert_eq!((log_in("192.0.2.1"), log_in("192.0.2.2"), log_in("192.0.2.1")), (401, 401, 401));
    drop(server);
}

#[test]
fn r58_a_header_section_above_the_limit_is_answered_as_a_page() {
    let site = Site::new("");
    let server = site.serve();
    let mut browser = Browser::new(site.port);
    browser.headers = vec![("accept", "text/html")];
    for (kibibytes, status) in [(17, 200), (33, 431), (100, 431)] {
        browser.cookies.clear();
        for number in 0..kibibytes {
            browser.cookies.insert(format!("other_{number}"), "x".repeat(1014));
        }
        let response = browser.get("/login");
        assert_eq!(response.status, status, "{kibibytes} KiB");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{kibibytes} KiB");
    }
    drop(server);
}

#[test]
fn r59_the_configured_rates_apply() {
    let site = Site::new("oauth.rate_limits.log_in = \"2/10m\"");
    let server = site.serve();
    let mut browser = Browser::new(site.port);
    let wrong = serde_json::json!({ "username": "alice", "password": "wrong" });
    let statuses: Vec<u16> = (0..3).map(|_| browser.post("/api/session", &wrong).status).collect();
    assert_eq!(statuses, [401, 401, 429]);
    drop(server);
}

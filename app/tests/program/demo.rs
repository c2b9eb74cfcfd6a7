//! The demo, as a new user runs it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use grantry_test_ports::reserve;
use grantry_testkit::provider::ScriptedUser;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Browser, Running, grantry, run};

struct Ports {
    server: String,
    provider: String,
}

impl Ports {
    fn free() -> Self {
        Self { server: reserve().to_string(), provider: reserve().to_string() }
    }

    fn server(&self) -> u16 {
        self.server.parse().unwrap()
    }
}

fn demo(folder: &Path, more: &[&str]) -> std::process::Command {
    let mut args = vec!["demo", "--data", folder.to_str().unwrap()];
    args.extend(more);
    grantry(&args)
}

fn started(folder: &Path, ports: &Ports) -> Running {
    let mut running = Running::start(&mut demo(folder, &["--port", &ports.server, "--provider-port", &ports.provider]));
    running.until("callback that all spaces share");
    running
}

async fn connect(browser: &mut Browser, name: &str, prefix: &str, connector: &str) {
    let started = browser.post(&format!("{prefix}/internal/actions/connector/{connector}/_start_oauth_flow"), &json!({}));
    assert_eq!(started.status, 200, "{started:?}");
    let url = started.json()["authorizationUrl"].as_str().unwrap().to_owned();
    let callback = ScriptedUser::new(name, &format!("{name}-pw")).approve(&url).await.unwrap();
    let finished = browser.get(&format!("{}?{}", callback.path(), callback.query().unwrap()));
    assert_eq!(finished.status, 303, "{finished:?}");
}

fn account(browser: &mut Browser, prefix: &str, connector: &str) -> Value {
    let body = json!({ "params": { "method": "GET", "path": "/me" } });
    let response = browser.post(&format!("{prefix}/api/actions/connector/{connector}/_execute"), &body).json();
    response["data"]["body"]["user"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_connect_in_two_spaces_and_stay_connected_after_a_restart() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo");
    let ports = Ports::free();
    let running = started(&folder, &ports);
    let mut users = ["alice", "bob"].map(|name| {
        let mut browser = Browser::new(ports.server());
        browser.log_in(name, &format!("{name}-demo"));
        (name, browser)
    });
    for (name, browser) in &mut users {
        for (prefix, connector) in [("", "files"), ("/s/marketing", "campaign-files")] {
            assert!(account(browser, prefix, connector).is_null());
            connect(browser, name, prefix, connector).await;
            assert_eq!(account(browser, prefix, connector), format!("{name}@example.test"));
        }
    }
    let (code, lines) = running.stop(Signal::INT);
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("Stopped. The data is kept in")), "{lines:?}");

    let running = started(&folder, &ports);
    let [(_, alice), (_, bob)] = &mut users;
    assert_eq!(account(bob, "/s/marketing", "campaign-files"), "bob@example.test");
    let ended = alice.post("/internal/actions/connector/files/_oauth_disconnect", &json!({}));
    assert_eq!(ended.status, 204);
    assert!(account(alice, "", "files").is_null());
    assert_eq!(account(bob, "", "files"), "bob@example.test", "a disconnect ends only the connection of its user");
    let (code, _) = running.stop(Signal::TERM);
    assert_eq!(code, Some(0));

    let state: Value = serde_json::from_str(&fs::read_to_string(folder.join("provider.json")).unwrap()).unwrap();
    let grants = state["grants"].as_object().unwrap();
    let ended: Vec<(&Value, &Value)> = grants
        .values()
        .filter(|grant| grant["ended"] == "revoked")
        .map(|grant| (&grant["username"], &grant["client_id"]))
        .collect();
    assert_eq!(ended, [(&json!("alice"), &json!("files"))], "the tokens were revoked before the process ended");
}

#[test]
fn the_demo_names_the_reason_when_it_does_not_start() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo");
    let ports = Ports::free();
    let refused = |more: &[&str]| {
        let finished = run(&mut demo(&folder, more), "");
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
        finished.stderr.trim_end().to_owned()
    };
    let taken = TcpListener::bind(("127.0.0.1", ports.server())).unwrap();
    let with_port = ["--port", &ports.server, "--provider-port", &ports.provider];
    let sentence = refused(&with_port);
    assert_eq!(
        sentence,
        format!(
            "grantry: port {} is already in use; stop the process that listens there, or choose another with --port",
            ports.server
        )
    );
    drop(taken);
    let taken = TcpListener::bind(("127.0.0.1", ports.provider.parse().unwrap())).unwrap();
    assert!(refused(&with_port).contains("choose another with --provider-port"));
    drop(taken);

    // The refusals did not change the folder.
    assert_eq!(started(&folder, &ports).stop(Signal::INT).0, Some(0));
    let other = reserve().to_string();
    assert!(refused(&["--port", &ports.server, "--provider-port", &other]).contains("omit --provider-port"));
    let taken = TcpListener::bind(("127.0.0.1", ports.provider.parse().unwrap())).unwrap();
    assert!(refused(&["--port", &ports.server]).contains("which the demo provider of this folder uses, is already in use"));
    drop(taken);

    let mark = folder.join("demo.toml");
    let kept = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, kept.replace("version = 1", "version = 2")).unwrap();
    assert!(refused(&[]).contains("was made by another version of the demo; start with --fresh"));
    fs::write(&mark, kept).unwrap();
    let thesis = parent.path().join("foreign");
    fs::create_dir(&thesis).unwrap();
    fs::write(thesis.join("thesis.txt"), "mine").unwrap();
    let finished = run(&mut grantry(&["demo", "--fresh", "--data", thesis.to_str().unwrap()]), "");
    assert!(finished.stderr.contains("is not a folder of the demo"), "{}", finished.stderr);
    assert!(thesis.join("thesis.txt").exists());
}

#[test]
fn a_fresh_start_may_use_other_ports_and_has_no_earlier_data() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo");
    let ports = Ports::free();
    started(&folder, &ports).stop(Signal::INT);
    let key = fs::read(folder.join("primary.key")).unwrap();
    let others = Ports::free();
    let mut running =
        Running::start(&mut demo(&folder, &["--fresh", "--port", &others.server, "--provider-port", &others.provider]));
    running.until("callback that all spaces share");
    assert_ne!(fs::read(folder.join("primary.key")).unwrap(), key);
    let mut carol = Browser::new(others.server());
    carol.log_in("carol", "carol-demo");
    assert!(
        carol.get("/s/marketing/api/actions/connectors").json()[0]["config"]["issuer"]
            .as_str()
            .unwrap()
            .ends_with(&others.provider)
    );
}

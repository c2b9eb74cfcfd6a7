//! A server whose files cannot grow, as on a full disk.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;

use crate::support::{Browser, Running, Site};

/// Repeats a request until its status is this one.
fn until_status(status: u16, mut request: impl FnMut() -> (u16, String)) -> String {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let (found, body) = request();
        if found == status {
            return body;
        }
        assert!(Instant::now() < deadline, "{found} in place of {status}: {body}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r72_r80_a_server_with_a_full_disk_reports_it_and_recovers() {
    let site = Site::new("audit.on_failure = \"refuse\"");
    let endpoints = json!({
        "authorizationUrl": "https://as.example.com/authorize", "tokenUrl": "https://as.example.com/token",
        "baseUrl": "https://api.example.com",
    });
    site.install("files", endpoints, "client-secret").await;
    // Without the signal, a write beyond the limit fails like one to a full disk.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_grantry")]);
    command.args(["serve", "--config", &site.config_path()]).env_clear();
    let mut server = Running::start(&mut command);
    server.until("\"ready\"");
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    let mut run = || {
        let response =
            alice.post("/api/actions/connector/files/_execute", &json!({ "params": { "method": "GET", "path": "/" } }));
        (response.status, response.body)
    };
    let mut probe = Browser::new(site.port);
    let mut ready = || {
        let response = probe.get("/readyz");
        (response.status, response.body)
    };
    until_status(200, &mut ready);
    assert_eq!(run().0, 409, "alice is not connected");

    let pid = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
    let unlimited = prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    let reason = until_status(503, &mut ready);
    assert!(reason.contains("store not writable"), "{reason}");
    let refused = until_status(503, &mut run);
    assert!(refused.contains("audit_unavailable"), "{refused}");

    prlimit(Some(pid), Resource::Fsize, unlimited).unwrap();
    until_status(200, &mut ready);
    until_status(409, &mut run);
    let (code, lines) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{lines:?}");
    let logged = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(logged("audit events of access tokens cannot be stored"), 1, "{lines:?}");
    assert_eq!(logged("the store cannot be used"), 1, "{lines:?}");
    assert_eq!(logged("the store can be written again"), 1, "{lines:?}");
    assert!(logged("audit_unavailable") > 0, "the refusals are in the trail: {lines:?}");
}

//! The `main` of each example, as `cargo run --example` starts it. Those that serve use the ports that `docs/embedding.md` names.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program of an example. Cargo builds all of them together with the tests of a package.
fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is missing: `cargo build -p grantry --examples` builds it", path.display());
    path
}

fn started(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(program(name));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Standard output and standard error of an example that ends without a request.
fn output(name: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = started(name, folder.path()).wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

/// Starts an example that serves, waits for a line of standard error, and ends it with a signal.
fn served(name: &str, line: &str) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut child = started(name, folder.path());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut read = String::new();
    while !read.contains(line) {
        assert!(errors.read_line(&mut read).unwrap() > 0, "{name} ended: {read}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    child.wait().unwrap().code()
}

#[test]
fn domain_only_prints_a_whole_flow() {
    let (_, stderr) = output("domain_only");
    assert!(
        stderr.contains("tokens: access-1, access-2\n") && stderr.contains("revoked: refresh-2, access-2\n"),
        "{stderr}"
    );
}

#[test]
fn custom_store_prints_a_write_during_and_after_maintenance() {
    let (stdout, _) = output("custom_store");
    assert!(stdout.ends_with("Err(Unavailable) during maintenance, Ok(()) after it, 1 stored event\n"), "{stdout}");
}

#[test]
fn embed_axum_serves_until_it_is_interrupted() {
    assert_eq!(served("embed_axum", "serving http://127.0.0.1:8090"), Some(0));
}

#[test]
fn embed_actix_serves_until_it_is_interrupted() {
    assert_eq!(served("embed_actix", "serving http://127.0.0.1:8092"), Some(0));
}

/// The agent waits for a consent, so a signal ends the process.
#[test]
fn agent_host_sends_the_user_a_link() {
    assert_eq!(served("agent_host", "open http://127.0.0.1:8091/"), None);
}

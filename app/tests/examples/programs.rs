//! The `main` of each example in a process of its kind, as `cargo run --example` starts it: the test executable starts itself
//! again, with the one test whose program is to run. Examples that serve use the ports that `docs/embedding.md` names.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{agent_host, domain_only, embed_actix, embed_axum};

#[path = "../../examples/custom_store.rs"]
mod custom_store;

/// Set in the process that runs a `main`.
const PROGRAM: &str = "EXAMPLE_PROGRAM";

/// Runs the program of an example, in the process that was started for it. Returns whether this is that process.
fn runs(main: impl FnOnce() -> Result<(), Box<dyn Error>>) -> bool {
    let is_program = std::env::var_os(PROGRAM).is_some();
    if is_program {
        main().unwrap();
    }
    is_program
}

/// Starts the process for a test of this module.
fn started(test: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("programs::{test}"), "--nocapture"]).env(PROGRAM, "1").current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A process that does not outlive a test that fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended.
        drop(self.0.kill());
    }
}

/// Standard output and standard error of an example that ends without a request.
fn output(test: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = started(test, folder.path()).wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

/// Starts an example that serves, waits for a line of standard error, sends requests, and stops it with a signal. Returns the
/// responses, and the rest of standard error.
fn served(test: &str, line: &str, requests: &[(u16, &str)]) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program(started(test, folder.path()));
    let mut errors = BufReader::new(program.0.stderr.take().unwrap());
    let mut read = String::new();
    while !read.contains(line) {
        assert!(errors.read_line(&mut read).unwrap() > 0, "{test} ended: {read}");
    }
    let responses = requests.iter().map(|(port, path)| fetch(*port, path)).collect();
    kill_process(Pid::from_child(&program.0), Signal::TERM).unwrap();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0), "{read}{rest}");
    (responses, rest)
}

/// The response to a request, with its status line.
fn fetch(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn domain_only_prints_a_whole_flow() {
    if runs(domain_only::example::main) {
        return;
    }
    let (_, stderr) = output("domain_only_prints_a_whole_flow");
    assert!(
        stderr.contains("tokens: access-1, access-2\n") && stderr.contains("revoked: refresh-2, access-2\n"),
        "{stderr}"
    );
}

#[test]
fn custom_store_prints_what_it_stored() {
    if runs(custom_store::main) {
        return;
    }
    let (stdout, _) = output("custom_store_prints_what_it_stored");
    assert!(stdout.contains("deployment [") && stdout.contains("]: 1 stored event\n"), "{stdout}");
    // The id is random: 16 equal bytes are a constant.
    let id = stdout.split_once("deployment [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let bytes: Vec<u8> = id.split(", ").map(|byte| byte.parse().unwrap()).collect();
    assert!(bytes.len() == 16 && bytes.iter().any(|byte| *byte != bytes[0]), "{stdout}");
}

#[test]
fn embed_axum_serves_its_page_and_grantry_until_it_is_stopped() {
    let main = || {
        assert_eq!(embed_axum::example::main(), ExitCode::SUCCESS);
        Ok(())
    };
    if runs(main) {
        return;
    }
    let requests = [(8090, "/"), (8090, "/oauth/livez"), (8090, "/oauth/api/session")];
    let (responses, _) =
        served("embed_axum_serves_its_page_and_grantry_until_it_is_stopped", "serving http://127.0.0.1:8090\n", &requests);
    assert!(responses[0].ends_with("the page of the host"), "{}", responses[0]);
    assert!(responses[1].starts_with("HTTP/1.1 200 "), "{}", responses[1]);
    assert!(responses[2].starts_with("HTTP/1.1 401 "), "{}", responses[2]);
}

#[test]
fn embed_actix_serves_its_routes_until_it_is_stopped() {
    if runs(embed_actix::example::main) {
        return;
    }
    let requests = [(8092, "/connectors/files/connect"), (8092, "/absent")];
    let (responses, _) =
        served("embed_actix_serves_its_routes_until_it_is_stopped", "serving http://127.0.0.1:8092\n", &requests);
    assert!(responses[0].starts_with("HTTP/1.1 401 "), "{}", responses[0]);
    assert!(responses[1].starts_with("HTTP/1.1 404 "), "{}", responses[1]);
}

#[test]
fn agent_host_sends_the_user_a_link_to_a_page_that_it_serves() {
    if runs(agent_host::example::main) {
        return;
    }
    let link = "/api/actions/connector/files/oauth/start";
    let (responses, rest) = served(
        "agent_host_sends_the_user_a_link_to_a_page_that_it_serves",
        &format!("open http://127.0.0.1:8091{link}"),
        &[(8091, link)],
    );
    assert!(responses[0].starts_with("HTTP/1.1 303 "), "{}", responses[0]);
    assert!(rest.ends_with("stopped while the task waits for the consent\n"), "{rest}");
}

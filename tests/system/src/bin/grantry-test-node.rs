//! A node for the tests that kill or pause processes: a [`Host`] with settings from the environment.

use std::io::Write as _;
use std::process::ExitCode;

use grantry_system_tests::deployment::Settings;
use grantry_system_tests::host::Host;
use grantry_system_tests::process::{LISTENING, SETTINGS};
use grantry_system_tests::users::TestUsers;

#[tokio::main]
async fn main() -> ExitCode {
    let settings: Option<Settings> = std::env::var(SETTINGS).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some(settings) = settings else {
        return failed("its settings are missing");
    };
    let host = match Host::start(&settings, &TestUsers::default()).await {
        Ok(host) => host,
        Err(error) => return failed(&error.to_string()),
    };
    let mut stdout = std::io::stdout();
    if writeln!(stdout, "{LISTENING}{}", host.address).and_then(|()| stdout.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    let Some(interval) = settings.job_interval else {
        std::future::pending::<()>().await;
        return ExitCode::SUCCESS;
    };
    loop {
        // The next round repeats what failed in this one.
        let _ = host.connections.sweep(|_| {}).await;
        let _ = host.connections.revoke_due().await;
        tokio::time::sleep(interval).await;
    }
}

fn failed(reason: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "the node does not start: {reason}"));
    ExitCode::FAILURE
}

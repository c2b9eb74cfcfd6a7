//! `grantry providers new`: asks for the values of a profile, and writes both of its files.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use grantry_domain::connector::ProfileId;
use grantry_domain::provider::Scopes;
use grantry_provider_oauth2::reported_scopes;

use crate::cli::CliError;
use crate::cli::output::{info, print};
use crate::profile_folder;

#[derive(Args)]
pub(in crate::cli) struct NewArgs {
    /// The folder for both files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

/// What was entered.
struct Values {
    name: String,
    title: String,
    source: String,
    console_url: String,
    authorization: String,
    token: String,
    revocation: Option<String>,
    userinfo: Option<String>,
    authentication: String,
    base_url: String,
    scopes: Vec<String>,
    refresh_tokens: String,
}

pub(super) fn run(args: &NewArgs) -> Result<(), CliError> {
    let values = ask(&mut io::stdin().lock())?;
    let profile = args.out.join(format!("{}.toml", values.name));
    let exchange = profile_folder::exchange_of(&profile);
    write_new(&profile, &profile_text(&values))?;
    write_new(&exchange, &exchange_text(&values))?;
    print(format_args!("{}\n{}", profile.display(), exchange.display()))?;
    info(format_args!(
        "replace the examples in the exchange file by the responses of the vendor's documentation, then run \
         `grantry providers check {}`",
        profile.display()
    ));
    Ok(())
}

/// Reads the values. Nothing is written before all of them are there.
fn ask(input: &mut impl BufRead) -> Result<Values, CliError> {
    let is_url = |text: &str| text.starts_with("https://") && !text.contains(char::is_whitespace);
    let mut question = |text: &str, hint: &str, is_valid: &dyn Fn(&str) -> bool| question(input, text, hint, is_valid);
    let is_name = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        text.bytes().all(plain) && ProfileId::new(format!(".{text}")).is_ok()
    };
    let url = "an https:// URL";
    let url_or_nothing = |text: &str| text.is_empty() || is_url(text);
    Ok(Values {
        name: question("Name of the connector type, without the dot", "lower case letters, digits and -", &is_name)?,
        title: question("Name of the product", "a text", &|text| !text.is_empty())?,
        source: question("Documentation of its OAuth endpoints", url, &is_url)?,
        console_url: question("Page on which clients are registered", url, &is_url)?,
        authorization: question("Authorization endpoint", url, &is_url)?,
        token: question("Token endpoint", url, &is_url)?,
        revocation: some(question("Revocation endpoint (RFC 7009), or nothing", url, &url_or_nothing)?),
        userinfo: some(question("URL that returns the account, or nothing", url, &url_or_nothing)?),
        authentication: question("Client authentication", "basic, post or none", &|text| {
            ["basic", "post", "none"].contains(&text)
        })?,
        base_url: question("Base URL of the API", url, &is_url)?,
        scopes: question("Default scopes, separated by spaces, or nothing", "words", &|_| true)?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        refresh_tokens: question("Refresh tokens", "none, kept, rolling or single-use", &|text| {
            ["none", "kept", "rolling", "single-use"].contains(&text)
        })?,
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Asks until the line is valid.
fn question(input: &mut impl BufRead, text: &str, hint: &str, is_valid: &dyn Fn(&str) -> bool) -> Result<String, CliError> {
    loop {
        let mut stderr = io::stderr().lock();
        drop(write!(stderr, "{text} ({hint}): ").and_then(|()| stderr.flush()));
        drop(stderr);
        let mut line = String::new();
        let read = input.read_line(&mut line);
        let read = read.map_err(|error| CliError::Io { what: "cannot read the input".to_owned(), kind: error.kind() })?;
        if read == 0 {
            return Err(CliError::Refused("the input ended before all values were entered; nothing was written".to_owned()));
        }
        let line = line.trim();
        if is_valid(line) && !line.contains(char::is_control) {
            return Ok(line.to_owned());
        }
        info(format_args!("must be {hint}"));
    }
}

/// A file that exists is not changed.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CliError::Io { what: format!("cannot write {}", path.display()), kind: error.kind() })
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn profile_text(values: &Values) -> String {
    let Values { name, title, source, console_url, authorization, token, authentication, base_url, .. } = values;
    let today = jiff::Zoned::now().date();
    let optional =
        |key: &str, url: &Option<String>| url.as_ref().map(|url| format!("{key} = {}\n", quoted(url))).unwrap_or_default();
    let scopes: Vec<String> = values.scopes.iter().map(|scope| quoted(scope)).collect();
    format!(
        r#"id = ".{name}"
title = {}
verified_on = "{today}"
source = {}

[setup]
console_url = {}
steps = [
  "Create an app, and enter {{redirect_uri}} as its redirect URI.",
  "Copy client id and client secret into the connector.",
]

[endpoints]
authorization = {}
token = {}
{}{}
[client]
authentication = "{authentication}"

[api]
base_url = {}

[wire.scopes]
default = [{}]

[wire.refresh]
tokens = "{}"
"#,
        quoted(title),
        quoted(source),
        quoted(console_url),
        quoted(authorization),
        quoted(token),
        optional("revocation", &values.revocation),
        optional("userinfo", &values.userinfo),
        quoted(base_url),
        scopes.join(", "),
        values.refresh_tokens
    )
}

fn exchange_text(values: &Values) -> String {
    let mut scopes = values.scopes.clone();
    scopes.sort();
    scopes.dedup();
    let reported = reported_scopes(&Scopes::new(&scopes));
    let (sent, named) = (scopes.join(" "), reported.iter().map(quoted).collect::<Vec<_>>().join(", "));
    let scope = if scopes.is_empty() { String::new() } else { format!(", scope = {}", quoted(&sent)) };
    let is_refreshed = values.refresh_tokens != "none";
    let refresh_token = |token: &str| {
        if is_refreshed {
            (format!(r#","refresh_token":"{token}""#), format!(r#", refresh_token = "{token}""#))
        } else {
            <_>::default()
        }
    };
    let (sent_token, expected_token) = refresh_token("rt-1");
    let mut text = format!(
        r#"# Examples. Replace them by the responses of the vendor's documentation.
config = '{{}}'
callback = "profiles"
expected_scopes = [{named}]

[authorization]
endpoint = {}
parameters = {{ response_type = "code"{scope} }}

[[token]]
grant = "authorization_code"
response = {{ content_type = "application/json", body = '{{"access_token":"at-1","token_type":"Bearer","expires_in":3600{sent_token}}}' }}
tokens = {{ access_token = "at-1", access_lifetime = 3600{expected_token} }}

[[token]]
grant = "authorization_code"
response = {{ status = 400, content_type = "application/json", body = '{{"error":"invalid_grant"}}' }}
error = "invalid-grant"
"#,
        quoted(&values.authorization)
    );
    if is_refreshed {
        text.push_str(
            r#"
[[token]]
grant = "refresh_token"
response = { content_type = "application/json", body = '{"access_token":"at-2","token_type":"Bearer","expires_in":3600}' }
tokens = { access_token = "at-2", access_lifetime = 3600 }

[[token]]
grant = "refresh_token"
response = { status = 400, content_type = "application/json", body = '{"error":"invalid_grant"}' }
error = "invalid-grant"
"#,
        );
    }
    if values.userinfo.is_some() {
        text.push_str(
            r#"
[identity]
response = { content_type = "application/json", body = '{"sub":"1","email":"alice@example.com"}' }
subject = "1"
label = "alice@example.com"
"#,
        );
    }
    if values.revocation.is_some() {
        text.push_str(
            r#"
[revocation]
order = ["refresh", "access"]

[[revocation.calls]]
token = "refresh"
response = { status = 200 }
outcome = "done"
"#,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use grantry_provider_oauth2::check_exchange;

    use super::*;

    const COMPLETE: &str = "example\nExample \"Inc\"\nhttps://docs.example.com/oauth\nhttps://example.com/apps\n\
        https://login.example.com/authorize\nhttps://login.example.com/token\nhttps://login.example.com/revoke\n\
        https://api.example.com/me\nbasic\nhttps://api.example.com/v1\nwrite read\nrolling\n";
    const LEAST: &str = "least\nLeast\nhttps://docs.example.com/oauth\nhttps://example.com/apps\n\
        https://login.example.com/authorize\nhttps://login.example.com/token\n\n\npost\nhttps://api.example.com/v1\n\nnone\n";

    #[tokio::test]
    async fn both_files_are_valid_and_fit_together() {
        for lines in [COMPLETE, LEAST] {
            let values = ask(&mut lines.as_bytes()).unwrap();
            let (profile, exchange) = (profile_text(&values), exchange_text(&values));
            let checked = check_exchange(("new.toml", &profile), ("new.exchange.toml", &exchange)).await;
            assert!(checked.is_ok(), "{checked:?}\n{profile}\n{exchange}");
        }
    }

    #[test]
    fn an_invalid_line_is_asked_for_again_and_an_early_end_writes_nothing() {
        let corrected = format!("Not A Name\n{}", COMPLETE.replace("basic\n", "Basic\nbasic\n"));
        let values = ask(&mut corrected.as_bytes()).unwrap();
        assert_eq!((values.name.as_str(), values.authentication.as_str()), ("example", "basic"));
        let error = ask(&mut "example\nExample\n".as_bytes()).err().unwrap();
        assert!(error.to_string().contains("nothing was written"));
    }

    #[test]
    fn a_file_that_exists_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        write_new(&file, "first").unwrap();
        assert!(write_new(&file, "second").is_err());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "first");
    }
}

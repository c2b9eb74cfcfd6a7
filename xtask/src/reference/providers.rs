//! The pages of the provider profiles: the descriptions that the program prints, and their list.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use xshell::{Shell, cmd};

use super::head;
use crate::Result;

const INTRODUCTION: &str = "\
Each profile describes one provider as data: its endpoints, how its responses deviate from the standards, lifetimes, refresh and
revocation. A test runs each of them through consent, refresh, errors and revocation, with the responses of the vendor's
documentation. [Add a provider](../add-a-provider.md) describes how to write one, in the repository or in a folder of the operator.

Fields that the documentation of a vendor does not state are counted as not verified, and listed on the page of the provider.

";

#[derive(Deserialize)]
struct Listed {
    id: String,
    title: String,
    verified_on: String,
    sunset: Option<String>,
    unverified: Vec<String>,
}

/// The pages with their file names: the list, and one for each profile.
pub(super) fn pages(sh: &Shell, program: &Path) -> Result<Vec<(String, String)>> {
    let listed: Vec<Listed> = serde_json::from_str(&cmd!(sh, "{program} providers list --json").quiet().read()?)?;
    let mut list = head("Providers", "the provider profiles") + INTRODUCTION;
    list.push_str("| provider | connector type | verified on | not verified | ends on |\n|---|---|---|---|---|\n");
    let mut pages = Vec::new();
    for Listed { id, title, verified_on, sunset, unverified } in &listed {
        let name = id.trim_start_matches('.');
        let count = if unverified.is_empty() { "–".to_owned() } else { unverified.len().to_string() };
        let sunset = sunset.as_deref().unwrap_or("–");
        writeln!(list, "| [{title}]({name}.md) | `{id}` | {verified_on} | {count} | {sunset} |")?;
        let text = cmd!(sh, "{program} providers show {id}").quiet().read()?;
        pages.push((format!("{name}.md"), text + "\n"));
    }
    pages.push(("README.md".to_owned(), list));
    Ok(pages)
}

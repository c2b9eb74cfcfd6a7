//! The page of the command line: the help of the program and of each of its commands.

use std::fmt::Write as _;
use std::path::Path;

use xshell::{Shell, cmd};

use super::head;
use crate::Result;

const INTRODUCTION: &str = "\
`grantry demo` exists only in builds with the feature `demo`, which the default build has and the [production
build](../operations.md#production-build) has not. Findings and results go to standard output; messages and the log of
`serve` go to standard error.

";

/// The page, from the help that the program prints.
pub(super) fn page(sh: &Shell, program: &Path) -> Result<String> {
    let mut page = head("Command line", "the help of the program") + INTRODUCTION;
    let mut open = vec![Vec::new()];
    while let Some(command) = open.pop() {
        let arguments: &Vec<String> = &command;
        let help = cmd!(sh, "{program} {arguments...} --help").quiet().read()?;
        let name = std::iter::once("grantry").chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let _ = write!(page, "## `{name}`\n\n```text\n{}\n```\n\n", help.trim_end());
        for part in commands(&help).into_iter().rev() {
            open.push(command.iter().cloned().chain([part]).collect());
        }
    }
    Ok(page.trim_end().to_owned() + "\n")
}

/// The commands that a help lists, without `help`.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a description are indented more.
    let entries = list.filter_map(|line| line.strip_prefix("  ")).filter(|entry| !entry.starts_with(' '));
    let names = entries.filter_map(|entry| entry.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "A program\n\nUsage: x <COMMAND>\n\nCommands:\n  keys   Keys,\n         and more\n  serve  Serve\n  help   Help\n\nOptions:\n  -h, --help  Help";

    #[test]
    fn the_commands_of_a_help_are_found() {
        assert_eq!(commands(HELP), ["keys", "serve"]);
        assert!(commands("Usage: x\n\nOptions:\n  -h, --help  Help").is_empty());
    }
}

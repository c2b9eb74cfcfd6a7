//! Two builds in two folders give the same bytes.

use crate::Result;
use crate::release::context::Context;
use crate::release::program;
use crate::release::row::{Outcome, Place, Sheet};
use crate::workspace::FEATURES;

/// The manifest of the program.
const PROGRAM: &str = "app/Cargo.toml";
/// Folders with names of different lengths.
const FOLDERS: [&str; 2] = ["a", "another"];

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    let below = context.target()?.join("reproducibility");
    // Nothing that an earlier run left makes the two equal or different.
    if below.exists() {
        std::fs::remove_dir_all(&below)?;
    }
    let mut programs = Vec::new();
    for name in FOLDERS {
        let (sources, target) = (below.join(name).join("sources"), below.join(name).join("target"));
        context.copy_to(&sources)?;
        match program::build(&sh, &sources, &target) {
            Ok(program) => programs.push(program),
            Err(error) => {
                let command =
                    format!("cargo build --release --locked --package grantry --bin grantry {}", FEATURES.join(" "));
                let mend = format!("run `{command}` and mend what it reports");
                sheet.red(format!("the program does not build: {error}"), Place::Command(command), mend);
                return Ok(sheet.outcome());
            }
        }
    }
    if let [first, second] = &programs[..] {
        let (contents, others) = (std::fs::read(first)?, std::fs::read(second)?);
        match different(&contents, &others) {
            None => sheet.note(format!("two builds gave the same {} bytes", contents.len())),
            Some(difference) => {
                let mend = format!("find the reason with `diffoscope {} {}`", first.display(), second.display());
                sheet.red(format!("two builds of the same sources differ: {difference}"), PROGRAM, mend);
            }
        }
    }
    Ok(sheet.outcome())
}

/// How two contents differ.
fn different(first: &[u8], second: &[u8]) -> Option<String> {
    if first.len() != second.len() {
        return Some(format!("{} and {} bytes", first.len(), second.len()));
    }
    let count = first.iter().zip(second).filter(|(first, second)| first != second).count();
    (count > 0).then(|| format!("{count} of {} bytes", first.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_equal_and_of_different_size_are_compared() {
        assert_eq!(different(b"abc", b"abc"), None);
        assert_eq!(different(b"abc", b"abd").unwrap(), "1 of 3 bytes");
        assert_eq!(different(b"abc", b"ab").unwrap(), "3 and 2 bytes");
    }
}

//! Comments and documents use the words of CONTRIBUTING.md and are spelled correctly.

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::prose::{self, Rules};

/// Common misspellings, in the format of `xtask/prose.toml`.
const SPELLING: &str = "xtask/spelling.toml";

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    for list in [prose::RULES, SPELLING] {
        let (words, unused) = Rules::parse(context.files.text(list)?)?.check(&context.files);
        for word in words {
            sheet.red(format!("\"{}\"", word.word()), word.place(), format!("write {}", word.instead()));
        }
        for exception in unused {
            sheet.red(exception, list, "remove the exception");
        }
    }
    Ok(sheet.outcome())
}

//! Comments and documents use the words of CONTRIBUTING.md and are spelled correctly: the list of `cargo xtask tidy`.

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::prose::{RULES, Rules};

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let (words, unused) = Rules::parse(context.files.text(RULES)?)?.check(&context.files);
    for word in words {
        sheet.red(format!("\"{}\"", word.word()), word.place(), format!("write {}", word.instead()));
    }
    for exception in unused {
        sheet.red(exception, RULES, "remove the exception");
    }
    Ok(sheet.outcome())
}

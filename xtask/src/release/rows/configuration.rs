//! The entries that were added to the changelog since the base mention every setting that was added, removed or renamed since then.

use crate::Result;
use crate::release::changelog_file::{self, Changelog};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::settings::{DECLARATION, Declaration};

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let now = Declaration::parse(context.files.text(DECLARATION)?)?.keys();
    if let Err(reason) = context.base() {
        return Ok(Outcome::Skipped(reason));
    }
    let Some(before) = context.base_text(DECLARATION)? else {
        return Ok(Outcome::Skipped(format!("the base has no {DECLARATION}")));
    };
    let before = Declaration::parse(&before)?.keys();
    let entries = Changelog::added_entries(context)?;
    let mut sheet = Sheet::default();
    let changes = now.difference(&before).map(|key| (key, "was added", None));
    let removed = before.difference(&now).map(|key| (key, "was removed", Some("breaking")));
    for (key, change, label) in changes.chain(removed) {
        let what = format!("the setting `{key}` {change}");
        if entries.iter().any(|entry| entry.mentions(label, key)) {
            sheet.note(what);
        } else {
            let mend = format!("add an entry `- **{}** (app): … `{key}` …`", label.unwrap_or("feature"));
            sheet.red(format!("{what}, and no new entry mentions it"), changelog_file::FILE, mend);
        }
    }
    Ok(sheet.outcome())
}

//! The files that changed since the base, with the lines that were added or replaced.

use std::collections::{BTreeMap, BTreeSet};

use xshell::cmd;

use super::context::Context;
use crate::Result;

/// The numbers of the new lines of each file that changed, from 1. A file that only lost lines has none.
pub(crate) fn since_base(context: &Context, base: &str) -> Result<BTreeMap<String, BTreeSet<usize>>> {
    let sh = context.shell()?;
    let options = ["--unified=0", "--no-color", "--no-ext-diff", "--no-prefix", "--diff-filter=d"];
    let mut changes = parse(&cmd!(sh, "git -c core.quotePath=false diff {options...} {base}").quiet().read()?);
    let untracked = cmd!(sh, "git ls-files -z --others --exclude-standard").quiet().read()?;
    for path in untracked.split('\0') {
        if let Some(text) = context.files.find(path) {
            changes.insert(path.to_owned(), (1..=text.lines().count()).collect());
        }
    }
    Ok(changes)
}

/// Reads the headings of a difference without context: `+++ path` and `@@ -1,2 +3,4 @@`.
fn parse(difference: &str) -> BTreeMap<String, BTreeSet<usize>> {
    let mut changes = BTreeMap::<String, BTreeSet<usize>>::new();
    let mut current = None;
    // Lines of the content that begin like a heading are skipped by their number.
    let mut content = 0;
    for line in difference.lines() {
        if content > 0 {
            // "\ No newline at end of file" is not counted.
            content -= usize::from(!line.starts_with('\\'));
        } else if let Some(path) = line.strip_prefix("+++ ") {
            current = Some(changes.entry(path.trim_end_matches('\t').to_owned()).or_default());
        } else if let (Some((removed, added)), Some(lines)) = (hunk(line), current.as_deref_mut()) {
            content = removed.len() + added.len();
            lines.extend(added);
        }
    }
    changes
}

/// The removed and the added lines of `@@ -1,2 +3,4 @@`.
fn hunk(line: &str) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let (old, new) = line.strip_prefix("@@ -")?.split_once(" @@")?.0.split_once(" +")?;
    let range = |text: &str| {
        let (first, count) = text.split_once(',').unwrap_or((text, "1"));
        let (first, count) = (first.parse::<usize>().ok()?, count.parse::<usize>().ok()?);
        Some(first..first + count)
    };
    Some((range(old)?, range(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_replaced_lines_are_numbered() {
        let difference = "diff --git a.rs a.rs\n--- a.rs\n+++ a.rs\n@@ -1 +1,2 @@ fn x\n-old\n++++ looks like a heading\n+new\n\
            @@ -9,2 +10,0 @@\n-x\n-y\n@@ -20,0 +19 @@\n+z\n\\ No newline at end of file\n\
            diff --git b c.rs b c.rs\n--- /dev/null\n+++ b c.rs\t\n@@ -0,0 +1 @@\n+x\n";
        let changes = parse(difference);
        assert_eq!(changes["a.rs"], BTreeSet::from([1, 2, 19]));
        assert_eq!(changes["b c.rs"], BTreeSet::from([1]));
        assert_eq!(changes.len(), 2);
    }
}

//! The committed text of the public items of each library is current, and nothing is removed from it without a changelog entry
//! that names it and, after a release, a version that permits it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::Result;
use crate::manifests;
use crate::reference;
use crate::release::changelog_file::{self, Changelog, Entry};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::release::versions;

/// The folder of the texts.
const TEXTS: &str = "docs/reference/api/";

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let current = reference::rust_apis(&context.files)?;
    for (path, text) in &current {
        if context.files.find(path) != Some(text.as_str()) {
            let what = format!("{path}: the text differs from the public items in the sources");
            sheet.red(
                what,
                context.files.nearest(path),
                "run `cargo xtask codegen`, and read the difference: it is the change of the API",
            );
        }
    }
    let paths: BTreeSet<_> = current.iter().map(|(path, _)| path.as_str()).collect();
    for file in context.files.files.iter().filter(|file| file.path.starts_with(TEXTS)) {
        if !paths.contains(file.path.as_str()) {
            sheet.red("no published library has this text", &file.path, "run `cargo xtask codegen`");
        }
    }
    match context.base() {
        Ok(_) => compare(context, &current, &mut sheet)?,
        Err(reason) => sheet.note(format!("not compared: {reason}")),
    }
    Ok(sheet.outcome())
}

fn compare(context: &Context, current: &[(String, String)], sheet: &mut Sheet) -> Result {
    let entries: Vec<_> = Changelog::added_entries(context)?.into_iter().filter(Entry::is_breaking).collect();
    let (mut is_broken, mut absent) = (false, 0);
    for (path, text) in current {
        let Some(before) = context.base_text(path)? else {
            absent += 1;
            continue;
        };
        let (before, now) = (all_items(&before), all_items(text));
        let removed: Vec<_> = before.difference(&now).collect();
        let added = now.difference(&before).count();
        if removed.is_empty() && added == 0 {
            continue;
        }
        sheet.note(format!("{path}: {added} added, {} removed or changed", removed.len()));
        is_broken |= !removed.is_empty();
        let area = path.trim_start_matches(TEXTS).trim_end_matches(".txt");
        let quoted_paths = named(&entries, area);
        let modules: BTreeSet<_> = now.iter().map(|item| module(item)).collect();
        for item in removed {
            let accepted = names(item, &modules);
            if accepted.iter().any(|name| quoted_paths.iter().any(|quoted| covers(quoted, name))) {
                continue;
            }
            let quoted = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
            let file = changelog_file::FILE;
            let mend =
                format!("undo the change, or add an entry `- **breaking** ({area}): …` that names {quoted} to {file}");
            let what = format!("no new breaking entry names what was removed or changed: `{item}`");
            sheet.red(what, context.files.nearest(path), mend);
        }
    }
    is_broken |= removed_libraries(context, current, &entries, sheet)?;
    if absent > 0 {
        sheet.note(format!("not compared: {absent} texts that the base does not have"));
    }
    if is_broken && context.has_release() {
        version(context, sheet)?;
    }
    Ok(())
}

/// Libraries that the base published; an entry names the crate. Returns whether there is one.
fn removed_libraries(context: &Context, current: &[(String, String)], entries: &[Entry], sheet: &mut Sheet) -> Result<bool> {
    let base = context.base_paths(TEXTS)?;
    let removed = base.iter().filter(|path| !current.iter().any(|(now, _)| now == *path));
    let mut is_broken = false;
    for path in removed {
        is_broken = true;
        let name = format!("grantry-{}", path.trim_start_matches(TEXTS).trim_end_matches(".txt"));
        if !entries.iter().any(|entry| entry.quoted().any(|quoted| quoted == name)) {
            let mend = format!("restore the crate, or add a breaking entry that names `{name}` to {}", changelog_file::FILE);
            let what = format!("no new breaking entry names the removed library `{name}`");
            sheet.red(what, context.files.nearest(path), mend);
        }
    }
    Ok(is_broken)
}

/// The version permits breaking changes after the last release.
fn version(context: &Context, sheet: &mut Sheet) -> Result {
    let base = context.base().map(|base| base.revision.trim_start_matches('v').to_owned())?;
    let (old, new) = (versions::parse("the last tag", &base)?, manifests::version(&context.files)?);
    let new = versions::parse("Cargo.toml", &new)?;
    if !versions::may_break(&old, &new) {
        let what = format!("public items were removed or changed, and {new} does not permit that after {old}");
        sheet.red(what, "Cargo.toml", "raise the major version (before 1.0.0 the minor one)");
    }
    Ok(())
}

/// What the entries about a library have in backticks, as paths: `Type.field()` is `Type::field`.
fn named(entries: &[Entry], area: &str) -> BTreeSet<String> {
    let about = entries.iter().filter(|entry| entry.areas.iter().any(|name| name == area));
    about.flat_map(Entry::quoted).map(|quoted| quoted.trim_end_matches("()").replace('.', "::")).collect()
}

/// Whether a quoted path is a name, which modules may precede. `Other::new` is not `new`.
fn covers(quoted: &str, name: &str) -> bool {
    let Some(before) = quoted.strip_suffix(name) else {
        return false;
    };
    let is_module = |part: &str| part.starts_with(|first: char| first.is_ascii_lowercase());
    before.is_empty() || before.strip_suffix("::").is_some_and(|path| path.split("::").all(is_module))
}

fn module(item: &str) -> &str {
    item.split_once(": ").map_or(item, |(module, _)| module)
}

/// The names that an entry can use for an item: the item; for a member also its type or trait; and the module if nothing is left
/// of it.
fn names(item: &str, modules: &BTreeSet<&str>) -> Vec<String> {
    let module = module(item);
    let declaration = item.get(module.len() + 2..).unwrap_or_default();
    let mut names = declared(&without_brackets(declaration));
    if names.is_empty() || !modules.contains(module) {
        names.push(module.to_owned());
    }
    names
}

/// The names of a declaration without attributes and generics.
fn declared(declaration: &str) -> Vec<String> {
    if let Some(path) = declaration.strip_prefix("pub use ") {
        let name = path.rsplit([':', ' ']).next().filter(|name| *name != "*");
        return name.map(str::to_owned).into_iter().collect();
    }
    let member = |owner: &str, member: &str| vec![format!("{owner}::{member}"), owner.to_owned()];
    let name = |text: &str| DECLARED.captures(text).map(|found| found[1].to_owned());
    if let Some(header) = declaration.strip_prefix("impl ") {
        let (header, inner) = header.split_once(": ").unwrap_or((header, ""));
        let types: Vec<_> = header.split(" for ").map(|path| last_segment(path).to_owned()).collect();
        return match (types.last(), name(inner)) {
            (Some(owner), Some(inner)) => member(owner, &inner),
            _ => types.into_iter().rev().collect(),
        };
    }
    if let Some(found) = MEMBER.captures(declaration) {
        return member(&found[1], &found[2]);
    }
    match (OWNER.captures(declaration), name(declaration)) {
        (Some(owner), Some(inner)) => member(&owner[1], &inner),
        (None, Some(name)) => vec![name],
        (_, None) => Vec::new(),
    }
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path).trim_start_matches(['&', ' '])
}

/// Without attributes and generics, which contain names and colons of others.
fn without_brackets(text: &str) -> String {
    let (mut depth, mut kept, mut last) = (0_usize, String::new(), ' ');
    for at in text.replace("#[", "[").chars() {
        match at {
            '<' | '[' => depth += 1,
            '>' if last == '-' => kept.push(at),
            '>' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(at),
            _ => {}
        }
        last = at;
    }
    kept.trim_start().to_owned()
}

/// `Type.field: …` and `Type::Variant`.
static MEMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\w+)(?:\.|::)(\w+)").expect("a valid pattern"));
/// `Trait: fn …`.
static OWNER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\w+): ").expect("a valid pattern"));
static DECLARED: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = "struct|enum|union|trait|type|mod|static|macro_rules!|const fn|fn|const";
    Regex::new(&format!(r"(?:^|\s)(?:{kinds}) (\w+)")).expect("a valid pattern")
});

fn all_items(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.starts_with('#')).flat_map(items).collect()
}

/// The items of a line: a list of re-exports has one for each name, so that a longer list removes nothing.
fn items(line: &str) -> Vec<String> {
    match line.split_once("pub use ").and_then(|_| line.strip_suffix('}')?.split_once('{')) {
        Some((path, names)) => {
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| format!("{path}{name}")).collect()
        }
        None => vec![line.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_reexports_are_compared_by_name() {
        assert_eq!(items("crate: pub use a::{ B, C, }"), ["crate: pub use a::B", "crate: pub use a::C"]);
        assert_eq!(items("crate: pub use a::B"), ["crate: pub use a::B"]);
        assert_eq!(items("crate: pub fn f() -> [u8; { N }]"), ["crate: pub fn f() -> [u8; { N }]"]);
    }

    #[test]
    fn an_entry_names_the_item_or_its_type_or_a_module_without_other_items() {
        let names = |item: &str| names(item, &BTreeSet::from(["a::b"])).join(" ");
        for (item, expected) in [
            ("a::b: pub struct Thing", "Thing"),
            ("a::b: #[non_exhaustive] pub enum Thing<T: Copy>", "Thing"),
            ("a::b: Thing.field: Option<Other>", "Thing::field Thing"),
            ("a::b: Thing::Variant(Other)", "Thing::Variant Thing"),
            ("a::b: Port: async fn read(&self) -> Result<Other, Error>", "Port::read Port"),
            ("a::b: impl<T: Copy> Thing<T>: #[must_use] pub const fn new(x: u8) -> Self", "Thing::new Thing"),
            ("a::b: impl From<Other> for fmt::Thing", "Thing From"),
            ("a::b: pub use inner::Thing as Renamed", "Renamed"),
            ("a::b: pub use inner::Thing", "Thing"),
            ("a::b: pub const fn f(x: u8) -> u8", "f"),
            ("a::b: pub const LIMIT: usize", "LIMIT"),
            ("a::b: pub use inner::*", "a::b"),
            ("a::c: pub fn f()", "f a::c"),
        ] {
            assert_eq!(names(item), expected, "{item}");
        }
    }

    #[test]
    fn a_quoted_path_ends_with_the_name_of_the_item() {
        assert!(covers("Thing::new", "Thing::new") && covers("a::b::Thing", "Thing"));
        assert!(!covers("Other::new", "new") && !covers("SomeThing", "Thing") && !covers("Thing::new", "Thing"));
    }
}

//! The committed console is within its size budgets, and its pages and style sheets comply with the content security policy.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use regex::Regex;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{Repository, has_extension};

const DIST: &str = "app/console/dist/";
/// The check of the console's build, which declares the budgets.
const BUDGET: &str = "app/console/scripts/size-check.mjs";
const BUILD: &str = "run `cargo xtask codegen`";

/// What a page names: extension, description, and the constant with the budget.
const BUDGETS: [(&str, &str, &str); 2] = [("js", "scripts", "LIMIT"), ("css", "style sheets", "CSS_LIMIT")];

static ASSET: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?:src|href)="/([^"]+)""#).expect("a valid pattern"));
static INLINE: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    [
        (
            Regex::new(r"<script(?:\s+(?:type|crossorigin|nonce|defer|async)(?:=\S+)?)*\s*>").expect("a valid pattern"),
            "script",
        ),
        (Regex::new(r"<style\b").expect("a valid pattern"), "style"),
        (Regex::new(r"\sstyle=").expect("a valid pattern"), "style attribute"),
        (Regex::new(r"\son[a-z]+=").expect("a valid pattern"), "event handler"),
    ]
});
static REMOTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:src|href)="((?:https?:)?//[^"]+)""#).expect("a valid pattern"));

/// What a style sheet loads from another origin.
static REMOTE_STYLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)"#).expect("a valid pattern"));

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let pages: Vec<_> = context.files.files.iter().filter(|file| file.path.starts_with(DIST) && file.is_a("html")).collect();
    if !pages.iter().any(|page| page.path.ends_with("/index.html")) {
        sheet.red(format!("{DIST} has no index.html"), context.files.nearest(DIST), BUILD);
    }
    for page in pages {
        for (pattern, what) in INLINE.iter().filter(|(pattern, _)| pattern.is_match(&page.text)) {
            let at = pattern.find(&page.text).map_or(0, |found| found.start());
            let place = format!("{}:{}", page.path, page.text[..at].matches('\n').count() + 1);
            sheet.red(
                format!("the content security policy blocks an inline {what}"),
                place,
                "move it to a file of the bundle",
            );
        }
        for found in REMOTE.captures_iter(&page.text) {
            let what = format!("the content security policy blocks {}", &found[1]);
            sheet.red(what, &page.path, "bundle the file");
        }
        for found in ASSET.captures_iter(&page.text).filter(|found| !found[1].starts_with('/')) {
            if context.files.find(&format!("{DIST}{}", &found[1])).is_none() {
                sheet.red(format!("the page names {}, which does not exist", &found[1]), &page.path, BUILD);
            }
        }
        if page.path.ends_with("/index.html") {
            budget(&context.files, &page.path, &page.text, &mut sheet)?;
        }
    }
    for file in context.files.files.iter().filter(|file| file.path.starts_with(DIST) && file.is_a("css")) {
        for found in REMOTE_STYLE.captures_iter(&file.text) {
            sheet.red(format!("the content security policy blocks {}", &found[1]), &file.path, "bundle the file");
        }
    }
    sheet.note(
        "axe runs in the browser tests (`cargo xtask test --only browser`); `generated` compares the bundle byte for byte",
    );
    Ok(sheet.outcome())
}

/// The scripts and style sheets of the first load, compressed.
fn budget(repository: &Repository, path: &str, page: &str, sheet: &mut Sheet) -> Result {
    let script = repository.text(BUDGET)?;
    for (extension, what, constant) in BUDGETS {
        let declaration = format!("const {constant} = ");
        let limit = script.lines().find_map(|line| line.strip_prefix(&declaration)?.strip_suffix(';'));
        let limit: usize = limit.ok_or(format!("{BUDGET} declares no {constant}"))?.replace('_', "").parse()?;
        let mut total = 0;
        for found in ASSET.captures_iter(page).filter(|found| has_extension(&found[1], extension)) {
            if let Some(text) = repository.find(&format!("{DIST}{}", &found[1])) {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(text.as_bytes())?;
                total += encoder.finish()?.len();
            }
        }
        if total > limit {
            let what = format!("the {what} of the first load have {total} bytes compressed; the budget is {limit}");
            sheet.red(what, path, "load a part later (`import()`), or remove a dependency");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(text: &str) -> Vec<&'static str> {
        INLINE.iter().filter(|(pattern, _)| pattern.is_match(text)).map(|(_, what)| *what).collect()
    }

    #[test]
    fn inline_code_is_found() {
        assert!(inline("<script type=\"module\" crossorigin src=\"/a.js\"></script><p class=\"on\">on=</p>").is_empty());
        assert_eq!(inline("<script>x</script>"), ["script"]);
        assert_eq!(inline("<script type=\"module\">x</script>"), ["script"]);
        assert_eq!(inline("<style>x</style><p style=\"x\" onclick=\"y\">"), ["style", "style attribute", "event handler"]);
    }

    #[test]
    fn style_sheets_that_load_from_elsewhere_are_found() {
        let remote = |text: &str| REMOTE_STYLE.captures(text).map(|found| found[1].to_owned());
        assert_eq!(remote("a{b:url('//x.example/a')}").as_deref(), Some("//x.example/a"));
        assert_eq!(remote("@import \"https://x.example/a.css\";").as_deref(), Some("https://x.example/a.css"));
        assert_eq!(remote("a{b:url(/assets/a.svg)} b{c:url(data:image/png;base64,x//y)}"), None);
    }

    #[test]
    fn the_first_load_is_within_its_budget() {
        let files = [("app/console/dist/a.js", "aaaa"), (BUDGET, "const LIMIT = 1_0;\nconst CSS_LIMIT = 10;\n")];
        let mut sheet = Sheet::default();
        budget(&Repository::of(&files), "index.html", "<script src=\"/a.js\">", &mut sheet).unwrap();
        assert!(matches!(sheet.outcome(), Outcome::Red { .. }));
    }
}

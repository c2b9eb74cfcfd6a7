//! Settings, routes, error codes, audit events, metrics and command line options are in the pages that describe them.
//!
//! The pages that depend on sources only are generated again and compared, so an item that is missing, different or no longer there
//! is found. The page of the command line is generated from the program, which this check does not build: it must name every option.
//! Public items of the crates are documented because the compiler warns otherwise (`missing_docs`, denied by `lint`).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use syn::{Expr, Fields, Item, Lit, Meta};

use crate::Result;
use crate::reference::{self, COMMAND_LINE};
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::settings::{self, DECLARATION, Declaration, EXAMPLE};
use crate::tidy::repository::Repository;

const API: &str = "openapi.json";
const ROUTES: &str = "adapters-http/axum/src/";
const COMMANDS: &str = "app/src/cli/";
const CODEGEN: &str = "run `cargo xtask codegen`";
static ROUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"#\[utoipa::path\([^)]*?\bpath = "([^"]+)""#).expect("a valid pattern"));

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (files, mut sheet) = (&context.files, Sheet::default());
    let declared = Declaration::parse(files.text(DECLARATION)?)?.keys();
    let example = settings::example_keys(files.text(EXAMPLE)?)?;
    for key in declared.iter().filter(|key| !example.contains(*key)) {
        sheet.red(format!("the setting `{key}` is missing"), EXAMPLE, "add it with its default and a comment");
    }
    let api: Value = serde_json::from_str(files.text(API)?)?;
    for route in routes(files).into_iter().filter(|route| api["paths"].get(route).is_none()) {
        sheet.red(format!("the route `{route}` is missing"), API, CODEGEN);
    }
    generated(files, &mut sheet);
    command_line(files, &mut sheet)?;
    Ok(sheet.outcome())
}

/// The pages that are generated from sources are current.
fn generated(files: &Repository, sheet: &mut Sheet) {
    for (path, page) in reference::of_sources(files) {
        match (page, files.find(&path)) {
            (Err(error), _) => {
                let what = format!("the page {path} cannot be generated: {error}");
                sheet.red(what, files.nearest(&path), format!("correct the source that the reason names, and {CODEGEN}"));
            }
            (Ok(_), None) => sheet.red(format!("the page {path} is missing"), files.nearest(&path), CODEGEN),
            (Ok(text), Some(present)) => {
                if let Some((line, what)) = difference(&text, present) {
                    // What is missing at the end has no line.
                    let last = present.lines().count();
                    let place = if last == 0 { Place::from(&path) } else { Place::line(&path, line.min(last)) };
                    sheet.red(what, place, CODEGEN);
                }
            }
        }
    }
}

/// The first line in which a page differs from what it should be.
fn difference(expected: &str, present: &str) -> Option<(usize, String)> {
    if expected == present {
        return None;
    }
    let same = expected.lines().zip(present.lines()).take_while(|(expected, present)| expected == present).count();
    let what = match (expected.lines().nth(same), present.lines().nth(same)) {
        (Some(expected), Some(_)) => format!("the line must be `{expected}`"),
        (Some(expected), None) => format!("the line `{expected}` is missing"),
        (None, Some(present)) => format!("the line `{present}` describes nothing that exists"),
        (None, None) => "the line ends differ".to_owned(),
    };
    Some((same + 1, what))
}

/// The page of the command line names every option.
fn command_line(files: &Repository, sheet: &mut Sheet) -> Result {
    let page = files.find(COMMAND_LINE);
    if page.is_none() {
        sheet.red(format!("the page {COMMAND_LINE} is missing"), files.nearest(COMMAND_LINE), CODEGEN);
    }
    for option in options(files)?.iter().filter(|option| !page.is_some_and(|page| contains(page, option))) {
        sheet.red(format!("the command line option `{option}` is missing"), files.nearest(COMMAND_LINE), CODEGEN);
    }
    Ok(())
}

/// Whether a page contains an item as a whole word.
fn contains(page: &str, item: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
    page.match_indices(item).any(|(at, _)| !page[..at].ends_with(is_part) && !page[at + item.len()..].starts_with(is_part))
}

/// The paths of the handlers.
fn routes(files: &Repository) -> BTreeSet<String> {
    let sources = files.files.iter().filter(|file| file.path.starts_with(ROUTES) && file.is_a("rs"));
    sources.flat_map(|file| ROUTE.captures_iter(&file.text).map(|found| found[1].to_owned())).collect()
}

/// The long options, from the declarations for clap.
fn options(files: &Repository) -> Result<BTreeSet<String>> {
    let mut options = BTreeSet::new();
    for file in files.files.iter().filter(|file| file.path.starts_with(COMMANDS) && file.is_a("rs")) {
        let parsed = syn::parse_file(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
        for item in &parsed.items {
            if let Item::Struct(item) = item {
                of_fields(&item.fields, &mut options);
            }
            if let Item::Enum(item) = item {
                item.variants.iter().for_each(|variant| of_fields(&variant.fields, &mut options));
            }
        }
    }
    Ok(options)
}

fn of_fields(fields: &Fields, options: &mut BTreeSet<String>) {
    for field in fields {
        let name = field.ident.as_ref().map(|name| name.to_string().replace('_', "-")).unwrap_or_default();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("arg")) {
            let metas = attribute.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated);
            for meta in metas.into_iter().flatten().filter(|meta| meta.path().is_ident("long")) {
                options.insert(format!("--{}", long(&meta).unwrap_or_else(|| name.clone())));
            }
        }
    }
}

/// The value of `long = "name"`.
fn long(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else {
        return None;
    };
    let Expr::Lit(literal) = &pair.value else {
        return None;
    };
    if let Lit::Str(text) = &literal.lit { Some(text.value()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_routes_are_read_from_the_sources() {
        let source = "#[derive(Args)] struct A { /// Text.\n#[arg(long, value_name = \"X\")] one_two: T,
            #[arg(long = \"space\", default_value = \"x\")] spaces: T, #[arg(hide = true)] rest: T }
            enum B { C { #[arg(long)] three: bool } }";
        let route = "#[utoipa::path(get, path = \"/api/x\", tag = \"y\")] fn x() {}";
        let files = Repository::of(&[("app/src/cli/a.rs", source), ("adapters-http/axum/src/a.rs", route)]);
        assert!(options(&files).unwrap().iter().map(String::as_str).eq(["--one-two", "--space", "--three"]));
        assert!(routes(&files).iter().map(String::as_str).eq(["/api/x"]));
    }

    #[test]
    fn an_item_is_a_whole_word_of_a_page() {
        assert!(contains("| `--force` |", "--force") && !contains("`--force-all`", "--force"));
    }

    #[test]
    fn a_page_must_be_what_the_sources_describe() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let of = |present: &str| difference("a\nb\n", present).unwrap();
        assert_eq!(of("a\nx\n"), (2, "the line must be `b`".to_owned()));
        assert_eq!(of("a\n"), (2, "the line `b` is missing".to_owned()));
        assert_eq!(of("a\nb\nc\n"), (3, "the line `c` describes nothing that exists".to_owned()));
        assert_eq!(of("a\nb"), (3, "the line ends differ".to_owned()));
    }

    #[test]
    fn an_option_that_no_page_names_is_found() {
        let source = "struct A { #[arg(long)] planted: bool }";
        let outcome = |files: &[(&str, &str)]| {
            let mut sheet = Sheet::default();
            command_line(&Repository::of(files), &mut sheet).unwrap();
            sheet.outcome()
        };
        let page = (COMMAND_LINE, "`--planted`");
        assert!(matches!(outcome(&[("app/src/cli/a.rs", source), page]), Outcome::Green { .. }));
        for files in [&[("app/src/cli/a.rs", source), (COMMAND_LINE, "`--other`")][..], &[("app/src/cli/a.rs", "")][..]] {
            assert!(matches!(outcome(files), Outcome::Red { .. }));
        }
    }
}

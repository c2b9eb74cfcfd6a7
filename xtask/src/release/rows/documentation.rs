//! Settings, routes, error codes and command line options are in the pages that describe them.
//!
//! Public items of the crates are documented because the compiler warns otherwise (`missing_docs`, denied by `lint`).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use syn::{Expr, Fields, Item, Lit, Meta};

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::settings::{self, DECLARATION, Declaration, EXAMPLE};
use crate::tidy::repository::{Repository, has_extension};

const API: &str = "openapi.json";
const ROUTES: &str = "adapters-http/axum/src/";
const COMMANDS: &str = "app/src/cli/";
/// The folder of the reference pages. A kind of item is compared once a page for it exists there.
const REFERENCE: &str = "docs/reference/";

static ROUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"#\[utoipa::path\([^)]*?\bpath = "([^"]+)""#).expect("a valid pattern"));

/// A kind of item, and parts of the names of the pages that list it.
struct Kind {
    name: &'static str,
    pages: &'static [&'static str],
}

const SETTINGS: Kind = Kind { name: "setting", pages: &["setting", "configuration"] };
const OPERATIONS: Kind = Kind { name: "route", pages: &["http", "api", "route"] };
const CODES: Kind = Kind { name: "error code", pages: &["error", "http", "api"] };
const OPTIONS: Kind = Kind { name: "command line option", pages: &["command", "cli"] };

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (files, mut sheet) = (&context.files, Sheet::default());
    let declared = Declaration::parse(files.text(DECLARATION)?)?.keys();
    let example = settings::example_keys(files.text(EXAMPLE)?)?;
    for key in declared.iter().filter(|key| !example.contains(*key)) {
        sheet.red(format!("the setting `{key}` is missing"), EXAMPLE, "add it with its default and a comment");
    }
    let api: Value = serde_json::from_str(files.text(API)?)?;
    for route in routes(files).into_iter().filter(|route| api["paths"].get(route).is_none()) {
        sheet.red(format!("the route `{route}` is missing"), API, "run `cargo xtask codegen`");
    }
    in_pages(files, &SETTINGS, &declared, &mut sheet);
    in_pages(files, &OPERATIONS, &operations(&api), &mut sheet);
    in_pages(files, &CODES, &codes(&api), &mut sheet);
    in_pages(files, &OPTIONS, &options(files)?, &mut sheet);
    Ok(sheet.outcome())
}

/// Every item is in one of the pages of its kind.
fn in_pages(files: &Repository, kind: &Kind, items: &BTreeSet<String>, sheet: &mut Sheet) {
    let is_page = |path: &str| {
        path.strip_prefix(REFERENCE)
            .is_some_and(|name| has_extension(name, "md") && kind.pages.iter().any(|part| name.contains(part)))
    };
    let pages: Vec<_> = files.files.iter().filter(|file| is_page(&file.path)).collect();
    let Some(first) = pages.first() else {
        return sheet.note(format!("no page of {REFERENCE} lists each {}, so {} were not compared", kind.name, items.len()));
    };
    for item in items.iter().filter(|item| !pages.iter().any(|page| contains(&page.text, item))) {
        sheet.red(
            format!("the {} `{item}` is missing", kind.name),
            &first.path,
            "add it, or run the command that writes the page",
        );
    }
}

/// Whether a page contains an item as a whole word. A page may list a setting below the heading of its section.
fn contains(page: &str, item: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || "_-/{}".contains(letter);
    let whole = |needle: &str| {
        page.match_indices(needle)
            .any(|(at, _)| !page[..at].ends_with(is_part) && !page[at + needle.len()..].starts_with(is_part))
    };
    whole(item) || item.rsplit_once('.').is_some_and(|(section, key)| whole(section) && whole(key))
}

/// The paths of the handlers.
fn routes(files: &Repository) -> BTreeSet<String> {
    let sources = files.files.iter().filter(|file| file.path.starts_with(ROUTES) && file.is_a("rs"));
    sources.flat_map(|file| ROUTE.captures_iter(&file.text).map(|found| found[1].to_owned())).collect()
}

/// The paths of the default space.
fn operations(api: &Value) -> BTreeSet<String> {
    let paths = api["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone());
    paths.filter(|path| !path.starts_with("/s/")).collect()
}

fn codes(api: &Value) -> BTreeSet<String> {
    let codes = &api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    codes.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
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
        assert!(contains("| `forbidden` |", "forbidden") && !contains("`forbidden_x`", "forbidden"));
        assert!(contains("## `[oauth]`\n`flow_ttl`", "oauth.flow_ttl") && !contains("`flow_ttl`", "oauth.flow_ttl"));
        assert!(!contains("/api/x/{id}", "/api/x"));
    }

    #[test]
    fn items_are_compared_once_a_page_for_them_exists() {
        let items = BTreeSet::from(["not_found".to_owned(), "conflict".to_owned()]);
        let outcome = |files: &[(&str, &str)]| {
            let mut sheet = Sheet::default();
            in_pages(&Repository::of(files), &CODES, &items, &mut sheet);
            sheet.outcome()
        };
        assert!(matches!(outcome(&[]), Outcome::Green { notes } if notes.len() == 1));
        let Outcome::Red { findings, .. } = outcome(&[("docs/reference/errors.md", "`not_found`")]) else {
            panic!("not red")
        };
        assert_eq!(findings[0].what, "the error code `conflict` is missing");
        assert_eq!(findings.len(), 1);
    }
}

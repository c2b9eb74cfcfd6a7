//! The list of checks, one module per row.

pub(crate) mod advisories;
mod changelog;
mod configuration;
mod coverage;
mod documentation;
mod flakes;
mod front_end;
mod http_api;
mod licences;
mod migrations;
mod minimal_versions;
mod msrv;
mod packages;
mod profiles;
mod public_api;
mod publish;
mod reproducibility;
mod sealed_records;
mod speed;
mod spelling;
mod suites;
mod texts;
pub(crate) mod tools;
mod unused;

use super::row::Cost::{Fast, Slow};
use super::row::Row;

/// All checks, in the order in which they run: the fast ones first.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "documentation",
        cost: Fast,
        about: "settings, routes, error codes and options are in the pages that describe them",
        run: documentation::run,
    },
    Row {
        name: "configuration",
        cost: Fast,
        about: "the changelog mentions each setting that was added or removed",
        run: configuration::run,
    },
    Row {
        name: "http-api",
        cost: Fast,
        about: "openapi.json has no breaking change without an entry and a version",
        run: http_api::run,
    },
    Row {
        name: "public-api",
        cost: Fast,
        about: "the text of the public items of each library is current, and loses nothing without an entry",
        run: public_api::run,
    },
    Row {
        name: "sealed-records",
        cost: Fast,
        about: "the registry of record types matches the code, and changes only with a new version",
        run: sealed_records::run,
    },
    Row {
        name: "migrations",
        cost: Fast,
        about: "no applied migration was edited, and the previous release can run beside new ones",
        run: migrations::run,
    },
    Row { name: "texts", cost: Fast, about: "texts are complete in each language and in sentence case", run: texts::run },
    Row { name: "packages", cost: Fast, about: "contents, versions and order of publication", run: packages::run },
    Row {
        name: "front-end",
        cost: Fast,
        about: "size budget and content security policy of the console",
        run: front_end::run,
    },
    Row { name: "changelog", cost: Fast, about: "every changed area has an entry with a label", run: changelog::run },
    Row {
        name: "profiles",
        cost: Fast,
        about: "no profile is past its sunset or not verified for a year",
        run: profiles::run,
    },
    Row {
        name: "licences",
        cost: Fast,
        about: "licences, bans and sources of dependencies, by deny.toml",
        run: licences::run,
    },
    Row {
        name: advisories::NAME,
        cost: Fast,
        about: "no crate has an advisory in a copy of the database of the last 90 days",
        run: advisories::run,
    },
    Row { name: "unused", cost: Fast, about: "every declared dependency is used", run: unused::run },
    Row { name: "spelling", cost: Fast, about: "words of CONTRIBUTING.md, and common misspellings", run: spelling::run },
    Row {
        name: "suites",
        cost: Slow,
        about: "format, lint, documentation examples, and tests in TypeScript, Python and browsers",
        run: suites::run,
    },
    Row { name: "publish", cost: Slow, about: "cargo and npm accept every published package", run: publish::run },
    Row { name: "generated", cost: Slow, about: "generated files are current byte for byte", run: tools::generated },
    Row {
        name: tools::RUST_API,
        cost: Slow,
        about: "no breaking change of a crate since the last release",
        run: tools::rust_api,
    },
    Row {
        name: "builds",
        cost: Slow,
        about: "every feature alone, all together, and the documentation",
        run: tools::builds,
    },
    Row {
        name: "msrv",
        cost: Slow,
        about: "one lowest version of Rust for all crates and documents, which a build shows",
        run: msrv::run,
    },
    Row {
        name: "minimal-versions",
        cost: Slow,
        about: "published crates build with the lowest versions of their dependencies",
        run: minimal_versions::run,
    },
    Row { name: "tests", cost: Slow, about: "a test executes changed lines of each changed source", run: coverage::run },
    Row { name: "flakes", cost: Slow, about: "new and changed tests pass 50 times in random order", run: flakes::run },
    Row { name: "reproducibility", cost: Slow, about: "two builds in two folders are equal", run: reproducibility::run },
    Row { name: "speed", cost: Slow, about: "no ratio of the benchmark is worse than at the base", run: speed::run },
];

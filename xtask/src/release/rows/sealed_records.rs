//! The committed registry of record types matches the code, and changes only with a new payload version.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::release::sealed_code::{self, PAYLOADS, SEALER, Sealed};

const FILE: &str = "docs/security/record-types.toml";
const NEW_VERSION: &str = "raise `PAYLOAD_VERSION` in domain/src/authorization/sealed.rs, keep reading the version before, and change \
    `writes` and `reads` in docs/security/record-types.toml";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    /// The payload version that is written.
    writes: u64,
    /// The payload versions that are read.
    reads: BTreeSet<u64>,
    record: Vec<RecordType>,
    payload: Vec<Payload>,
    #[serde(default)]
    retired: Vec<Retired>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordType {
    name: String,
    byte: u64,
    /// Tags of the associated data.
    associated: BTreeSet<u64>,
    /// The name of the payload.
    payload: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    name: String,
    fields: BTreeSet<String>,
}

/// A record type that is not written any more. Its name and byte are not used again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    name: String,
    byte: u64,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let registry = parse(context.files.text(FILE)?)?;
    against_code(&registry, &sealed_code::read(&context.files)?, &mut sheet);
    match (context.base(), context.base_text(FILE)?) {
        (Err(reason), _) => sheet.note(format!("not compared with a base: {reason}")),
        (Ok(_), None) => sheet.note(format!("not compared with the base, which has no {FILE}")),
        (Ok(_), Some(base)) => against_base(&registry, &parse(&base)?, context.has_release(), &mut sheet),
    }
    Ok(sheet.outcome())
}

fn parse(text: &str) -> Result<Registry> {
    toml::from_str(text).map_err(|error| format!("{FILE}: {error}").into())
}

fn against_code(registry: &Registry, code: &Sealed, sheet: &mut Sheet) {
    if registry.writes != code.writes {
        let what = format!("`writes` is {} and PAYLOAD_VERSION is {}", registry.writes, code.writes);
        sheet.red(what, FILE, "set `writes` to the version of the code");
    }
    if !registry.reads.contains(&registry.writes) {
        sheet.red("`reads` does not contain `writes`", FILE, "add the version to `reads`");
    }
    for bypass in &code.bypasses {
        let mend = "pass `PAYLOAD_VERSION` to `seal`, and the version of the envelope to `decode`";
        sheet.red(format!("the use cases call {bypass}"), SEALER, mend);
    }
    for payload in &registry.payload {
        versions(&registry.reads, code.reads.get(&payload.name), &payload.name, sheet);
    }
    let listed: BTreeSet<_> = registry.record.iter().map(|record| record.name.as_str()).collect();
    for name in code.types.keys().filter(|name| !listed.contains(name.as_str())) {
        sheet.red(format!("the record type `{name}` of the code is not listed"), FILE, "add a [[record]]");
    }
    for RecordType { name, byte, associated, payload } in &registry.record {
        if code.types.get(name) != Some(byte) {
            sheet.red(
                format!("`{name}` has another byte in the code, or none"),
                FILE,
                "a removed type moves to [[retired]]",
            );
        }
        if code.associated.get(name) != Some(associated) {
            let found = code.associated.get(name).cloned().unwrap_or_default();
            sheet.red(format!("the associated data of `{name}` in the code has the tags {found:?}"), FILE, NEW_VERSION);
        }
        if !registry.payload.iter().any(|listed| listed.name == *payload) {
            sheet.red(format!("the payload `{payload}` of `{name}` is not listed"), FILE, "add a [[payload]]");
        }
    }
    for Payload { name, fields } in &registry.payload {
        let found = code.payloads.get(name).cloned().unwrap_or_default();
        let differing: Vec<_> = found.symmetric_difference(fields).cloned().collect();
        if !differing.is_empty() {
            let what = format!("the fields of `{name}` in the code differ: {}", differing.join(", "));
            sheet.red(what, FILE, NEW_VERSION);
        }
    }
    for Retired { name, byte } in &registry.retired {
        let used = registry.record.iter().any(|record| record.byte == *byte || record.name == *name);
        if used {
            sheet.red(format!("the retired type `{name}` ({byte}) is used again"), FILE, "choose a new name and a new byte");
        }
    }
}

/// The versions that the registry lists are those that `decode` of a payload accepts.
fn versions(listed: &BTreeSet<u64>, code: Option<&BTreeSet<u64>>, name: &str, sheet: &mut Sheet) {
    let none = BTreeSet::new();
    let code = code.unwrap_or(&none);
    if code.is_empty() {
        let what = format!("no check of the versions that `{name}::decode` accepts was found");
        sheet.red(what, PAYLOADS, "begin it with `known(version)?;`, and let `known` compare with each version by `==`");
        return;
    }
    for version in listed.difference(code) {
        let what = format!("`reads` contains {version}, and `{name}::decode` does not accept it");
        sheet.red(what, FILE, "remove the version from `reads`, or accept it in the code");
    }
    for version in code.difference(listed) {
        let what = format!("`{name}::decode` accepts version {version}, and `reads` does not contain it");
        sheet.red(what, FILE, "add the version to `reads`");
    }
}

fn against_base(now: &Registry, base: &Registry, released: bool, sheet: &mut Sheet) {
    let same_version = now.writes == base.writes;
    for old in &base.record {
        match now.record.iter().find(|record| record.name == old.name) {
            Some(record) if record != old && same_version => {
                sheet.red(format!("`{}` changed without a new version", old.name), FILE, NEW_VERSION);
            }
            None if !now.retired.iter().any(|retired| retired.name == old.name && retired.byte == old.byte) => {
                let mend = format!("add `[[retired]]` with the name and byte {}", old.byte);
                sheet.red(format!("`{}` was removed and is not in the retired list", old.name), FILE, mend);
            }
            Some(_) | None => {}
        }
    }
    for old in &base.payload {
        let changed = now.payload.iter().any(|payload| payload.name == old.name && payload != old);
        if changed && same_version {
            sheet.red(format!("the fields of `{}` changed without a new version", old.name), FILE, NEW_VERSION);
        }
    }
    if !now.reads.contains(&base.writes) {
        let what = format!("version {}, which the base writes, is not read any more", base.writes);
        if released {
            sheet.red(what, FILE, "keep reading the version that the previous release writes");
        } else {
            sheet.note(format!("{what}; nothing is released yet"));
        }
    }
    if !base.reads.contains(&now.writes) {
        let what = format!("version {} is written, and the base cannot read it", now.writes);
        if released {
            sheet.red(what, FILE, "release in two steps: first a release that reads the version, then one that writes it");
        } else {
            sheet.note(format!("{what}; nothing is released yet"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "writes = 1\nreads = [1]\n[[record]]\nname = 'Flow'\nbyte = 1\nassociated = [1]\npayload = 'P'\n\
        [[payload]]\nname = 'P'\nfields = ['01 bytes']\n";

    fn whats(check: impl FnOnce(&mut Sheet)) -> Vec<String> {
        let mut sheet = Sheet::default();
        check(&mut sheet);
        match sheet.outcome() {
            Outcome::Red { findings, .. } => findings.into_iter().map(|finding| finding.what).collect(),
            Outcome::Green { notes } => notes.into_iter().map(|note| format!("note: {note}")).collect(),
            Outcome::Skipped(reason) => vec![reason],
        }
    }

    fn changed(released: bool, from: &str, to: &str) -> Vec<String> {
        let (base, now) = (parse(TEXT).unwrap(), parse(&TEXT.replace(from, to)).unwrap());
        whats(|sheet| against_base(&now, &base, released, sheet))
    }

    #[test]
    fn a_change_requires_a_new_version() {
        assert_eq!(changed(true, "associated = [1]", "associated = [1, 2]"), ["`Flow` changed without a new version"]);
        assert_eq!(changed(true, "01 bytes", "01 text"), ["the fields of `P` changed without a new version"]);
        assert_eq!(changed(true, "byte = 1", "byte = 1"), Vec::<String>::new());
    }

    #[test]
    fn a_version_is_read_by_a_release_before_it_is_written() {
        let both = |text: &str| text.replace("writes = 1\nreads = [1]", "writes = 2\nreads = [1, 2]");
        let (base, now) = (parse(TEXT).unwrap(), parse(&both(TEXT)).unwrap());
        let found = whats(|sheet| against_base(&now, &base, true, sheet));
        assert_eq!(found, ["version 2 is written, and the base cannot read it"]);
        let found = whats(|sheet| against_base(&now, &base, false, sheet));
        assert_eq!(found, ["note: version 2 is written, and the base cannot read it; nothing is released yet"]);
    }

    #[test]
    fn what_the_base_writes_is_read() {
        let now = TEXT.replace("writes = 1\nreads = [1]", "writes = 2\nreads = [2]");
        let base = TEXT.replace("reads = [1]", "reads = [1, 2]");
        let found = whats(|sheet| against_base(&parse(&now).unwrap(), &parse(&base).unwrap(), true, sheet));
        assert_eq!(found, ["version 1, which the base writes, is not read any more"]);
    }

    #[test]
    fn the_versions_of_the_registry_are_those_of_the_code() {
        let found = |listed: &[u64], code: &[u64]| {
            let (listed, code) = (listed.iter().copied().collect(), code.iter().copied().collect());
            whats(|sheet| versions(&listed, Some(&code), "P", sheet))
        };
        assert_eq!(found(&[1], &[1]), Vec::<String>::new());
        assert_eq!(found(&[1, 2], &[1]), ["`reads` contains 2, and `P::decode` does not accept it"]);
        assert_eq!(found(&[1], &[1, 2]), ["`P::decode` accepts version 2, and `reads` does not contain it"]);
        assert_eq!(found(&[1], &[]), ["no check of the versions that `P::decode` accepts was found"]);
    }

    #[test]
    fn a_removed_type_is_retired_and_not_used_again() {
        let removed = "name = 'Other'\nbyte = 2";
        let found = changed(true, "name = 'Flow'\nbyte = 1", removed);
        assert_eq!(found, ["`Flow` was removed and is not in the retired list"]);
        let with_retired = format!("{TEXT}[[retired]]\nname = 'Old'\nbyte = 1\n");
        let code = Sealed { writes: 1, types: [("Flow".to_owned(), 1)].into(), ..Sealed::default() };
        let found = whats(|sheet| against_code(&parse(&with_retired).unwrap(), &code, sheet));
        assert!(found.contains(&"the retired type `Old` (1) is used again".to_owned()), "{found:?}");
    }
}

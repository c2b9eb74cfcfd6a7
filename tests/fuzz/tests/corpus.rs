//! Every target runs over its corpus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use grantry_fuzz::{TARGETS, Target};

/// The inputs of a target, in the order of their names.
fn inputs(target: &Target) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(target.corpus()).unwrap_or_else(|_| panic!("{} has no corpus", target.name));
    let mut inputs: Vec<_> = folder.map(|entry| entry.expect("an entry of the folder").path()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_target_holds_for_its_corpus() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for input in inputs {
            let data = std::fs::read(&input).unwrap();
            assert!(data.len() <= target.longest, "{} is too long", input.display());
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
                failed.push(input);
            }
        }
        (target.run)(b"");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "{name}");
    }
}

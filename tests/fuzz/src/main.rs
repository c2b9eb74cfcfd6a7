//! Runs one fuzz target with libFuzzer. `FUZZ_TARGET` names it; without it, the targets are listed. For `cargo xtask fuzz`.

#![no_main]
#![expect(clippy::print_stdout, reason = "the list is the output of the program")]

use std::sync::LazyLock;

use grantry_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Option<&Target>> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").ok()?;
    Some(TARGETS.iter().find(|target| target.name == name).expect("FUZZ_TARGET names a target"))
});

libfuzzer_sys::fuzz_target!(
    init: {
        if TARGET.is_none() {
            for target in TARGETS {
                println!("{} {}", target.name, target.longest);
            }
            std::process::exit(0);
        }
    },
    |data: &[u8]| {
        if let Some(target) = *TARGET {
            (target.run)(data);
        }
    }
);

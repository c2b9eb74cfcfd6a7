//! Which version number a breaking change requires (Semantic Versioning 2.0.0).

use cargo_metadata::semver::Version;

use crate::Result;

/// Whether a step from `old` to `new` may contain breaking changes: a new major version or, before 1.0.0, a new minor one.
pub(crate) fn may_break(old: &Version, new: &Version) -> bool {
    new.major > old.major || new.major == 0 && old.major == 0 && new.minor > old.minor
}

/// Reads a version; the error names what contains it.
pub(crate) fn parse(what: &str, text: &str) -> Result<Version> {
    Version::parse(text).map_err(|error| format!("{what}: `{text}` is not a version: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaking_changes_require_a_step() {
        let step = |old: &str, new: &str| may_break(&Version::parse(old).unwrap(), &Version::parse(new).unwrap());
        for (old, new) in [("0.1.0", "0.2.0"), ("1.1.0", "2.0.0"), ("0.9.0", "1.0.0")] {
            assert!(step(old, new), "{old} to {new}");
        }
        for (old, new) in [("0.1.0", "0.1.0"), ("0.1.0", "0.1.1"), ("1.1.0", "1.2.0"), ("2.0.0", "1.0.0")] {
            assert!(!step(old, new), "{old} to {new}");
        }
    }
}

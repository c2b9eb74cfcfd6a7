//! What must hold before a release is built.

use std::collections::BTreeSet;

use cargo_metadata::semver::Version;
use xshell::cmd;

use crate::Result;
use crate::release::changelog_file::{self, Changelog};
use crate::release::context::Context;
use crate::release::{manifests, versions};

/// Fails with everything that is in the way: uncommitted changes, a tag that exists, a version that does not fit the changes.
pub(super) fn check(context: &Context, version: &Version) -> Result {
    let sh = context.shell()?;
    let mut reasons = Vec::new();
    let changes = cmd!(sh, "git status --porcelain").quiet().read()?;
    if !changes.is_empty() {
        reasons.push(format!("there are uncommitted changes; commit or remove them:\n{changes}"));
    }
    let tags: BTreeSet<_> = cmd!(sh, "git tag --list v*").quiet().read()?.lines().map(str::to_owned).collect();
    if tags.contains(&format!("v{version}")) {
        reasons.push(format!("the tag v{version} exists; choose another version"));
    }
    let last = tags.iter().filter_map(|tag| Version::parse(tag.strip_prefix('v')?).ok()).max();
    let current = versions::parse("Cargo.toml", &manifests::version(&context.files)?)?;
    let changelog = Changelog::parse(context.files.text(changelog_file::FILE)?);
    let labels: BTreeSet<_> = changelog.unreleased().iter().map(|entry| entry.label.as_str()).collect();
    reasons.extend(unfit(last.as_ref(), &current, &labels, version));
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n").into()) }
}

/// Why a version does not fit the entries since the last release.
///
/// A breaking change requires a new major version or, before 1.0.0, a new minor one; a feature requires a new minor version
/// from 1.0.0 on (Semantic Versioning 2.0.0).
fn unfit(last: Option<&Version>, current: &Version, labels: &BTreeSet<&str>, new: &Version) -> Option<String> {
    if labels.is_empty() {
        return Some(format!("{} has no entry since the last release", changelog_file::FILE));
    }
    if !new.build.is_empty() {
        return Some(format!("{new} has build metadata, which registries do not accept"));
    }
    if new < current {
        return Some(format!("{new} is lower than {current}, the version in Cargo.toml"));
    }
    let last = last?;
    if new <= last {
        return Some(format!("{new} is not higher than {last}, the last release"));
    }
    let may_break = versions::may_break(last, new);
    if labels.contains("breaking") && !may_break {
        return Some(format!("there are breaking changes since {last}, which {new} does not permit"));
    }
    let may_add = may_break || new.minor > last.minor || new.major == 0;
    if labels.contains("feature") && !may_add {
        return Some(format!("there are new features since {last}, so {new} must raise the minor version"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(last: Option<&str>, labels: &[&str], new: &str) -> Option<String> {
        let version = |text: &str| Version::parse(text).unwrap();
        let current = version(last.unwrap_or("0.1.0"));
        unfit(last.map(version).as_ref(), &current, &labels.iter().copied().collect(), &version(new))
    }

    #[test]
    fn a_version_fits_the_changes() {
        for (last, label, new) in [
            (None, "breaking", "0.1.0"),
            (Some("0.1.0"), "breaking", "0.2.0"),
            (Some("0.1.0"), "feature", "0.1.1"),
            (Some("1.1.0"), "feature", "1.2.0"),
            (Some("1.1.0"), "fix", "1.1.1"),
            (Some("1.1.0"), "breaking", "2.0.0-rc.1"),
        ] {
            assert_eq!(reason(last, &[label], new), None, "{last:?} {label} {new}");
        }
    }

    #[test]
    fn a_version_that_does_not_fit_is_refused() {
        for (last, labels, new, expected) in [
            (None, &[][..], "0.1.0", "no entry"),
            (None, &["fix"][..], "0.0.9", "lower than 0.1.0"),
            (Some("0.1.0"), &["fix"][..], "0.1.0", "not higher than 0.1.0"),
            (Some("0.1.0"), &["breaking"][..], "0.1.1", "does not permit"),
            (Some("1.1.0"), &["breaking"][..], "1.2.0", "does not permit"),
            (Some("1.1.0"), &["feature"][..], "1.1.1", "raise the minor version"),
            (Some("0.1.0"), &["fix"][..], "0.1.1+a", "build metadata"),
        ] {
            let reason = reason(last, labels, new).unwrap();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}

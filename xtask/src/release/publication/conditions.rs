//! What must hold before a release is built.

use std::collections::BTreeSet;

use cargo_metadata::semver::Version;
use xshell::{Shell, cmd};

use crate::release::changelog_file::{self, Changelog};
use crate::release::context::Context;
use crate::release::versions;
use crate::setup::tools;
use crate::{Result, manifests};

/// Fails with everything that is in the way: what is missing, and a version that does not fit the changes.
pub(super) fn check(context: &Context, version: &Version) -> Result {
    let sh = context.shell()?;
    let mut reasons = repository(&sh)?;
    reasons.extend(tools::CYCLONEDX.require(&sh).err());
    reasons.extend(version_reasons(context, &sh, version)?);
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n").into()) }
}

/// What is in the way in the repository itself.
pub(super) fn repository(sh: &Shell) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    let changes = cmd!(sh, "git status --porcelain").quiet().read()?;
    if !changes.is_empty() {
        reasons.push(format!("there are uncommitted changes; commit or remove them:\n{changes}"));
    }
    if cmd!(sh, "git symbolic-ref --quiet HEAD").quiet().ignore_stdout().run().is_err() {
        reasons.push("no branch is checked out; run `git switch BRANCH`".to_owned());
    }
    if cmd!(sh, "git var GIT_COMMITTER_IDENT").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        reasons.push("git has no author; set `user.name` and `user.email`".to_owned());
    }
    Ok(reasons)
}

/// Why this version cannot be released now.
pub(super) fn version_reasons(context: &Context, sh: &Shell, version: &Version) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    let all = cmd!(sh, "git tag --list v*").quiet().read()?;
    if all.lines().any(|tag| tag == format!("v{version}")) {
        reasons.push(format!("the tag v{version} exists; choose another version"));
    }
    // Another branch can have higher versions.
    let merged = cmd!(sh, "git tag --list v* --merged HEAD").quiet().read()?;
    let released: BTreeSet<_> = merged.lines().filter_map(|tag| Version::parse(tag.strip_prefix('v')?).ok()).collect();
    let current = versions::parse("Cargo.toml", &manifests::version(&context.files)?)?;
    let changelog = Changelog::parse(context.files.text(changelog_file::FILE)?);
    let labels: BTreeSet<_> = changelog.unreleased().iter().map(|entry| entry.label.as_str()).collect();
    reasons.extend(unfit(&released, &current, &labels, version));
    Ok(reasons)
}

/// Why a version does not fit the entries since the last release.
///
/// A breaking change requires a new major version or, before 1.0.0, a new minor one; a feature requires a new minor version
/// from 1.0.0 on (Semantic Versioning 2.0.0). A candidate of a version, such as 2.0.0-rc.1, is no release in this sense.
fn unfit(released: &BTreeSet<Version>, current: &Version, labels: &BTreeSet<&str>, new: &Version) -> Option<String> {
    let last_of_all = released.last();
    let is_final = last_of_all.is_some_and(|last| !last.pre.is_empty() && new.pre.is_empty() && last < new);
    if labels.is_empty() && !is_final {
        return Some(format!("{} has no entry since the last release", changelog_file::FILE));
    }
    if !new.build.is_empty() {
        return Some(format!("{new} has build metadata, which registries do not accept"));
    }
    if new < current {
        return Some(format!("{new} is lower than {current}, the version in Cargo.toml"));
    }
    if let Some(last) = last_of_all.filter(|last| new <= last) {
        return Some(format!("{new} is not higher than {last}, the last release"));
    }
    let last = released.iter().rfind(|version| version.pre.is_empty())?;
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

    fn reason(released: &[&str], labels: &[&str], new: &str) -> Option<String> {
        let version = |text: &&str| Version::parse(text).unwrap();
        let current = version(released.last().unwrap_or(&"0.1.0"));
        unfit(&released.iter().map(version).collect(), &current, &labels.iter().copied().collect(), &version(&new))
    }

    #[test]
    fn a_version_fits_the_changes() {
        for (released, label, new) in [
            (&[][..], "breaking", "0.1.0"),
            (&["0.1.0"][..], "breaking", "0.2.0"),
            (&["0.1.0"][..], "feature", "0.1.1"),
            (&["1.1.0"][..], "feature", "1.2.0"),
            (&["1.1.0"][..], "fix", "1.1.1"),
            (&["1.1.0"][..], "breaking", "2.0.0-rc.1"),
            (&["1.1.0", "2.0.0-rc.1"][..], "breaking", "2.0.0"),
        ] {
            assert_eq!(reason(released, &[label], new), None, "{released:?} {label} {new}");
        }
        assert_eq!(reason(&["1.1.0", "1.2.0-rc.1"], &[], "1.2.0"), None);
    }

    #[test]
    fn a_version_that_does_not_fit_is_refused() {
        for (released, labels, new, expected) in [
            (&[][..], &[][..], "0.1.0", "no entry"),
            (&["0.1.0"][..], &[][..], "0.1.1", "no entry"),
            (&[][..], &["fix"][..], "0.0.9", "lower than 0.1.0"),
            (&["0.1.0"][..], &["fix"][..], "0.1.0", "not higher than 0.1.0"),
            (&["0.1.0"][..], &["breaking"][..], "0.1.1", "does not permit"),
            (&["1.1.0"][..], &["breaking"][..], "1.2.0", "does not permit"),
            (&["1.1.0"][..], &["feature"][..], "1.1.1", "raise the minor version"),
            (&["0.1.0"][..], &["fix"][..], "0.1.1+a", "build metadata"),
        ] {
            let reason = reason(released, labels, new).unwrap();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}

//! What a state is compared with: the last tag, or the commit of a committed file until there is a tag.

use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::Result;

/// The file that names the commit.
pub(crate) const FILE: &str = "xtask/release-base.toml";

/// A state that is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// A tag, or the hash of a commit.
    pub(crate) revision: String,
    /// Whether it is a release. Until there is one, breaking changes need a changelog entry and do not fail.
    pub(crate) is_release: bool,
    /// A commit from which on each commit needs an entry in the changelog. Earlier ones were not written for this rule. `None`: from
    /// the base on.
    pub(crate) changelog: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    commit: String,
    reason: String,
    changelog_base: Option<String>,
}

/// The base of the current directory, which is `revision` if one is given, or the reason why there is none.
pub(crate) fn find(sh: &Shell, revision: Option<&str>) -> Result<std::result::Result<Base, String>> {
    // Not below another repository: a source archive can be unpacked anywhere.
    if !sh.path_exists(".git") {
        return Ok(Err("this folder has no git history, so there is no base to compare with".to_owned()));
    }
    let tag = || cmd!(sh, "git describe --tags --abbrev=0 --match v[0-9]*").quiet().ignore_stderr().read();
    let Document { commit, changelog_base, .. } = parse(&sh.read_file(FILE)?)?;
    let base = match revision {
        Some(revision) => Base { revision: revision.to_owned(), is_release: false, changelog: changelog_base },
        None => match tag() {
            Ok(tag) => Base { revision: tag, is_release: true, changelog: changelog_base },
            Err(_) => Base { revision: commit, is_release: false, changelog: changelog_base },
        },
    };
    let exists = |revision: &&String| {
        let object = format!("{revision}^{{commit}}");
        cmd!(sh, "git cat-file -e {object}").quiet().ignore_stderr().run().is_ok()
    };
    let missing = [Some(&base.revision), base.changelog.as_ref()].into_iter().flatten().find(|revision| !exists(revision));
    Ok(match missing {
        Some(missing) => Err(format!("the base {missing} is not in this clone: run `git fetch --unshallow --tags`")),
        None => Ok(base),
    })
}

fn parse(text: &str) -> Result<Document> {
    let document: Document = toml::from_str(text).map_err(|error| format!("{FILE}: {error}"))?;
    for (key, commit) in [("commit", Some(&document.commit)), ("changelog_base", document.changelog_base.as_ref())] {
        let is_hash = |commit: &&String| commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
        if commit.is_some_and(|commit| !is_hash(&commit)) {
            return Err(format!("{FILE}: `{key}` is not the whole hash of a commit").into());
        }
    }
    if document.reason.trim().is_empty() {
        return Err(format!("{FILE}: `reason` is empty").into());
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_a_commit_with_a_reason() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(parse(&format!("commit = '{commit}'\nreason = 'first'")).unwrap().commit, commit);
        for text in [
            "commit = 'main'\nreason = 'first'".to_owned(),
            format!("commit = '{commit}'"),
            format!("commit = '{commit}'\nreason = ' '"),
            format!("commit = '{commit}'\nreason = 'first'\ntag = 'v1'"),
            format!("commit = '{commit}'\nreason = 'first'\nchangelog_base = 'main'"),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_without_history_has_no_base() {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path());
        assert!(find(&sh, None).unwrap().is_err());
    }
}

//! What a check reads: the files of one repository folder, and the state that it is compared with.

use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use xshell::{Shell, cmd};

use super::base::{self, Base};
use crate::Result;
use crate::tidy::repository::Repository;

/// One repository folder. Every check takes it as a parameter, so that a test can check another folder than its workspace.
pub(crate) struct Context {
    root: PathBuf,
    /// The text files that git tracks or would add.
    pub(crate) files: Repository,
    base: std::result::Result<Base, String>,
    /// The day on which the check runs, in UTC.
    pub(crate) today: Date,
}

impl Context {
    /// Reads a folder, which is compared with a revision if one is given. Fails if its base file is invalid.
    pub(crate) fn open(root: &Path, revision: Option<&str>) -> Result<Self> {
        let sh = shell_in(root)?;
        Ok(Self {
            root: root.to_owned(),
            files: Repository::read(&sh)?,
            base: base::find(&sh, revision)?,
            today: Timestamp::now().to_zoned(TimeZone::UTC).date(),
        })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A shell in the folder.
    pub(crate) fn shell(&self) -> Result<Shell> {
        shell_in(&self.root)
    }

    /// The state that is compared with, or the reason why there is none.
    pub(crate) fn base(&self) -> std::result::Result<&Base, String> {
        self.base.as_ref().map_err(Clone::clone)
    }

    /// Whether the base is a release.
    pub(crate) fn has_release(&self) -> bool {
        self.base.as_ref().is_ok_and(|base| base.is_release)
    }

    /// The folder for what is built.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let manifest = self.root.join("Cargo.toml");
        Ok(MetadataCommand::new().manifest_path(manifest).no_deps().exec()?.target_directory.into())
    }

    /// Copies the files of the repository to an empty folder.
    pub(crate) fn copy_to(&self, folder: &Path) -> Result {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        for path in self.files.files.iter().map(|file| &file.path).chain(&self.files.others) {
            let target = folder.join(path);
            std::fs::create_dir_all(target.parent().unwrap_or(folder))?;
            std::fs::copy(self.root.join(path), target)?;
        }
        Ok(())
    }

    /// A file of the base; `None` if it did not exist or there is no base. Its last line break is removed.
    pub(crate) fn base_text(&self, path: &str) -> Result<Option<String>> {
        let Ok(base) = &self.base else {
            return Ok(None);
        };
        let (sh, object) = (self.shell()?, format!("{}:{path}", base.revision));
        if cmd!(sh, "git cat-file -e {object}").quiet().ignore_stderr().run().is_err() {
            return Ok(None);
        }
        Ok(Some(cmd!(sh, "git show {object}").quiet().read()?))
    }

    /// The paths that the base had below a folder.
    pub(crate) fn base_paths(&self, folder: &str) -> Result<Vec<String>> {
        let Ok(base) = &self.base else {
            return Ok(Vec::new());
        };
        let (sh, revision) = (self.shell()?, &base.revision);
        let listing = cmd!(sh, "git ls-tree -r --name-only -z {revision} -- {folder}").quiet().read()?;
        Ok(listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }
}

fn shell_in(root: &Path) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root);
    Ok(sh)
}

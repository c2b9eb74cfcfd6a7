//! `cargo xtask release`: prepares a release on this machine.
//!
//! Every step happens in a copy of the repository below the target folder. The repository gets the commit and the tag after all
//! of them have passed, so a step that fails changes nothing. Nothing leaves the machine.

mod artifacts;
mod conditions;
mod edits;

use std::path::{Path, PathBuf};

use cargo_metadata::semver::Version;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use xshell::{Shell, cmd};

use super::context::Context;
use super::{CheckOptions, check, run_rows};
use crate::workspace::CONSOLE;
use crate::{Result, workspace};

/// Checks of the copy after its files were edited.
const CHECKS_OF_THE_COPY: [&str; 3] = ["packages", "http-api", "documentation"];

/// Options of `release`.
#[derive(Args)]
pub(crate) struct ReleaseOptions {
    /// The new version, such as 0.2.0.
    version: Version,
    /// Build everything, but leave the repository without the commit and the tag.
    #[arg(long)]
    dry_run: bool,
}

/// Checks the repository, and builds the archives of a release.
pub(crate) fn release(options: &ReleaseOptions) -> Result {
    let root = workspace::root();
    let context = Context::open(&root)?;
    let version = &options.version;
    conditions::check(&context, version)?;
    println!("── release-check");
    check(&CheckOptions::default())?;

    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    println!("── copy with version {version} in {}", target.join(format!("release-{version}")).display());
    let copy = Copy::create(&root, &target, version, context.today)?;
    println!("── archives");
    let written = artifacts::build(&copy)?;
    for path in &written {
        println!("{}", path.display());
    }
    let tag = format!("v{version}");
    if options.dry_run {
        println!("dry run: the repository has neither the commit nor the tag {tag}");
        return Ok(());
    }
    copy.adopt(&tag)?;
    println!("the branch has the commit, and the tag {tag} exists. Next: `git push origin HEAD {tag}`, publish the archives");
    Ok(())
}

/// A copy of the repository with the files of the new version, committed.
struct Copy {
    root: PathBuf,
    sources: PathBuf,
    /// The folder of the archives.
    archives: PathBuf,
    /// Where cargo builds. Every version uses the same folder, so that dependencies are built once.
    build: PathBuf,
    version: Version,
    /// The time of every file and every document of the release, in seconds since 1970: the start of its day in UTC.
    epoch: i64,
}

impl Copy {
    /// Copies the repository in `root` below the folder `target`.
    fn create(root: &Path, target: &Path, version: &Version, today: Date) -> Result<Self> {
        let folder = target.join(format!("release-{version}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let copy = Self {
            root: root.to_owned(),
            sources: folder.join("sources"),
            archives: folder.join("archives"),
            build: target.join("release-build"),
            version: version.clone(),
            epoch: today.to_zoned(TimeZone::UTC)?.timestamp().as_second(),
        };
        std::fs::create_dir_all(&copy.archives)?;
        let sh = Shell::new()?;
        let sources = &copy.sources;
        cmd!(sh, "git clone --quiet --local {root} {sources}").run()?;
        copy.take_author()?;
        edits::apply(&copy.sources, version, today)?;
        let sh = copy.shell()?;
        // Both write the versions of the members of the workspace into the lock file.
        cmd!(sh, "cargo update --quiet --offline --workspace").run()?;
        {
            let _there = sh.push_dir(CONSOLE);
            cmd!(sh, "npm install --package-lock-only --ignore-scripts --offline --no-audit --no-fund --loglevel=error").run()?;
        }
        copy.commit()?;
        copy.check()?;
        Ok(copy)
    }

    /// A shell in the copy in which tools that honour `SOURCE_DATE_EPOCH` write the time of the release.
    fn shell(&self) -> Result<Shell> {
        let sh = Shell::new()?;
        sh.change_dir(&self.sources);
        sh.set_var("SOURCE_DATE_EPOCH", self.epoch.to_string());
        Ok(sh)
    }

    /// A clone does not contain the settings of its source.
    fn take_author(&self) -> Result {
        let (source, copy) = (Shell::new()?, self.shell()?);
        source.change_dir(&self.root);
        for key in ["user.name", "user.email"] {
            let value = cmd!(source, "git config {key}").quiet().read().map_err(|_| format!("git has no `{key}`"))?;
            cmd!(copy, "git config {key} {value}").quiet().run()?;
        }
        Ok(())
    }

    fn commit(&self) -> Result {
        let (sh, version) = (self.shell()?, &self.version);
        let date = format!("{} +0000", self.epoch);
        let _author = sh.push_env("GIT_AUTHOR_DATE", &date);
        let _committer = sh.push_env("GIT_COMMITTER_DATE", &date);
        let subject = format!("Release {version}");
        let body = format!("Sets the versions of all packages to {version} and dates the changelog.");
        cmd!(sh, "git commit --quiet --all --message {subject} --message {body}").run()?;
        Ok(())
    }

    /// The edited files are consistent.
    fn check(&self) -> Result {
        let rows = super::choose(&CHECKS_OF_THE_COPY.map(str::to_owned), false)?;
        let records = run_rows(&self.sources, &rows, |record| println!("{}", record.text()))?;
        if records.iter().any(super::Record::is_red) {
            return Err("the files of the new version are not consistent".into());
        }
        Ok(())
    }

    /// Brings the commit into the repository, and tags it.
    fn adopt(&self, tag: &str) -> Result {
        let (sh, sources) = (Shell::new()?, &self.sources);
        sh.change_dir(&self.root);
        cmd!(sh, "git pull --quiet --ff-only {sources} HEAD").run()?;
        let message = format!("Release {}", self.version);
        cmd!(sh, "git tag --annotate {tag} --message {message}").run()?;
        Ok(())
    }
}

//! `cargo xtask release`: prepares a release on this machine.
//!
//! Every step happens in a copy of the repository below the target folder. The repository gets the commit and the tag after all
//! of them have passed, so a step that fails changes nothing. Nothing leaves the machine.

mod artifacts;
mod conditions;
mod edits;
mod parts;

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::semver::Version;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use xshell::{Shell, cmd};

use super::context::Context;
use super::report::Record;
use super::row::Outcome;
use super::rows::{ROWS, advisories, tools};
use super::{run_rows, verdict};
use crate::workspace::{self, CONSOLE};
use crate::{Result, setup};

/// Options of `release`.
#[derive(Args)]
pub(crate) struct ReleaseOptions {
    /// The new version, such as 0.2.0.
    version: Version,
    /// Build everything, but leave the repository without the commit and the tag.
    #[arg(long)]
    dry_run: bool,
    /// Release although there is no copy of the advisory database to check with.
    #[arg(long)]
    without_advisories: bool,
    /// Build the archives without running the checks, which take more than two hours. Nothing can be released with it.
    #[arg(long, requires = "dry_run")]
    without_checks: bool,
}

/// Checks the repository, and builds the archives of a release.
pub(crate) fn release(options: &ReleaseOptions) -> Result {
    let context = Context::open(&workspace::root(), None)?;
    let version = &options.version;
    conditions::check(&context, version)?;
    let copy = Copy::create(&context, version)?;
    let skipped = if options.without_checks {
        setup::run(&copy.shell()?)?;
        vec!["every check: `--without-checks`".to_owned()]
    } else {
        println!("── checks of version {version} in {}", copy.sources.display());
        copy.check(options.without_advisories)?
    };
    println!("── archives");
    copy.date()?;
    for path in artifacts::build(&copy)? {
        println!("{}", path.display());
    }
    for row in skipped {
        println!("skipped: {row}");
    }
    let tag = format!("v{version}");
    if options.dry_run {
        println!("dry run: the repository has neither the commit nor the tag {tag}");
        return Ok(());
    }
    copy.adopt(&tag)?;
    println!("the branch has the commit and the tag {tag}. Next: `git push origin HEAD {tag}`, and publish the archives");
    Ok(())
}

/// A copy of the repository with the files of the new version, committed.
struct Copy {
    root: PathBuf,
    /// The commit of the repository that was copied.
    start: String,
    sources: PathBuf,
    /// The folder of the archives.
    archives: PathBuf,
    /// Where the program is built. Every version uses the same folder, so that dependencies are built once.
    build: PathBuf,
    version: Version,
    today: Date,
}

impl Copy {
    fn create(context: &Context, version: &Version) -> Result<Self> {
        let target = context.target()?;
        let folder = target.join(format!("release-{version}"));
        let built = target.join(format!("release-{version}-target"));
        remove_but_what_was_built(&folder, &built)?;
        let source = context.shell()?;
        let copy = Self {
            root: context.root().to_owned(),
            start: cmd!(source, "git rev-parse HEAD").quiet().read()?,
            sources: folder.join("sources"),
            archives: folder.join("archives"),
            build: target.join("release-build"),
            version: version.clone(),
            today: context.today,
        };
        fs::create_dir_all(&copy.archives)?;
        let (root, sources) = (&copy.root, &copy.sources);
        cmd!(source, "git clone --quiet --local {root} {sources}").run()?;
        if built.exists() {
            fs::rename(&built, sources.join("target"))?;
        }
        let sh = copy.shell()?;
        if cmd!(sh, "git rev-parse HEAD").quiet().read()? != copy.start {
            return Err("the branch moved while it was copied; run the command again".into());
        }
        // A clone does not contain the settings of its source. The environment can name an author as well.
        for key in ["user.name", "user.email"] {
            if let Ok(value) = cmd!(source, "git config {key}").quiet().read() {
                cmd!(sh, "git config {key} {value}").quiet().run()?;
            }
        }
        copy.raise_versions()?;
        Ok(copy)
    }

    /// A shell in the copy in which tools that honour `SOURCE_DATE_EPOCH` write the time of the release.
    fn shell(&self) -> Result<Shell> {
        let sh = Shell::new()?;
        sh.change_dir(&self.sources);
        sh.set_var("SOURCE_DATE_EPOCH", self.epoch()?.to_string());
        Ok(sh)
    }

    /// The time of every file and document of the release, in seconds since 1970: the start of its day in UTC.
    fn epoch(&self) -> Result<i64> {
        Ok(self.today.to_zoned(TimeZone::UTC)?.timestamp().as_second())
    }

    /// Writes and commits the version in all files that contain it.
    fn raise_versions(&self) -> Result {
        edits::set_versions(&self.sources, &self.version)?;
        let sh = self.shell()?;
        // Both write the versions of the members of the workspace into their lock file.
        cmd!(sh, "cargo update --quiet --offline --workspace").run()?;
        {
            let _there = sh.push_dir(CONSOLE);
            cmd!(sh, "npm install --package-lock-only --ignore-scripts --offline --no-audit --no-fund --loglevel=error")
                .run()?;
        }
        let message = format!("Release {}", self.version);
        self.commit(&["--allow-empty", "--message", &message])
    }

    /// Runs every check on the files of the new version, and returns those that were skipped and may be.
    fn check(&self, without_advisories: bool) -> Result<Vec<String>> {
        setup::run(&self.shell()?)?;
        let rows: Vec<_> = ROWS.iter().collect();
        let records = run_rows(&self.sources, None, &rows, |record| println!("{}", record.text()))?;
        verdict(&records)?;
        let is_first = !Context::open(&self.sources, None)?.has_release();
        let may_be_skipped: Vec<_> = [(is_first, tools::RUST_API), (without_advisories, advisories::NAME)]
            .into_iter()
            .filter_map(|(may_be, row)| may_be.then_some(row))
            .collect();
        skipped(&records, &may_be_skipped)
    }

    /// Moves the entries of the changelog below the heading of the version.
    fn date(&self) -> Result {
        edits::date_changelog(&self.sources, &self.version, self.today)?;
        self.commit(&["--amend", "--no-edit"])
    }

    fn commit(&self, options: &[&str]) -> Result {
        let (sh, date) = (self.shell()?, format!("{} +0000", self.epoch()?));
        let _author = sh.push_env("GIT_AUTHOR_DATE", &date);
        let _committer = sh.push_env("GIT_COMMITTER_DATE", &date);
        cmd!(sh, "git -c commit.gpgSign=false commit --quiet --all --date {date} {options...}").run()?;
        Ok(())
    }

    /// Brings the commit and its tag into the repository: both or none.
    fn adopt(&self, tag: &str) -> Result {
        let (copy, sh, sources) = (self.shell()?, Shell::new()?, &self.sources);
        sh.change_dir(&self.root);
        if cmd!(sh, "git rev-parse HEAD").quiet().read()? != self.start {
            return Err("the branch moved while the release was built; run the command again".into());
        }
        let message = format!("Release {}", self.version);
        cmd!(copy, "git -c tag.gpgSign=false tag --annotate {tag} --message {message}").run()?;
        cmd!(sh, "git fetch --quiet --no-tags {sources} refs/tags/{tag}:refs/tags/{tag}").run()?;
        if let Err(error) = cmd!(sh, "git merge --quiet --ff-only {tag}").run() {
            cmd!(sh, "git tag --delete {tag}").run()?;
            return Err(error.into());
        }
        Ok(())
    }
}

/// The checks that were skipped, with their reasons. Fails if one of them may not be: nothing shows that it would be green.
fn skipped(records: &[Record], may_be: &[&str]) -> Result<Vec<String>> {
    let mut lines = (Vec::new(), Vec::new());
    for record in records {
        let Outcome::Skipped(reason) = &record.outcome else { continue };
        let (allowed, refused) = (&mut lines.0, &mut lines.1);
        let list = if may_be.contains(&record.row) { allowed } else { refused };
        list.push(format!("{}: {reason}", record.row));
    }
    let (allowed, refused) = lines;
    if refused.is_empty() { Ok(allowed) } else { Err(format!("skipped, so not released:\n{}", refused.join("\n")).into()) }
}

/// Removes the copy of an earlier run, but moves what cargo built in it aside, so that the next run is not cold. Cargo builds a
/// crate again if a source is newer than the last build, which all files of a new clone are.
fn remove_but_what_was_built(folder: &Path, built: &Path) -> Result {
    let target = folder.join("sources/target");
    // A run that was stopped before it moved the folder back left it aside.
    if target.exists() && !built.exists() {
        fs::rename(target, built)?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

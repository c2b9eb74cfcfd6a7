//! No crate has an advisory, by a copy of the database that an earlier `cargo deny fetch` left, since checks have no network.
//!
//! Without a copy nothing is checked: the outcome is skipped, which stops a release unless it is started with
//! `--without-advisories`. A copy that is too old is red.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use xshell::{Shell, cmd};

use super::licences::{CARGO_LOCK, RULES, deny};
use crate::Result;
use crate::release::context::Context;
use crate::release::program::cargo_home;
use crate::release::row::{Outcome, Sheet};
use crate::setup::tools::DENY;

/// The argument of `--only`.
pub(crate) const NAME: &str = "advisories";

/// The age in days from which on a copy is too old. It is the default of cargo-deny as well (`maximum-db-staleness`).
const OLDEST: i32 = 90;
const FETCH: &str = "run `cargo deny fetch` on a machine with a network, and copy the folder here if it is another machine";

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let sh = context.shell()?;
    let folder = databases(context, &cargo_home(&sh)?)?;
    let Some(date) = date(&sh, &folder)? else {
        return Ok(Outcome::Skipped(format!("{} contains no copy of the advisory database: {FETCH}", folder.display())));
    };
    let mut sheet = Sheet::default();
    age(&folder, date, context.today, &mut sheet)?;
    if sheet.is_red() {
        return Ok(sheet.outcome());
    }
    if let Err(reason) = DENY.require(&sh) {
        return Ok(Outcome::Skipped(reason));
    }
    deny(&sh, context.files.find(CARGO_LOCK).unwrap_or_default(), &["advisories"], &mut sheet)?;
    sheet.note("advisories of npm packages are not checked: `npm audit` requires the registry");
    Ok(sheet.outcome())
}

/// The folder of the copies: that of the rules, or the default of cargo-deny.
fn databases(context: &Context, home: &Path) -> Result<PathBuf> {
    let rules: toml::Table = toml::from_str(context.files.text(RULES)?).map_err(|error| format!("{RULES}: {error}"))?;
    let configured = rules.get("advisories").and_then(|section| section.get("db-path")).and_then(toml::Value::as_str);
    Ok(configured.map_or_else(|| home.join("advisory-dbs"), |path| context.root().join(path)))
}

/// The day of the last commit of the newest copy; `None` if there is no copy.
fn date(sh: &Shell, folder: &Path) -> Result<Option<Date>> {
    let copies = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // Git would find the repository around a folder that is none.
    let dates = copies.filter(|copy| copy.join(".git").exists() || copy.join("HEAD").exists()).filter_map(|copy| {
        let date = cmd!(sh, "git -C {copy} log -1 --format=%cs").quiet().ignore_stderr().read();
        date.ok()
    });
    Ok(dates.max().map(|date| date.parse()).transpose()?)
}

/// Notes the age of a copy. A copy that is too old is red.
fn age(folder: &Path, date: Date, today: Date, sheet: &mut Sheet) -> Result {
    let days = date.until(today)?.get_days();
    sheet.note(format!("the copy of the advisory database is of {date}, {days} days ago"));
    if days > OLDEST {
        let folder = folder.display();
        let what = format!("the copy of the advisory database in {folder} is {days} days old, more than {OLDEST}");
        sheet.red(what, RULES, FETCH);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_copy_nothing_is_checked_and_the_reason_is_reported() {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path());
        sh.write_file(RULES, "[advisories]\ndb-path = \"copies\"\n").unwrap();
        let outcome = || run(&Context::open(folder.path(), None).unwrap()).unwrap();
        let is_skipped = |outcome| matches!(outcome, Outcome::Skipped(reason) if reason.contains("cargo deny fetch"));
        assert!(is_skipped(outcome()));
        // What cargo-deny leaves if it could not fetch.
        sh.write_file("copies/db.lock", "").unwrap();
        sh.create_dir("copies/planted").unwrap();
        assert!(is_skipped(outcome()));
    }

    #[test]
    fn the_newest_copy_counts() {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        for (name, day) in [("old", "2020-01-31"), ("new", "2026-01-31")] {
            let copy = folder.path().join(name);
            cmd!(sh, "git init --quiet {copy}").quiet().run().unwrap();
            let author = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgSign=false"];
            cmd!(sh, "git -C {copy} {author...} commit --quiet --allow-empty --message planted")
                .env("GIT_COMMITTER_DATE", format!("{day}T12:00:00Z"))
                .quiet()
                .run()
                .unwrap();
        }
        assert_eq!(date(&sh, folder.path()).unwrap(), Some(Date::constant(2026, 1, 31)));
    }

    #[test]
    fn a_copy_is_too_old_after_ninety_days() {
        let is_red = |today| {
            let mut sheet = Sheet::default();
            age(Path::new("copies"), Date::constant(2026, 1, 1), today, &mut sheet).unwrap();
            sheet.is_red()
        };
        assert!(!is_red(Date::constant(2026, 1, 1)));
        assert!(!is_red(Date::constant(2026, 4, 1)));
        assert!(is_red(Date::constant(2026, 4, 2)));
        assert!(is_red(Date::constant(2027, 1, 1)));
    }
}

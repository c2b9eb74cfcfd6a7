//! No provider profile is past its sunset, and each was compared with its source within a year.

use jiff::civil::Date;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};

const FOLDER: &str = "adapters-http/oauth2/profiles/";
/// A profile that was not compared with its source for this many days is red.
const VERIFIED_WITHIN: i32 = 365;
/// Days before both dates from which they are reported.
const AHEAD: i32 = 60;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let mut profiles = 0;
    for file in &context.files.files {
        let is_profile = file.path.starts_with(FOLDER) && file.is_a("toml") && !file.path.ends_with(".exchange.toml");
        if is_profile {
            profiles += 1;
            let table: toml::Table = toml::from_str(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
            profile(&file.path, &table, context.today, &mut sheet);
        }
    }
    if profiles == 0 {
        let check = "xtask/src/release/rows/profiles.rs";
        sheet.red(format!("there is no profile in {FOLDER}"), check, format!("correct `FOLDER` in {check}"));
    }
    Ok(sheet.outcome())
}

fn profile(path: &str, table: &toml::Table, today: Date, sheet: &mut Sheet) {
    match date(table, "verified_on") {
        Ok(Some(verified)) => {
            let (age, due) = (days(verified, today), VERIFIED_WITHIN - days(verified, today));
            if age > VERIFIED_WITHIN {
                let mend = "compare the profile with its `source`, and set `verified_on` to the day of the comparison";
                sheet.red(format!("not verified for {age} days (since {verified})"), path, mend);
            } else if age < 0 {
                sheet.red(
                    format!("`verified_on` is in the future ({verified})"),
                    path,
                    "set it to the day of the comparison",
                );
            } else if due < AHEAD {
                sheet.note(format!("{path}: must be verified within {due} days"));
            }
        }
        Ok(None) => sheet.red("has no `verified_on`", path, "compare the profile with its `source`, and add the day"),
        Err(what) => sheet.red(what, path, "write it as `2026-01-31`"),
    }
    match date(table, "sunset") {
        Ok(Some(sunset)) => {
            let left = days(today, sunset);
            if left < 0 {
                sheet.red(
                    format!("is past its sunset ({sunset})"),
                    path,
                    "remove the profile, with an entry in the changelog",
                );
            } else if left < AHEAD {
                sheet.note(format!("{path}: its sunset is in {left} days"));
            }
        }
        Ok(None) => {}
        Err(what) => sheet.red(what, path, "write it as `2026-01-31`"),
    }
}

fn date(table: &toml::Table, key: &str) -> std::result::Result<Option<Date>, String> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().map(Some).map_err(|_| format!("`{key}` is not a date"))
}

/// Days from one date to a later one.
fn days(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        let mut sheet = Sheet::default();
        profile("a.toml", &toml::from_str(text).unwrap(), Date::constant(2026, 11, 27), &mut sheet);
        sheet.outcome()
    }

    fn whats(text: &str) -> Vec<String> {
        match outcome(text) {
            Outcome::Red { findings, .. } => findings.into_iter().map(|finding| finding.what).collect(),
            Outcome::Green { notes } => notes,
            Outcome::Skipped(reason) => vec![reason],
        }
    }

    #[test]
    fn a_profile_is_verified_within_a_year() {
        assert_eq!(whats("verified_on = '2026-11-22'"), Vec::<String>::new());
        assert_eq!(whats("verified_on = '2025-12-01'"), ["a.toml: must be verified within 4 days"]);
        assert_eq!(whats("verified_on = '2025-11-26'"), ["not verified for 366 days (since 2025-11-26)"]);
        assert_eq!(whats("verified_on = '2026-11-28'"), ["`verified_on` is in the future (2026-11-28)"]);
        assert_eq!(whats("title = 'A'"), ["has no `verified_on`"]);
    }

    #[test]
    fn a_profile_ends_with_its_sunset() {
        let with = |sunset: &str| whats(&format!("verified_on = '2026-11-22'\nsunset = '{sunset}'"));
        assert_eq!(with("2028-01-01"), Vec::<String>::new());
        assert_eq!(with("2026-12-07"), ["a.toml: its sunset is in 10 days"]);
        assert_eq!(with("2026-11-26"), ["is past its sunset (2026-11-26)"]);
        assert_eq!(with("soon"), ["`sunset` is not a date"]);
    }
}

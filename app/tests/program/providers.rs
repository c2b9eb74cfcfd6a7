//! `grantry providers`: the built-in profiles, those of an operator, and new ones.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Site, grantry, run};

/// The responses to the questions of `providers new`, in their order.
const ACME: &str = "acme\nAcme\nhttps://acme.example/docs\nhttps://acme.example/apps\nhttps://acme.example/authorize\n\
    https://acme.example/token\n\n\nbasic\nhttps://acme.example/api\nfiles.read offline\nsingle-use\n";

#[test]
fn profiles_are_listed_and_described() {
    let listed = run(&mut grantry(&["providers", "list"]), "");
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let github = listed.stdout.lines().find(|line| line.starts_with(".github ")).unwrap();
    assert!(github.contains("GitHub") && github.contains("verified on 20"), "{github}");
    let rows: Vec<Value> = serde_json::from_str(&run(&mut grantry(&["providers", "list", "--json"]), "").stdout).unwrap();
    assert_eq!(rows.len(), listed.stdout.lines().count());
    assert!(rows.iter().all(|row| row["unverified"].is_array() && row["title"].is_string()));

    let shown = run(&mut grantry(&["providers", "show", ".github"]), "");
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.starts_with("# GitHub"), "{}", shown.stdout);
    for unknown in [".missing", "no id"] {
        let refused = run(&mut grantry(&["providers", "show", unknown]), "");
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(&format!("there is no profile {unknown}")), "{}", refused.stderr);
    }
}

#[test]
fn a_new_profile_is_written_checked_and_listed_with_its_configuration() {
    let site = Site::new("providers.folder = \"profiles\"\n");
    let folder = site.path("profiles");
    fs::create_dir(&folder).unwrap();
    let new = || run(&mut grantry(&["providers", "new", "--out", folder.to_str().unwrap()]), ACME);
    let written = new();
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let profile = folder.join("acme.toml");
    let text = fs::read_to_string(&profile).unwrap();
    assert_eq!(new().code, Some(1), "files are not replaced");
    assert_eq!(fs::read_to_string(&profile).unwrap(), text);

    let check = || run(&mut grantry(&["providers", "check", profile.to_str().unwrap()]), "");
    let checked = check();
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.ends_with("acme.toml: ok\n"), "{}", checked.stdout);
    let listed = run(&mut grantry(&["providers", "list", "--config", &site.config_path()]), "");
    assert!(listed.stdout.lines().any(|line| line.starts_with(".acme ")), "{}{}", listed.stdout, listed.stderr);

    // A mistake is named with its file and line, by the check and at the start.
    fs::write(&profile, text.replace("title = ", "titel = ")).unwrap();
    let refused = check();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("acme.toml") && refused.stdout.contains("titel"), "{}", refused.stdout);
    let started = run(&mut grantry(&["serve", "--config", &site.config_path()]), "");
    assert_eq!(started.code, Some(1));
    assert!(started.stderr.contains("titel"), "{}", started.stderr);
}

#[test]
fn the_other_profiles_are_loaded_if_the_operator_permits_it() {
    let site = Site::new("providers.folder = \"profiles\"\n");
    let folder = site.path("profiles");
    fs::create_dir(&folder).unwrap();
    assert_eq!(run(&mut grantry(&["providers", "new", "--out", folder.to_str().unwrap()]), ACME).code, Some(0));
    let valid = fs::read_to_string(folder.join("acme.toml")).unwrap();
    fs::write(folder.join("broken.toml"), valid.replace("title = ", "titel = ")).unwrap();
    let check = || {
        let checked = run(&mut grantry(&["check", "--json", "--config", &site.config_path()]), "");
        let report: Value = serde_json::from_str(&checked.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        let findings: Vec<_> = findings.into_iter().filter(|finding| finding["subject"] == "provider profiles").collect();
        (checked.code, findings)
    };

    let (code, findings) = check();
    assert_eq!(code, Some(1));
    assert_eq!(findings[0]["message"], "1 of 2 profiles in `providers.folder` are valid");
    assert_eq!(findings[1]["status"], "failed");
    let message = findings[1]["message"].as_str().unwrap();
    assert!(message.contains("broken.toml") && message.contains("titel") && message.contains("skip_invalid"), "{message}");

    site.replace("providers.folder = \"profiles\"\n", "providers.folder = \"profiles\"\nproviders.skip_invalid = true\n");
    let (code, findings) = check();
    assert_eq!((code, findings[1]["status"].as_str()), (Some(0), Some("warning")), "{findings:?}");
    let listed = run(&mut grantry(&["providers", "list", "--config", &site.config_path()]), "");
    assert!(listed.stdout.lines().any(|line| line.starts_with(".acme ")), "{}{}", listed.stdout, listed.stderr);
    assert!(listed.stderr.contains("broken.toml"), "{}", listed.stderr);

    let mut server = site.serve();
    let log = server.until("a provider profile is not valid and was left out");
    assert!(log.contains("broken.toml"), "{log}");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

#[test]
fn a_profile_is_refused_with_another_name_a_passed_sunset_or_no_exchange() {
    let site = Site::new("");
    let folder = site.path("profiles");
    fs::create_dir(&folder).unwrap();
    assert_eq!(run(&mut grantry(&["providers", "new", "--out", folder.to_str().unwrap()]), ACME).code, Some(0));
    let (profile, exchange) = (folder.join("acme.toml"), folder.join("acme.exchange.toml"));
    let check = |file: &std::path::Path| {
        let checked = run(&mut grantry(&["providers", "check", file.to_str().unwrap()]), "");
        assert_eq!(checked.code, Some(1), "{}", checked.stdout);
        checked.stdout
    };
    for (from, to) in [(&profile, "other.toml"), (&exchange, "other.exchange.toml")] {
        fs::copy(from, folder.join(to)).unwrap();
    }
    let named = check(&folder.join("other.toml"));
    assert!(named.contains("`id` must be \".other\""), "{named}");
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, text.replacen("verified_on", "sunset = \"2020-01-31\"\nverified_on", 1)).unwrap();
    let ended = check(&profile);
    fs::write(&profile, text.replacen("verified_on", "unverified = [\"wire.tokn\"]\nverified_on", 1)).unwrap();
    let unknown = check(&profile);
    assert!(unknown.contains("`unverified` names wire.tokn, which is no field"), "{unknown}");
    assert!(ended.contains("`sunset` 2020-01-31 has passed"), "{ended}");
    fs::remove_file(&exchange).unwrap();
    let alone = check(&profile);
    assert!(alone.contains("cannot read") && alone.contains("acme.exchange.toml"), "{alone}");
}

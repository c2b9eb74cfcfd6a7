//! The output of each command, and its refusals.

use std::fs;

use serde_json::Value;

use crate::support::{Site, grantry, run};

#[test]
fn a_wrong_command_line_is_code_2_and_help_is_code_0() {
    let wrong = run(&mut grantry(&["frobnicate"]), "");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
    assert!(wrong.stderr.contains("frobnicate"));
    let help = run(&mut grantry(&["--help"]), "");
    assert_eq!(help.code, Some(0));
    for command in
        ["serve", "check", "keys", "accounts", "agents", "connectors", "users", "openapi", "Exit codes: 0 success"]
    {
        assert!(help.stdout.contains(command), "{command}");
    }
    for command in ["demo", "mock-provider"] {
        assert_eq!(help.stdout.contains(command), cfg!(feature = "demo"), "{command}");
    }
    assert!(!run(&mut grantry(&["keys", "--help"]), "").stdout.contains("rotate"));
}

#[test]
fn openapi_prints_the_document_and_nothing_else() {
    let printed = run(&mut grantry(&["openapi"]), "");
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/api/actions/connector/{id}/_execute"].is_object());
}

#[test]
fn r75_keys_are_printed_or_written_to_a_private_file() {
    let site = Site::new("");
    let printed = run(&mut grantry(&["keys", "generate"]), "");
    assert_eq!((printed.code, printed.stdout.trim_end().len()), (Some(0), 44));
    let path = site.path("second.key");
    let written = run(&mut grantry(&["keys", "generate", "--out", path.to_str().unwrap()]), "");
    assert_eq!(written.code, Some(0));
    let key = fs::read_to_string(&path).unwrap();
    assert!(!written.stdout.contains(key.trim_end()) && !written.stderr.contains(key.trim_end()));
    let again = run(&mut grantry(&["keys", "generate", "--out", path.to_str().unwrap()]), "");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.ends_with("exists and is not replaced; choose another file\n"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), key);

    site.replace("keys.write", "keys.read = [\"file:second.key\"]\nkeys.write");
    let status = run(&mut grantry(&["keys", "status", "--json", "--config", &site.config_path()]), "");
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    let rows: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((rows[0]["role"].as_str(), rows[1]["role"].as_str()), (Some("write"), Some("read")));
    assert_eq!(rows[0]["source"], "file:primary.key");
    assert!(!site.path("grantry.db").exists(), "the command creates no database");
}

#[test]
fn a_password_is_read_from_a_pipe_and_hashed() {
    let hashed = run(&mut grantry(&["accounts", "hash-password"]), "correct horse\n");
    assert_eq!(hashed.code, Some(0));
    assert!(hashed.stdout.starts_with("$argon2id$v=19$"), "{}", hashed.stdout);
    let site = Site::new("");
    let text = fs::read_to_string(site.path("grantry.toml")).unwrap();
    let hash = text.lines().find_map(|line| line.strip_prefix("password_hash = ")).unwrap().to_owned();
    site.replace(&hash, &format!("{:?}", hashed.stdout.trim_end()));
    let server = site.serve();
    crate::support::Browser::new(site.port).log_in("alice", "correct horse");
    drop(server);
    let empty = run(&mut grantry(&["accounts", "hash-password"]), "\n");
    assert_eq!(empty.code, Some(1));
    assert!(empty.stderr.starts_with("grantry: the password is empty"));
}

#[test]
fn an_agent_gets_a_key_and_the_configuration_contains_only_its_digest() {
    let made = run(&mut grantry(&["agents", "new", "--name", "workflows"]), "");
    assert_eq!(made.code, Some(0));
    let key = made.stderr.lines().find(|line| line.starts_with("gak_")).unwrap().to_owned();
    let snippet = made.stdout.strip_prefix("[[identity.agents]]").unwrap();
    assert!(!snippet.contains(&key[4..]) && snippet.contains("key_sha256 = \""), "{snippet}");
    let site = Site::new("");
    let text = fs::read_to_string(site.path("grantry.toml")).unwrap();
    site.write(&format!("{text}\n[[identity.agents]]{snippet}"));
    let server = site.serve();
    let mut agent = crate::support::Browser::new(site.port);
    let body = serde_json::json!({ "params": { "method": "GET", "path": "/" }, "act_as": "u_alice" });
    assert_eq!(agent.post("/api/actions/connector/none/_execute", &body).status, 401);
    agent.key = Some(key);
    let response = agent.post("/api/actions/connector/none/_execute", &body);
    assert_eq!(response.status, 404, "{response:?}");
    drop(server);
    let refused = run(&mut grantry(&["agents", "new", "--name", "a b"]), "");
    assert_eq!(refused.code, Some(1));
}

const DEFINITIONS: &str = r#"
version = 1
[[connectors]]
id = "files"
name = "Files"
connector_type_id = ".oauth2"
client_id = "abc"
config = { authorizationUrl = "https://id.example.com/a", tokenUrl = "https://id.example.com/t", baseUrl = "https://api.example.com" }
[[connectors]]
space = "sales"
id = "files"
name = "Files"
connector_type_id = ".oauth2"
[[connectors]]
id = "inner"
name = "Inner"
connector_type_id = ".oauth2"
config = { issuer = "http://10.0.0.1", baseUrl = "https://api.example.com" }
"#;

#[test]
fn definitions_are_imported_once_and_exported_without_secrets() {
    let site = Site::new("");
    let file = site.path("connectors.toml");
    fs::write(&file, DEFINITIONS).unwrap();
    let import = |more: &[&str]| {
        let config = site.config_path();
        let mut args = vec!["connectors", "import", "--json", "--config", &config, file.to_str().unwrap()];
        args.extend(more);
        let done = run(&mut grantry(&args), "");
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
        let outcomes: Vec<String> = report["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["outcome"].as_str().unwrap().to_owned())
            .collect();
        (done.code, outcomes)
    };
    assert_eq!(import(&["--dry-run"]), (Some(1), vec!["created".into(), "refused".into(), "refused".into()]));
    assert_eq!(import(&[]), (Some(1), vec!["created".into(), "refused".into(), "refused".into()]));
    assert_eq!(import(&[]).1[0], "unchanged");
    fs::write(&file, DEFINITIONS.replace("name = \"Files\"", "name = \"Renamed\"")).unwrap();
    assert_eq!(import(&[]).1[0], "differs");

    let export = run(&mut grantry(&["connectors", "export", "--config", &site.config_path()]), "");
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    assert!(!export.stdout.to_lowercase().contains("secret"));
    fs::write(&file, &export.stdout).unwrap();
    assert_eq!(import(&[]), (Some(0), vec!["unchanged".into()]));
    let json = run(&mut grantry(&["connectors", "export", "--format", "json", "--config", &site.config_path()]), "");
    fs::write(&file, &json.stdout).unwrap();
    assert_eq!(import(&[]), (Some(0), vec!["unchanged".into()]));
    let unknown = run(&mut grantry(&["connectors", "export", "--space", "sales", "--config", &site.config_path()]), "");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("space `sales` does not exist"));
}

#[test]
fn check_reports_what_is_wrong_and_changes_nothing() {
    let site = Site::new("");
    let check = |more: &[&str]| {
        let config = site.config_path();
        let mut args = vec!["check", "--config", &config];
        args.extend(more);
        run(&mut grantry(&args), "")
    };
    let healthy = check(&[]);
    assert_eq!(healthy.code, Some(0), "{}", healthy.stdout);
    for expected in
        ["ok       configuration", "ok       keys", "the first start creates it", "ok       clock", "ready to serve"]
    {
        assert!(healthy.stdout.contains(expected), "{expected}\n{}", healthy.stdout);
    }
    assert!(!site.path("grantry.db").exists());

    fs::remove_file(site.path("primary.key")).unwrap();
    let failed = check(&["--json"]);
    assert_eq!(failed.code, Some(1));
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let keys = report["findings"].as_array().unwrap().iter().find(|finding| finding["subject"] == "keys").unwrap();
    assert_eq!(keys["status"], "failed");
    assert_eq!(keys["message"], "there is no key at `file:primary.key`; make one there with `grantry keys generate`");

    site.write("lisen = 1");
    let unreadable = check(&[]);
    assert_eq!(unreadable.code, Some(1));
    assert!(unreadable.stdout.contains("line 1: unknown key `lisen`; did you mean `listen`?"), "{}", unreadable.stdout);
    let report: Value = serde_json::from_str(&check(&["--json"]).stdout).unwrap();
    let messages: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    for (message, expected) in
        messages.iter().zip(["line 1: unknown key", "`public_base_url`", "`keys.write`", "`identity.accounts`"])
    {
        assert!(message.starts_with(expected), "{messages:?}");
    }
}

#[tokio::test]
async fn check_examines_every_connector() {
    let site = Site::new("egress.allow = [\"127.0.0.1:9\", \"localhost:9\"]");
    let endpoints = |host: &str| {
        serde_json::json!({
            "authorizationUrl": format!("http://{host}/a"), "tokenUrl": format!("http://{host}/t"), "baseUrl": format!("http://{host}")
        })
    };
    site.install("good", endpoints("127.0.0.1:9"), "s").await;
    site.install("issuer", serde_json::json!({ "issuer": "http://127.0.0.1:9", "baseUrl": "http://127.0.0.1:9" }), "s")
        .await;
    site.install("denied", endpoints("localhost:9"), "s").await;
    site.replace(", \"localhost:9\"", "");
    let checked = run(&mut grantry(&["check", "--json", "--config", &site.config_path()]), "");
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    let status = |id: &str| {
        let subject = format!("default/{id}");
        let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["subject"] == subject.as_str());
        finding.unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("good"), "ok", "{}", checked.stdout);
    assert_eq!(status("issuer"), "failed", "no server listens there");
    assert_eq!(status("denied"), "failed", "the operator no longer allows it");
    assert_eq!(checked.code, Some(1));
}

#[test]
fn users_are_listed_and_a_deprovisioned_one_is_reinstated() {
    let site = Site::new("");
    site.replace("default = \"editor\", marketing = \"viewer\"", "default = \"admin\", marketing = \"admin\"");
    let list = || {
        let listed = run(&mut grantry(&["users", "list", "--json", "--config", &site.config_path()]), "");
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        let rows: Value = serde_json::from_str(&listed.stdout).unwrap();
        rows.as_array().unwrap().iter().find(|row| row["id"] == "u_alice").cloned().unwrap()
    };
    let reinstate = |id: &str| run(&mut grantry(&["users", "reinstate", id, "--config", &site.config_path()]), "");
    let alice = list();
    assert_eq!((&alice["name"], &alice["disabled"], alice.get("deprovisioned_at")), (&"alice".into(), &false.into(), None));
    let refused = reinstate("u_alice");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.starts_with("grantry: this user is not deprovisioned"), "{}", refused.stderr);

    let server = site.serve();
    let mut admin = crate::support::Browser::new(site.port);
    admin.log_in("alice", "password-canary");
    let removed = admin.delete("/internal/actions/users/u_alice/grants");
    assert_eq!(removed.status, 200, "{removed:?}");
    drop(server);
    assert!(list()["deprovisioned_at"].is_string());
    let text = run(&mut grantry(&["users", "list", "--config", &site.config_path()]), "");
    assert!(text.stdout.contains("\"u_alice\"  alice  deprovisioned 20"), "{}", text.stdout);
    assert_eq!(reinstate("u_alice").code, Some(0));
    assert_eq!(list().get("deprovisioned_at"), None);
}

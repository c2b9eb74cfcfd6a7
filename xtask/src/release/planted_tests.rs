//! Plants mistakes in a scratch repository, and shows that the right check finds each of them.
//!
//! The scratch repository contains the text files of this one and a history of two commits, so that the test depends neither on
//! the history of the workspace nor on how deep it was cloned. The base of its checks is the first commit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use xshell::{Shell, cmd};

use super::context::Context;
use super::row::{Cost, Finding, Outcome, Row};
use super::rows::ROWS;
use crate::tidy::repository::File;
use crate::workspace;

/// A mistake, and the check that must find it.
struct Mistake {
    row: &'static str,
    /// A part of the finding.
    finding: &'static str,
    /// Whether the base is a release, with the tag of the version in `Cargo.toml`.
    released: bool,
    plant: fn(&mut Scratch),
}

const fn mistake(row: &'static str, finding: &'static str, plant: fn(&mut Scratch)) -> Mistake {
    Mistake { row, finding, released: false, plant }
}

const fn after_release(row: &'static str, finding: &'static str, plant: fn(&mut Scratch)) -> Mistake {
    Mistake { row, finding, released: true, plant }
}

const SETTINGS: &str = "app/src/config/settings.rs";
const EXAMPLE: &str = "grantry.example.toml";
const REFERENCE: &str = "docs/reference/settings.md";
const ASSOCIATED: &str = "adapters-crypto/aes-gcm/src/associated_data.rs";
const ENVELOPE: &str = "adapters-crypto/aes-gcm/src/envelope.rs";
const PAYLOADS: &str = "domain/src/authorization/sealed.rs";
const SEALER: &str = "domain/src/usecase/sealer.rs";
const REGISTRY: &str = "docs/security/record-types.toml";
const MIGRATIONS: &str = "adapters-store/sqlite/migrations";
const SCHEMA: &str = "adapters-store/sqlite/src/schema.rs";
const GERMAN: &str = "app/console/web/src/i18n/de.json";
const ENGLISH: &str = "app/console/web/src/i18n/en.json";
const INDEX: &str = "app/console/dist/index.html";
const PROFILE: &str = "adapters-http/oauth2/profiles/github.toml";
const RATE_LIMITER: &str = "app/runtime/src/rate_limiter.rs";
const RUNTIME_API: &str = "docs/reference/api/runtime.txt";
const CHANGELOG: &str = "CHANGELOG.md";
const CLIENT: &str = "app/console/packages/client/package.json";
const REACT: &str = "app/console/packages/react/package.json";
const NPM_LOCK: &str = "app/console/package-lock.json";
const PYPROJECT: &str = "app/python/pyproject.toml";

/// An entry of the base. It quotes what the mistakes are about, and permits none of them: only an entry that was added since the base
/// counts.
const OLD_ENTRY: &str = "**breaking** (app, http-axum, runtime, store-sqlite): Changes `planted`, `oauth.refusal_window`, \
    `0001_first.sql`, `GET /internal/actions/grants`, `MemoryRateLimiter::tracked` and `grantry-runtime`.";

const MISTAKES: &[Mistake] = &[
    mistake("documentation", "the setting `oauth.refusal_window` is missing", |at| {
        at.edit(EXAMPLE, "refusal_window = \"10m\"\n", "");
    }),
    mistake("documentation", "the route `/api/planted` is missing", |at| {
        at.write(
            "adapters-http/axum/src/planted.rs",
            "//! Text.\n#[utoipa::path(get, path = \"/api/planted\")]\nfn x() {}\n",
        );
    }),
    mistake("documentation", "error-codes.md cannot be generated", |at| {
        at.json("openapi.json", |api| codes(api).push("planted_code".into()));
    }),
    mistake("documentation", "describes nothing that exists", |at| {
        let page = "docs/reference/metrics.md";
        at.write(page, &format!("{}| `planted` |\n", at.read(page)));
    }),
    mistake("documentation", "the line must be", |at| {
        // The name of the variable in the environment.
        at.edit(REFERENCE, "`GRANTRY_PROVIDERS_FOLDER`", "`GRANTRY_PLANTED`");
    }),
    mistake("documentation", "the page docs/reference/audit-events.md is missing", |at| {
        at.remove("docs/reference/audit-events.md");
    }),
    mistake("documentation", "the command line option `--planted` is missing", |at| {
        at.write("app/src/cli/planted.rs", "//! Text.\nstruct Planted {\n    #[arg(long)]\n    planted: bool,\n}\n");
        at.write("docs/reference/command-line.md", "# Command line\n");
    }),
    mistake("configuration", "the setting `planted` was added", |at| {
        at.edit(
            SETTINGS,
            "    pub additional_hosts: Vec<String>,\n",
            "    pub additional_hosts: Vec<String>,\n    pub planted: bool,\n",
        );
        at.edit(EXAMPLE, "additional_hosts = ", "planted = false\nadditional_hosts = ");
        // Only the changelog lacks it.
        at.write(REFERENCE, &format!("{}\n`planted`\n", at.read(REFERENCE)));
    }),
    mistake("configuration", "the setting `oauth.refusal_window` was removed", |at| {
        at.edit(SETTINGS, "    pub refusal_window: Duration,\n", "");
    }),
    // A new entry about another setting or with another label does not count either.
    mistake("configuration", "the setting `oauth.refusal_window` was removed", |at| {
        at.edit(SETTINGS, "    pub refusal_window: Duration,\n", "");
        at.entry("**breaking** (app): Removes `oauth.planted`.");
        at.entry("**fix** (app): Removes `oauth.refusal_window`.");
    }),
    mistake("http-api", "`GET /internal/actions/grants`: the operation was removed", |at| {
        at.json("openapi.json", |api| drop(api["paths"]["/internal/actions/grants"].as_object_mut().unwrap().remove("get")));
    }),
    mistake("http-api", "`Connector.name`: the member was removed from the response", |at| {
        at.json("openapi.json", |api| {
            api["components"]["schemas"]["Connector"]["properties"].as_object_mut().unwrap().remove("name");
        });
    }),
    mistake("http-api", "`StartFlowBody.planted`: the member is required in the request", |at| {
        at.json("openapi.json", |api| {
            api["components"]["schemas"]["StartFlowBody"]["required"] = serde_json::json!(["planted"]);
        });
    }),
    mistake("http-api", "`Problem.code`: the value conflict was removed", |at| {
        at.json("openapi.json", |api| codes(api).retain(|code| code != "conflict"));
    }),
    mistake("http-api", "`POST /internal/actions/connector/{id}/_oauth_disconnect`: a body is required", |at| {
        at.operation("/internal/actions/connector/{id}/_oauth_disconnect", "post", |found| {
            found["requestBody"]["required"] = true.into();
        });
    }),
    mistake("http-api", "`StartFlowBody.connection`: pattern in the request was null", |at| {
        at.schema("StartFlowBody", |found| found["properties"]["connection"]["pattern"] = "^[a-z]+$".into());
    }),
    mistake("http-api", "`StartFlowBody.connection`: format in the request was null", |at| {
        at.schema("StartFlowBody", |found| found["properties"]["connection"]["format"] = "uuid".into());
    }),
    mistake("http-api", "`StartFlowBody.connection`: the request is limited by maxLength 5", |at| {
        at.schema("StartFlowBody", |found| found["properties"]["connection"]["maxLength"] = 5.into());
    }),
    mistake("http-api", "`ExecuteParams.headers`: the request accepts fewer members that are not listed", |at| {
        at.schema("ExecuteParams", |found| found["properties"]["headers"]["additionalProperties"] = false.into());
    }),
    mistake("http-api", "`GET /livez`: a request with no credentials is not accepted any more", |at| {
        at.operation("/livez", "get", |found| found["security"] = serde_json::json!([{ "session": [] }]));
    }),
    mistake("http-api", "`Problem.code`: the value planted is new in the response", |at| {
        at.json("openapi.json", |api| codes(api).push("planted".into()));
    }),
    mistake("http-api", "`GET /internal/actions/grants`: the response of type application/json was removed", |at| {
        at.operation("/internal/actions/grants", "get", |found| {
            found["responses"]["200"]["content"] = serde_json::json!({});
        });
    }),
    mistake("http-api", "`GET /internal/actions/grants`: the parameter cursor is required", |at| {
        at.operation("/internal/actions/grants", "get", |found| {
            let parameters = found["parameters"].as_array_mut().unwrap();
            let cursor = parameters.iter_mut().find(|parameter| parameter["name"] == "cursor").unwrap();
            cursor["required"] = true.into();
        });
    }),
    mistake("http-api", "`GET /internal/actions/grants`: the response 202 is new", |at| {
        at.operation("/internal/actions/grants", "get", |found| {
            let responses = found["responses"].as_object_mut().unwrap();
            let response = responses.remove("200").unwrap();
            responses.insert("202".to_owned(), response);
        });
    }),
    // An entry about another operation does not permit it.
    mistake("http-api", "`GET /internal/actions/grants`: the response 202 is new", |at| {
        at.operation("/internal/actions/grants", "get", |found| found["responses"]["202"] = serde_json::json!({}));
        at.entry("**breaking** (http-axum): Changes `DELETE /internal/actions/grants/{grantId}`.");
        at.entry("**fix** (http-axum): Changes `GET /internal/actions/grants`.");
    }),
    mistake("http-api", "the version is", |at| at.json("openapi.json", |api| api["info"]["version"] = "0.0.9".into())),
    after_release("http-api", "does not permit them", |at| {
        at.json("openapi.json", |api| drop(api["paths"]["/internal/actions/grants"].as_object_mut().unwrap().remove("get")));
        let entry = "## Unreleased\n\n- **breaking** (http-axum): Removes `GET /internal/actions/grants`.\n";
        at.edit(CHANGELOG, "## Unreleased\n", entry);
    }),
    mistake("public-api", "the text differs from the public items", |at| {
        at.edit("domain/src/lib.rs", "\npub mod ", "\npub const PLANTED: u8 = 1;\npub mod ");
    }),
    mistake("public-api", "was removed or changed: `rate_limiter: impl MemoryRateLimiter: pub fn tracked", |at| {
        at.hide_item();
    }),
    // An entry about another item does not permit it.
    mistake("public-api", "was removed or changed: `rate_limiter: impl MemoryRateLimiter: pub fn tracked", |at| {
        at.hide_item();
        at.entry("**breaking** (runtime): Removes `MemoryRateLimiter::planted`.");
    }),
    // Nor an entry about another crate or one that is not breaking.
    mistake("public-api", "was removed or changed: `rate_limiter: impl MemoryRateLimiter: pub fn tracked", |at| {
        at.hide_item();
        at.entry("**breaking** (domain): Removes `MemoryRateLimiter::tracked`.");
        at.entry("**fix** (runtime): Removes `MemoryRateLimiter::tracked`.");
    }),
    mistake("public-api", "no new breaking entry names the removed library `grantry-runtime`", |at| {
        at.edit("app/runtime/Cargo.toml", "[package]\n", "[package]\npublish = false\n");
    }),
    after_release("public-api", "does not permit that", |at| {
        at.hide_item();
        at.entry("**breaking** (runtime): Removes `MemoryRateLimiter::tracked`.");
    }),
    mistake("sealed-records", "the associated data of `Grant` in the code has the tags", |at| {
        at.edit(ASSOCIATED, "        (USER, owner.user.as_str().as_bytes()),\n", "");
    }),
    mistake("sealed-records", "the fields of `FlowSecrets` in the code differ: 0f bytes", |at| {
        at.edit(PAYLOADS, ".bytes(0x09, self.state.expose())", ".bytes(0x09, self.state.expose()).bytes(0x0f, &[])");
    }),
    mistake("sealed-records", "the fields of `FlowSecrets` changed without a new version", |at| {
        at.edit(PAYLOADS, ".bytes(0x09, self.state.expose())", ".bytes(0x09, self.state.expose()).bytes(0x0f, &[])");
        at.edit(REGISTRY, "\"09 bytes\",", "\"09 bytes\", \"0f bytes\",");
    }),
    mistake("sealed-records", "`UnclaimedTokens` was removed and is not in the retired list", |at| {
        at.edit(ENVELOPE, "    UnclaimedTokens = 4,\n", "");
        let registry = at.read(REGISTRY);
        let from = registry.find("[[record]]\nname = \"UnclaimedTokens\"").unwrap();
        let to = registry.find("[[payload]]").unwrap();
        at.write(REGISTRY, &format!("{}{}", &registry[..from], &registry[to..]));
    }),
    after_release("sealed-records", "version 2 is written, and the base cannot read it", |at| {
        at.edit(PAYLOADS, "PAYLOAD_VERSION: u16 = 1", "PAYLOAD_VERSION: u16 = 2");
        at.edit(REGISTRY, "writes = 1\nreads = [1]", "writes = 2\nreads = [1, 2]");
    }),
    after_release("sealed-records", "version 1, which the base writes, is not read any more", |at| {
        at.edit(PAYLOADS, "PAYLOAD_VERSION: u16 = 1", "PAYLOAD_VERSION: u16 = 2");
        at.edit(REGISTRY, "writes = 1\nreads = [1]", "writes = 2\nreads = [2]");
    }),
    mistake("sealed-records", "`reads` contains 2, and `GrantSecrets::decode` does not accept it", |at| {
        at.edit(REGISTRY, "reads = [1]", "reads = [1, 2]");
    }),
    mistake("sealed-records", "`GrantSecrets::decode` accepts version 2, and `reads` does not contain it", |at| {
        at.edit(PAYLOADS, "if version == PAYLOAD_VERSION {", "if version == PAYLOAD_VERSION || version == 2 {");
    }),
    mistake("sealed-records", "no check of the versions that `FlowSecrets::decode` accepts was found", |at| {
        at.edit(PAYLOADS, "        known(version)?;\n", "");
    }),
    mistake("sealed-records", "the use cases call `seal` without `PAYLOAD_VERSION`", |at| {
        at.edit(SEALER, "seal(associated, PAYLOAD_VERSION,", "seal(associated, 2,");
    }),
    mistake("sealed-records", "the use cases call `decode` without the version of the envelope", |at| {
        at.edit(SEALER, "FlowSecrets::decode(decrypted.version,", "FlowSecrets::decode(1,");
    }),
    mistake("migrations", "the number is not", |at| {
        at.write(&format!("{MIGRATIONS}/9999_planted.sql"), "CREATE TABLE planted (id INTEGER) STRICT;\n");
        at.edit(
            SCHEMA,
            "include_str!(\"../migrations/0001_first.sql\")",
            "\"../migrations/0001_first.sql ../migrations/9999_planted.sql\"",
        );
    }),
    mistake("migrations", "no source of the store includes the file", |at| {
        at.write(&format!("{MIGRATIONS}/{}", at.next_migration()), "CREATE TABLE planted (id INTEGER) STRICT;\n");
    }),
    after_release("migrations", "the migration 0001_first.sql was edited after the base", |at| {
        at.edit(
            &format!("{MIGRATIONS}/0001_first.sql"),
            "CREATE TABLE connectors (",
            "CREATE TABLE connectors ( planted TEXT,",
        );
    }),
    mistake("migrations", "the migration 0001_first.sql was removed after the base", |at| {
        at.remove(&format!("{MIGRATIONS}/0001_first.sql"));
    }),
    after_release("migrations", "removes what the previous release uses", |at| at.migration("DROP TABLE connectors;\n")),
    after_release("migrations", "requires a value which the previous release does not write", |at| {
        at.migration("ALTER TABLE connectors ADD COLUMN planted TEXT NOT NULL;\n");
    }),
    mistake("migrations", "the migration 0001_first.sql was edited after the base", |at| {
        at.edit(
            &format!("{MIGRATIONS}/0001_first.sql"),
            "CREATE TABLE connectors (",
            "CREATE TABLE connectors ( planted TEXT,",
        );
    }),
    mistake("migrations", "adds a constraint", |at| {
        at.migration("ALTER TABLE connectors ADD COLUMN planted TEXT CHECK (planted <> '');\n");
    }),
    mistake("migrations", "adds a constraint", |at| {
        at.migration("ALTER TABLE connectors ADD COLUMN planted TEXT REFERENCES authorizations (id);\n");
    }),
    mistake("migrations", "adds a unique index", |at| {
        at.migration("CREATE UNIQUE INDEX planted ON connectors (space);\n");
    }),
    mistake("migrations", "adds a trigger", |at| {
        at.migration("CREATE TRIGGER planted AFTER INSERT ON connectors BEGIN SELECT 1; END;\n");
    }),
    mistake("migrations", "renames what", |at| at.migration("ALTER TABLE connectors RENAME COLUMN space TO planted;\n")),
    mistake("migrations", "changes rows", |at| at.migration("UPDATE connectors SET epoch = 0;\n")),
    mistake("migrations", "removes rows", |at| at.migration("DELETE FROM connectors;\n")),
    mistake("migrations", "a permission is not needed", |at| {
        at.migration("-- release: the previous release does not read it\nCREATE TABLE planted (id INTEGER) STRICT;\n");
    }),
    mistake("migrations", "a permission gives no reason", |at| {
        at.migration("-- release: ok\nDELETE FROM connectors;\n");
    }),
    mistake("texts", "`common.cancel` is missing", |at| {
        at.json(GERMAN, |texts| drop(texts["common"].as_object_mut().unwrap().remove("cancel")));
    }),
    mistake("texts", "is not in sentence case: Again", |at| {
        at.json(ENGLISH, |texts| texts["common"]["retry"] = "Try Again".into());
    }),
    mistake("texts", "the text \"Planted text\" is not in the catalogue", |at| {
        at.write("app/console/web/src/ui/planted.tsx", "export const planted = <p>Planted text</p>;\n");
    }),
    mistake("texts", "the text \"Text\" is not in the catalogue", |at| at.tsx("<p>{\"Text\"}</p>")),
    mistake("texts", "the text \"C d\" is not in the catalogue", |at| at.tsx("<p>{cond ? 'A b' : 'C d'}</p>")),
    mistake("texts", "the text \"Hello ${}\" is not in the catalogue", |at| at.tsx("<p>{`Hello ${name}`}</p>")),
    mistake("texts", "the text \"Planted\" is not in the catalogue", |at| at.tsx("<i aria-label=\"Planted\" />")),
    mistake("texts", "the text \"Planted ${}\" is not in the catalogue", |at| at.tsx("<i title={`Planted ${name}`} />")),
    mistake("texts", "the text \"Planted\" is not in the catalogue", |at| {
        at.tsx("<input placeholder={x ?? \"Planted\"} />");
    }),
    mistake("texts", "the text \"Planted\" is not in the catalogue", |at| at.tsx("<img alt='Planted' />")),
    mistake("texts", "the text \"Planted\" is not in the catalogue", |at| at.tsx("<Field label={\"Planted\"} />")),
    mistake("texts", "the text \"Planted text\" is not in the catalogue", |at| at.tsx("toast(\"error\", \"Planted text\")")),
    mistake("texts", "`common.cancel` has 60 letters", |at| {
        at.json(GERMAN, |texts| texts["common"]["cancel"] = "x".repeat(60).into());
    }),
    mistake("texts", "`sign_out` has 60 letters", |at| {
        let page = "adapters-http/axum/src/pages/texts/de.rs";
        at.edit_line(page, "    sign_out: ", &format!("    sign_out: \"{}\",", "x".repeat(60)));
    }),
    mistake("texts", "`status.connected` has 60 letters", |at| {
        at.json(ENGLISH, |texts| texts["status"]["connected"] = "x".repeat(60).into());
    }),
    mistake("texts", "does not have the values of the English text", |at| {
        at.json(GERMAN, |texts| texts["common"]["since"] = "Seit".into());
    }),
    mistake("packages", "`grantry-runtime` is published and depends on `xtask`, which is not", |at| {
        let dependency = "[dependencies]\nxtask = { path = \"../../xtask\", version = \"0.1.0\" }\n";
        at.edit("app/runtime/Cargo.toml", "[dependencies]\n", dependency);
    }),
    mistake("packages", "`grantry-runtime` would contain the file", |at| at.write("app/runtime/src/planted.pem", "x\n")),
    mistake("packages", "the version of `@grantry/client` is not", |at| {
        at.json(CLIENT, |package| package["version"] = "0.0.9".into());
    }),
    mistake("packages", "`@grantry/client` would contain the file", |at| {
        at.write("app/console/packages/client/src/planted.pem", "x\n");
    }),
    mistake("packages", "`@grantry/react` is published and depends on `@grantry/web`, which is not", |at| {
        at.json(REACT, |package| package["dependencies"]["@grantry/web"] = "0.1.0".into());
    }),
    mistake("packages", "no order of publication: @grantry/client, @grantry/react depend on each other", |at| {
        at.json(CLIENT, |package| package["dependencies"] = serde_json::json!({ "@grantry/react": "0.1.0" }));
    }),
    mistake("packages", "the version of the Python package is not", |at| {
        at.edit_line(PYPROJECT, "version = ", "version = \"0.0.9\"");
    }),
    mistake("packages", "the Python package would contain the file", |at| {
        at.write("app/python/src/grantry/planted.pem", "x\n");
    }),
    mistake("front-end", "blocks an inline script", |at| at.edit(INDEX, "</head>", "<script>planted()</script></head>")),
    mistake("front-end", "the page names assets/planted.js, which does not exist", |at| {
        at.edit(INDEX, "</head>", "<script src=\"/assets/planted.js\"></script></head>");
    }),
    mistake("front-end", "the budget is 1000", |at| {
        let script = "app/console/scripts/size-check.mjs";
        let limit = at.read(script).lines().find(|line| line.starts_with("const LIMIT = ")).unwrap().to_owned();
        at.edit(script, &limit, "const LIMIT = 1_000;");
    }),
    mistake("front-end", "the budget is 10", |at| {
        at.edit("app/console/scripts/size-check.mjs", "const CSS_LIMIT = 6_500;", "const CSS_LIMIT = 10;");
    }),
    mistake("front-end", "blocks https://planted.example/a.woff2", |at| {
        at.write("app/console/dist/assets/planted.css", "a{background:url(https://planted.example/a.woff2)}\n");
    }),
    mistake("changelog", "`domain` changed since", |at| {
        at.edit("domain/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("domain: change something");
    }),
    mistake("changelog", "domain: change another thing` has no entry", |at| {
        at.entry("**fix** (domain): Mends the planted thing.");
        at.edit("domain/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("domain: change something");
        // The area has an entry, and this commit has none.
        at.edit("domain/src/lib.rs", "//! ", "//! Planted again.\n//! ");
        at.commit("domain: change another thing");
    }),
    mistake("changelog", "domain: change something` has no entry", |at| {
        at.entry("**fix** (app): Mends another area.");
        at.edit("domain/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("domain: change something");
    }),
    mistake("changelog", "domain: change something` has no entry", |at| {
        at.edit("domain/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("domain: change something\n\nChangelog: none, the entry follows");
        at.entry("**fix** (domain): Mends the planted thing.");
        at.commit("changelog: add an entry");
    }),
    mistake("changelog", "domain: change something` has no entry", |at| {
        at.edit("domain/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("domain: change something\n\nChangelog: An entry that does not exist");
    }),
    // The trailer quotes an entry of the base.
    mistake("changelog", "app: change something` has no entry", |at| {
        at.edit("app/src/lib.rs", "//! ", "//! Planted.\n//! ");
        at.commit("app: change something\n\nChangelog: Changes `planted`, `oauth");
    }),
    mistake("changelog", "`planted` is not a label", |at| at.entry("**planted** (domain): Mends something.")),
    mistake("changelog", "the entry has no label or no area", |at| {
        at.edit(CHANGELOG, "## Unreleased\n\n", "## Unreleased\n\n- Adds something.\n");
    }),
    mistake("changelog", "`planted` is not a crate or a package", |at| {
        at.edit(CHANGELOG, "## Unreleased\n\n", "## Unreleased\n\n- **fix** (planted): Mends something.\n");
    }),
    mistake("profiles", "not verified for", |at| at.edit_line(PROFILE, "verified_on = ", "verified_on = \"2020-01-31\"")),
    mistake("profiles", "is past its sunset (2020-01-31)", |at| {
        at.edit(PROFILE, "title = ", "sunset = \"2020-01-31\"\ntitle = ");
    }),
    mistake("spelling", "\"recieve\"", |at| {
        at.edit("README.md", "## Try it\n", "## Try it\n\nBrowsers recieve no token.\n");
    }),
    mistake("spelling", "\"somebody\"", |at| at.edit("README.md", "## Try it\n", "## Try it\n\nFor somebody else.\n")),
    // The texts are parts of what cargo-deny reports, and of what is reported without it.
    mistake("licences", "`Zlib`", |at| {
        at.edit("deny.toml", "    \"Zlib\",\n", "");
    }),
    mistake("licences", "ban", |at| {
        at.edit("deny.toml", "deny = [\n", "deny = [\n    { crate = \"serde\", reason = \"planted\" },\n");
    }),
    mistake("licences", "the licence `Planted` of the package web/node_modules/planted is not allowed", |at| {
        at.json(NPM_LOCK, |lock| {
            lock["packages"]["web/node_modules/planted"] = serde_json::json!({ "version": "1.0.0", "license": "Planted" });
        });
    }),
    mistake("advisories", "days old, more than 90", |at| {
        at.old_advisories("target/advisory-dbs");
        at.edit("deny.toml", "[advisories]\n", "[advisories]\ndb-path = \"target/advisory-dbs\"\n");
    }),
    mistake("unused", "no source uses the dependency `percent-encoding`", |at| {
        at.edit("app/runtime/Cargo.toml", "[dependencies]\n", "[dependencies]\npercent-encoding.workspace = true\n");
    }),
];

/// The error codes of the API.
fn codes(api: &mut Value) -> &mut Vec<Value> {
    api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array_mut().unwrap()
}

/// The scratch repository. A mistake is written to the files and to the texts that the checks get, so that the repository is read
/// once and not for each mistake.
struct Scratch {
    sh: Shell,
    root: PathBuf,
    context: Context,
    /// The texts before the mistake, of the files that it changed.
    before: BTreeMap<String, Option<String>>,
    has_commits: bool,
}

impl Scratch {
    /// Copies the files of the workspace to a folder below `target`.
    fn new(folder: &str) -> Self {
        let root = workspace::metadata().unwrap().target_directory.join(folder).into_std_path_buf();
        Context::open(&workspace::root(), None).unwrap().copy_to(&root).unwrap();
        let sh = Shell::new().unwrap();
        sh.change_dir(&root);
        let changelog = std::fs::read_to_string(root.join(CHANGELOG)).unwrap();
        std::fs::write(root.join(CHANGELOG), with_entry(&changelog, OLD_ENTRY)).unwrap();
        git(&sh, &["init", "--quiet"]);
        commit(&sh, "base");
        let base = cmd!(sh, "git rev-parse HEAD").quiet().read().unwrap();
        std::fs::write(root.join(super::base::FILE), format!("commit = \"{base}\"\nreason = \"test\"\n")).unwrap();
        commit(&sh, "name the base");
        git(&sh, &["branch", "clean"]);
        let context = Context::open(&root, None).unwrap();
        Self { sh, root, context, before: BTreeMap::new(), has_commits: false }
    }

    fn read(&self, path: &str) -> String {
        self.context.files.text(path).unwrap().to_owned()
    }

    fn write(&mut self, path: &str, text: &str) {
        let before = self.context.files.find(path).map(str::to_owned);
        self.before.entry(path.to_owned()).or_insert(before);
        self.put(path, Some(text));
    }

    fn tsx(&mut self, expression: &str) {
        self.write("app/console/web/src/ui/planted.tsx", &format!("export const planted = {expression};\n"));
    }

    fn remove(&mut self, path: &str) {
        let before = self.read(path);
        self.before.entry(path.to_owned()).or_insert(Some(before));
        self.put(path, None);
    }

    /// Writes a file, or removes it.
    fn put(&mut self, path: &str, text: Option<&str>) {
        let (full, files) = (self.root.join(path), &mut self.context.files.files);
        files.retain(|file| file.path != path);
        if let Some(text) = text {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, text).unwrap();
            let at = files.partition_point(|file| file.path.as_str() < path);
            files.insert(at, File { path: path.to_owned(), text: text.to_owned() });
        } else {
            std::fs::remove_file(full).unwrap();
        }
    }

    /// Replaces the first occurrence, which must exist.
    fn edit(&mut self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} does not contain {from:?}");
        self.write(path, &text.replacen(from, to, 1));
    }

    fn edit_line(&mut self, path: &str, prefix: &str, line: &str) {
        let old = self.read(path).lines().find(|line| line.starts_with(prefix)).unwrap().to_owned();
        self.edit(path, &old, line);
    }

    fn json(&mut self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_str(&self.read(path)).unwrap();
        change(&mut value);
        self.write(path, &format!("{value:#}\n"));
    }

    /// Adds an entry to the changelog.
    fn entry(&mut self, entry: &str) {
        self.write(CHANGELOG, &with_entry(&self.read(CHANGELOG), entry));
    }

    /// Makes a public function private, in the source and in the text of the public items.
    fn hide_item(&mut self) {
        self.edit(RATE_LIMITER, "pub fn tracked(", "fn tracked(");
        let line = self.read(RUNTIME_API).lines().find(|line| line.contains("pub fn tracked(")).unwrap().to_owned();
        self.edit(RUNTIME_API, &format!("{line}\n"), "");
    }

    /// Changes an operation of the API.
    fn operation(&mut self, path: &str, method: &str, change: impl FnOnce(&mut Value)) {
        self.json("openapi.json", |api| change(&mut api["paths"][path][method]));
    }

    /// Changes a schema of the API.
    fn schema(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        self.json("openapi.json", |api| change(&mut api["components"]["schemas"][name]));
    }

    fn next_migration(&self) -> String {
        let number = std::fs::read_dir(self.root.join(MIGRATIONS)).unwrap().count() + 1;
        format!("{number:04}_planted.sql")
    }

    /// Adds a migration with the next number.
    fn migration(&mut self, text: &str) {
        let name = self.next_migration();
        self.write(&format!("{MIGRATIONS}/{name}"), text);
        self.edit(
            SCHEMA,
            "const MIGRATIONS: &[&str] = &[",
            &format!("const MIGRATIONS: &[&str] = &[include_str!(\"../migrations/{name}\"), "),
        );
    }

    /// A copy of the advisory database with a commit of 2020, in a folder that git ignores.
    fn old_advisories(&self, folder: &str) {
        let copy = self.root.join(folder).join("planted");
        git(&self.sh, &["init", "--quiet", copy.to_str().unwrap()]);
        let _there = self.sh.push_dir(&copy);
        let _day = self.sh.push_env("GIT_COMMITTER_DATE", "2020-01-31T12:00:00Z");
        self.sh.write_file("planted.md", "x\n").unwrap();
        commit(&self.sh, "planted");
    }

    fn commit(&mut self, message: &str) {
        commit(&self.sh, message);
        self.has_commits = true;
    }

    /// The findings of a check. Each has a mend, and a place that exists.
    fn findings(&self, row: &Row) -> Vec<String> {
        match (row.run)(&self.context).unwrap() {
            Outcome::Red { findings, .. } => {
                for Finding { what, place, mend } in &findings {
                    assert_eq!(place.fault(&self.root), None, "{}: {what}", row.name);
                    assert!(!mend.trim().is_empty() && !mend.contains("above"), "{}: {what}: {mend}", row.name);
                }
                findings.into_iter().map(|finding| finding.what).collect()
            }
            Outcome::Green { .. } | Outcome::Skipped(_) => Vec::new(),
        }
    }

    /// The red ones of the fast checks.
    fn red(&self) -> Vec<(&'static str, Vec<String>)> {
        let all = fast().map(|row| (row.name, self.findings(row)));
        all.filter(|(_, findings)| !findings.is_empty()).collect()
    }

    /// Plants a mistake, runs its check, and removes the mistake. Returns what is not as expected.
    fn check(&mut self, mistake: &Mistake) -> Option<String> {
        if mistake.released {
            git(&self.sh, &["tag", "v0.1.0", "clean"]);
            self.context = Context::open(&self.root, None).unwrap();
        }
        (mistake.plant)(self);
        let row = named(mistake.row);
        let findings = self.findings(row);
        if self.has_commits {
            git(&self.sh, &["reset", "--quiet", "clean"]);
            self.has_commits = false;
        }
        for (path, text) in std::mem::take(&mut self.before) {
            self.put(&path, text.as_deref());
        }
        if mistake.released {
            git(&self.sh, &["tag", "--delete", "v0.1.0"]);
            self.context = Context::open(&self.root, None).unwrap();
        }
        let is_found = findings.iter().any(|what| what.contains(mistake.finding));
        (!is_found).then(|| format!("{}: {}\n  found: {findings:?}", mistake.row, mistake.finding))
    }
}

/// The changelog with one more unreleased entry.
fn with_entry(changelog: &str, entry: &str) -> String {
    let heading = "## Unreleased\n\n";
    assert!(changelog.contains(heading), "{CHANGELOG} has no unreleased entries");
    changelog.replacen(heading, &format!("{heading}- {entry}\n"), 1)
}

fn git(sh: &Shell, arguments: &[&str]) {
    cmd!(sh, "git {arguments...}").quiet().ignore_stdout().run().unwrap();
}

fn commit(sh: &Shell, message: &str) {
    git(sh, &["add", "--all"]);
    git(sh, &["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", message]);
}

fn named(name: &str) -> &'static Row {
    fast().find(|row| row.name == name).unwrap()
}

fn fast() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.cost == Cost::Fast)
}

#[test]
fn each_planted_mistake_is_found_by_its_check_and_the_untouched_clone_is_green() {
    let mut scratch = Scratch::new("planted-mistakes");
    assert_eq!(scratch.red(), []);
    let wrong: Vec<_> = MISTAKES.iter().filter_map(|mistake| scratch.check(mistake)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A mistake that stays would make the later ones pass for the wrong reason.
    let status = cmd!(scratch.sh, "git status --porcelain").quiet().read().unwrap();
    assert_eq!(status, "");
}

/// Commits that satisfy the rule of the changelog in each permitted way are green.
#[test]
fn a_commit_with_an_entry_is_green() {
    let mut scratch = Scratch::new("planted-commits");
    let change = |at: &mut Scratch, number: u8| {
        at.edit("domain/src/lib.rs", "//! ", &format!("//! Planted {number}.\n//! "));
    };
    scratch.entry("**fix** (domain): Mends the planted thing.");
    change(&mut scratch, 1);
    scratch.commit("domain: change 1");
    change(&mut scratch, 2);
    scratch.commit("domain: change 2\n\nChangelog: Mends the planted");
    change(&mut scratch, 3);
    scratch.commit("domain: change 3\n\nChangelog: none");
    change(&mut scratch, 4);
    scratch.commit("domain: change 4");
    let hash = cmd!(scratch.sh, "git rev-parse HEAD").quiet().read().unwrap();
    scratch.entry("**feature** (domain): Adds the planted thing.");
    scratch.commit(&format!("changelog: add an entry\n\nChangelog-for: {hash}"));
    let row = named("changelog");
    assert_eq!(scratch.findings(row), Vec::<String>::new());
}

/// An entry that was added since the base permits a change that the same entry in the base does not.
#[test]
fn a_change_with_a_new_entry_is_green() {
    let mut scratch = Scratch::new("planted-entries");
    let outcomes = |at: &Scratch| ["configuration", "migrations"].map(|name| at.findings(named(name)).len());
    scratch.edit(SETTINGS, "    pub refusal_window: Duration,\n", "");
    scratch.edit(
        &format!("{MIGRATIONS}/0001_first.sql"),
        "CREATE TABLE connectors (",
        "CREATE TABLE connectors ( planted TEXT,",
    );
    assert_eq!(outcomes(&scratch), [1, 1]);
    scratch.entry("**breaking** (app, store-sqlite): Removes `oauth.refusal_window`; `0001_first.sql` has a new column.");
    assert_eq!(outcomes(&scratch), [0, 0]);
}

#[test]
fn every_fast_check_has_a_planted_mistake() {
    assert!(MISTAKES.len() >= 25);
    for row in fast() {
        assert!(MISTAKES.iter().any(|mistake| mistake.row == row.name), "{}", row.name);
    }
}

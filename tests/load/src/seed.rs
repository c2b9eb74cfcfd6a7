//! Databases with many grants.
//!
//! The server creates the connectors, and one real flow at each of them makes its first grant. The other grants are copies of it
//! for other users: the tokens are sealed for the new row by the vault, and the row is written with the columns of the first
//! one. The store has no method that writes a grant without a flow, and a million flows take an hour.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grantry_crypto_aes_gcm::{AesGcmVault, KeySource, Keyring};
use grantry_domain::authorization::{Authorization, AuthorizationId, GrantSecrets, PAYLOAD_VERSION};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuthorizationStore as _, Clock as _, SecureRandom as _};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::parts::Sealer;
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::Result;
use crate::deployment::{Installation, Ports, Server, as_user, connector, user};
use crate::provider;
use crate::workload::{Caller, Outcome, Population, Random, flow};

/// The version of this module's output. A change makes new databases.
const FORMAT: u32 = 2;
/// Rows in one transaction.
const BATCH: u64 = 50_000;
/// An odd number without common factors with any population: rows are not in the order of users.
const STRIDE: u64 = 982_451_653;
/// The connection of the first flow; the others have a number after it.
const FLOW: &str = "flow";
/// Flows of each user.
const FLOWS_EACH: u32 = 100;
/// How long ago the flows ended, or their deadline passed.
const LONG_AGO: Duration = Duration::from_hours(48);
/// How long before its expiry an expired token was requested.
const LIFETIME: Duration = Duration::from_hours(1);
/// Days since the consent and the last use of a grant with an expired token: the server refreshes recent ones by itself.
const UNUSED_DAYS: u32 = 30;

/// What a database contains.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    /// Users and connectors.
    pub population: Population,
    /// Its grants.
    pub grants: Grants,
}

/// The grants of a seeded database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Grants {
    /// Every user has one at every connector; its access token is valid for ten years.
    Valid,
    /// The same, and the access tokens have expired.
    Expired,
    /// None.
    None,
    /// Valid ones, and a hundred flows of every user whose deadline has passed.
    LateFlows,
    /// Valid ones, and a hundred flows of every user that ended long ago.
    EndedFlows,
}

impl Grants {
    fn are_valid(self) -> bool {
        matches!(self, Self::Valid | Self::LateFlows | Self::EndedFlows)
    }

    fn has_flows(self) -> bool {
        matches!(self, Self::LateFlows | Self::EndedFlows)
    }
}

impl Seed {
    fn rows(self) -> u64 {
        u64::from(self.population.users) * u64::from(self.population.connectors)
    }
}

/// Returns the seeded database below a folder, and creates it with the server `program` if it does not exist. Its name contains
/// a digest of everything that decides the content.
pub async fn seeded(below: &Path, program: &Path, ports: Ports, seed: Seed) -> Result<Installation> {
    let Population { users, connectors } = seed.population;
    let identity = format!("{FORMAT} {PAYLOAD_VERSION} {ports:?} {seed:?} {}", schema().await?);
    let digest = hex::encode(&Sha256::digest(identity.as_bytes())[..4]);
    let kind = format!("{:?}", seed.grants).to_lowercase();
    let folder = below.join(format!("{users}x{connectors}-{kind}-{digest}"));
    if folder.join("complete").exists() {
        let installation = Installation { folder, ports };
        if seed.grants.are_valid() {
            use_today(&installation)?;
        }
        return Ok(installation);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let installation = Installation::create(&folder, ports, users)?;
    first_grants(&installation, program, seed).await?;
    if seed.grants != Grants::None {
        copy_grants(&installation, seed).await?;
    }
    if seed.grants.has_flows() {
        copy_flows(&installation, seed)?;
    }
    fs::write(folder.join("complete"), today().to_string())?;
    Ok(installation)
}

/// The statements of the schema.
async fn schema() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grantry.db");
    open(&path).await?.close().await;
    let database = Connection::open(&path)?;
    let mut statement = database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?;
    let statements: std::result::Result<Vec<String>, _> = statement.query_map([], |row| row.get(0))?.collect();
    Ok(statements?.join(";"))
}

async fn open(path: &Path) -> Result<SqliteStore> {
    Ok(SqliteStore::open(SqliteOptions::new(path, Arc::new(SystemClock), Arc::new(SystemRandom))).await?)
}

fn today() -> i64 {
    SystemClock.now().day()
}

/// Marks all grants as used today. Otherwise the first use of each grant on another day is a write, and the runs of one day
/// differ from those of the next.
fn use_today(installation: &Installation) -> Result {
    let marker = installation.folder.join("complete");
    if fs::read_to_string(&marker)? != today().to_string() {
        let database = Connection::open(installation.database())?;
        database.execute("UPDATE authorizations SET last_used_day = ?1 WHERE last_used_day IS NOT NULL", [today()])?;
        fs::write(marker, today().to_string())?;
    }
    Ok(())
}

/// Creates the connectors and connects the first user to each.
async fn first_grants(installation: &Installation, program: &Path, seed: Seed) -> Result {
    let ports = installation.ports;
    let provider = tokio::spawn(provider::serve(TcpListener::bind(ports.provider()).await?));
    let mut server = Server::start(program, &installation.config(), None)?;
    let connection = server.connect(ports.server()).await?;
    let mut caller = Caller { server: ports.server(), connection, request: Vec::new(), random: Random::new(1) };
    for number in 0..seed.population.connectors {
        let id = connector(number);
        let body = draft(ports.provider());
        caller.request.clear();
        as_user(&mut caller.request, ports.server(), &user(0), "POST", &format!("/api/actions/connector/{id}"), &body);
        let response = caller.connection.exchange(&caller.request).await?;
        if response.status != 200 {
            return Err(format!("the connector {id} is refused: {}", response.text()).into());
        }
        if seed.grants != Grants::None
            && let Outcome::Unexpected(what) = flow(&mut caller, &user(0), &id).await?
        {
            return Err(format!("the first flow fails: {what}").into());
        }
    }
    if seed.grants.has_flows() {
        first_flow(&mut caller, seed.grants).await?;
    }
    server.stop()?;
    provider.abort();
    Ok(())
}

/// Starts a flow of the first user, and cancels it if it is to be one that ended.
async fn first_flow(caller: &mut Caller, grants: Grants) -> Result {
    let (server, path) = (caller.server, format!("/internal/actions/connector/{}", connector(0)));
    let mut send = async |path: &str, body: &str| -> Result<serde_json::Value> {
        caller.request.clear();
        as_user(&mut caller.request, server, &user(0), "POST", path, body);
        let response = caller.connection.exchange(&caller.request).await?;
        match response.status {
            200 => Ok(serde_json::from_slice(response.body)?),
            204 => Ok(serde_json::Value::Null),
            status => Err(format!("the first flow is refused: {status} {}", response.text()).into()),
        }
    };
    let started = send(&format!("{path}/_start_oauth_flow"), &format!(r#"{{"connection":"{FLOW}"}}"#)).await?;
    if grants == Grants::EndedFlows {
        let state = started["state"].as_str().unwrap_or_default();
        send(&format!("{path}/_oauth_cancel"), &format!(r#"{{"state":"{state}"}}"#)).await?;
    }
    Ok(())
}

/// A connector with entered endpoints: a flow needs no request for metadata.
fn draft(provider: SocketAddr) -> String {
    serde_json::json!({
        "name": "Load",
        "connector_type_id": ".oauth2",
        "config": {
            "authorizationUrl": format!("http://{provider}/authorize"),
            "tokenUrl": format!("http://{provider}/token"),
            "baseUrl": format!("http://{provider}"),
            "scope": "files.read",
        },
        "secrets": { "clientId": "load", "clientSecret": "load-secret" },
    })
    .to_string()
}

/// Copies the grant of the first user at each connector for the other users.
async fn copy_grants(installation: &Installation, seed: Seed) -> Result {
    let store = Arc::new(open(&installation.database()).await?);
    let keyring = Keyring::load(&KeySource::File(installation.key()), &[], &installation.folder)?;
    let vault = Arc::new(AesGcmVault::new(keyring, store.deployment_id(), Arc::new(SystemRandom)));
    let sealer = Sealer::new(vault.clone(), store.clone(), vault);
    let mut database = Connection::open(installation.database())?;
    database.pragma_update(None, "synchronous", "OFF")?;
    database.pragma_update(None, "cache_size", -1_500_000)?;

    let mut templates = Vec::new();
    for number in 0..seed.population.connectors {
        templates.push(Template::read(&database, &store, &sealer, number).await?);
    }
    let columns = Columns::read(&database)?;
    let rows = seed.rows();
    let mut next = 0;
    while next < rows {
        let transaction = database.transaction()?;
        for index in next..(next + BATCH).min(rows) {
            let place = (index.wrapping_mul(STRIDE)) % rows;
            let number = u32::try_from(place % u64::from(seed.population.users))?;
            let template = usize::try_from(place / u64::from(seed.population.users))?;
            let template = templates.get_mut(template).ok_or("a population without connectors")?;
            if number > 0 {
                columns.copy(&transaction, template.row, template.sealed_for(&sealer, number, seed.grants)?)?;
            } else if seed.grants == Grants::Expired {
                columns.overwrite(&transaction, template.row, template.expired(&sealer)?)?;
            }
        }
        transaction.commit()?;
        next += BATCH;
        eprintln!("{} of {rows} grants", next.min(rows));
    }
    database.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
    drop(database);
    store.close().await;
    Ok(())
}

/// The row and the grant of the first user at the nth connector.
pub(crate) async fn first_grant(database: &Connection, store: &SqliteStore, number: u32) -> Result<(i64, Authorization)> {
    let query = "SELECT seq, id FROM authorizations WHERE connector = ?1 AND user = ?2 AND state = 'authorized'";
    let found: Option<(i64, [u8; 24])> =
        database.query_row(query, [connector(number), user(0)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (row, id) = found.ok_or("the first grant is missing")?;
    let found = store.find(AuthorizationId::from_bytes(id)).await?;
    Ok((row, found.ok_or("the first grant is missing")?.value))
}

/// Copies the flow of the first user for every user and many connection names. A sweep does not open the envelope of a flow, so
/// the copies keep that of the first one.
fn copy_flows(installation: &Installation, seed: Seed) -> Result {
    let mut database = Connection::open(installation.database())?;
    database.pragma_update(None, "synchronous", "OFF")?;
    database.pragma_update(None, "cache_size", -1_500_000)?;
    let columns = Columns::read(&database)?;
    let row = database.query_row("SELECT seq FROM authorizations WHERE connection = ?1", [FLOW], |row| row.get(0))?;
    let past = SystemClock.now().minus(LONG_AGO).as_millis();
    let of_kind = match seed.grants {
        Grants::EndedFlows => "since",
        Grants::LateFlows | Grants::Valid | Grants::Expired | Grants::None => "deadline",
    };
    for connection in 0..FLOWS_EACH {
        let transaction = database.transaction()?;
        for number in 0..seed.population.users {
            let mut random = [0; 16 + 32];
            SystemRandom.fill(&mut random).map_err(|_| "no secure randomness is available")?;
            let (id, state) = random.split_at(16);
            let id = AuthorizationId::new(SystemClock.now(), id.try_into()?);
            let differences = vec![
                ("id", Value::Blob(id.as_bytes().to_vec())),
                ("user", Value::Text(user(number))),
                ("connection", Value::Text(format!("{FLOW}{connection}"))),
                ("state_hash", Value::Blob(state.to_vec())),
                ("created_at", Value::Integer(past)),
                (of_kind, Value::Integer(past)),
            ];
            columns.copy(&transaction, row, differences)?;
        }
        transaction.commit()?;
        eprintln!("flows of {connection} of {FLOWS_EACH} connections");
    }
    database.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
    Ok(())
}

/// The first grant of a connector.
struct Template {
    row: i64,
    grant: Authorization,
    secrets: GrantSecrets,
}

/// The columns in which a copy differs.
type Differences = Vec<(&'static str, Value)>;

impl Template {
    async fn read(database: &Connection, store: &SqliteStore, sealer: &Sealer, number: u32) -> Result<Self> {
        let (row, grant) = first_grant(database, store, number).await?;
        let secrets = sealer.open_grant(&grant).map_err(|error| format!("the first grant does not open: {error:?}"))?;
        Ok(Self { row, grant, secrets })
    }

    /// The differences of the nth user.
    fn sealed_for(&mut self, sealer: &Sealer, number: u32, grants: Grants) -> Result<Differences> {
        let mut random = [0; 16 + 32];
        SystemRandom.fill(&mut random).map_err(|_| "no secure randomness is available")?;
        let (id, state) = random.split_at(16);
        let id = AuthorizationId::new(SystemClock.now(), id.try_into()?);
        let mut owner = self.grant.owner().clone();
        owner.user = UserId::new(user(number)).map_err(|_| "not a user id")?;
        self.secrets.access_token = Secret::from_text(&provider::token("at", u64::from(number)));
        if grants == Grants::Expired {
            self.expire();
        }
        let record = sealer.seal_grant(&owner, id, &self.secrets).map_err(|error| error.to_string())?;
        let mut differences = if grants == Grants::Expired { unused() } else { Vec::new() };
        differences.extend([
            ("id", Value::Blob(id.as_bytes().to_vec())),
            ("user", Value::Text(user(number))),
            ("state_hash", Value::Blob(state.to_vec())),
            ("sealed", Value::Blob(record.sealed.0)),
            ("expires_at", record.expires_at.map_or(Value::Null, |at| Value::Integer(at.as_millis()))),
            ("account_tag", record.account_tag.map_or(Value::Null, |tag| Value::Blob(tag.0.to_vec()))),
        ]);
        Ok(differences)
    }

    /// The differences of the first grant itself, expired.
    fn expired(&mut self, sealer: &Sealer) -> Result<Differences> {
        self.expire();
        let record = sealer.seal_grant(self.grant.owner(), self.grant.id(), &self.secrets);
        let record = record.map_err(|error| error.to_string())?;
        let mut differences = unused();
        differences.extend([
            ("sealed", Value::Blob(record.sealed.0)),
            ("expires_at", record.expires_at.map_or(Value::Null, |at| Value::Integer(at.as_millis()))),
            ("account_tag", record.account_tag.map_or(Value::Null, |tag| Value::Blob(tag.0.to_vec()))),
        ]);
        Ok(differences)
    }

    fn expire(&mut self) {
        let now: Timestamp = SystemClock.now();
        self.secrets.issued_at = now.minus(LIFETIME * 2);
        self.secrets.expires_at = Some(now.minus(LIFETIME));
    }
}

/// The columns of a grant that was not used for long.
fn unused() -> Differences {
    let consent = SystemClock.now().minus(Duration::from_hours(24) * UNUSED_DAYS).as_millis();
    vec![
        ("created_at", Value::Integer(consent)),
        ("authorized_at", Value::Integer(consent)),
        ("last_used_day", Value::Integer(today() - i64::from(UNUSED_DAYS))),
    ]
}

/// The stored columns of authorizations, except the row number.
struct Columns(Vec<String>);

impl Columns {
    fn read(database: &Connection) -> Result<Self> {
        let query = "SELECT name FROM pragma_table_xinfo('authorizations') WHERE hidden = 0 AND name <> 'seq'";
        let names: std::result::Result<Vec<String>, _> = database.prepare(query)?.query_map([], |row| row.get(0))?.collect();
        Ok(Self(names?))
    }

    /// Inserts a copy of a row with these differences.
    fn copy(&self, database: &Connection, row: i64, differences: Differences) -> Result {
        let selected = self.0.iter().map(|name| match differences.iter().position(|(differing, _)| differing == name) {
            Some(position) => format!("?{}", position + 2),
            None => name.clone(),
        });
        let (into, selected) = (self.0.join(", "), selected.collect::<Vec<_>>().join(", "));
        let insert = format!("INSERT INTO authorizations ({into}) SELECT {selected} FROM authorizations WHERE seq = ?1");
        let values = std::iter::once(Value::Integer(row)).chain(differences.into_iter().map(|(_, value)| value));
        let inserted = database.prepare_cached(&insert)?.execute(params_from_iter(values))?;
        if inserted == 1 { Ok(()) } else { Err("the first grant has disappeared".into()) }
    }

    /// Changes a row.
    fn overwrite(&self, database: &Connection, row: i64, differences: Differences) -> Result {
        for (name, value) in differences {
            if !self.0.iter().any(|column| column == name) {
                return Err(format!("there is no column {name}").into());
            }
            database.execute(&format!("UPDATE authorizations SET {name} = ?1 WHERE seq = ?2"), (value, row))?;
        }
        Ok(())
    }
}

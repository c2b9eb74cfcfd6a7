//! An access token without HTTP, beside the least that it needs: one point read and one envelope.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grantry::app::App;
use grantry::config::Config;
use grantry_crypto_aes_gcm::{AesGcmVault, KeySource, Keyring};
use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, Envelope};
use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{AssociatedData, TokenVault as _};
use grantry_domain::provider::Origin;
use grantry_domain::usecase::{AccessTokenRequest, Connections};
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::Result;
use crate::deployment::Installation;
use crate::latency::as_f64;
use crate::seed::first_grant;
use crate::workload::{Population, Random};

/// The read of the reference: the grant of a user at a connector, by its unique index.
const POINT_READ: &str = "SELECT id, sealed FROM authorizations \
     WHERE incarnation = ?1 AND user = ?2 AND connection = 'default' AND role = 'grant'";

/// Microseconds of one round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Issuing an access token.
    pub issue: f64,
    /// A point read and opening its envelope.
    pub open: f64,
}

/// Measures rounds of both, one after the other, with random grants of a seeded database.
pub async fn rounds(
    installation: &Installation,
    population: Population,
    rounds: u32,
    duration: Duration,
) -> Result<Vec<Round>> {
    let reference = Reference::open(installation, population).await?;
    let config = Config::load(&installation.config())?;
    let app = App::from_config(&config).await?.build().await?;
    let destination = Origin::new(format!("http://{}", installation.ports.provider())).map_err(|_| "not an origin")?;
    let mut random = Random::new(1);
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let issue = issues(app.connections(), population, &destination, &mut random, duration).await?;
        let open = reference.opens(population, &mut random, duration)?;
        measured.push(Round { issue, open });
    }
    app.close().await;
    Ok(measured)
}

/// Microseconds a token.
async fn issues(
    connections: &Connections,
    population: Population,
    destination: &Origin,
    random: &mut Random,
    duration: Duration,
) -> Result<f64> {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < duration {
        let (user, connector) = random.grant(population);
        let request = AccessTokenRequest {
            actor: Actor::Agent("load".to_owned()),
            connector: connector_key(&connector)?,
            user: user_id(&user)?,
            connection: None,
            destination: Some(destination.clone()),
        };
        connections.access_token(&request).await.map_err(|error| error.to_string())?;
        count += 1;
    }
    Ok(micros_each(started, count))
}

/// The database and the keys, without the application.
struct Reference {
    database: Connection,
    vault: AesGcmVault,
    /// The key of the first user's grant at each connector.
    owners: Vec<AuthorizationKey>,
}

impl Reference {
    async fn open(installation: &Installation, population: Population) -> Result<Self> {
        let options = SqliteOptions::new(installation.database(), Arc::new(SystemClock), Arc::new(SystemRandom));
        let store = SqliteStore::open(options).await?;
        let database = Connection::open_with_flags(installation.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut owners = Vec::new();
        for number in 0..population.connectors {
            owners.push(first_grant(&database, &store, number).await?.1.owner().clone());
        }
        let keyring = Keyring::load(&KeySource::File(installation.key()), &[], &installation.folder)?;
        let vault = AesGcmVault::new(keyring, store.deployment_id(), Arc::new(SystemRandom));
        store.close().await;
        Ok(Self { database, vault, owners })
    }

    /// Microseconds an envelope.
    fn opens(&self, population: Population, random: &mut Random, duration: Duration) -> Result<f64> {
        let mut read = self.database.prepare(POINT_READ)?;
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < duration {
            let (user, connector) = random.grant(population);
            let number: usize = connector.trim_start_matches('c').parse()?;
            let owner = self.owners.get(number).ok_or("a connector is missing")?;
            let (id, sealed): ([u8; 24], Vec<u8>) =
                read.query_row((owner.incarnation.0, &user), |row| Ok((row.get(0)?, row.get(1)?)))?;
            let owner = AuthorizationKey { user: user_id(&user)?, ..owner.clone() };
            let associated = AssociatedData::Grant { owner, grant: AuthorizationId::from_bytes(id) };
            self.vault.open(&associated, &Envelope(sealed)).map_err(|error| error.to_string())?;
            count += 1;
        }
        Ok(micros_each(started, count))
    }
}

fn micros_each(started: Instant, count: u64) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / as_f64(count.max(1))
}

fn connector_key(id: &str) -> Result<ConnectorKey> {
    let space = SpaceId::new("default").map_err(|_| "not a space id")?;
    Ok(ConnectorKey { space, id: ConnectorId::new(id).map_err(|_| "not a connector id")? })
}

fn user_id(id: &str) -> Result<UserId> {
    UserId::new(id).map_err(|_| "not a user id".into())
}

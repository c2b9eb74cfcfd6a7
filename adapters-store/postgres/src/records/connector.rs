//! Connectors as rows.

use grantry_domain::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorKey, ConnectorName, Epoch, Incarnation, ProfileId,
};
use grantry_domain::ports::RowTag;
use tokio_postgres::Row;

use super::Columns;
use crate::error::PgError;

/// The columns that [`connector`] reads, of a table named `c`.
pub(crate) const CONNECTOR_COLUMNS: &str = "c.seq, c.space, c.connector, c.incarnation, c.epoch, c.name, c.profile, c.config, \
     c.client_id, c.auth_mode, c.callback_id, c.has_client_secret, c.revision, c.created_at, c.updated_at, c.tag";

/// The number of these columns.
pub(crate) const CONNECTOR_WIDTH: usize = 16;

/// Reads a connector from the first columns of a row.
pub(crate) fn connector(row: &Row) -> Result<Connector, PgError> {
    let mut columns = Columns::numbered(row, 0, "connectors")?;
    let key = ConnectorKey { space: columns.space()?, id: columns.connector()? };
    let incarnation = Incarnation(columns.array()?);
    let epoch = Epoch(columns.unsigned()?);
    let name = ConnectorName::new(columns.text()?).map_err(|_| columns.broken("a name is well formed"))?;
    let config = ConnectorConfig {
        profile: ProfileId::new(columns.text()?).map_err(|_| columns.broken("a profile id is well formed"))?,
        settings: columns.text()?.to_owned(),
        client_id: columns.optional_text()?.map(str::to_owned),
    };
    let auth_mode = AuthMode::parse(columns.text()?).ok_or_else(|| columns.broken("the mode is a known one"))?;
    Ok(Connector {
        key,
        name,
        config,
        auth_mode,
        incarnation,
        epoch,
        callback_id: CallbackId(columns.array()?),
        has_client_secret: columns.flag()?,
        revision: columns.unsigned()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        tag: RowTag(columns.array()?),
    })
}

//! Connections: how they are opened, who waits for them, and which files stand behind them.

mod file;
mod lane;
mod open;
mod readers;

pub(crate) use self::lane::Lane;
pub(crate) use self::open::open;
pub(crate) use self::readers::Readers;

//! `grantry serve`.

use clap::Args;
use tracing::{debug, info};

use crate::cli::{CliError, ConfigArgs, runtime};
use crate::config::Config;
use crate::jobs::Periods;
use crate::serve::Server;
use crate::signals::StopSignals;
use crate::telemetry::{self, LogFormat};

#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Start although the store contains records that are sealed with keys that are not configured; they stay unusable
    #[arg(long)]
    allow_unknown_keys: bool,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.config)?;
    telemetry::start_log(config.settings.telemetry.log.as_str(), LogFormat::of_stderr());
    if !config.ignored_variables.is_empty() {
        debug!(variables = ?config.ignored_variables, "variables of Kubernetes services are ignored");
    }
    runtime()?.block_on(async {
        let stop = StopSignals::listen().map_err(CliError::signals)?;
        let server = Server::start(&config, args.allow_unknown_keys).await?;
        info!(listen = %config.settings.listen, public_base_url = %config.public_base_url, "ready");
        server.run(Periods::default(), stop.requested()).await;
        Ok(())
    })
}

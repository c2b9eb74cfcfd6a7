//! Assembles the parts of [`Connections`](super::Connections).

use std::sync::Arc;

use super::Ports;
use super::access::Access;
use super::access_token::AccessTokens;
use super::administration::Administration;
use super::audit_buffer::AuditBuffer;
use super::client_credentials::{ClientCredentialsCache, ClientCredentialsPorts};
use super::connectors::ConnectorAdmin;
use super::diagnostics::DiagnosticsReader;
use super::disconnect::Terminations;
use super::execute::Executor;
use super::failure_recorder::FailureRecorder;
use super::flows::Flows;
use super::housekeeping::Maintenance;
use super::login_hint::Accounts;
use super::policy::{OnAuditFailure, Policy};
use super::refresh::{CircuitBreaker, Refresher, RefresherPorts};
use super::revocation::{RevocationPorts, RevocationWorker};
use super::sealer::Sealer;
use super::settings::ConnectorSettings;
use super::settled_clock::SettledClock;
use super::status::Statuses;
use super::users::Users;

/// Ports and policy, and the parts that all others use.
pub(super) struct Assembly<'a> {
    ports: &'a Ports,
    policy: &'a Policy,
    access: Access,
    settings: ConnectorSettings,
    sealer: Sealer,
    failures: FailureRecorder,
    settled: Arc<SettledClock>,
    pub(super) audit: AuditBuffer,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(ports: &'a Ports, policy: &'a Policy) -> Self {
        let (log, diagnostics) = (ports.failures.clone(), ports.store.diagnostics.clone());
        let audit = AuditBuffer::new(ports.store.outbox.clone(), ports.spawner.clone(), ports.clock.clone());
        let audit = match policy.on_audit_failure {
            OnAuditFailure::Continue => audit.with_sink(ports.sink.clone()),
            // Only the store reports whether it has stored an event.
            OnAuditFailure::Refuse => audit,
        };
        Self {
            access: Access::new(ports.directory.clone()),
            settings: ConnectorSettings::new(
                ports.profiles.clone(),
                ports.urls.clone(),
                ports.rows.clone(),
                ports.clock.clone(),
                audit.clone(),
            ),
            sealer: Sealer::new(ports.vault.clone(), ports.store.connectors.clone(), ports.rows.clone()),
            failures: FailureRecorder::new(log, diagnostics, ports.spawner.clone()),
            settled: SettledClock::new(ports.store.clock.clone(), ports.clock.clone()),
            audit,
            ports,
            policy,
        }
    }

    pub(super) fn revocations(&self) -> Arc<RevocationWorker> {
        let Ports { store, provider, clock, random, spawner, .. } = self.ports;
        let ports = RevocationPorts {
            clock: clock.clone(),
            settled: self.settled.clone(),
            store_clock: store.clock.clone(),
            queue: store.revocations.clone(),
            outbox: store.outbox.clone(),
            queries: store.queries.clone(),
            provider: provider.clone(),
            random: random.clone(),
            spawner: spawner.clone(),
            failures: self.failures.clone(),
        };
        RevocationWorker::new(ports, self.policy.clone(), self.sealer.clone(), self.settings.clone())
    }

    pub(super) fn refresher(&self, revocations: &Arc<RevocationWorker>, breaker: &Arc<CircuitBreaker>) -> Arc<Refresher> {
        let Ports { store, provider, clock, random, spawner, .. } = self.ports;
        let ports = RefresherPorts {
            store_clock: store.clock.clone(),
            authorizations: store.authorizations.clone(),
            leases: store.leases.clone(),
            settled: self.settled.clone(),
            connectors: store.connectors.clone(),
            provider: provider.clone(),
            clock: clock.clone(),
            random: random.clone(),
            spawner: spawner.clone(),
            failures: self.failures.clone(),
        };
        Refresher::new(
            ports,
            self.policy.clone(),
            self.sealer.clone(),
            self.settings.clone(),
            self.audit.clone(),
            revocations.clone(),
            breaker.clone(),
        )
    }

    pub(super) fn tokens(&self, refresher: &Arc<Refresher>, breaker: Arc<CircuitBreaker>) -> Arc<AccessTokens> {
        let Ports { store, provider, spawner, .. } = self.ports;
        let ports = ClientCredentialsPorts {
            store_clock: store.clock.clone(),
            provider: provider.clone(),
            spawner: spawner.clone(),
            failures: self.failures.clone(),
        };
        let (policy, sealer, settings) = (self.policy.clone(), self.sealer.clone(), self.settings.clone());
        Arc::new(AccessTokens {
            store_clock: store.clock.clone(),
            queries: store.queries.clone(),
            access: self.access.clone(),
            shared: ClientCredentialsCache::new(
                ports,
                policy,
                sealer.clone(),
                settings.clone(),
                breaker,
                self.audit.clone(),
            ),
            settings,
            sealer,
            audit: self.audit.clone(),
            refresher: refresher.clone(),
            failures: self.failures.clone(),
            on_audit_failure: self.policy.on_audit_failure,
        })
    }

    pub(super) fn executor(&self, tokens: &Arc<AccessTokens>) -> Executor {
        Executor {
            connectors: self.ports.store.connectors.clone(),
            resource: self.ports.resource.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            tokens: tokens.clone(),
        }
    }

    pub(super) fn flows(&self, revocations: &Arc<RevocationWorker>, breaker: Arc<CircuitBreaker>) -> Arc<Flows> {
        let Ports { store, provider, resource, limiter, random, spawner, .. } = self.ports;
        Arc::new(Flows {
            store_clock: store.clock.clone(),
            authorizations: store.authorizations.clone(),
            connectors: store.connectors.clone(),
            users: store.users.clone(),
            outbox: store.outbox.clone(),
            provider: provider.clone(),
            resource: resource.clone(),
            limiter: limiter.clone(),
            random: random.clone(),
            spawner: spawner.clone(),
            policy: self.policy.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            sealer: self.sealer.clone(),
            accounts: Accounts::new(store.queries.clone(), self.sealer.clone()),
            revocations: revocations.clone(),
            breaker,
            failures: self.failures.clone(),
        })
    }

    pub(super) fn statuses(&self) -> Arc<Statuses> {
        let Ports { store, limiter, .. } = self.ports;
        Arc::new(Statuses {
            store_clock: store.clock.clone(),
            authorizations: store.authorizations.clone(),
            queries: store.queries.clone(),
            limiter: limiter.clone(),
            policy: self.policy.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            sealer: self.sealer.clone(),
        })
    }

    pub(super) fn connectors(&self, statuses: &Arc<Statuses>, revocations: &Arc<RevocationWorker>) -> ConnectorAdmin {
        let Ports { store, random, .. } = self.ports;
        ConnectorAdmin {
            store_clock: store.clock.clone(),
            connectors: store.connectors.clone(),
            queries: store.queries.clone(),
            random: random.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            sealer: self.sealer.clone(),
            statuses: statuses.clone(),
            revocations: revocations.clone(),
        }
    }

    pub(super) fn diagnostics(&self) -> DiagnosticsReader {
        let store = &self.ports.store;
        DiagnosticsReader {
            connectors: store.connectors.clone(),
            diagnostics: store.diagnostics.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
        }
    }

    pub(super) fn terminations(&self, revocations: &Arc<RevocationWorker>) -> Arc<Terminations> {
        let Ports { store, limiter, clock, spawner, .. } = self.ports;
        Arc::new(Terminations {
            store_clock: store.clock.clone(),
            authorizations: store.authorizations.clone(),
            queries: store.queries.clone(),
            limiter: limiter.clone(),
            clock: clock.clone(),
            spawner: spawner.clone(),
            policy: self.policy.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            revocations: revocations.clone(),
        })
    }

    pub(super) fn administration(&self, terminations: &Arc<Terminations>) -> Administration {
        let store = &self.ports.store;
        Administration {
            store_clock: store.clock.clone(),
            authorizations: store.authorizations.clone(),
            queries: store.queries.clone(),
            connectors: store.connectors.clone(),
            access: self.access.clone(),
            settings: self.settings.clone(),
            terminations: terminations.clone(),
        }
    }

    pub(super) fn users(&self, terminations: &Arc<Terminations>) -> Users {
        let Ports { store, directory, .. } = self.ports;
        Users {
            store_clock: store.clock.clone(),
            stored: store.users.clone(),
            connectors: store.connectors.clone(),
            directory: directory.clone(),
            access: self.access.clone(),
            terminations: terminations.clone(),
        }
    }

    pub(super) fn maintenance(
        &self,
        refresher: &Arc<Refresher>,
        revocations: &Arc<RevocationWorker>,
        terminations: &Arc<Terminations>,
    ) -> Maintenance {
        let Ports { store, directory, sink, .. } = self.ports;
        Maintenance {
            store_clock: store.clock.clone(),
            settled: self.settled.clone(),
            authorizations: store.authorizations.clone(),
            housekeeping: store.housekeeping.clone(),
            outbox: store.outbox.clone(),
            directory: directory.clone(),
            sink: sink.clone(),
            policy: self.policy.clone(),
            refresher: refresher.clone(),
            revocations: revocations.clone(),
            terminations: terminations.clone(),
        }
    }
}

//! A deployment in which users, editors, the clock and faults act at random, and a journal of the results.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, AuthorizationRecord, GrantSecrets, StateKind};
use grantry_domain::connector::{AuthMode, CallbackId, Connector, ConnectorKey, ProfileId};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::{AssociatedData, AuditEvent, AuditKind, AuditOutcome, ProviderErrorKind, TokenVault};
use grantry_domain::provider::Callback;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRefused, CallbackRequest, CancelKey, Completed, Connections,
    ConnectorDraft, Outcome, StartRequest,
};
use grantry_testkit::doubles::fixtures::{connection as connection_name, connector_key, space as space_id, user};
use grantry_testkit::doubles::{Fault, Method, Operation, ProviderFault, Reuse, RotatingAuthorizationServer};
use proptest::prelude::*;

use crate::common::{SPACES, TestApp, draft, person, quiet, request, text, token_request_for};

pub(super) const USERS: [&str; 2] = ["alice", "bob"];
pub(super) const CONNECTIONS: [&str; 2] = ["default", "work"];

/// Two connectors with one id, in two spaces; the second has a separate callback.
pub(super) fn connectors() -> [ConnectorKey; 2] {
    [connector_key("default", "drive"), connector_key("marketing", "drive")]
}

/// A shared connector.
pub(super) fn service() -> ConnectorKey {
    connector_key("default", "service")
}

/// One step of a run.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Start { who: usize, connector: usize, connection: usize, node: usize },
    Callback { flow: usize, presented: PresentedAll, account: usize, denied: bool, node: usize },
    Cancel { flow: usize, who: Presented, node: usize },
    Token { who: usize, connector: usize, connection: Option<usize>, node: usize, report: bool },
    Service { who: usize, node: usize },
    Disconnect { who: usize, connector: usize, connection: Option<usize>, node: usize },
    SetDefault { who: usize, connector: usize, connection: Option<usize>, node: usize },
    Edit { connector: usize, relevant: bool, node: usize },
    Recreate { connector: usize, node: usize },
    RemoveRole { who: usize, space: usize },
    SetRole { who: usize, space: usize },
    RemoveUser { who: usize },
    Background { work: Work, node: usize },
    Time(Duration),
    Provider(Operation, ProviderFault),
    Store(Method, Fault),
    Concurrent(Box<Step>, Box<Step>),
}

/// Whether a presented value belongs to the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented {
    Own,
    Other,
    None,
}

/// What the browser presents at a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PresentedAll {
    pub(super) user: Presented,
    pub(super) cookie: Presented,
    pub(super) path: Presented,
}

impl PresentedAll {
    pub(super) const OWN: Self = Self { user: Presented::Own, cookie: Presented::Own, path: Presented::Own };
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Sweep,
    Revoke,
    Reconcile,
    RefreshAhead,
}

fn presented() -> impl Strategy<Value = Presented> {
    prop_oneof![8 => Just(Presented::Own), 1 => Just(Presented::Other), 1 => Just(Presented::None)]
}

fn presented_all() -> impl Strategy<Value = PresentedAll> {
    (presented(), presented(), presented()).prop_map(|(user, cookie, path)| PresentedAll { user, cookie, path })
}

fn connection() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => Just(1)]
}

/// The index of a connection, or none.
fn named() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![2 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(1))]
}

fn plain_step() -> impl Strategy<Value = Step> {
    let (who, connector, node) = (0..2_usize, 0..2_usize, 0..2_usize);
    let spans = [1, 40, 130, 700, 3300, 3600].map(Duration::from_secs);
    let provider_faults = prop_oneof![
        Just(ProviderFault::ResponseLost),
        Just(ProviderFault::RequestLost),
        Just(ProviderFault::Error(ProviderErrorKind::NotSent)),
        Just(ProviderFault::Error(ProviderErrorKind::ClientRefused)),
        Just(ProviderFault::Error(ProviderErrorKind::GrantTypeRefused)),
        Just(ProviderFault::Error(ProviderErrorKind::Refused)),
        Just(ProviderFault::Error(ProviderErrorKind::Throttled {
            retry_after: Some(Duration::from_secs(50)),
            unprocessed: true
        })),
    ];
    let requests = prop::sample::select(vec![Operation::Exchange, Operation::Refresh, Operation::Revoke]);
    let methods = prop::sample::select(vec![
        Method::Replace,
        Method::CommitGrant,
        Method::TakeLease,
        Method::FailAttempt,
        Method::Terminate,
        Method::QueueUnclaimed,
        Method::UpdateRevocation,
        Method::ClaimRevocation,
        Method::ClientSecret,
        Method::Find,
    ]);
    let faults = prop_oneof![Just(Fault::UNAVAILABLE), Just(Fault::OutcomeLost)];
    let works = prop::sample::select(vec![Work::Sweep, Work::Revoke, Work::Reconcile, Work::RefreshAhead]);
    let flow = || 0..4_usize;
    prop_oneof![
        6 => (who.clone(), connector.clone(), connection(), node.clone())
            .prop_map(|(who, connector, connection, node)| Step::Start { who, connector, connection, node }),
        9 => (flow(), presented_all(), prop_oneof![9 => Just(0), 1 => Just(1)], prop::bool::weighted(0.1), node.clone())
            .prop_map(|(flow, presented, account, denied, node)| Step::Callback { flow, presented, account, denied, node }),
        1 => (flow(), presented(), node.clone()).prop_map(|(flow, who, node)| Step::Cancel { flow, who, node }),
        9 => (who.clone(), connector.clone(), named(), node.clone(), prop::bool::weighted(0.2))
            .prop_map(|(who, connector, connection, node, report)| Step::Token { who, connector, connection, node, report }),
        1 => (who.clone(), node.clone()).prop_map(|(who, node)| Step::Service { who, node }),
        2 => (who.clone(), connector.clone(), named(), node.clone())
            .prop_map(|(who, connector, connection, node)| Step::Disconnect { who, connector, connection, node }),
        1 => (who.clone(), connector.clone(), named(), node.clone())
            .prop_map(|(who, connector, connection, node)| Step::SetDefault { who, connector, connection, node }),
        2 => (connector.clone(), any::<bool>(), node.clone()).prop_map(|(connector, relevant, node)| Step::Edit { connector, relevant, node }),
        1 => (connector, node.clone()).prop_map(|(connector, node)| Step::Recreate { connector, node }),
        1 => (who.clone(), 0..2_usize).prop_map(|(who, space)| Step::RemoveRole { who, space }),
        2 => (who.clone(), 0..2_usize).prop_map(|(who, space)| Step::SetRole { who, space }),
        1 => who.prop_map(|who| Step::RemoveUser { who }),
        2 => (works, node).prop_map(|(work, node)| Step::Background { work, node }),
        5 => prop::sample::select(spans.to_vec()).prop_map(Step::Time),
        2 => (requests, provider_faults).prop_map(|(request, fault)| Step::Provider(request, fault)),
        2 => (methods, faults).prop_map(|(method, fault)| Step::Store(method, fault)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => plain_step(),
        1 => (plain_step(), plain_step()).prop_map(|(one, other)| Step::Concurrent(Box::new(one), Box::new(other))),
    ]
}

/// The steps of one run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) reuse: Reuse,
    pub(super) order: u32,
    pub(super) steps: Vec<Step>,
}

pub(super) fn run() -> impl Strategy<Value = Run> {
    let reuse = prop::sample::select(vec![Reuse::Strict, Reuse::Grace, Reuse::Undetected]);
    (reuse, any::<u32>(), prop::collection::vec(step(), 1..40)).prop_map(|(reuse, order, steps)| Run { reuse, order, steps })
}

/// A flow that was started.
pub(super) struct Flow {
    pub(super) id: AuthorizationId,
    pub(super) owner: AuthorizationKey,
    pub(super) callback: Callback,
    state: Secret,
    cookie: Secret,
}

/// What was presented at a callback, and its result.
pub(super) struct CompletedCallback {
    pub(super) flow: usize,
    pub(super) bound: bool,
    pub(super) on_its_path: bool,
    pub(super) result: Result<Completed, CallbackRefused>,
}

/// A token that was issued.
pub(super) struct IssuedAccessToken {
    pub(super) who: usize,
    pub(super) connector: usize,
    /// The connection that was named.
    pub(super) connection: Option<usize>,
    pub(super) token: String,
    /// Whether a record with this token was written by then.
    pub(super) was_committed: bool,
}

/// A disconnect that was confirmed to its user.
pub(super) struct Disconnected {
    pub(super) who: usize,
    pub(super) connector: usize,
    /// The connection that was named.
    pub(super) connection: Option<usize>,
}

/// The results of one step.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) callbacks: Vec<CompletedCallback>,
    pub(super) issued: Vec<IssuedAccessToken>,
    /// Tokens of the shared connector.
    pub(super) service: Vec<String>,
    pub(super) disconnected: Vec<Disconnected>,
}

pub(super) struct Machine {
    pub(super) app: TestApp,
    pub(super) provider: Arc<RotatingAuthorizationServer>,
    pub(super) nodes: [Arc<Connections>; 2],
    flows: Mutex<Vec<Arc<Flow>>>,
    journal: Mutex<Journal>,
    counter: Mutex<u32>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that is stored at one instant.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) rows: BTreeMap<AuthorizationId, AuthorizationRecord>,
    pub(super) events: Vec<AuditEvent>,
    pub(super) connectors: BTreeMap<ConnectorKey, Connector>,
}

impl Machine {
    pub(super) async fn new(run: &Run) -> Self {
        let (app, provider) = TestApp::with_rotation(run.reuse).await;
        app.store.shuffle(run.order);
        let [_, marketing] = connectors();
        let profile = ProfileId::new(".oauth2").expect("a profile");
        app.create_connector(&marketing, ConnectorDraft { profile, ..draft("{}") }).await;
        app.create_connector(&service(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
        let nodes = [app.node.clone(), app.node_on(&app.store, provider.clone())];
        let (flows, journal, counter) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { app, provider, nodes, flows, journal, counter }
    }

    pub(super) fn flows(&self) -> Vec<Arc<Flow>> {
        locked(&self.flows).clone()
    }

    /// Performs one step and waits for the tasks it started.
    pub(super) async fn take(&self, step: &Step) -> Journal {
        match step {
            Step::Concurrent(one, other) => {
                let both = async { tokio::join!(self.act(one), self.act(other)) };
                self.app.drive(both).await;
            }
            Step::Start { .. }
            | Step::Callback { .. }
            | Step::Cancel { .. }
            | Step::Token { .. }
            | Step::Service { .. }
            | Step::Disconnect { .. }
            | Step::SetDefault { .. }
            | Step::Edit { .. }
            | Step::Recreate { .. }
            | Step::RemoveRole { .. }
            | Step::SetRole { .. }
            | Step::RemoveUser { .. }
            | Step::Background { .. }
            | Step::Time(_)
            | Step::Provider(..)
            | Step::Store(..) => self.app.drive(self.act(step)).await,
        }
        quiet().await;
        std::mem::take(&mut *locked(&self.journal))
    }

    /// All records that any event refers to, and all events.
    pub(super) async fn stored(&self) -> Stored {
        let store = &self.app.stored;
        let events = store.outbox.pending_events(u32::MAX).await.expect("the store responds");
        let events: Vec<AuditEvent> = events.into_iter().map(|recorded| recorded.event).collect();
        let mut rows = BTreeMap::new();
        for id in events.iter().filter_map(|event| event.authorization) {
            if let Some(stored) = self.app.find(id).await {
                rows.insert(id, stored.to_record());
            }
        }
        let mut live = BTreeMap::new();
        for key in connectors() {
            if let Some(connector) = store.connectors.get(&key).await.expect("the store responds") {
                live.insert(key, connector);
            }
        }
        Stored { rows, events, connectors: live }
    }

    /// The tokens of a record, decrypted like the domain does.
    pub(super) fn opened(&self, row: &AuthorizationRecord) -> Option<GrantSecrets> {
        let associated = AssociatedData::Grant { owner: row.owner.clone(), grant: row.id };
        let decrypted = self.app.vault.open(&associated, row.sealed.as_ref()?).ok()?;
        GrantSecrets::decode(decrypted.version, &decrypted.payload).ok()
    }

    /// Removes all faults and completes all pending work.
    pub(super) async fn complete_pending_work(&self) {
        self.app.store.clear_faults();
        self.provider.clear_faults();
        for _ in 0..4 {
            self.app.drive(self.app.spawner.finished()).await;
            self.app.pass(Duration::from_mins(20)).await;
            for node in &self.nodes {
                node.sweep(|_| {}).await.expect("the store responds");
                self.app.drive(node.revoke_due()).await.expect("the store responds");
            }
        }
        self.app.drive(self.app.spawner.finished()).await;
    }

    async fn act(&self, step: &Step) {
        match step {
            Step::Start { who, connector, connection, node } => self.start(*who, *connector, *connection, *node).await,
            Step::Callback { flow, presented, account, denied, node } => {
                if let Some((number, flow)) = self.choose(*flow) {
                    let callback = self.callback(number, &flow, *presented, *account, *denied);
                    let bound = presented.user == Presented::Own && presented.cookie == Presented::Own;
                    let own_path = callback.callback == flow.callback;
                    let result = self.nodes[*node].complete(callback).await;
                    let callback = CompletedCallback { flow: number, bound, on_its_path: own_path, result };
                    locked(&self.journal).callbacks.push(callback);
                }
            }
            Step::Cancel { flow, who, node } => {
                if let Some((_, flow)) = self.choose(*flow) {
                    let actor = person(Self::presenter(&flow, *who));
                    let key = CancelKey::Flow(flow.id);
                    // Only the effect on the records matters here.
                    let _ = self.nodes[*node].cancel(&actor, &flow.owner.connector_key(), key).await;
                }
            }
            Step::Token { who, connector, connection, node, report } => {
                self.token((*who, *connector, *connection), *node, *report).await;
            }
            Step::Service { who, node } => {
                let issued = self.nodes[*node].access_token(&token_request_for(USERS[*who], service())).await;
                locked(&self.journal).service.extend(issued.ok().map(|issued| text(&issued.token)));
            }
            Step::Disconnect { who, connector, connection, node } => {
                let (actor, key) = (person(USERS[*who]), &connectors()[*connector]);
                if self.nodes[*node].disconnect(&actor, key, name_of(*connection)).await.is_ok() {
                    let (who, connector, connection) = (*who, *connector, *connection);
                    locked(&self.journal).disconnected.push(Disconnected { who, connector, connection });
                }
            }
            Step::SetDefault { who, connector, connection, node } => {
                let (actor, key) = (person(USERS[*who]), &connectors()[*connector]);
                // A connection that does not exist is a valid result.
                drop(self.nodes[*node].set_default_connection(&actor, key, name_of(*connection)).await);
            }
            Step::Edit { connector, relevant, node } => self.edit(&connectors()[*connector], *relevant, *node).await,
            Step::Recreate { connector, node } => self.recreate(&connectors()[*connector], *node).await,
            Step::RemoveRole { who, space } => self.app.directory.remove_role(&user(USERS[*who]), &space_id(SPACES[*space])),
            Step::SetRole { who, space } => {
                self.app.directory.set_role(&user(USERS[*who]), &space_id(SPACES[*space]), Role::Viewer);
            }
            Step::RemoveUser { who } => drop(self.nodes[0].remove_user(Actor::System, &user(USERS[*who])).await),
            Step::Background { work, node } => self.background(*work, &self.nodes[*node]).await,
            Step::Time(span) => self.app.clock.advance(*span),
            Step::Provider(operation, fault) => self.provider.fail_next(*operation, *fault),
            Step::Store(method, fault) => self.app.store.fail_next(*method, *fault),
            Step::Concurrent(..) => {}
        }
    }

    fn next_number(&self) -> u32 {
        let mut counter = locked(&self.counter);
        *counter += 1;
        *counter
    }

    /// A flow counted from the newest, because older ones have usually ended.
    fn choose(&self, back: usize) -> Option<(usize, Arc<Flow>)> {
        let flows = self.flows();
        let number = flows.len().checked_sub(1)?.saturating_sub(back);
        Some((number, flows[number].clone()))
    }

    fn presenter(flow: &Flow, who: Presented) -> &'static str {
        let own = USERS.iter().position(|name| *name == flow.owner.user.as_str()).unwrap_or_default();
        match who {
            Presented::Own => USERS[own],
            Presented::Other | Presented::None => USERS[1 - own],
        }
    }

    async fn start(&self, who: usize, connector: usize, connection: usize, node: usize) {
        let key = &connectors()[connector];
        let connection = connection_name(CONNECTIONS[connection]);
        let start = StartRequest { allow_account_change: true, connection, ..request(USERS[who], key) };
        let Ok(started) = self.nodes[node].start(start).await else { return };
        let Some(stored) = self.app.find(started.flow_id).await else { return };
        let live = self.app.stored.connectors.get(key).await.ok().flatten();
        let own_path = live.filter(|live| live.config.profile.as_str() == ".oauth2");
        let flow = Flow {
            id: started.flow_id,
            owner: stored.owner().clone(),
            callback: own_path.map_or(Callback::Profiles, |live| Callback::Connector(live.callback_id)),
            state: started.state,
            cookie: started.flow_cookie,
        };
        locked(&self.flows).push(Arc::new(flow));
    }

    fn callback(
        &self,
        number: usize,
        flow: &Flow,
        presented: PresentedAll,
        account: usize,
        denied: bool,
    ) -> CallbackRequest {
        let other = self.flows().into_iter().find(|other| other.id != flow.id);
        let flow_cookies = match presented.cookie {
            Presented::Own => vec![flow.cookie.clone_secret()],
            Presented::Other => other.iter().map(|other| other.cookie.clone_secret()).collect(),
            Presented::None => Vec::new(),
        };
        let callback = match presented.path {
            Presented::Own => flow.callback,
            Presented::Other => Callback::Connector(CallbackId([9; 16])),
            Presented::None => Callback::Profiles,
        };
        // Each connection has an account of its name, except where the user chooses that of the other connection.
        let own = usize::from(flow.owner.connection.as_str() == CONNECTIONS[1]);
        let code = format!("{}.{}#{number}", flow.owner.user, CONNECTIONS[(own + account) % 2]);
        CallbackRequest {
            user: user(Self::presenter(flow, presented.user)),
            flow_cookies,
            callback,
            state: flow.state.clone_secret(),
            issuer: None,
            response: if denied {
                AuthorizationResponse::Error { denied: true }
            } else {
                AuthorizationResponse::Code(Secret::from_text(&code))
            },
            parameters: Vec::new(),
        }
    }

    async fn token(&self, of: (usize, usize, Option<usize>), node: usize, report: bool) {
        let (who, connector, connection) = of;
        let for_connector = token_request_for(USERS[who], connectors()[connector].clone());
        let token_request = AccessTokenRequest { connection: name_of(connection), ..for_connector };
        let Ok(issued) = self.nodes[node].access_token(&token_request).await else { return };
        self.record_token(of, text(&issued.token));
        if report && let Ok(again) = self.nodes[node].report_unauthorized(&token_request, issued.sha256()).await {
            self.record_token(of, text(&again.token));
        }
    }

    fn record_token(&self, (who, connector, connection): (usize, usize, Option<usize>), token: String) {
        let committed = self.app.store.committed();
        let was_committed = committed
            .iter()
            .rev()
            .filter_map(|grant| self.opened(&grant.to_record()))
            .any(|row| text(&row.access_token) == token);
        locked(&self.journal).issued.push(IssuedAccessToken { who, connector, connection, token, was_committed });
    }

    async fn edit(&self, key: &ConnectorKey, relevant: bool, node: usize) {
        let Ok(Some(live)) = self.app.stored.connectors.get(key).await else { return };
        let (config, client_id) = if relevant {
            let number = self.next_number();
            (format!("edit-{number}"), Some(format!("client-{number}")))
        } else {
            (live.config.settings, live.config.client_id)
        };
        let draft = ConnectorDraft { profile: live.config.profile, client_id, ..draft(&config) };
        // A conflict with another editor is a valid result.
        drop(self.nodes[node].update_connector(&person("ed"), key, draft, None, false).await);
    }

    async fn recreate(&self, key: &ConnectorKey, node: usize) {
        let Ok(Some(live)) = self.app.stored.connectors.get(key).await else { return };
        drop(self.nodes[node].delete_connector(&person("ed"), key).await);
        let draft = ConnectorDraft { profile: live.config.profile, ..draft("{}") };
        drop(self.nodes[node].create_connector(&person("ed"), &key.space, Some(key.id.clone()), draft).await);
    }

    async fn background(&self, work: Work, node: &Arc<Connections>) {
        // The next round does what a fault prevented.
        match work {
            Work::Sweep => drop(node.sweep(|_| {}).await),
            Work::Revoke => drop(node.revoke_due().await),
            Work::Reconcile => drop(node.reconcile().await),
            Work::RefreshAhead => drop(node.refresh_ahead().await),
        }
    }
}

/// The name of a connection, where one is chosen.
pub(super) fn name_of(connection: Option<usize>) -> Option<ConnectionName> {
    connection.map(|connection| connection_name(CONNECTIONS[connection]))
}

impl Journal {
    /// The flows that became grants in this step.
    pub(super) fn connected(&self) -> impl Iterator<Item = &CompletedCallback> {
        self.callbacks
            .iter()
            .filter(|callback| callback.result.as_ref().is_ok_and(|completed| completed.outcome == Outcome::Connected))
    }
}

/// Whether a record is a grant.
pub(super) fn is_grant(row: &AuthorizationRecord) -> bool {
    row.state == StateKind::Authorized
}

/// Whether a revocation was abandoned, so that tokens may remain valid at the provider.
pub(super) fn abandoned(stored: &Stored) -> bool {
    stored
        .events
        .iter()
        .any(|event| event.kind == AuditKind::RevocationCompleted && event.outcome == AuditOutcome::Abandoned)
}

//! A deployment that people, editors, clocks and faults work on at random, and a journal of what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, AuthorizationRecord, GrantSecrets, StateKind};
use grantry_domain::connector::{AuthMode, CallbackId, Connector, ConnectorKey, ProfileId};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AssociatedData, AuditEvent, AuditKind, AuthorizationStore, ConnectorStore, ProviderError, TokenVault,
};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRefused, CallbackRequest, CancelKey, Completed, Connections,
    ConnectorDraft, Outcome, StartRequest,
};
use grantry_testkit::doubles::Operation;
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use proptest::prelude::*;

use crate::common::ledger::{Ledger, Reuse, Trouble};
use crate::common::store::{DOWN, Fault, Method};
use crate::common::{SPACES, World, demand_for, draft, person, quiet, request, text};

pub(super) const USERS: [&str; 2] = ["alice", "bob"];

/// Two connectors of one id, in two spaces; the second has a callback of its own.
pub(super) fn connectors() -> [ConnectorKey; 2] {
    [connector_key("default", "drive"), connector_key("marketing", "drive")]
}

/// A connector with a service account.
pub(super) fn service() -> ConnectorKey {
    connector_key("default", "service")
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Start { who: usize, connector: usize, node: usize },
    Callback { flow: usize, who: Presented, cookie: Presented, path: Presented, denied: bool, node: usize },
    Cancel { flow: usize, who: Presented, node: usize },
    Token { who: usize, connector: usize, node: usize, report: bool },
    Service { who: usize, node: usize },
    Disconnect { who: usize, connector: usize, node: usize },
    Edit { connector: usize, relevant: bool, node: usize },
    Recreate { connector: usize, node: usize },
    Expel { who: usize, place: usize },
    Admit { who: usize, place: usize },
    RemoveUser { who: usize },
    Background { work: Work, node: usize },
    Time(Duration),
    Provider(Operation, Trouble),
    Store(Method, Fault),
    AtOnce(Box<Step>, Box<Step>),
}

/// Whether something presented is the flow's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented {
    Own,
    Other,
    None,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Sweep,
    Revoke,
    Reconcile,
    RenewAhead,
}

fn presented() -> impl Strategy<Value = Presented> {
    prop_oneof![8 => Just(Presented::Own), 1 => Just(Presented::Other), 1 => Just(Presented::None)]
}

fn plain_step() -> impl Strategy<Value = Step> {
    let (who, connector, node) = (0..2_usize, 0..2_usize, 0..2_usize);
    let spans = [1, 40, 130, 700, 3300, 3600].map(Duration::from_secs);
    let troubles = prop_oneof![
        Just(Trouble::AnswerLost),
        Just(Trouble::RequestLost),
        Just(Trouble::Error(ProviderError::NotSent)),
        Just(Trouble::Error(ProviderError::ClientRefused)),
        Just(Trouble::Error(ProviderError::Throttled { retry_after: Some(Duration::from_secs(50)), unprocessed: true })),
    ];
    let requests = prop::sample::select(vec![Operation::Exchange, Operation::Refresh, Operation::Revoke]);
    let methods = prop::sample::select(vec![
        Method::Replace,
        Method::CommitGrant,
        Method::TakeLease,
        Method::FailAttempt,
        Method::End,
        Method::QueueUnclaimed,
        Method::EndRevocation,
        Method::ClaimRevocation,
        Method::ClientSecret,
        Method::Find,
    ]);
    let faults = prop_oneof![Just(DOWN), Just(Fault::AnswerLost)];
    let works = prop::sample::select(vec![Work::Sweep, Work::Revoke, Work::Reconcile, Work::RenewAhead]);
    let flow = || 0..4_usize;
    prop_oneof![
        6 => (who.clone(), connector.clone(), node.clone()).prop_map(|(who, connector, node)| Step::Start { who, connector, node }),
        9 => (flow(), presented(), presented(), presented(), prop::bool::weighted(0.1), node.clone())
            .prop_map(|(flow, who, cookie, path, denied, node)| Step::Callback { flow, who, cookie, path, denied, node }),
        1 => (flow(), presented(), node.clone()).prop_map(|(flow, who, node)| Step::Cancel { flow, who, node }),
        9 => (who.clone(), connector.clone(), node.clone(), prop::bool::weighted(0.2))
            .prop_map(|(who, connector, node, report)| Step::Token { who, connector, node, report }),
        1 => (who.clone(), node.clone()).prop_map(|(who, node)| Step::Service { who, node }),
        2 => (who.clone(), connector.clone(), node.clone()).prop_map(|(who, connector, node)| Step::Disconnect { who, connector, node }),
        2 => (connector.clone(), any::<bool>(), node.clone()).prop_map(|(connector, relevant, node)| Step::Edit { connector, relevant, node }),
        1 => (connector, node.clone()).prop_map(|(connector, node)| Step::Recreate { connector, node }),
        1 => (who.clone(), 0..2_usize).prop_map(|(who, place)| Step::Expel { who, place }),
        2 => (who.clone(), 0..2_usize).prop_map(|(who, place)| Step::Admit { who, place }),
        1 => who.prop_map(|who| Step::RemoveUser { who }),
        2 => (works, node).prop_map(|(work, node)| Step::Background { work, node }),
        5 => prop::sample::select(spans.to_vec()).prop_map(Step::Time),
        2 => (requests, troubles).prop_map(|(request, trouble)| Step::Provider(request, trouble)),
        2 => (methods, faults).prop_map(|(method, fault)| Step::Store(method, fault)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => plain_step(),
        1 => (plain_step(), plain_step()).prop_map(|(one, other)| Step::AtOnce(Box::new(one), Box::new(other))),
    ]
}

/// What happens in one run. It begins with people connecting, so that there is something to work on.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) reuse: Reuse,
    pub(super) order: u32,
    pub(super) steps: Vec<Step>,
}

pub(super) fn story() -> impl Strategy<Value = Story> {
    let reuse = prop::sample::select(vec![Reuse::Strict, Reuse::Grace, Reuse::Undetected]);
    (reuse, any::<u32>(), prop::collection::vec(step(), 1..40)).prop_map(|(reuse, order, steps)| Story {
        reuse,
        order,
        steps,
    })
}

/// A flow that was started.
pub(super) struct Flow {
    pub(super) id: AuthorizationId,
    pub(super) owner: AuthorizationKey,
    pub(super) callback_id: Option<CallbackId>,
    state: Secret,
    cookie: Secret,
}

/// What was presented at a callback, and what came of it.
pub(super) struct Finished {
    pub(super) flow: usize,
    pub(super) bound: bool,
    pub(super) on_its_path: bool,
    pub(super) result: Result<Completed, CallbackRefused>,
}

/// A token that was handed out.
pub(super) struct IssuedAccessToken {
    pub(super) who: usize,
    pub(super) connector: usize,
    pub(super) token: String,
    /// Whether some record with this token had been written by then.
    pub(super) was_committed: bool,
}

/// What one step did.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) finished: Vec<Finished>,
    pub(super) handed_out: Vec<IssuedAccessToken>,
    /// Tokens of the service account.
    pub(super) service: Vec<String>,
    /// Who disconnected from what.
    pub(super) disconnected: Vec<(usize, usize)>,
}

pub(super) struct Machine {
    pub(super) world: World,
    pub(super) ledger: Arc<Ledger>,
    pub(super) nodes: [Arc<Connections>; 2],
    flows: Mutex<Vec<Arc<Flow>>>,
    journal: Mutex<Journal>,
    counter: Mutex<u32>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that is stored at one moment.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) rows: BTreeMap<AuthorizationId, AuthorizationRecord>,
    pub(super) events: Vec<AuditEvent>,
    pub(super) connectors: BTreeMap<ConnectorKey, Connector>,
}

impl Machine {
    pub(super) async fn new(story: &Story) -> Self {
        let (world, ledger) = World::on_ledger(story.reuse).await;
        world.store.shuffle(story.order);
        let [_, marketing] = connectors();
        let profile = ProfileId::new(".oauth2").expect("a profile");
        world.create_connector(&marketing, ConnectorDraft { profile, ..draft("{}") }).await;
        world.create_connector(&service(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
        let nodes = [world.node.clone(), world.node_on(&world.store, ledger.clone())];
        let (flows, journal, counter) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { world, ledger, nodes, flows, journal, counter }
    }

    pub(super) fn flows(&self) -> Vec<Arc<Flow>> {
        locked(&self.flows).clone()
    }

    /// Does one step, and everything it leaves running.
    pub(super) async fn take(&self, step: &Step) -> Journal {
        match step {
            Step::AtOnce(one, other) => {
                let both = async { tokio::join!(self.act(one), self.act(other)) };
                self.world.drive(both).await;
            }
            Step::Start { .. }
            | Step::Callback { .. }
            | Step::Cancel { .. }
            | Step::Token { .. }
            | Step::Service { .. }
            | Step::Disconnect { .. }
            | Step::Edit { .. }
            | Step::Recreate { .. }
            | Step::Expel { .. }
            | Step::Admit { .. }
            | Step::RemoveUser { .. }
            | Step::Background { .. }
            | Step::Time(_)
            | Step::Provider(..)
            | Step::Store(..) => self.world.drive(self.act(step)).await,
        }
        quiet().await;
        std::mem::take(&mut *locked(&self.journal))
    }

    /// All rows that any event ever named, and all events.
    pub(super) async fn stored(&self) -> Stored {
        let store = self.world.store.inner();
        let events = store.pending_events(u32::MAX).await.expect("the store answers");
        let events: Vec<AuditEvent> = events.into_iter().map(|recorded| recorded.event).collect();
        let mut rows = BTreeMap::new();
        for id in events.iter().filter_map(|event| event.grant) {
            if let Some(row) = store.find(id).await.expect("the store answers") {
                rows.insert(id, row);
            }
        }
        let mut live = BTreeMap::new();
        for key in connectors() {
            if let Some(connector) = store.get(&key).await.expect("the store answers") {
                live.insert(key, connector);
            }
        }
        Stored { rows, events, connectors: live }
    }

    /// The tokens of a record, opened as the domain would.
    pub(super) fn opened(&self, row: &AuthorizationRecord) -> Option<GrantSecrets> {
        let binding = AssociatedData::Grant { owner: row.owner.clone(), grant: row.id };
        let opened = self.world.vault.open(&binding, row.sealed.as_ref()?).ok()?;
        GrantSecrets::decode(opened.version, &opened.payload).ok()
    }

    /// Lets every fault end and all work be done.
    pub(super) async fn come_to_rest(&self) {
        self.world.store.mend();
        self.ledger.calm();
        for _ in 0..4 {
            self.world.drive(self.world.spawner.finished()).await;
            self.world.pass(Duration::from_mins(20)).await;
            for node in &self.nodes {
                node.sweep(|_| {}).await.expect("the store answers");
                self.world.drive(node.revoke_due()).await.expect("the store answers");
            }
        }
        self.world.drive(self.world.spawner.finished()).await;
    }

    async fn act(&self, step: &Step) {
        match step {
            Step::Start { who, connector, node } => self.start(*who, *connector, *node).await,
            Step::Callback { flow, who, cookie, path, denied, node } => {
                if let Some((number, flow)) = self.choose(*flow) {
                    let callback = self.callback(number, &flow, (*who, *cookie, *path), *denied);
                    let bound = *who == Presented::Own && *cookie == Presented::Own;
                    let own_path = callback.callback_id == flow.callback_id;
                    let result = self.nodes[*node].complete(callback).await;
                    let finished = Finished { flow: number, bound, on_its_path: own_path, result };
                    locked(&self.journal).finished.push(finished);
                }
            }
            Step::Cancel { flow, who, node } => {
                if let Some((_, flow)) = self.choose(*flow) {
                    let actor = person(Self::presenter(&flow, *who));
                    let key = CancelKey::Flow(flow.id);
                    // Whether it may or not is no matter here: what it does to the rows is.
                    let _ = self.nodes[*node].cancel(&actor, &flow.owner.connector_key(), key).await;
                }
            }
            Step::Token { who, connector, node, report } => self.token(*who, *connector, *node, *report).await,
            Step::Service { who, node } => {
                let given = self.nodes[*node].access_token(&demand_for(USERS[*who], service())).await;
                locked(&self.journal).service.extend(given.ok().map(|given| text(&given.token)));
            }
            Step::Disconnect { who, connector, node } => {
                let (actor, key) = (person(USERS[*who]), &connectors()[*connector]);
                if self.nodes[*node].disconnect(&actor, key).await.is_ok() {
                    locked(&self.journal).disconnected.push((*who, *connector));
                }
            }
            Step::Edit { connector, relevant, node } => self.edit(&connectors()[*connector], *relevant, *node).await,
            Step::Recreate { connector, node } => self.recreate(&connectors()[*connector], *node).await,
            Step::Expel { who, place } => self.world.directory.expel(&user(USERS[*who]), &space(SPACES[*place])),
            Step::Admit { who, place } => {
                self.world.directory.authorize(&user(USERS[*who]), &space(SPACES[*place]), Role::Viewer);
            }
            Step::RemoveUser { who } => drop(self.nodes[0].remove_user(Actor::System, &user(USERS[*who])).await),
            Step::Background { work, node } => self.background(*work, &self.nodes[*node]).await,
            Step::Time(span) => self.world.clock.advance(*span),
            Step::Provider(operation, trouble) => self.ledger.trouble(*operation, *trouble),
            Step::Store(method, fault) => self.world.store.fail_next(*method, *fault),
            Step::AtOnce(..) => {}
        }
    }

    fn number(&self) -> u32 {
        let mut counter = locked(&self.counter);
        *counter += 1;
        *counter
    }

    /// A flow counted from the newest: those are the ones that something can still come of.
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

    async fn start(&self, who: usize, connector: usize, node: usize) {
        let key = &connectors()[connector];
        let wish = StartRequest { allow_account_change: true, ..request(USERS[who], key) };
        let Ok(started) = self.nodes[node].start(wish).await else { return };
        let Ok(Some(row)) = self.world.store.inner().find(started.flow_id).await else { return };
        let live = self.world.store.inner().get(key).await.ok().flatten();
        let own_path = live.filter(|live| live.config.profile.as_str() == ".oauth2");
        let flow = Flow {
            id: started.flow_id,
            owner: row.owner,
            callback_id: own_path.map(|live| live.callback_id),
            state: started.state,
            cookie: started.flow_cookie,
        };
        locked(&self.flows).push(Arc::new(flow));
    }

    fn callback(
        &self,
        number: usize,
        flow: &Flow,
        (who, cookie, path): (Presented, Presented, Presented),
        denied: bool,
    ) -> CallbackRequest {
        let other = self.flows().into_iter().find(|other| other.id != flow.id);
        let flow_cookies = match cookie {
            Presented::Own => vec![flow.cookie.clone_secret()],
            Presented::Other => other.iter().map(|other| other.cookie.clone_secret()).collect(),
            Presented::None => Vec::new(),
        };
        let callback_id = match path {
            Presented::Own => flow.callback_id,
            Presented::Other => Some(CallbackId([9; 16])),
            Presented::None => None,
        };
        let code = format!("{}#{number}", flow.owner.user);
        CallbackRequest {
            user: user(Self::presenter(flow, who)),
            address: None,
            flow_cookies,
            callback_id,
            state: flow.state.clone_secret(),
            issuer: None,
            answer: if denied {
                AuthorizationResponse::Error { denied: true }
            } else {
                AuthorizationResponse::Code(Secret::from_text(&code))
            },
        }
    }

    async fn token(&self, who: usize, connector: usize, node: usize, report: bool) {
        let demand = AccessTokenRequest { ..demand_for(USERS[who], connectors()[connector].clone()) };
        let Ok(given) = self.nodes[node].access_token(&demand).await else { return };
        self.note_token(who, connector, text(&given.token));
        if report && let Ok(again) = self.nodes[node].report_unauthorized(&demand, given.fingerprint).await {
            self.note_token(who, connector, text(&again.token));
        }
    }

    fn note_token(&self, who: usize, connector: usize, token: String) {
        let committed = self.world.store.committed();
        let was_committed =
            committed.iter().rev().filter_map(|row| self.opened(row)).any(|row| text(&row.access_token) == token);
        locked(&self.journal).handed_out.push(IssuedAccessToken { who, connector, token, was_committed });
    }

    async fn edit(&self, key: &ConnectorKey, relevant: bool, node: usize) {
        let Ok(Some(live)) = self.world.store.inner().get(key).await else { return };
        let (config, client_id) = if relevant {
            let number = self.number();
            (format!("edit-{number}"), Some(format!("client-{number}")))
        } else {
            (live.config.settings, live.config.client_id)
        };
        let draft = ConnectorDraft { profile: live.config.profile, client_id, ..draft(&config) };
        // A conflict with another editor is as good as no edit.
        drop(self.nodes[node].update_connector(&person("ed"), key, draft, None, false).await);
    }

    async fn recreate(&self, key: &ConnectorKey, node: usize) {
        let Ok(Some(live)) = self.world.store.inner().get(key).await else { return };
        drop(self.nodes[node].delete_connector(&person("ed"), key).await);
        let draft = ConnectorDraft { profile: live.config.profile, ..draft("{}") };
        drop(self.nodes[node].create_connector(&person("ed"), &key.space, Some(key.id.clone()), draft).await);
    }

    async fn background(&self, work: Work, node: &Arc<Connections>) {
        // What a fault stopped is done by the next round.
        match work {
            Work::Sweep => drop(node.sweep(|_| {}).await),
            Work::Revoke => drop(node.revoke_due().await),
            Work::Reconcile => drop(node.reconcile().await),
            Work::RenewAhead => drop(node.refresh_ahead().await),
        }
    }
}

impl Journal {
    /// The flows that became grants in this step.
    pub(super) fn connected(&self) -> impl Iterator<Item = &Finished> {
        self.finished
            .iter()
            .filter(|finished| finished.result.as_ref().is_ok_and(|completed| completed.outcome == Outcome::Connected))
    }
}

/// Whether a record is a grant.
pub(super) fn is_grant(row: &AuthorizationRecord) -> bool {
    row.state == StateKind::Authorized
}

/// Whether some revocation was given up, so that tokens may live on at the provider.
pub(super) fn abandoned(stored: &Stored) -> bool {
    stored.events.iter().any(|event| event.kind == AuditKind::RevocationCompleted && event.outcome == "abandoned")
}

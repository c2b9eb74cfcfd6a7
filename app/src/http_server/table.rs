//! The open connections: caps in total and per client, and deadlines.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grantry_http_axum::Network;
use tokio::time::Instant;

use super::Deadlines;
use super::activity::{Activity, Doing};

/// Connections of the listener for monitoring.
const OPERATIONS: usize = 32;
/// A client with more than this part of the connections makes room before idle connections of others.
const HEAVY: usize = 8;
/// At a cap, this part of the connections is closed at once, if so many are stalled or idle.
const BATCH: usize = 64;

/// How many connections may be open.
#[derive(Debug, Clone)]
pub(crate) struct Caps {
    /// In total.
    pub(crate) total: usize,
    /// Of one client: an IPv4 address, or a /64 of IPv6.
    pub(crate) per_client: usize,
    /// Networks without a cap per client, because their addresses stand for many clients.
    pub(crate) proxies: Vec<Network>,
}

impl Caps {
    /// Caps that fit the descriptor limit of the process. One client gets half of the connections.
    pub(crate) fn of_process(proxies: Vec<Network>) -> Self {
        let total = crate::descriptors::max_connections();
        Self { total, per_client: total.div_ceil(2), proxies }
    }

    /// Caps of the listener for monitoring. Its descriptors are among those that [`Caps::of_process`] leaves.
    pub(crate) fn of_operations() -> Self {
        Self { total: OPERATIONS, per_client: OPERATIONS, proxies: Vec::new() }
    }
}

/// The open connections of a server.
pub(super) struct Connections {
    caps: Caps,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connection>,
    per_client: HashMap<Network, usize>,
}

struct Connection {
    client: Option<Network>,
    activity: Arc<Activity>,
}

impl Connections {
    pub(super) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self { caps, open: Mutex::default() })
    }

    /// Admits a connection. If a cap is reached, others are closed for it. `None` if none may be.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let client = Network::of_client(peer);
        let client = (!self.caps.proxies.iter().any(|proxy| proxy.contains(peer))).then_some(client);
        let mut open = self.lock();
        let held = open.held(client);
        if client.is_some() && held >= self.caps.per_client {
            let is_burst = held < self.caps.per_client.saturating_add(super::BURST);
            open.make_room(client, Among::Own { is_burst })?;
        }
        if open.connections.len() >= self.caps.total {
            open.make_room(client, Among::All)?;
        }
        let (id, activity) = (open.next, Activity::new());
        open.next += 1;
        open.connections.insert(id, Connection { client, activity: activity.clone() });
        if let Some(client) = client {
            *open.per_client.entry(client).or_default() += 1;
        }
        Some(Admitted { connections: self.clone(), id, activity })
    }

    /// Closes connections that may be closed for others: the process has no descriptors left.
    pub(super) fn free_descriptors(&self) {
        let _ = self.lock().make_room(None, Among::All);
    }

    /// Closes every connection that exceeds a deadline. Returns how many.
    pub(super) fn close_overdue(&self, deadlines: &Deadlines) -> usize {
        let open = self.lock();
        let overdue = open.connections.values().filter(|connection| {
            let is_over = |since: Instant, deadline| since.elapsed() >= deadline;
            let activity = &connection.activity;
            let exceeds = match activity.doing() {
                Doing::Opening(since) => is_over(since, deadlines.headers),
                Doing::Idle(since) => is_over(since, deadlines.idle),
                // A connection of a proxy has requests of several users, and one of them must not end those of the others.
                Doing::Writing { oldest, .. } => connection.client.is_some() && is_over(oldest, deadlines.write),
                Doing::Receiving(_) | Doing::Working => false,
            };
            let is_blocked = activity.blocked().is_some_and(|since| is_over(since, deadlines.write));
            (exceeds || is_blocked) && !activity.is_closing()
        });
        overdue.map(|connection| connection.activity.close()).count()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().connections.len()
    }

    fn remove(&self, id: u64) {
        let mut open = self.lock();
        open.forget(id);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which connections may be closed for a new one.
#[derive(Clone, Copy)]
enum Among {
    /// Those of the same client. In a burst, none that was opened a moment ago is.
    Own { is_burst: bool },
    /// Also those of clients with more connections.
    All,
}

impl Open {
    /// How many connections of a client are open.
    fn held(&self, client: Option<Network>) -> usize {
        client.and_then(|client| self.per_client.get(&client)).copied().unwrap_or(0)
    }

    /// Closes connections for a new one of this client: the most dispensable first, then those of the client with the most,
    /// then the one that has waited longest. Their places are free at once. `None` if there is none.
    fn make_room(&mut self, newcomer: Option<Network>, among: Among) -> Option<()> {
        let held = self.held(newcomer);
        let candidates = self.connections.iter().filter_map(|(id, connection)| {
            let (place, since) = place(connection.activity.doing())?;
            let is_own = newcomer.is_some() && connection.client == newcomer;
            let count = connection.client.map_or(1, |client| self.held(Some(client)));
            let may_close = match (among, place == Place::Writing) {
                // A response is cut off only for a client that still has fewer connections afterwards.
                (Among::All, true) => !is_own && count > held + 1,
                (Among::All, false) => is_own || count > held,
                (Among::Own { .. }, is_writing) => is_own && !is_writing,
            };
            let is_heavy = count > 1 + self.connections.len() / HEAVY;
            may_close.then_some((place.need(is_heavy), Reverse(count), since, place, *id))
        });
        let mut found: Vec<_> = candidates.collect();
        // Several stalled or idle ones are closed at once, so that not every new connection costs a search.
        let several = self.connections.len() / BATCH + 1;
        if found.len() > several {
            found.select_nth_unstable(several);
            found.truncate(several);
        }
        found.sort_unstable();
        let (.., first, _) = *found.first()?;
        if matches!((among, first), (Among::Own { is_burst: true }, Place::Opening)) {
            return Some(());
        }
        let several = if first <= Place::Idle { several } else { 1 };
        for (.., id) in found.into_iter().take(several).take_while(|candidate| candidate.3 == first) {
            if let Some(connection) = self.forget(id) {
                connection.activity.close();
            }
        }
        Some(())
    }

    fn forget(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(client) = connection.client
            && let Some(count) = self.per_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&client);
            }
        }
        Some(connection)
    }
}

/// How a connection is used that may be closed for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The client does not send its request, or accepts nothing of its responses.
    Stalled,
    Idle,
    Receiving,
    /// It has been opened a moment ago.
    Opening,
    Writing,
}

/// How much the client loses. Those that lose least are closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    None,
    Later,
    InUse,
}

impl Place {
    /// One that is in use counts no more than an idle one if its client has a large part of all.
    fn need(self, is_heavy: bool) -> Need {
        match self {
            Self::Stalled => Need::None,
            Self::Idle => Need::Later,
            Self::Receiving | Self::Opening | Self::Writing if is_heavy => Need::Later,
            Self::Receiving | Self::Opening | Self::Writing => Need::InUse,
        }
    }
}

/// The place of a connection, and since when. `None` if a handler runs: its effects would be lost.
fn place(doing: Doing) -> Option<(Place, Instant)> {
    let stalled = |since: Instant, grace, other| if since.elapsed() >= grace { Place::Stalled } else { other };
    match doing {
        Doing::Opening(since) => Some((stalled(since, super::OPENING_GRACE, Place::Opening), since)),
        Doing::Receiving(since) => Some((stalled(since, super::STALL_GRACE, Place::Receiving), since)),
        Doing::Writing { newest, .. } => Some((stalled(newest, super::STALL_GRACE, Place::Writing), newest)),
        Doing::Idle(since) => Some((Place::Idle, since)),
        Doing::Working => None,
    }
}

/// A connection in the table. It is removed when this value is dropped.
pub(super) struct Admitted {
    connections: Arc<Connections>,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use axum::body::Body;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::http_server::activity::{Phase, RecordedRequest, RecordedSocket};
    use crate::http_server::body::SentBody;

    const DEADLINES: Deadlines = Deadlines {
        headers: Duration::from_secs(10),
        idle: Duration::from_mins(2),
        write: Duration::from_secs(30),
        drain: Duration::from_secs(20),
    };

    fn table(total: usize, per_client: usize) -> Arc<Connections> {
        Connections::new(Caps { total, per_client, proxies: vec!["10.9.0.0/16".parse().unwrap()] })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    async fn step() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_makes_room_and_then_an_idle_one() {
        let table = table(3, 3);
        let idle = table.admit(address(2)).unwrap();
        drop(idle.activity.request());
        step().await;
        let silent = table.admit(address(1)).unwrap();
        let busy = table.admit(address(3)).unwrap();
        let running = busy.activity.request();
        step().await;

        let newest = table.admit(address(4)).unwrap();
        assert!(silent.activity.is_closing() && !idle.activity.is_closing());
        let request = newest.activity.request();
        assert!(table.admit(address(5)).is_some());
        assert!(idle.activity.is_closing() && !busy.activity.is_closing());
        drop((silent, idle));
        assert_eq!(table.count(), 2, "the dropped one was removed, and closing ones are not counted twice");
        drop((running, request));
    }

    fn receiving(connection: &Admitted) -> RecordedRequest {
        let request = connection.activity.request();
        request.record(Phase::Receiving(Instant::now()));
        request
    }

    fn writing(connection: &Admitted) -> hyper::Response<SentBody> {
        connection.activity.request().answered(axum::response::Response::new(Body::from("text")))
    }

    fn closing(connections: &[Admitted]) -> usize {
        connections.iter().filter(|connection| connection.activity.is_closing()).count()
    }

    fn many(table: &Arc<Connections>, last: u8, number: usize) -> Vec<Admitted> {
        (0..number).filter_map(|_| table.admit(address(last))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_refused_if_all_others_work() {
        let table = table(1, 1);
        let busy = table.admit(address(1)).unwrap();
        let running = busy.activity.request();
        assert!(table.admit(address(2)).is_none());
        let response = running.answered(axum::response::Response::new(Body::from("text")));
        assert!(table.admit(address(2)).is_none(), "a response is being written");
        let other = busy.activity.request();
        tokio::time::advance(2 * super::super::STALL_GRACE).await;
        assert!(table.admit(address(2)).is_none(), "another request is in its handler");
        drop(other);
        assert!(table.admit(address(2)).is_some(), "the client accepted nothing");
        drop(response);
    }

    #[tokio::test(start_paused = true)]
    async fn r82_connections_that_only_receive_bodies_make_room() {
        let table = table(3, 3);
        let connections = [address(1), address(2), address(3)].map(|client| table.admit(client).unwrap());
        let [slow, idle, faster] = &connections;
        let slow_bodies = [receiving(slow), receiving(slow)];
        drop(idle.activity.request());
        tokio::time::advance(super::super::STALL_GRACE).await;
        let body = receiving(faster);
        let first = table.admit(address(4)).unwrap();
        assert!(slow.activity.is_closing() && !idle.activity.is_closing(), "bodies that stall come before idle connections");
        let running = first.activity.request();
        let second = table.admit(address(5)).unwrap();
        assert!(idle.activity.is_closing() && !faster.activity.is_closing());
        let other = second.activity.request();
        assert!(table.admit(address(6)).is_some(), "a body that arrives comes last");
        assert!(faster.activity.is_closing() && !first.activity.is_closing() && !second.activity.is_closing());
        drop((slow_bodies, body, running, other));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_past_its_body_is_kept() {
        let table = table(1, 1);
        let mixed = table.admit(address(1)).unwrap();
        let requests = [receiving(&mixed), receiving(&mixed), mixed.activity.request()];
        tokio::time::advance(2 * super::super::STALL_GRACE).await;
        assert!(table.admit(address(2)).is_none());
        assert!(table.admit(address(1)).is_none());
        assert!(!mixed.activity.is_closing());
        drop(requests);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_takes_no_place_from_one_with_fewer_connections() {
        for cap in [4, 5] {
            let table = table(9, cap);
            let honest = table.admit(address(9)).unwrap();
            drop(honest.activity.request());
            let hostile: Vec<Admitted> = [1, 2].into_iter().flat_map(|last| many(&table, last, 4)).collect();
            let bodies: Vec<RecordedRequest> = hostile.iter().map(receiving).collect();
            let further: Vec<Admitted> = [1, 2, 1, 2].into_iter().filter_map(|last| table.admit(address(last))).collect();
            assert_eq!((closing(&hostile), further.len(), table.count()), (4, 4, 9), "{cap}");
            assert!(!honest.activity.is_closing(), "{cap}");
            drop(bodies);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r82_the_client_with_the_most_connections_makes_room() {
        let idle = |connection: &Admitted| drop(connection.activity.request());
        for is_idle in [true, false] {
            let table = table(8, 4);
            let hostile: Vec<Admitted> = [1, 2].into_iter().flat_map(|last| many(&table, last, 4)).collect();
            let responses: Vec<_> = hostile.iter().filter(|_| !is_idle).map(writing).collect();
            hostile.iter().filter(|_| is_idle).for_each(idle);
            step().await;
            let honest: Vec<Admitted> = (10..14).filter_map(|last| table.admit(address(last))).collect();
            assert_eq!((honest.len(), closing(&honest)), (4, 0), "{is_idle}");
            let of = |last: usize| hostile.iter().skip(4 * last).take(4).filter(|other| other.activity.is_closing()).count();
            assert_eq!((of(0), of(1)), (2, 2), "in turn, {is_idle}");
            drop(responses);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_while_a_client_has_a_large_part() {
        let table = table(32, 16);
        let idle = table.admit(address(9)).unwrap();
        drop(idle.activity.request());
        let hostile: Vec<Admitted> =
            [(1, 16), (2, 15)].into_iter().flat_map(|(last, all)| many(&table, last, all)).collect();
        let bodies: Vec<RecordedRequest> = hostile.iter().map(receiving).collect();
        for last in [9, 10] {
            let _newest = table.admit(address(last)).unwrap();
            assert!(!idle.activity.is_closing(), "{last}");
        }
        assert_eq!(closing(&hostile), 1, "the second took the place of the first");
        drop(bodies);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_silent_connections_replaces_them_before_one_that_was_just_used() {
        let table = table(100, 2);
        let used = table.admit(address(1)).unwrap();
        let running = used.activity.request();
        let silent = many(&table, 1, 1 + super::super::BURST);
        tokio::time::advance(super::super::OPENING_GRACE / 2).await;
        drop(running);
        let newest = many(&table, 1, 2);
        assert_eq!((closing(&silent), closing(&newest), used.activity.is_closing()), (2, 0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_has_a_moment_while_others_are_idle() {
        let table = table(2, 2);
        let idle = table.admit(address(1)).unwrap();
        drop(idle.activity.request());
        let young = table.admit(address(2)).unwrap();
        let newest = table.admit(address(3)).unwrap();
        assert!(idle.activity.is_closing() && !young.activity.is_closing());
        let last = table.admit(address(4)).unwrap();
        assert!(young.activity.is_closing() && !newest.activity.is_closing(), "all are young");
        drop(last);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cap_that_is_reached_again_and_again_is_searched_rarely() {
        let table = table(2 * BATCH, 2 * BATCH);
        let idle = many(&table, 1, 2 * BATCH);
        step().await;
        let first = table.admit(address(2)).unwrap();
        assert_eq!((closing(&idle), table.count()), (3, 2 * BATCH - 2));
        let bodies: Vec<RecordedRequest> = idle.iter().map(receiving).collect();
        let _others = many(&table, 2, 3);
        assert_eq!((closing(&idle), table.count()), (4, 2 * BATCH), "of those in use, one at a time");
        drop((first, bodies));
    }

    #[tokio::test(start_paused = true)]
    async fn the_connections_of_a_proxy_end_for_others_only_if_nothing_moves() {
        let proxy: IpAddr = "10.9.1.2".parse().unwrap();
        let table = table(1, 1);
        let shared = table.admit(proxy).unwrap();
        let stalled = writing(&shared);
        tokio::time::advance(2 * DEADLINES.write).await;
        let moving = writing(&shared);
        assert_eq!(table.close_overdue(&DEADLINES), 0);
        assert!(table.admit(proxy).is_none());
        tokio::time::advance(super::super::STALL_GRACE).await;
        assert!(table.admit(proxy).is_some());
        drop((stalled, moving));
    }

    #[tokio::test(start_paused = true)]
    async fn one_stalled_response_does_not_end_a_request_in_its_handler() {
        let table = table(2, 2);
        let connection = table.admit(address(1)).unwrap();
        let stalled = writing(&connection);
        let running = connection.activity.request();
        tokio::time::advance(2 * DEADLINES.write).await;
        assert_eq!(table.close_overdue(&DEADLINES), 0);
        let moving = running.answered(axum::response::Response::new(Body::from("text")));
        assert_eq!(table.close_overdue(&DEADLINES), 1, "then the client is too slow");
        drop((stalled, moving));
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_accepts_nothing_is_overdue_in_every_state() {
        let proxy: IpAddr = "10.9.1.2".parse().unwrap();
        let table = table(2, 2);
        let connection = table.admit(proxy).unwrap();
        let (near, far) = tokio::io::duplex(1);
        let mut socket = RecordedSocket { socket: near, activity: connection.activity.clone() };
        let running = connection.activity.request();
        for _ in 0..2 {
            drop(tokio::time::timeout(Duration::from_millis(1), socket.write_all(b"text")).await);
        }
        tokio::time::advance(DEADLINES.write).await;
        assert_eq!(table.close_overdue(&DEADLINES), 1);
        drop((running, far));
    }

    #[test]
    fn the_listener_for_monitoring_takes_few_descriptors() {
        let caps = Caps::of_operations();
        assert_eq!((caps.total, caps.per_client), (32, 32));
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_gets_its_share_and_closes_only_its_own_connections() {
        let table = table(100, 2);
        let other = table.admit(address(9)).unwrap();
        step().await;
        let first = table.admit(address(1)).unwrap();
        step().await;
        let newer = many(&table, 1, 2);
        assert!(first.activity.is_closing());
        let burst = many(&table, 1, super::super::BURST);
        assert_eq!((burst.len(), closing(&newer)), (super::super::BURST, 0), "the first request may be on its way");
        let further = many(&table, 1, 5);
        assert_eq!(
            (further.len(), closing(&newer), closing(&burst), closing(&further)),
            (5, 2, 3, 0),
            "but not of any number"
        );
        let running: Vec<RecordedRequest> = burst.iter().chain(&further).map(|open| open.activity.request()).collect();
        assert!(table.admit(address(1)).is_none());
        assert!(!other.activity.is_closing());

        let site = |last: &str| -> IpAddr { format!("2001:db8::{last}").parse().unwrap() };
        let of_site = [table.admit(site("1")).unwrap(), table.admit(site("2")).unwrap()];
        step().await;
        let _third = table.admit(site("3")).unwrap();
        assert!(of_site.iter().any(|connection| connection.activity.is_closing()), "a /64 is one client");
        let proxy: IpAddr = "10.9.1.2".parse().unwrap();
        let of_proxy: Vec<Admitted> = (0..4).filter_map(|_| table.admit(proxy)).collect();
        assert_eq!(of_proxy.len(), 4);
        assert!(of_proxy.iter().all(|connection| !connection.activity.is_closing()));
        drop(running);
    }

    #[tokio::test(start_paused = true)]
    async fn every_state_has_its_deadline() {
        let table = table(9, 9);
        let silent = table.admit(address(1)).unwrap();
        let idle = table.admit(address(2)).unwrap();
        drop(idle.activity.request());
        let stalled = table.admit(address(3)).unwrap();
        let response = stalled.activity.request().answered(axum::response::Response::new(Body::from("text")));
        let working = table.admit(address(4)).unwrap();
        let request = working.activity.request();
        let mut closed = Vec::new();
        for _ in 0..125 {
            step().await;
            table.close_overdue(&DEADLINES);
            let all = [&silent, &idle, &stalled, &working];
            closed.push(all.iter().filter(|connection| connection.activity.is_closing()).count());
        }
        assert_eq!(
            (closed[8], closed[9], closed[28], closed[29], closed[118], closed[119], closed[124]),
            (0, 1, 1, 2, 2, 3, 3)
        );
        assert!(!working.activity.is_closing());
        drop((response, request));
    }
}

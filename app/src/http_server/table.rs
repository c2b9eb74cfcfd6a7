//! The open connections: caps in total and per client, and deadlines.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grantry_http_axum::Network;
use tokio::time::Instant;

use super::Deadlines;
use super::activity::{Activity, Doing};

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
        let total = super::descriptors::max_connections();
        Self { total, per_client: total.div_ceil(2), proxies }
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

    /// Admits a connection. If a cap is reached, an idle connection is closed for it. `None` if there is none.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let client = Network::of_client(peer);
        let client = (!self.caps.proxies.iter().any(|proxy| proxy.contains(peer))).then_some(client);
        let mut open = self.lock();
        let of_client = client.map_or(0, |client| open.per_client.get(&client).copied().unwrap_or(0));
        if open.connections.len() >= self.caps.total {
            open.close_one(|_| true)?;
        } else if of_client >= self.caps.per_client {
            // A client that opens many at once has a moment to send its requests.
            let is_old = |connection: &Connection| match connection.activity.doing() {
                Doing::Opening(since) => since.elapsed() >= super::OPENING_GRACE,
                Doing::Idle(_) | Doing::Writing(_) | Doing::Working => true,
            };
            let is_young = open.connections.values().any(|other| other.client == client && !is_old(other));
            let closed = open.close_one(|connection| connection.client == client && is_old(connection));
            if closed.is_none() && !is_young {
                return None;
            }
        }
        let (id, activity) = (open.next, Activity::new());
        open.next += 1;
        open.connections.insert(id, Connection { client, activity: activity.clone() });
        if let Some(client) = client {
            *open.per_client.entry(client).or_default() += 1;
        }
        Some(Admitted { connections: self.clone(), id, activity })
    }

    /// Closes one idle connection, if there is one: the process has no descriptors left.
    pub(super) fn close_one(&self) {
        let _ = self.lock().close_one(|_| true);
    }

    /// Closes every connection that exceeds a deadline. Returns how many.
    pub(super) fn close_overdue(&self, deadlines: &Deadlines) -> usize {
        let open = self.lock();
        let overdue = open.connections.values().filter(|connection| {
            let (since, deadline) = match connection.activity.doing() {
                Doing::Opening(since) => (since, deadlines.headers),
                Doing::Idle(since) => (since, deadlines.idle),
                Doing::Writing(since) => (since, deadlines.write),
                Doing::Working => return false,
            };
            since.elapsed() >= deadline && !connection.activity.is_closing()
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

impl Open {
    /// Closes the connection that has been open longest without a request; else the one that has been idle longest; else the
    /// one whose client has accepted nothing for longest. Its place is free at once.
    fn close_one(&mut self, may_close: impl Fn(&Connection) -> bool) -> Option<()> {
        let candidates = self.connections.iter().filter(|(_, connection)| may_close(connection));
        let (_, id) =
            candidates.filter_map(|(id, connection)| rank(connection.activity.doing()).map(|rank| (rank, *id))).min()?;
        self.forget(id)?.activity.close();
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

/// The order in which connections are closed for others. `None` for those that work.
fn rank(doing: Doing) -> Option<(u8, Instant)> {
    match doing {
        Doing::Opening(since) => Some((0, since)),
        Doing::Idle(since) => Some((1, since)),
        Doing::Writing(since) if since.elapsed() >= super::WRITE_GRACE => Some((2, since)),
        Doing::Writing(_) | Doing::Working => None,
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

    use super::*;

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

        let newest = table.admit(address(4)).unwrap();
        assert!(silent.activity.is_closing() && !idle.activity.is_closing());
        let request = newest.activity.request();
        assert!(table.admit(address(5)).is_some());
        assert!(idle.activity.is_closing() && !busy.activity.is_closing());
        drop((silent, idle));
        assert_eq!(table.count(), 2, "the dropped one was removed, and closing ones are not counted twice");
        drop((running, request));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_refused_if_all_others_work() {
        let table = table(1, 1);
        let busy = table.admit(address(1)).unwrap();
        let running = busy.activity.request();
        assert!(table.admit(address(2)).is_none());
        let response = running.answered(axum::response::Response::new(Body::from("text")));
        assert!(table.admit(address(2)).is_none(), "a response is being written");
        tokio::time::advance(super::super::WRITE_GRACE).await;
        assert!(table.admit(address(2)).is_some(), "the client accepted nothing");
        drop(response);
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_gets_its_share_and_closes_only_its_own_connections() {
        let table = table(10, 2);
        let other = table.admit(address(9)).unwrap();
        step().await;
        let first = table.admit(address(1)).unwrap();
        step().await;
        let second = table.admit(address(1)).unwrap();
        let third = table.admit(address(1)).unwrap();
        assert!(first.activity.is_closing());
        let burst: Vec<Admitted> = (0..3).filter_map(|_| table.admit(address(1))).collect();
        assert_eq!(burst.len(), 3, "connections that have just been opened are not closed for others");
        assert!(!second.activity.is_closing() && !third.activity.is_closing());
        drop(burst);
        assert!(!second.activity.is_closing() && !other.activity.is_closing() && !third.activity.is_closing());
        let running = [second.activity.request(), third.activity.request()];
        assert!(table.admit(address(1)).is_none());

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

//! The contract of a store, as tests. Every implementation of `GrantStore`, `ConnectorStore` and `SessionStore` runs them
//! with [`store_contract!`](crate::store_contract), and [`differential`] against the reference store. Outside semantic
//! versioning.
//!
//! The port documentation is the contract. Where it leaves a choice, this is the one:
//!
//! **Time.** Every comparison uses the store's clock; a limit is reached at its very instant (`now >= limit`). Whether a flow
//! is over is judged by the clock and not by whether the sweeper came by: a flow past its deadline, or consumed
//! [`INTERRUPTED_AFTER`](grantry_domain::grant::INTERRUPTED_AFTER) ago, counts for no cap, is no pending flow of a status, and
//! commits nothing ([`Commit::FlowEnded`](grantry_domain::ports::Commit)). Endings by predicate and supersession act on what
//! is stored.
//!
//! **Start.** The caps count flows that are not over, consumed ones included, without those the new flow supersedes. At a cap
//! nothing is written, and nothing superseded.
//!
//! **Callback.** The state hash and cookie hash of a flow stay searchable for `consume` as long as its row lives, also when it
//! has ended or become a grant, although its snapshot no longer shows them. The checks come in this order: unknown state,
//! user, browser, too late (timed out, swept or not), used or ended. A mismatch answers with the record as it is stored.
//!
//! **Replace.** The day of last use never goes back, even if the given record was read before it was noted. Only a `Done`
//! writes the audit events; so it is with every method that can refuse.
//!
//! **Commit.** The checks come in this order: connector (gone, disabled or of another incarnation; then epoch), tombstone,
//! flow. A tombstone is for ever.
//!
//! **Lease.** An implausible lease is free to take and makes `was_in_doubt` true. A failed attempt leaves `owner` empty,
//! `held_until` at `not_before`, counts one more, and keeps the first `failing_since`; it applies while the owner stands in the
//! row, even if the lease has run out meanwhile.
//!
//! **Ending.** A former grant is one in `Expired`; ending it keeps its revocation as it is. `Ended::queued` counts revocations
//! that this ending made due. An edit ends flows and grants; a delete puts former grants away as well. An edit of another
//! incarnation answers `Gone`.
//!
//! **Events.** For every authorization that a store ends by itself (superseded, edited, deleted, ended by scope, swept) it
//! writes [`AuditEvent::ending`](grantry_domain::ports::AuditEvent::ending), in the name of the given actor, of the user where
//! a newer attempt or grant took its place, of the system where the sweeper did it.
//!
//! **Revocation.** Which of several due ones is claimed first is open. `due_at` of a claimed one may show the end of the
//! claim. `Retry` counts one more attempt and gives the claim back; `Renewed` clears the doubt and keeps the claim. Ending
//! what is not owed does nothing, and writes no events.
//!
//! **Client secrets.** One is needed while it is of the present epoch of its connector; while a former grant or an orphan of
//! its incarnation and epoch is to be revoked; and while an authorization of that incarnation and epoch is not ended, or
//! ended less than `INTERRUPTED_AFTER` ago, because an exchange or a renewal under way may still bring tokens to revoke.
//! `update`, `delete`, a settled revocation and a sweep destroy what is not needed.
//!
//! **Sweep.** A grant lapses rather than being unused; it is unused if its day of last use lies before the day of the instant
//! `unused_grants` ago. Rows are removed `ended_flows` or `ended_grants` after they ended. How a batch is shared out among
//! the kinds is open; repeated calls come to an end, with `more` false.
//!
//! **Reading.** Connectors come by name, then by id, both compared as bytes. The newest former grant is the one with the
//! latest consent. `GrantPage::next` is the id of the last record of a page that is not the last. `due_for_renewal` answers
//! only grants with a refresh token, first those that lapse first.

#![expect(
    clippy::missing_panics_doc,
    reason = "a contract panics where it is broken; that is its purpose"
)]

mod backend;

pub use self::backend::{Backend, Node};

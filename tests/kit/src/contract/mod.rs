//! Contracts of ports, as tests. Those of a vault, a rate limiter, an event sink, a directory, an authorization server, a
//! resource server and, with the feature `transport`, an HTTP transport are in the modules of these names. The rest is the
//! contract of a store.
//!
//! Every implementation of [`Store`](grantry_domain::ports::Store) runs them with
//! [`store_contract!`](crate::store_contract), and is compared with the reference store by [`differential`]. Outside semantic
//! versioning.
//!
//! The documentation of the ports is the contract. Where it leaves a choice, this is the decision:
//!
//! **Time.** Every comparison uses the store's clock; a limit is reached at its instant (`now >= limit`). Whether a flow is
//! over depends on the clock and not on the sweeper: a flow past its deadline, or consumed
//! [`INTERRUPTED_AFTER`](grantry_domain::authorization::INTERRUPTED_AFTER) ago, counts for no limit, is not the pending flow
//! of a status, and cannot be committed ([`CommitOutcome::FlowEnded`](grantry_domain::ports::CommitOutcome)). Termination by
//! predicate and superseding act on the stored state.
//!
//! **Connections.** A user has at most one grant and one unconsumed flow per connector incarnation and connection name.
//! A flow supersedes unconsumed flows, and a commit the grant, of the same name only. The default connection belongs to
//! connector incarnation and user. Setting it requires a grant of that name; clearing it always succeeds. It survives the
//! end of its grant; deleting the connector and terminating the user clear it.
//!
//! **Start.** The limits count flows that are not over, consumed ones included, without those the new flow supersedes. When
//! a limit is reached, nothing is written and nothing superseded.
//!
//! **Callback.** `consume` finds a flow by its state hash and cookie hash as long as its row is stored, also when it has
//! ended or become a grant and its state no longer contains them. The order of the checks: unknown state, user, browser, too
//! late (swept or not), used or ended. A mismatch returns the authorization as it is stored.
//!
//! **Replace.** The day of last use never decreases, even if the given authorization was read before the day was recorded.
//! Audit events are written only with the change, as by every method that can refuse.
//!
//! **Commit.** The order of the checks: connector (deleted or of another incarnation, then epoch), tombstone, flow. A
//! tombstone stays until its user is reinstated, and keeps its first instant.
//!
//! **Lease.** An implausible lease can be taken and makes `was_in_doubt` true. A failed attempt clears `holder`, sets
//! `held_until` to `not_before`, counts one more, and keeps the first `failing_since`; it applies while `holder` is stored,
//! even if the lease has expired.
//!
//! **Termination.** A former grant is an authorization in `Expired`; terminating it keeps its revocation unchanged.
//! `TerminationReport::queued` counts the revocations that became pending. An edit ends flows and grants; a deletion also
//! terminates former grants. An edit of another incarnation returns `NotFound`.
//!
//! **Audit events.** For every authorization that a store ends by itself (superseded, edited, deleted, terminated, swept) it
//! writes [`AuditEvent::of_termination`](grantry_domain::ports::AuditEvent::of_termination). The actor is the one given, the
//! user for superseding, the system for the sweeper. The same actor is stored in the ended authorization. A new tombstone has the
//! event `user_deprovisioned`, before those of the authorizations.
//!
//! **Revocation.** Which of several due ones is claimed first is open. A claim is stored beside the authorization, which does
//! not contain it; one that ends later than a claim of the given length would is implausible and can be taken. `Retry` counts
//! one more attempt and releases the claim; `Refreshed` clears the in-doubt mark and keeps the claim. Updating a revocation
//! that is not pending does nothing and writes no events.
//!
//! **Client secrets.** A secret of an earlier epoch is needed while a former grant or unclaimed tokens of its incarnation and
//! epoch are to be revoked, and while an authorization of them has not ended or ended less than `INTERRUPTED_AFTER` ago,
//! because an exchange or a refresh in progress may still bring tokens to revoke; but at most 24 hours. `update`, `delete`, a
//! completed revocation and a sweep destroy what is not needed.
//!
//! **Sweep.** A grant that has expired is not counted as unused; it is unused if its day of last use and its consent are
//! before the day of the instant `unused_grants` ago. Rows are removed `ended_flows` or `ended_grants` after they ended. The order within a batch
//! is open; repeated calls come to an end, with `more` false.
//!
//! **Reading.** Connectors are ordered by name, then by id, connections by name, all compared as bytes. The newest former
//! grant is the one with the latest consent. `AuthorizationPage::next` is the id of the last authorization of a page, except
//! on the last page. `due_for_refresh` returns only grants with a refresh token, ordered by expiry.

#![expect(clippy::missing_panics_doc, reason = "a rule panics where a store breaks it")]

pub mod authorization_server;
mod backend;
pub mod connections;

pub mod connectors;
pub mod diagnostics;
mod differential;
pub mod directory;
pub mod event_sink;
pub mod flows;
#[cfg(feature = "transport")]
pub mod http_transport;
pub mod leases;
pub mod outbox;
pub mod queries;
pub mod rate_limiter;
pub mod resource_server;
pub mod resource_streams;
pub mod revocations;
pub mod sessions;
pub mod sweep;
pub mod termination;
mod test_store;
pub mod users;
pub mod vault;

pub use self::backend::{Backend, Node};
pub use self::differential::differential;

/// Expands to one test for each rule of the contract. The factory is an `async fn(TestClock) -> Backend` that returns a
/// fresh, empty store on the clock.
///
/// ```text
/// async fn fresh(clock: TestClock) -> Backend { … }
/// grantry_testkit::store_contract!(fresh);
/// ```
#[macro_export]
macro_rules! store_contract {
    ($factory:path) => {
        $crate::store_contract! {
            @rules $factory;
            flows {
                a_flow_is_stored_as_given,
                r18_a_newer_attempt_supersedes_older_pending_ones,
                r18_unfinished_flows_of_a_user_are_limited,
                r18_unfinished_flows_of_the_deployment_are_limited,
                r18_a_flow_that_is_over_counts_for_no_limit,
                r20_a_flow_is_consumed_once_among_many_callers,
                r20_consumed_secrets_leave_the_record,
                r20_a_mismatch_consumes_nothing,
                r20_one_of_several_flow_cookies_is_enough,
                r20_a_late_callback_is_reported_as_expired,
                r20_a_replayed_callback_is_reported_as_used,
                a_flow_is_found_by_its_state_until_it_is_over,
                r26_a_commit_makes_the_grant,
                r26_no_grant_for_an_edited_connector,
                r26_no_grant_for_a_connector_that_is_gone,
                r26_no_grant_for_a_removed_user,
                r26_no_flow_for_another_connector_or_a_removed_user,
                r26_no_grant_for_a_flow_that_has_ended,
                a_failed_flow_stays_failed,
                r27_the_old_grant_is_superseded_with_the_commit,
                r51_a_superseded_grant_can_be_dropped_without_revocation,
                r27_concurrent_commits_leave_one_grant,
            }
            connections {
                a_user_has_one_grant_per_connection_name,
                a_flow_supersedes_only_flows_of_its_connection,
                a_default_connection_requires_a_grant,
                a_default_connection_outlives_its_grant,
                r53_a_default_connection_ends_with_its_connector_and_its_user,
            }
            leases {
                r38_new_tokens_are_written_if_the_version_is_expected,
                r38_a_stale_write_changes_nothing,
                r38_a_version_is_state_and_token_revision,
                r38_of_concurrent_writers_one_writes,
                r39_a_rejected_refresh_token_ends_the_grant,
                r36_of_concurrent_callers_one_gets_the_lease,
                r36_a_lease_is_for_the_revision_that_was_read,
                r37_taking_the_lease_sets_the_in_doubt_mark,
                r37_r80_a_lease_in_doubt_leaves_an_audit_event,
                r36_an_implausible_lease_can_be_taken,
                r37_an_unknown_outcome_keeps_the_in_doubt_mark,
                r37_a_known_outcome_clears_the_in_doubt_mark,
                r39_refusals_are_counted_until_a_refresh_succeeds,
                r36_only_the_holder_of_the_lease_reports_a_failure,
                r55_the_day_of_last_use_never_decreases,
                grants_due_for_refresh_are_found,
            }
            termination {
                r49_a_disconnect_ends_everything_of_a_connection,
                r49_after_a_disconnect_no_node_returns_the_grant,
                r49_termination_moves_the_in_doubt_mark_into_the_revocation,
                r49_each_termination_writes_its_event,
                one_authorization_can_be_terminated,
                an_ended_flow_keeps_its_cause,
                r53_removing_a_user_ends_everything_of_the_user,
                r53_losing_a_role_ends_everything_of_the_user_in_the_space,
                r53_removing_a_space_ends_everything_in_it,
                r49_terminating_a_former_grant_keeps_its_revocation,
                r80_an_end_is_stored_with_its_actor,
            }
            users {
                r53_a_tombstone_is_written_once_with_its_event,
                r53_a_reinstated_user_can_be_granted_again,
                users_with_records_are_listed_in_pages,
                what_a_removal_would_end_is_what_it_ends,
            }
            connectors {
                connectors_are_stored_as_given,
                an_edit_requires_the_stored_revision,
                r52_a_harmless_edit_keeps_every_grant,
                r52_a_security_edit_expires_grants_and_fails_flows,
                r53_deleting_a_connector_revokes_everything,
                lesson_20_a_connector_with_a_thousand_grants_is_deleted,
                deleting_a_connector_is_idempotent,
                r54_a_recreated_connector_has_none_of_the_old_authorizations,
                r50_a_client_secret_is_kept_while_a_revocation_needs_it,
                r50_an_old_client_secret_is_kept_for_a_day_at_most,
                r26_a_client_secret_is_kept_for_an_exchange_in_progress,
                r52_connected_users_are_counted_per_connector,
            }
            revocations {
                r50_each_due_revocation_goes_to_one_worker,
                r50_a_claim_expires,
                r50_a_worker_does_not_overwrite_what_another_one_has_claimed,
                r50_an_implausible_claim_can_be_taken,
                r50_a_completed_revocation_destroys_the_tokens,
                r50_a_postponed_revocation_is_due_again,
                r50_a_deferred_revocation_counts_no_attempt,
                r50_an_implausible_due_time_is_ignored,
                r50_a_revocation_is_left_out_until_it_is_to_be_abandoned,
                r49_a_refresh_before_the_revocation_stores_the_new_tokens,
                r26_unclaimed_tokens_are_revoked,
                flows_and_invalid_tokens_need_no_revocation,
            }
            sweep {
                r18_the_sweeper_ends_flows_past_their_deadline,
                r20_the_sweeper_ends_interrupted_flows,
                the_sweeper_ends_grants_that_expired,
                r55_unused_grants_are_revoked,
                r55_ended_rows_are_removed_after_their_retention,
                r18_a_sweep_changes_at_most_one_batch,
            }
            queries {
                an_access_token_view_has_the_grants_of_its_user,
                an_access_token_view_is_filtered_by_connection,
                an_access_token_view_reports_expired_connections,
                a_status_has_a_row_for_every_connector_of_the_space,
                a_status_shows_grant_former_grant_and_flow,
                r13_an_attempt_without_a_required_scope_is_stored_and_shown,
                a_status_lists_connections_by_name,
                the_newest_former_grant_is_the_one_consented_to_last,
                the_newest_flow_is_the_pending_one,
                a_flow_that_is_over_is_not_pending,
                lists_are_paged_newest_first,
                r53_holders_of_grants_are_listed,
                r75_envelopes_and_tags_are_counted_per_key,
            }
            outbox {
                r80_events_are_returned_in_order_until_they_are_removed,
                r80_events_are_stored_as_given,
            }
            diagnostics {
                the_last_failure_of_a_connector_is_stored_as_given,
                the_newest_anomalies_of_a_connector_are_kept_once_each,
                a_refused_client_is_stored_for_the_revision_of_its_connector,
                diagnostics_end_with_their_connector,
            }
            sessions {
                sessions_are_found_until_they_are_removed,
                touching_a_removed_session_does_nothing,
                a_purge_ends_old_and_idle_sessions,
                the_sessions_of_a_user_are_bounded,
            }
        }
    };
    (@rules $factory:path; $($module:ident { $($rule:ident,)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::contract::$module::$rule($factory($crate::doubles::TestClock::default()).await).await;
            }
        )*)*
    };
}

/// Whether a rule rejects an implementation, by a panic. For a test that shows that a suite rejects a broken one.
pub async fn rejects(rule: impl Future<Output = ()> + Send + 'static) -> bool {
    tokio::spawn(rule).await.is_err_and(|ended| ended.is_panic())
}

/// Expands to one test for each rule of a port. `@sync` is for rules and factories that are not asynchronous, `@pure` for rules
/// that are not, `@clock` for factories that take a clock, and `@factory` for rules that call the factory.
#[doc(hidden)]
#[macro_export]
macro_rules! port_rules {
    (@sync $module:ident $factory:path; $($rule:ident,)*) => {
        $(
            #[test]
            fn $rule() {
                $crate::contract::$module::$rule(&$factory());
            }
        )*
    };
    (@pure $module:ident $factory:path; $($rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $crate::contract::$module::$rule(&$factory().await);
            }
        )*
    };
    (@clock $module:ident $factory:path; $($rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $crate::contract::$module::$rule($factory($crate::doubles::TestClock::default()).await).await;
            }
        )*
    };
    (@factory $module:ident $factory:path; $($rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $crate::contract::$module::$rule($factory).await;
            }
        )*
    };
    ($module:ident $factory:path; $($rule:ident,)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $crate::contract::$module::$rule($factory().await).await;
            }
        )*
    };
}

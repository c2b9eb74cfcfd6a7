//! The contract of a store, as tests. Every implementation of `AuthorizationStore`, `ConnectorStore` and `SessionStore` runs them
//! with [`store_contract!`](crate::store_contract), and [`differential`] against the reference store. Outside semantic
//! versioning.
//!
//! The port documentation is the contract. Where it leaves a choice, this is the one:
//!
//! **Time.** Every comparison uses the store's clock; a limit is reached at its very instant (`now >= limit`). Whether a flow
//! is over is judged by the clock and not by whether the sweeper came by: a flow past its deadline, or consumed
//! [`INTERRUPTED_AFTER`](grantry_domain::authorization::INTERRUPTED_AFTER) ago, counts for no cap, is no pending flow of a status, and
//! commits nothing ([`CommitOutcome::FlowEnded`](grantry_domain::ports::CommitOutcome)). Endings by predicate and supersession act on what
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
//! **CommitOutcome.** The checks come in this order: connector (gone, disabled or of another incarnation; then epoch), tombstone,
//! flow. A tombstone is for ever.
//!
//! **Lease.** An implausible lease is free to take and makes `was_in_doubt` true. A failed attempt leaves `owner` empty,
//! `held_until` at `not_before`, counts one more, and keeps the first `failing_since`; it applies while the owner stands in the
//! row, even if the lease has run out meanwhile.
//!
//! **TerminationRequest.** A former grant is one in `Expired`; ending it keeps its revocation as it is. `Ended::queued` counts revocations
//! that this ending made due. An edit ends flows and grants; a delete puts former grants away as well. An edit of another
//! incarnation answers `Gone`.
//!
//! **Events.** For every authorization that a store ends by itself (superseded, edited, deleted, ended by scope, swept) it
//! writes [`AuditEvent::ending`](grantry_domain::ports::AuditEvent::ending), in the name of the given actor, of the user where
//! a newer attempt or grant took its place, of the system where the sweeper did it.
//!
//! **Revocation.** Which of several due ones is claimed first is open. A claim is kept beside the record, which does not
//! show it; one that ends farther ahead than a claim of the length asked for is implausible, and free to take. `Retry` counts one more attempt and gives the claim back; `Renewed` clears the doubt and keeps the claim. TerminationRequest
//! what is not owed does nothing, and writes no events.
//!
//! **Client secrets.** One that is not of the present epoch of its connector is needed while a former grant or an orphan of
//! its incarnation and epoch is to be revoked; and while an authorization of that incarnation and epoch is not ended, or
//! ended less than `INTERRUPTED_AFTER` ago, because an exchange or a renewal under way may still bring tokens to revoke; but
//! no longer than 24 hours. `update`, `delete`, a settled revocation and a sweep destroy what is not needed.
//!
//! **Sweep.** A grant lapses rather than being unused; it is unused if its day of last use lies before the day of the instant
//! `unused_grants` ago. Rows are removed `ended_flows` or `ended_grants` after they ended. How a batch is shared out among
//! the kinds is open; repeated calls come to an end, with `more` false.
//!
//! **Reading.** Connectors come by name, then by id, both compared as bytes. The newest former grant is the one with the
//! latest consent. `AuthorizationPage::next` is the id of the last record of a page that is not the last. `due_for_refresh` answers
//! only grants with a refresh token, first those that lapse first.

#![expect(clippy::missing_panics_doc, reason = "a contract panics where it is broken; that is its purpose")]

mod backend;
pub mod connectors;
mod differential;
pub mod ending;
pub mod events;
pub mod flows;
pub mod refresh;
pub mod revocation;
pub mod sessions;
pub mod sweep;
pub mod views;
mod world;

pub use self::backend::{Backend, Node};
pub use self::differential::differential;

/// Expands to one test for each rule of the contract. The factory is an `async fn(TestClock) -> Backend` that makes a fresh,
/// empty store on the clock.
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
                r18_unfinished_flows_of_a_user_are_capped,
                r18_unfinished_flows_of_the_deployment_are_capped,
                r18_a_flow_that_is_over_counts_for_no_cap,
                r20_a_flow_is_consumed_once_among_many_callers,
                r20_consumed_secrets_leave_the_record,
                r20_a_mismatch_consumes_nothing,
                r20_one_of_several_flow_cookies_is_enough,
                r20_a_late_callback_is_told_so,
                r20_a_replayed_callback_is_told_so,
                a_flow_is_found_by_its_state_until_it_is_over,
                r26_a_commit_makes_the_grant,
                r26_no_grant_for_an_edited_connector,
                r26_no_grant_for_a_connector_that_is_gone,
                r26_no_grant_for_a_removed_user,
                r26_no_grant_for_a_flow_that_has_ended,
                a_failed_flow_stays_failed,
                r27_the_old_grant_is_superseded_with_the_commit,
                r51_a_superseded_grant_can_be_dropped_without_revocation,
                r27_concurrent_commits_leave_one_grant,
            }
            refresh {
                r38_new_tokens_are_written_under_their_fence,
                r38_a_write_behind_the_fence_changes_nothing,
                r38_of_concurrent_writers_one_writes,
                r39_a_refused_refresh_token_ends_the_grant,
                r36_of_concurrent_callers_one_gets_the_lease,
                r36_a_lease_is_for_the_revision_that_was_read,
                r37_taking_the_lease_sets_the_doubt_durably,
                r36_an_implausible_lease_is_free_to_take,
                r37_an_unknown_outcome_keeps_the_doubt,
                r37_a_known_outcome_clears_the_doubt,
                r36_only_the_holder_of_the_lease_reports_a_failure,
                r55_the_day_of_last_use_only_rises,
                grants_due_for_refresh_are_found,
            }
            ending {
                r49_a_disconnect_ends_everything_of_a_user_on_a_connector,
                r49_after_a_disconnect_no_node_hands_out,
                r49_ending_carries_the_doubt_into_the_revocation,
                r49_each_ending_leaves_its_event,
                one_authorization_can_be_ended,
                an_ended_flow_keeps_its_cause,
                r53_removing_a_user_ends_everything_of_theirs,
                r53_losing_a_privilege_ends_what_a_user_has_in_the_space,
                r53_removing_a_space_ends_everything_in_it,
                r49_putting_a_former_grant_away_keeps_its_revocation,
            }
            connectors {
                connectors_are_stored_as_given,
                an_edit_needs_the_revision_it_was_made_from,
                r52_a_harmless_edit_keeps_every_grant,
                r52_a_security_edit_expires_grants_and_fails_flows,
                r53_disabling_a_connector_revokes_everything,
                r53_deleting_a_connector_revokes_everything,
                lesson_20_a_connector_with_a_thousand_grants_is_deleted_whole,
                deleting_a_connector_twice_is_deleting_it_once,
                r54_a_recreated_connector_has_none_of_the_old_authorizations,
                r50_a_client_secret_lives_as_long_as_a_revocation_needs_it,
                r50_an_old_client_secret_is_kept_for_a_day_at_most,
                r26_a_client_secret_waits_for_the_exchange_under_way,
                r52_grants_are_counted_per_connector,
            }
            revocation {
                r50_each_due_revocation_goes_to_one_worker,
                r50_a_claim_runs_out,
                r50_an_implausible_claim_is_free_to_take,
                r50_a_settled_revocation_destroys_the_tokens,
                r50_a_postponed_revocation_is_due_again,
                r49_a_renewed_revocation_keeps_the_new_tokens,
                r26_tokens_that_never_became_a_grant_are_revoked,
                nothing_is_owed_for_flows_and_dead_tokens,
            }
            sweep {
                r18_the_sweeper_ends_flows_past_their_deadline,
                r20_the_sweeper_ends_consumed_flows_of_dead_processes,
                the_sweeper_ends_grants_that_lapsed,
                r55_unused_grants_are_revoked,
                r55_ended_rows_are_removed_at_their_age,
                r18_sweeping_goes_in_bounded_steps,
            }
            views {
                a_hand_out_sees_the_users_own_grant,
                a_status_has_a_row_for_every_connector_of_the_space,
                a_status_shows_grant_former_grant_and_flow,
                the_newest_former_grant_is_the_one_consented_to_last,
                the_newest_flow_is_the_pending_one,
                a_flow_that_is_over_is_not_pending,
                lists_are_paged_newest_first,
                r53_holders_of_grants_are_found,
                r75_envelopes_are_counted_per_key,
            }
            events {
                r80_events_are_offered_in_order_until_they_are_forgotten,
                r80_events_are_kept_whole,
            }
            sessions {
                sessions_are_found_until_they_are_removed,
                seeing_a_session_revives_nothing,
                a_purge_ends_old_and_idle_sessions,
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

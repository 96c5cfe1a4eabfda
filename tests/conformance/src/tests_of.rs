//! One test a rule.

/// Makes a `#[test]` of each rule, for the [`Candidate`](crate::Candidate) that the expression gives, and one that says whether a rule has
/// no test.
///
/// ```no_run
/// # use uv_conformance::Candidate;
/// # fn mine() -> Candidate { unimplemented!() }
/// mod my_backend {
///     # use super::mine;
///     uv_conformance::rule_tests!(mine());
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! rule_tests {
    ($candidate:expr) => {
        $crate::rule_tests! { @ $candidate;
            // lifecycle
            abilities lifecycle end_normal slots_stay normal_is_open lives_apart
            // entry
            guest_asks enter_returns_first enter_once enter_other_vm unserved_wish refusal_leaves_nothing refusal_is_told refusal_then_entry refusal_kind
            // run loop
            halted_again exits_in_order fault_names_page fault_unserved fault_once fault_store runs_after_end
            // paging
            round_trip newest_content in_twice in_shared out_twice out_shared neighbours_stay counts destroy destroy_lives_on
            // zero fill
            first_touch_zero page_in_zero rest_is_zero fresh_start reused_frame freed_by_page_out destroyed_is_zero
            // sharing
            share share_content share_one share_twice unshare unshare_cuts_off share_sealed only_the_guest_shares is_shared unserved_share accept_unasked
            // withdrawing
            withdraw withdraw_content withdraw_twice withdraw_private withdraw_then_out withdraw_unserved
            // isolation
            no_plaintext no_plaintext_elsewhere no_plaintext_sealed host_writes two_vms move_one_vm share_one_vm
            // integrity
            flipped right_bytes_later swapped replayed replayed_same foreign stale_after_end zeros spliced never_wrong_bytes
            // freshness
            key_stream key_stream_range sealed_anew same_content unchanged_anew key_of_a_vm key_of_a_life no_equal_blocks
            // teardown
            end_wipes end_returns_memory end_sealed_is_noise end_with_everything end_unshares no_pages_after_end many_lives
            // errors
            no_slot no_slot_state no_end normal_vm refusal_changes_nothing errors_speak raw_code
            // ranges
            ranges range_done range_goes_on range_mixed range_mixed_out range_empty range_refused range_destroyed
            // concurrency
            threads threads_ranges guest_beside_paging looking_beside_paging end_beside_paging withdraw_beside_guest two_vms_beside
            // limits
            exhausted exhausted_range exhausted_then_room last_page page_borders all_pages
            // sequences
            random_sequences random_attacks
        }
    };
    (@ $candidate:expr; $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                $candidate.run_rule(&stringify!($rule).replace('_', "-"), 2026);
            }
        )*

        #[test]
        fn every_rule_has_a_test() {
            let tests = [$(stringify!($rule)),*].map(|name| name.replace('_', "-"));
            assert!($crate::rules().map(|rule| rule.name).eq(tests.iter().map(String::as_str)));
        }
    };
}

//! Each known hole of a receiving rsync and the test that shows it closed here.

use std::path::Path;

/// CVE, file below the repository, test.
const CLOSED: &[(&str, &str, &str)] = &[
    ("2022-29154", "tests/rsync/attack/list.rs", "a_name_that_climbs_is_refused"),
    ("2022-29154", "tests/rsync/attack/list.rs", "a_child_without_its_parent_is_refused"),
    ("2024-12084", "tests/rsync/attack/transfer.rs", "a_strong_sum_longer_than_the_digest_is_refused"),
    ("2024-12084", "tests/rsync/attack/transfer.rs", "a_count_of_blocks_beyond_memory_is_refused"),
    ("2024-12085", "src/rsync/signature.rs", "a_signature_is_a_sum_per_block_in_small_pieces"),
    ("2024-12086", "tests/rsync/attack/transfer.rs", "a_basis_named_by_the_sender_is_not_read"),
    ("2024-12087", "tests/rsync/attack/list.rs", "nothing_is_written_through_a_link_of_the_list"),
    ("2024-12088", "tests/rsync/attack/list.rs", "links_that_lead_out_by_way_of_others_do_not_stay"),
    (
        "2024-12747",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    (
        "2026-29518",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    ("2026-43617", "tests/it/rsync_daemon.rs", "an_address_that_no_module_trusts_gets_no_greeting"),
    ("2026-43618", "tests/rsync/attack/transfer.rs", "a_token_beyond_the_blocks_is_refused"),
    (
        "2026-43619",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    ("2026-43620", "tests/rsync/attack/transfer.rs", "a_negative_index_is_refused"),
    (
        "2026-53785",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    ("2026-53788", "tests/it/rsync_hostile.rs", "names_that_steer_a_terminal_are_written_down_harmless"),
    (
        "2026-53789",
        "tests/it/rsync_hostile.rs",
        "deletion_reaches_no_further_than_the_destination_that_was_named",
    ),
    ("2026-53790", "tests/it/rsync_hostile.rs", "names_that_steer_a_terminal_are_written_down_harmless"),
    ("2026-53791", "tests/it/rsync_daemon.rs", "an_address_that_no_module_trusts_gets_no_greeting"),
    ("2026-53792", "tests/rsync/attack/transfer.rs", "a_block_length_of_zero_is_refused"),
    (
        "2026-53793",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    ("2026-53794", "tests/rsync/attack/transfer.rs", "a_bomb_of_zeros_fills_neither_memory_nor_disk"),
    (
        "2026-53795",
        "tests/rsync/attack/race.rs",
        "nothing_is_written_through_a_directory_that_turns_into_a_link",
    ),
    ("2026-53796", "tests/it/rsync_hostile.rs", "a_staging_that_turns_into_a_link_leads_nowhere"),
    ("2026-53799", "tests/it/rsync_hostile.rs", "a_staging_that_turns_into_a_link_leads_nowhere"),
    ("2026-53802", "tests/rsync/attack/start.rs", "options_that_would_touch_our_files_are_refused_by_name"),
    ("2026-53803", "tests/rsync/attack/start.rs", "a_merge_rule_with_deletion_reads_nothing_of_ours"),
    ("2026-70452", "tests/rsync/attack/daemon.rs", "a_stranger_is_not_told_more_than_that"),
    ("2026-70453", "tests/rsync/attack/transfer.rs", "a_zstd_window_of_gigabytes_takes_no_memory"),
    (
        "2026-70455",
        "tests/rsync/attack/list.rs",
        "a_list_that_never_ends_is_cut_at_a_limit_or_costs_what_it_holds",
    ),
    ("2026-70456", "tests/rsync/attack/start.rs", "numbers_that_are_none_do_no_harm"),
    ("2026-70457", "tests/rsync/attack/start.rs", "a_thousand_arguments_and_long_ones_do_no_harm"),
    ("2026-70458", "tests/rsync/attack/list.rs", "a_hard_link_without_the_option_is_refused"),
    ("2026-70458", "tests/rsync/attack/list.rs", "a_hard_link_to_a_leader_that_is_none_is_refused"),
    ("2026-70459", "tests/rsync/attack/list.rs", "the_root_as_a_file_is_refused"),
    ("2026-70459", "tests/rsync/attack/transfer.rs", "data_for_the_loser_of_a_double_name_is_refused"),
    ("2026-70460", "tests/rsync/attack/start.rs", "directories_named_by_options_are_not_touched"),
    ("2026-70461", "tests/rsync/attack/start.rs", "filter_rules_beyond_the_limit_are_refused"),
    ("2026-70463", "tests/rsync/attack/daemon.rs", "no_answer_but_the_right_one_opens"),
    ("2026-70463", "tests/rsync/attack/daemon.rs", "an_answer_that_was_right_once_opens_nothing_again"),
    ("2026-70464", "tests/rsync/attack/daemon.rs", "a_caller_that_trickles_is_cut_at_the_deadline"),
    ("2026-70464", "tests/it/rsync_hostile.rs", "a_sender_that_trickles_its_list_is_cut"),
];

#[test]
fn every_known_hole_has_its_test() {
    for (cve, file, test) in CLOSED {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let at = text.find(&format!("fn {test}()"));
        let before = at.map(|at| text[..at].trim_end().rsplit('\n').take(3).collect::<String>());
        assert!(before.is_some_and(|lines| lines.contains("#[test]")), "CVE-{cve}: no test {test} in {file}");
    }
}

//! The list of all cases. One that is written but not listed is dead code, which does not compile.

#![deny(dead_code)]

mod caching;
mod concurrency;
mod content;
mod failures;
mod healing;
mod platforms;
mod references;
mod support;

use super::ability::Ability;
use super::case::Case;

/// Lists cases: by module, each with what it needs.
macro_rules! cases {
    ($($module:ident { $($name:ident [$($need:ident)*])+ })+) => {
        &[$($(Case {
            name: stringify!($name),
            needs: &[$(Ability::$need),*],
            run: |subject| Box::pin($module::$name(subject)),
        }),+),+]
    };
}

/// All cases of the contract.
pub fn cases() -> &'static [Case] {
    cases! {
        references {
            the_answer_repeats_the_reference_fully_qualified []
            a_name_without_a_tag_means_latest []
            a_repository_of_several_components_is_one_name []
            an_unknown_tag_is_not_found []
            an_unknown_repository_is_not_found []
            an_unknown_digest_is_not_found []
            an_unparsable_reference_is_invalid_in_every_method []
            a_digest_reference_yields_that_manifest []
            where_a_tag_and_a_digest_are_given_the_digest_decides []
            a_digest_reference_refuses_other_content [Damage]
            an_error_does_not_repeat_its_cause []
        }
        content {
            a_pulled_image_is_a_whole_layout []
            an_answer_has_exactly_three_fields []
            a_layer_that_is_there_twice_is_pulled []
            sixty_layers_are_pulled []
            a_large_layer_is_pulled []
            a_docker_image_is_pulled_with_its_bytes_untouched []
            layers_without_content_are_pulled []
            an_image_without_layers_is_pulled []
            two_tags_of_one_image_have_one_digest []
            it_works_behind_every_pointer []
        }
        platforms {
            the_image_for_the_platform_is_chosen []
            a_docker_manifest_list_is_an_index []
            an_index_can_be_pulled_by_its_digest []
            a_manifest_of_an_index_can_be_pulled_by_its_digest []
            a_missing_platform_is_told_with_those_that_there_are []
            an_image_for_another_platform_is_refused []
            an_attestation_is_not_taken_for_an_image []
        }
        caching {
            nothing_is_cached_before_the_first_pull [StartsEmpty]
            what_was_pulled_is_cached_and_listed []
            what_was_pulled_by_digest_is_cached_and_listed [StartsEmpty]
            the_list_is_sorted_and_without_repetition []
            remove_is_true_and_then_false [Removes]
            what_is_removed_is_neither_cached_nor_listed [Removes]
            to_remove_what_never_was_there_is_false [Removes]
            to_remove_one_tag_keeps_the_other [Removes]
            to_remove_an_image_keeps_those_that_share_its_layers [Removes]
            what_was_removed_can_be_pulled_again [Removes StartsEmpty]
            what_was_removed_for_good_is_not_found [Removes]
            a_second_pull_gives_the_same_answer []
            a_second_pull_transfers_no_blob [Counting]
            a_force_pull_transfers_no_blob_that_is_whole [Counting]
            a_layer_of_two_images_is_transferred_once [Counting]
            a_moved_tag_is_followed_by_a_pull [AlwaysAsks]
            a_moved_tag_is_not_seen_by_a_pull_that_remembers [Remembers]
            a_moved_tag_is_followed_by_a_force_pull []
            a_moved_tag_leaves_the_old_image_readable []
            a_cached_image_is_pulled_without_the_origin [Remembers Outage]
            a_cached_digest_is_pulled_without_the_origin [Outage]
        }
        failures {
            an_origin_that_is_down_is_unavailable_and_not_lacking [Outage]
            an_origin_that_came_back_is_pulled_from [Outage]
            what_was_not_pulled_is_not_cached [Outage StartsEmpty]
            a_layer_with_a_wrong_bit_is_refused_until_it_is_right [Damage]
            a_config_with_a_wrong_bit_is_refused_until_it_is_right [Damage]
            a_layer_that_is_too_short_is_refused_until_it_is_right [Damage]
            nothing_behind_the_end_of_a_layer_is_kept [Damage]
            a_layer_that_is_gone_is_refused_until_it_is_back [Damage]
            a_manifest_of_an_index_with_a_wrong_bit_is_refused [Damage]
            a_failed_pull_is_not_cached [Damage StartsEmpty]
            a_failed_force_pull_leaves_the_old_image_as_it_was [Damage]
            a_failed_force_pull_leaves_the_old_image_cached [Damage StartsEmpty]
            a_force_pull_without_the_origin_leaves_the_old_image_as_it_was [Outage]
            a_force_pull_of_a_tag_that_is_gone_leaves_the_old_image_as_it_was [StartsEmpty]
        }
        concurrency {
            equal_pulls_at_once_agree []
            equal_pulls_at_once_transfer_each_blob_once [Counting Holding]
            equal_pulls_at_once_fail_alike [Damage]
            overlapping_pulls_agree []
            tags_of_one_image_at_once_agree []
            a_pull_dropped_half_way_publishes_nothing [Holding StartsEmpty]
            a_dropped_pull_does_not_take_others_with_it [Holding]
            a_pull_dropped_at_any_point_leaves_all_or_nothing []
            a_force_pull_dropped_at_any_point_leaves_the_old_image []
            a_pull_and_a_remove_at_once_leave_all_or_nothing [Removes StartsEmpty]
            an_image_stays_whole_while_it_is_pulled_anew []
        }
        healing {
            a_damaged_blob_on_disk_is_healed_by_a_force_pull [KeepsCopies]
            a_shortened_blob_on_disk_is_healed_by_a_force_pull [KeepsCopies]
            a_missing_blob_on_disk_is_healed_by_a_force_pull [KeepsCopies]
            a_damaged_manifest_on_disk_is_healed_by_a_force_pull [KeepsCopies]
            damage_on_disk_is_healed_in_every_image_that_shares_it [KeepsCopies]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_sentence_is_there_twice() {
        let names: HashSet<_> = cases().iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases().len());
    }
}

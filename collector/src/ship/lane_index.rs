//! Which records of the spool have no frame of a lane, as far as that is known: then nobody reads them to find that out.
//!
//! A lane of which there is little has its few frames far apart in a large backlog. What was spooled since the start is known; what an
//! earlier run spooled becomes known when some lane reads it.

use super::ledger::LANES;
use super::range_set::RangeSet;
use crate::model::Lane;

/// More ranges of a lane are not remembered: 64 KiB. Where frames of it alternate with others, reading finds them soon.
const RANGES_MAX: usize = 4096;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct LaneIndex {
    absent: [RangeSet; LANES],
}

impl LaneIndex {
    /// The record of this number has frames of these lanes and no others.
    pub(super) fn note(&mut self, number: u64, lanes: &[Lane]) {
        for lane in Lane::ALL.into_iter().filter(|lane| !lanes.contains(lane)) {
            let absent = &mut self.absent[lane as usize];
            if absent.ranges().len() < RANGES_MAX || absent.touches(number) {
                absent.insert(number..number + 1);
            }
        }
    }

    /// The first record from `from` on that may have a frame of the lane.
    pub(super) fn first_possible(&self, lane: Lane, from: u64) -> u64 {
        self.absent[lane as usize].end_of(from).unwrap_or(from)
    }

    /// The records below are not asked for any more.
    pub(super) fn forget_below(&mut self, number: u64) {
        self.absent.iter_mut().for_each(|absent| absent.remove_below(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_a_frame_of_the_lane_are_passed_over() {
        let mut index = LaneIndex::default();
        for number in 10..20 {
            index.note(number, if number == 14 { &[Lane::Normal, Lane::Urgent] } else { &[Lane::Normal] });
        }
        let check = |index: &LaneIndex, lane, from, expected| assert_eq!(index.first_possible(lane, from), expected);
        check(&index, Lane::Normal, 10, 10);
        check(&index, Lane::Urgent, 10, 14);
        check(&index, Lane::Urgent, 14, 14);
        check(&index, Lane::Urgent, 15, 20);
        check(&index, Lane::Bulk, 12, 20);
        check(&index, Lane::Bulk, 9, 9);
        index.forget_below(17);
        check(&index, Lane::Bulk, 12, 12);
        check(&index, Lane::Bulk, 17, 20);
    }

    #[test]
    fn it_stays_small_when_lanes_alternate() {
        let mut index = LaneIndex::default();
        for number in 0..100_000 {
            index.note(number, if number % 2 == 0 { &[Lane::Normal] } else { &[Lane::Bulk] });
        }
        assert_eq!(index.absent[Lane::Bulk as usize].ranges().len(), RANGES_MAX);
        assert_eq!(index.first_possible(Lane::Control, 0), 100_000);
        assert_eq!(index.first_possible(Lane::Bulk, 99_998), 99_998);
    }
}

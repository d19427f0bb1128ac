//! How urgent a batch is, and how much of the spool each lane may fill.
//!
//! While servers keep up, a batch stays whole, so that lines of one moment keep their order: metric windows are urgent, lines
//! normal. While a backlog waits, errors and debug lines of a batch go their own ways, the former ahead of the rest, the latter
//! behind it.

use super::spool::with_order;
use crate::model::{Batch, Lane, LogRecord};
use crate::stored_range::StoredRange;

/// The batch as one frame a lane, the most urgent first. Checkpoints go with the last one: only with it is all of the batch there.
pub(super) fn frames(mut batch: Batch, lane: Option<Lane>, is_backlogged: bool) -> Vec<(Lane, Batch)> {
    let whole =
        lane.unwrap_or(if batch.logs.is_empty() && !batch.samples.is_empty() { Lane::Urgent } else { Lane::Normal });
    if lane.is_some() || !is_backlogged || batch.logs.iter().all(|record| lane_of(record) == whole) {
        return vec![(whole, batch)];
    }
    let mut parts =
        [Lane::Urgent, Lane::Normal, Lane::Bulk].map(|lane| (lane, Batch { agent: batch.agent, ..Batch::local() }));
    for record in batch.logs.drain(..) {
        let lane = lane_of(&record);
        let part = parts.iter_mut().find(|(of, _)| *of == lane).expect("lines have one of these three lanes");
        part.1.logs.push(record);
    }
    parts[0].1.samples = batch.samples;
    let mut parts: Vec<_> = parts.into_iter().filter(|(_, part)| !part.is_empty()).collect();
    if let Some((_, last)) = parts.last_mut() {
        last.checkpoints = batch.checkpoints;
    }
    parts
}

fn lane_of(record: &LogRecord) -> Lane {
    Lane::of_severity(record.severity)
}

/// Gives each of these frames the ranges by which it brings sources on: of the records of its own lane, and of those lanes that the
/// batch has no records of.
pub(super) fn add_ranges(parts: &mut [(Lane, Batch)], order: u64, ranges: &[StoredRange]) {
    let bit = |lane: Lane| 1 << lane as u8;
    let of_frames = parts.iter().fold(0, |lanes, (lane, _)| lanes | bit(*lane));
    let is_whole = parts.len() == 1;
    for (lane, part) in parts {
        let lanes = if is_whole { StoredRange::ALL_LANES } else { StoredRange::ALL_LANES & !of_frames | bit(*lane) };
        for range in ranges {
            let range = StoredRange { lanes, ..range.clone() };
            if let Some(mut checkpoint) = range.checkpoint() {
                with_order(&mut checkpoint, order);
                part.checkpoints.push(checkpoint);
            }
        }
    }
}

/// How many percent of the spool may be full before a batch of this lane is refused. What carries checkpoints can be read again
/// and makes room for what cannot; of that, the less urgent is refused first.
pub(super) fn room_percent(lane: Lane, is_replayable: bool) -> u64 {
    match lane {
        _ if is_replayable => 75,
        Lane::Bulk => 85,
        Lane::Normal => 95,
        Lane::Urgent | Lane::Control => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checkpoint, Severity};

    fn batch(severities: &[Severity]) -> Batch {
        let record = |(at, severity): (usize, &Severity)| LogRecord {
            severity: *severity,
            body: at.to_string(),
            ..super::super::tests::line(String::new())
        };
        let checkpoints = vec![Checkpoint { key: "file".to_owned(), value: vec![1] }];
        Batch { logs: severities.iter().enumerate().map(record).collect(), checkpoints, ..Batch::local() }
    }

    #[test]
    fn a_batch_is_parted_only_while_a_backlog_waits_and_its_checkpoints_go_last() {
        let check = |severities: &[Severity], lane, is_backlogged, expected: &[(Lane, &str, usize)]| {
            let parts = frames(batch(severities), lane, is_backlogged);
            let found: Vec<(Lane, String, usize)> = parts
                .into_iter()
                .map(|(lane, part)| (lane, part.logs.iter().map(|log| &*log.body).collect(), part.checkpoints.len()))
                .collect();
            let expected: Vec<_> =
                expected.iter().map(|(lane, text, count)| (*lane, (*text).to_owned(), *count)).collect();
            assert_eq!(found, expected);
        };
        let mixed = [Severity::INFO, Severity::ERROR, Severity::DEBUG, Severity::UNSPECIFIED, Severity::FATAL];
        check(&mixed, None, false, &[(Lane::Normal, "01234", 1)]);
        check(&mixed, None, true, &[(Lane::Urgent, "14", 0), (Lane::Normal, "03", 0), (Lane::Bulk, "2", 1)]);
        check(&mixed, Some(Lane::Bulk), true, &[(Lane::Bulk, "01234", 1)]);
        check(&[Severity::ERROR], None, true, &[(Lane::Urgent, "0", 1)]);
        check(&[Severity::WARN; 2], None, true, &[(Lane::Normal, "01", 1)]);
        check(&[], None, true, &[(Lane::Normal, "", 1)]);
    }

    #[test]
    fn every_frame_says_for_which_lanes_it_brings_a_source_on() {
        let check = |severities: &[Severity], expected: &[(Lane, u8)]| {
            let mut parts = frames(batch(severities), None, true);
            let (from, to) = (vec![1], vec![2]);
            add_ranges(&mut parts, 9, &[StoredRange { lanes: 0, number: 9, source: "file".to_owned(), from, to }]);
            let found = parts.iter().map(|(lane, part)| {
                let ranges = part.checkpoints.iter().filter_map(StoredRange::read_traveling);
                let ranges: Vec<_> = ranges.map(|(order, range)| (order, range.lanes)).collect();
                assert_eq!((ranges.len(), ranges[0].0), (1, 9));
                (*lane, ranges[0].1)
            });
            assert_eq!(found.collect::<Vec<_>>(), expected);
        };
        check(&[Severity::INFO, Severity::INFO], &[(Lane::Normal, 0b1111)]);
        check(&[Severity::ERROR], &[(Lane::Urgent, 0b1111)]);
        check(&[Severity::INFO, Severity::ERROR], &[(Lane::Urgent, 0b1011), (Lane::Normal, 0b1101)]);
        let all = [Severity::DEBUG, Severity::INFO, Severity::ERROR];
        check(&all, &[(Lane::Urgent, 0b0011), (Lane::Normal, 0b0101), (Lane::Bulk, 0b1001)]);
    }
}

//! How far each agent's streams and sources are stored: what makes at-least-once sending exactly-once storing.
//!
//! A stream's numbers start at 0 with each epoch. The mark moves in the same journal record as the batch that moves it, so
//! that a replay of the journal rebuilds the marks, too.

use std::collections::{HashMap, HashSet};

use taffrail_collector::broken_on_purpose::{RECOGNITION, is_broken};
use taffrail_collector::model::{AgentId, Batch, Checkpoint, StreamPlace};

use crate::agent_checkpoints::AgentCheckpoints;
use crate::catalog::StreamMark;

/// One stream of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The agent.
    pub agent: AgentId,
    /// Its epoch.
    pub epoch: u64,
    /// The stream.
    pub stream: u32,
}

/// What a batch's place means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on where its stream ended, or it has no place.
    Next,
    /// Its first rows are stored already; the rest goes on.
    Overlap {
        /// How many rows to leave out.
        stored: u64,
    },
    /// All of it is stored already.
    Duplicate {
        /// The stream's last stored number.
        acked_through: u64,
    },
    /// It starts after a hole.
    Gap {
        /// The number with which the stream goes on.
        expected: u64,
    },
}

/// Marks of streams and checkpoints of sources, with a list of what changed since it was last sealed.
#[derive(Debug, Default)]
pub struct StreamMarks {
    /// The number with which each stream goes on.
    next: HashMap<StreamKey, u64>,
    checkpoints: HashMap<AgentId, AgentCheckpoints>,
    changed_streams: HashSet<StreamKey>,
    changed_checkpoints: HashSet<(AgentId, String)>,
}

/// Marks and checkpoints that changed since the last seal, as they are now.
#[derive(Debug, Default)]
pub struct Changes {
    /// For each stream the number with which it goes on.
    pub marks: Vec<(StreamKey, u64)>,
    /// Checkpoints; an empty value stands for a removed one.
    pub checkpoints: Vec<(AgentId, Checkpoint)>,
}

impl StreamMarks {
    /// The marks that were sealed.
    pub fn new(marks: Vec<(StreamKey, u64)>, checkpoints: Vec<(AgentId, Checkpoint)>) -> StreamMarks {
        let mut known = StreamMarks { next: marks.into_iter().collect(), ..StreamMarks::default() };
        for (agent, checkpoint) in checkpoints {
            known.checkpoints.entry(agent).or_default().restore(checkpoint);
        }
        known
    }

    /// What the batch's place means now.
    pub fn judge(&self, batch: &Batch) -> Verdict {
        let Some(place) = batch.place else { return Verdict::Next };
        let expected = self.next.get(&key(batch.agent, &place)).copied().unwrap_or(0);
        if is_broken(RECOGNITION) {
            return Verdict::Next;
        }
        let end = place.first_seq.checked_add(batch.len() as u64);
        match end {
            Some(_) if place.first_seq == expected => Verdict::Next,
            Some(end) if end <= expected => Verdict::Duplicate { acked_through: expected - 1 },
            Some(_) if place.first_seq < expected => Verdict::Overlap { stored: expected - place.first_seq },
            _ => Verdict::Gap { expected },
        }
    }

    /// Moves the stream's mark past the batch; returns what takes that back.
    pub fn advance(&mut self, batch: &Batch) -> Option<(StreamKey, Option<u64>)> {
        let place = batch.place?;
        let key = key(batch.agent, &place);
        self.changed_streams.insert(key);
        Some((key, self.next.insert(key, place.first_seq + batch.len() as u64)))
    }

    /// Takes an advance back: the batch did not become durable.
    pub fn take_back(&mut self, (key, before): (StreamKey, Option<u64>)) {
        match before {
            Some(next) => self.next.insert(key, next),
            None => self.next.remove(&key),
        };
    }

    /// Takes over the checkpoints of a batch that is durable.
    pub fn note_checkpoints(&mut self, agent: AgentId, checkpoints: Vec<Checkpoint>) {
        if checkpoints.is_empty() {
            return;
        }
        let changed = self.checkpoints.entry(agent).or_default().note(checkpoints);
        self.changed_checkpoints.extend(changed.into_iter().map(|key| (agent, key)));
    }

    /// The last stored number of the batch's stream.
    pub fn acked_through(&self, batch: &Batch) -> Option<u64> {
        let place = batch.place?;
        self.next.get(&key(batch.agent, &place)).and_then(|next| next.checked_sub(1))
    }

    /// The agent's streams, by epoch and number.
    pub fn streams(&self, agent: AgentId) -> Vec<StreamMark> {
        let mut marks: Vec<StreamMark> = self
            .next
            .iter()
            .filter(|(key, _)| key.agent == agent)
            .filter_map(|(key, next)| {
                let acked_through = next.checked_sub(1)?;
                Some(StreamMark { epoch: key.epoch, stream: key.stream, acked_through })
            })
            .collect();
        marks.sort_unstable_by_key(|mark| (mark.epoch, mark.stream));
        marks
    }

    /// The agent's checkpoints and ranges, by key.
    pub fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint> {
        self.checkpoints.get(&agent).map(AgentCheckpoints::list).unwrap_or_default()
    }

    /// What changed since this was called before.
    pub fn take_changes(&mut self) -> Changes {
        let marks =
            self.changed_streams.drain().filter_map(|key| self.next.get(&key).map(|next| (key, *next))).collect();
        let checkpoints = self
            .changed_checkpoints
            .drain()
            .map(|(agent, key)| {
                let value = self.checkpoints.get(&agent).and_then(|known| known.get(&key)).cloned().unwrap_or_default();
                (agent, Checkpoint { key, value })
            })
            .collect();
        Changes { marks, checkpoints }
    }
}

/// Leaves out the batch's first `stored` rows, which are stored already.
pub fn trim(batch: &mut Batch, stored: u64) {
    let rows = usize::try_from(stored).unwrap_or(usize::MAX);
    let logs = rows.min(batch.logs.len());
    batch.logs.drain(..logs);
    batch.samples.drain(..(rows - logs).min(batch.samples.len()));
    if let Some(place) = &mut batch.place {
        place.first_seq += stored;
    }
}

fn key(agent: AgentId, place: &StreamPlace) -> StreamKey {
    StreamKey { agent, epoch: place.epoch, stream: place.stream }
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::Lane;

    use super::*;
    use crate::log_store::test_records::record_at;

    fn batch(epoch: u64, first_seq: u64, rows: i64) -> Batch {
        let place = StreamPlace { epoch, stream: 1, lane: Lane::Normal, first_seq };
        Batch { agent: AgentId(7), place: Some(place), logs: (0..rows).map(record_at).collect(), ..Batch::local() }
    }

    #[test]
    fn places_are_next_overlapping_duplicate_or_after_a_gap() {
        let mut marks = StreamMarks::default();
        marks.advance(&batch(1, 0, 10));
        let check = |first_seq, rows, expected| assert_eq!(marks.judge(&batch(1, first_seq, rows)), expected);
        check(10, 5, Verdict::Next);
        check(10, 0, Verdict::Next);
        check(0, 10, Verdict::Duplicate { acked_through: 9 });
        check(3, 2, Verdict::Duplicate { acked_through: 9 });
        check(8, 5, Verdict::Overlap { stored: 2 });
        check(11, 5, Verdict::Gap { expected: 10 });
        check(u64::MAX, 5, Verdict::Gap { expected: 10 });
        assert_eq!(marks.judge(&batch(2, 10, 1)), Verdict::Gap { expected: 0 });
        assert_eq!(marks.judge(&batch(2, 0, 1)), Verdict::Next);
        assert_eq!(marks.judge(&Batch::local()), Verdict::Next);
    }

    #[test]
    fn trimming_leaves_out_logs_first_then_samples() {
        let mut overlapping = batch(1, 4, 6);
        trim(&mut overlapping, 2);
        assert_eq!(overlapping.place.map(|place| place.first_seq), Some(6));
        assert_eq!(overlapping.logs.len(), 4);
        assert_eq!(overlapping.logs[0], record_at(2));
    }

    #[test]
    fn what_did_not_become_durable_is_taken_back() {
        let mut marks = StreamMarks::default();
        let first = marks.advance(&batch(1, 0, 10)).unwrap();
        let second = marks.advance(&batch(1, 10, 10)).unwrap();
        marks.take_back(second);
        assert_eq!(marks.acked_through(&batch(1, 0, 0)), Some(9));
        marks.take_back(first);
        assert_eq!(marks.acked_through(&batch(1, 0, 0)), None);
        assert_eq!(marks.streams(AgentId(7)), []);
    }

    #[test]
    fn changes_are_told_once_and_removed_checkpoints_with_them() {
        let checkpoint = |key: &str, value: &[u8]| Checkpoint { key: key.to_owned(), value: value.to_vec() };
        let mut marks = StreamMarks::new(vec![], vec![(AgentId(7), checkpoint("old", b"1"))]);
        assert!(marks.take_changes().checkpoints.is_empty());
        marks.note_checkpoints(AgentId(7), vec![checkpoint("old", b""), checkpoint("new", b"2")]);
        assert_eq!(marks.checkpoints(AgentId(7)), [checkpoint("new", b"2")]);
        let mut changes = marks.take_changes().checkpoints;
        changes.sort_by(|a, b| a.1.key.cmp(&b.1.key));
        assert_eq!(changes, [(AgentId(7), checkpoint("new", b"2")), (AgentId(7), checkpoint("old", b""))]);
        assert!(marks.take_changes().checkpoints.is_empty());
    }
}

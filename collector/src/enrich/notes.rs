//! Counts of what had to be adjusted in lines, until a source writes them into its tally.

use crate::source::Tally;

/// Bytes kept of the line that a note was first made for.
const EXAMPLE_BYTES_MAX: usize = 200;

/// Adjustments since the last report, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    reason: &'static str,
    count: u64,
    example: Vec<u8>,
}

impl Notes {
    /// Counts one adjustment made to `line`.
    pub fn add(&mut self, reason: &'static str, line: &[u8]) {
        match self.0.iter_mut().find(|note| note.reason == reason) {
            Some(note) => note.count += 1,
            None => {
                self.0.push(Note { reason, count: 1, example: line[..line.len().min(EXAMPLE_BYTES_MAX)].to_vec() });
            }
        }
    }

    /// How often `reason` was noted.
    pub fn count(&self, reason: &str) -> u64 {
        self.0.iter().find(|note| note.reason == reason).map_or(0, |note| note.count)
    }

    /// Whether nothing was adjusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the counts into a tally and starts again at none.
    pub fn report(&mut self, tally: &Tally) {
        for note in self.0.drain(..) {
            tally.problem(note.reason, note.count, &note.example);
        }
    }
}

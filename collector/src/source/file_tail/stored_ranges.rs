//! What of one file a server had already when this agent's state was lost, beyond where reading goes on: lines that start there
//! are read and not given.
//!
//! The ranges ([`crate::stored_range`]) say between which places of the file, for each of the two streams that a container's file
//! holds. At their edges a line may have been given before its end was written, and a group before its last line: nothing that is
//! held is joined across an edge.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use super::assembly::Whole;
use super::checkpoint::{FileId, Place, Prefix};
use crate::model::{Checkpoint, Lane};
use crate::stored_range::{StoredRange, ranges_of};

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredRanges(Vec<StoredPart>);

#[derive(Clone, Debug)]
struct StoredPart {
    /// What it is known by.
    key: String,
    lanes: u8,
    /// Where the file was.
    path: PathBuf,
    /// How it begins.
    prefix: Prefix,
    /// How it began when the range did.
    prefix_before: Prefix,
    from: [u64; 2],
    to: [u64; 2],
}

/// Those of all files whose checkpoints have such keys (`file:`), each with where the file is: at its beginning, if nothing else
/// is known of it.
pub(super) fn stored_ranges(
    checkpoints: &HashMap<String, Vec<u8>>,
    prefix: &str,
) -> Vec<(FileId, Place, StoredRanges)> {
    let of_file = |(source, ranges): (String, Vec<StoredRange>)| {
        let id = FileId::from_key(&format!("file:{}", source.strip_prefix(prefix)?))?;
        let ranges = StoredRanges(ranges.into_iter().filter_map(StoredPart::new).collect());
        Some((id, ranges.beginning()?, ranges))
    };
    ranges_of(checkpoints, prefix).into_iter().filter_map(of_file).collect()
}

impl StoredPart {
    fn new(range: StoredRange) -> Option<StoredPart> {
        let Place { prefix, offsets: to, path } = Place::from_value(&range.to)?;
        let (prefix_before, from) =
            Place::from_value(&range.from).map_or((Prefix::EMPTY, [0; 2]), |from| (from.prefix, from.offsets));
        Some(StoredPart { key: range.key(), lanes: range.lanes, path, prefix, prefix_before, from, to })
    }

    fn has(&self, stream: usize, start: u64) -> bool {
        (self.from[stream]..self.to[stream]).contains(&start)
    }

    fn is_passed(&self, offsets: [u64; 2]) -> bool {
        (0..2).all(|stream| self.to[stream] <= offsets[stream])
    }
}

impl StoredRanges {
    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The beginning of the file that the last of them is of.
    pub(super) fn beginning(&self) -> Option<Place> {
        let last = self.0.last()?;
        Some(Place { prefix: last.prefix, offsets: [0; 2], path: last.path.clone() })
    }

    /// Whether a record of this lane that was made of this is stored.
    pub(super) fn have(&self, whole: &Whole<'_>, lane: Lane) -> bool {
        let stream = whole.origin.stream();
        self.0.iter().any(|part| part.lanes & 1 << lane as u8 != 0 && part.has(stream, whole.start))
    }

    /// Whether the range of this stream begins or ends here.
    pub(super) fn has_edge(&self, stream: usize, offset: u64) -> bool {
        self.0.iter().any(|part| part.from[stream] == offset || part.to[stream] == offset)
    }

    /// The next place at which a range begins or ends.
    pub(super) fn next_edge(&self, offset: u64) -> Option<u64> {
        let edges = self.0.iter().flat_map(|part| [part.from, part.to]).flatten();
        edges.filter(|edge| *edge > offset).min()
    }

    /// The file ends here: what is written behind that is new.
    pub(super) fn end_at(&mut self, length: u64) {
        for part in &mut self.0 {
            part.to = part.to.map(|to| to.min(length));
        }
    }

    /// Leaves those that are of this file as it is, and takes the others away.
    pub(super) fn take_unfit(&mut self, file: &File, length: u64) -> Vec<Checkpoint> {
        let is_of = |prefix: Prefix| prefix.is_of(file).unwrap_or(false);
        for part in &mut self.0 {
            // A file that was emptied began anew: what was read of it since is all in the range.
            let goes_on = (0..2).all(|at| part.from[at] <= part.to[at]) && is_of(part.prefix_before);
            if !goes_on {
                part.from = [0; 2];
            }
        }
        self.end_at(length);
        self.take(|part| !is_of(part.prefix))
    }

    /// Takes those away behind which all is given.
    pub(super) fn take_passed(&mut self, offsets: [u64; 2]) -> Vec<Checkpoint> {
        self.take(|part| part.is_passed(offsets))
    }

    /// Whether there are such.
    pub(super) fn have_passed(&self, offsets: [u64; 2]) -> bool {
        self.0.iter().any(|part| part.is_passed(offsets))
    }

    /// Takes all away.
    pub(super) fn take_all(&mut self) -> Vec<Checkpoint> {
        self.take(|_| true)
    }

    /// What is taken away as checkpoints that say so.
    fn take(&mut self, is_taken: impl Fn(&StoredPart) -> bool) -> Vec<Checkpoint> {
        let taken = self.0.extract_if(.., |part| is_taken(part));
        taken.map(|part| Checkpoint { key: part.key, value: Vec::new() }).collect()
    }
}

//! Files that are read the same way: their settings, their enricher, their way to the feeder.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assembly::{Reading, Whole};
use super::config::{Config, StartAt};
use super::encoding::TextEncoding;
use super::patterns::Patterns;
use super::resources::Resources;
use super::stored_ranges::StoredRanges;
use super::tailer::KIND;
use super::tracked_file::{BinaryFile, check_text};
use crate::enrich::{Enricher, ReceivedLine};
use crate::model::{Lane, LogRecord, Resource, Timestamp};
use crate::source::feeder::{Ended, Feed, Portion};
use crate::source::{SourceContext, StartError, Tally};

/// Files that are read the same way.
pub(super) struct Group {
    pub(super) config: Config,
    pub(super) patterns: Patterns,
    pub(super) tally: Arc<Tally>,
    pub(super) feed: Feed,
    pub(super) enricher: Enricher,
    pub(super) reading: Reading,
    /// The letters of its files, when a setting names them.
    pub(super) encoding: Option<TextEncoding>,
    pub(super) host: Arc<Resource>,
    /// Nothing of it was ever read.
    pub(super) is_new: bool,
    /// Paths whose trouble has been counted.
    pub(super) complained: HashSet<PathBuf>,
}

/// Whose file this is: the first group's that means it, whichever saw it first.
pub(super) fn owner(groups: &[Group], path: &Path) -> Option<usize> {
    groups.iter().position(|group| group.patterns.matches(path))
}

impl Group {
    /// A group that has complained of nothing yet.
    pub(super) fn new(
        config: &Config,
        patterns: Patterns,
        is_new: bool,
        tally: Arc<Tally>,
        feed: Feed,
        context: &SourceContext,
    ) -> Result<Group, StartError> {
        let enricher = context.enricher.clone().of_source(KIND).with_parse(&config.parse, "collector.files.parse")?;
        let reading = Reading {
            format: config.format,
            rules: config.multiline.rules("collector.files.multiline")?,
            line_bytes_max: config.line_bytes_max,
            line_timeout: config.line_timeout,
        };
        Ok(Group {
            encoding: TextEncoding::named(&config.encoding)?,
            config: config.clone(),
            host: Arc::clone(&context.resource),
            complained: HashSet::new(),
            patterns,
            tally,
            feed,
            enricher,
            reading,
            is_new,
        })
    }

    pub(super) fn send(&mut self, portion: Portion) -> Result<(), Ended> {
        self.enricher.notes().report(&self.tally);
        self.tally.is_held_up(true);
        let sent = self.feed.blocking_send(portion);
        self.tally.is_held_up(false);
        sent
    }

    /// Counts a file's trouble, once for each path.
    pub(super) fn complain(&mut self, path: &Path, reason: &'static str, message: &str) {
        if self.complained.insert(path.to_owned()) {
            self.tally.problem(reason, 1, format!("{}: {message}", path.display()).as_bytes());
        }
    }

    /// Whether a file that exists when its group is first started begins at its end.
    pub(super) fn begins_at_end(&self, metadata: &Metadata) -> bool {
        let age = metadata.modified().ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
        self.is_new && (self.config.start_at == StartAt::End || age > self.config.ignore_older)
    }

    /// Whether a new file is no text. Two bytes for each letter hold NULs.
    pub(super) fn is_binary(&self, file: &File) -> bool {
        let has_wide_letters =
            self.encoding.or_else(|| TextEncoding::of_file(file)).is_some_and(|e| e.unit().bytes() > 1);
        !has_wide_letters && matches!(check_text(file), Err(BinaryFile))
    }

    /// Makes records of one file's lines that are read now.
    pub(super) fn maker<'a>(&'a mut self, resources: &'a Resources, stored: &'a StoredRanges) -> RecordMaker<'a> {
        RecordMaker { enricher: &mut self.enricher, tally: &self.tally, resources, stored, arrival: Timestamp::now() }
    }
}

/// Turns what a file gives into records.
pub(super) struct RecordMaker<'a> {
    pub(super) enricher: &'a mut Enricher,
    pub(super) tally: &'a Tally,
    resources: &'a Resources,
    stored: &'a StoredRanges,
    arrival: Timestamp,
}

impl RecordMaker<'_> {
    /// The record, unless a rule drops it or it is stored.
    #[inline]
    pub(super) fn record(&mut self, whole: Whole<'_>) -> Option<LogRecord> {
        let record = self.made(&whole)?;
        let is_new = self.stored.is_empty() || !self.stored.have(&whole, Lane::of_severity(record.severity));
        is_new.then_some(record)
    }

    #[inline]
    fn made<'w>(&mut self, whole: &'w Whole<'_>) -> Option<LogRecord> {
        if let Some(problem) = whole.problem {
            self.tally.problem(problem, 1, whole.bytes);
        }
        let received = ReceivedLine::plain(whole.bytes, self.arrival, self.resources.of(whole.origin));
        let attribute = |(name, value): &'w (String, String)| (name.as_str().into(), value.as_str().into());
        let attributes = whole.attributes.iter().map(attribute).collect();
        self.enricher.enrich(ReceivedLine { truncated: whole.truncated, timestamp: whole.time, attributes, ..received })
    }
}

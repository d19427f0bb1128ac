//! One open file: reads on from where it stood, notices when it was emptied, gives its lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::assembly::{Assembly, Reading, WRAPPING_BYTES_MAX, Whole};
use super::checkpoint::{FileId, PREFIX_BYTES_MAX, Place, Prefix};
use super::encoding::TextEncoding;
use super::resources::Resources;
use super::stored_ranges::StoredRanges;
use crate::model::Checkpoint;
use crate::source::line_splitter::LineSplitter;

/// Files are stamped by a clock that ticks every few milliseconds: a stamp younger than this may stand for two contents.
const STAMP_TICK: Duration = Duration::from_millis(50);

/// A deleted file is held for so long after its last line and its disappearance, for the writer that still has it open.
const DELETED_WAIT: Duration = Duration::from_secs(5);
/// A renamed file is held for so long after its last line and its renaming.
pub(super) const RENAMED_WAIT: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 600 });

/// A file that is being read.
pub(super) struct TrackedFile {
    file: File,
    pub(super) id: FileId,
    /// Where it was last seen.
    pub(super) path: PathBuf,
    /// Which group of patterns it belongs to.
    pub(super) group: usize,
    pub(super) resources: Arc<Resources>,
    /// What a server had of it before.
    pub(super) stored: Arc<StoredRanges>,
    /// Since when no pattern finds it any more: it was renamed or deleted.
    pub(super) gone_since: Option<Instant>,
    prefix: Prefix,
    read_offset: u64,
    /// The length that was last seen.
    length: u64,
    /// The time of the last write that was looked at, once that time cannot stand for another write as well.
    modified: Option<SystemTime>,
    splitter: LineSplitter,
    assembly: Assembly,
    last_read: Instant,
    /// When it was last read to its end.
    caught_up: Instant,
    /// The letters, when a setting names them.
    named_encoding: Option<TextEncoding>,
    /// Those of this content; none until it is long enough to say.
    encoding: Option<TextEncoding>,
    line_bytes_max: usize,
    line_timeout: Duration,
    /// That its first block is known was said.
    is_told: bool,
}

/// What a turn of reading found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) bytes: u64,
    /// The file's first block was read whole for the first time since it was opened.
    pub(super) first_block: bool,
    /// The file was emptied or replaced in place: nothing was read, and [`TrackedFile::begin_anew`] is to be called.
    pub(super) emptied: Option<Emptied>,
    /// The file lost its end, of which something had been read: reading goes on at the new one.
    pub(super) shrank: bool,
}

/// A file's content is not what it was.
#[derive(Clone, Debug, Copy, PartialEq, Eq)]
pub(super) struct Emptied {
    /// Bytes of the former content that were seen and not read.
    pub(super) unread: u64,
}

/// A new file's first block holds a NUL: it is no text.
#[derive(Debug)]
pub(super) struct BinaryFile;

impl TrackedFile {
    /// Starts to read a file at a place, or at its start when it no longer begins as the place says.
    pub(super) fn new(
        file: File,
        id: FileId,
        place: Place,
        group: usize,
        resources: Arc<Resources>,
        reading: Reading,
        named_encoding: Option<TextEncoding>,
    ) -> TrackedFile {
        let (line_bytes_max, line_timeout) = (reading.line_bytes_max, reading.line_timeout);
        let mut tracked = TrackedFile {
            file,
            id,
            group,
            resources,
            stored: Arc::default(),
            gone_since: None,
            prefix: place.prefix,
            read_offset: place.offset(),
            length: 0,
            modified: None,
            splitter: LineSplitter::new(0),
            assembly: Assembly::new(reading, TextEncoding::UTF_8, place.offsets),
            last_read: Instant::now(),
            caught_up: Instant::now(),
            path: place.path,
            named_encoding,
            encoding: None,
            line_bytes_max,
            line_timeout,
            is_told: false,
        };
        tracked.split_anew();
        tracked
    }

    /// Begins to split lines at the place of reading, by the letters of the present content.
    fn split_anew(&mut self) {
        self.encoding = self.named_encoding.or_else(|| TextEncoding::of_file(&self.file));
        let encoding = self.encoding.unwrap_or(TextEncoding::UTF_8);
        let unit = encoding.unit();
        let line_bytes_max = self.line_bytes_max.saturating_mul(unit.bytes()) + WRAPPING_BYTES_MAX;
        self.splitter = LineSplitter::new(line_bytes_max).from(self.read_offset).of(unit).with_empty_lines();
        self.assembly.set_encoding(encoding);
    }

    /// Reads on by at most the buffer's length. What is complete is given in order; what is not yet is held.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(Whole<'_>)) -> io::Result<Turn> {
        let mut turn = Turn::default();
        let metadata = self.file.metadata()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        // The same length at another time may be another content.
        if length == self.read_offset && modified.is_some() && modified == self.modified {
            self.caught_up = Instant::now();
            return Ok(turn);
        }
        let is_settled = |modified: &SystemTime| modified.elapsed().is_ok_and(|age| age > STAMP_TICK);
        self.modified = modified.filter(is_settled);
        if self.has_other_content(length) {
            self.modified = None;
            turn.emptied = Some(Emptied { unread: self.length.saturating_sub(self.read_offset) });
            return Ok(turn);
        }
        if length < self.read_offset {
            self.finish(&mut take);
            (self.read_offset, self.length) = (length, length);
            self.assembly.go_back_to(length);
            Arc::make_mut(&mut self.stored).end_at(length);
            self.split_anew();
            turn.shrank = true;
            return Ok(turn);
        }
        if self.encoding.is_none() && length > self.read_offset {
            // The one byte that was read may be the first half of a letter: what is held of it is read again.
            self.read_offset = self.splitter.position();
            self.split_anew();
        }
        self.length = length;
        let unit = self.encoding.unwrap_or(TextEncoding::UTF_8).unit().bytes();
        let to_edge = self.stored.next_edge(self.read_offset).map_or(u64::MAX, |edge| edge - self.read_offset);
        let room = usize::try_from(to_edge).unwrap_or(usize::MAX).min(buffer.len());
        let read = match self.file.read_at(&mut buffer[..room], self.read_offset) {
            Ok(read) => read / unit * unit,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(turn),
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(turn);
        }
        let now = Instant::now();
        let assembly = &mut self.assembly;
        self.splitter.push(&buffer[..read], |line| assembly.push(line, now, &mut take));
        self.read_offset += read as u64;
        if !self.stored.is_empty() {
            self.cut_at_edges(now, &mut take);
        }
        turn.bytes = read as u64;
        self.last_read = now;
        if self.read_offset >= length {
            self.caught_up = now;
        }
        if usize::from(self.prefix.length) < PREFIX_BYTES_MAX {
            self.prefix = Prefix::read(&self.file, self.read_offset)?;
        }
        turn.first_block =
            usize::from(self.prefix.length) == PREFIX_BYTES_MAX && !std::mem::replace(&mut self.is_told, true);
        Ok(turn)
    }

    /// Gives what was given before its end was there, when that was here.
    fn cut_at_edges(&mut self, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        for stream in (0..2).filter(|stream| self.stored.has_edge(*stream, self.read_offset)) {
            if stream == 0 {
                let assembly = &mut self.assembly;
                self.splitter.finish(|line| assembly.push(line, now, take));
            }
            self.assembly.finish_stream(stream, now, take);
        }
    }

    /// Bytes that wait to be read, and since when the first of them may have. What was written after the last look is none of
    /// them.
    pub(super) fn unread(&self) -> Option<(u64, Instant)> {
        let unread = self.length.saturating_sub(self.read_offset);
        (unread > 0).then_some((unread, self.caught_up))
    }

    /// Whether the file was emptied or replaced in place, as [`TrackedFile::read`] finds.
    pub(super) fn emptied(&self) -> Option<Emptied> {
        let length = self.file.metadata().ok()?.len();
        self.has_other_content(length).then(|| Emptied { unread: self.length.saturating_sub(self.read_offset) })
    }

    fn has_other_content(&self, length: u64) -> bool {
        let is_known = self.prefix.length > 0;
        (length < self.read_offset && !is_known) || !self.prefix.is_of(&self.file).unwrap_or(true)
    }

    /// Forgets the content that was, and what is held of it: whoever wants that asks for it before.
    pub(super) fn begin_anew(&mut self) {
        self.prefix = Prefix::EMPTY;
        self.read_offset = 0;
        self.length = 0;
        self.is_told = false;
        self.assembly.restart();
        self.split_anew();
    }

    /// Whether something is held that waits for more.
    pub(super) fn holds_anything(&self) -> bool {
        self.splitter.held_bytes() > 0 || !self.assembly.is_empty()
    }

    /// Gives what has waited for long enough.
    pub(super) fn give_old(&mut self, mut take: impl FnMut(Whole<'_>)) {
        let now = Instant::now();
        let is_old = now.duration_since(self.last_read) >= self.line_timeout;
        if self.splitter.held_bytes() > 0 && is_old && !self.has_more() {
            self.finish(take);
        } else {
            self.assembly.give_old(now, &mut take);
        }
    }

    /// Whether the rest of a line that is held may stand in the file already: the reader was held up before it came to that.
    fn has_more(&self) -> bool {
        let unit = self.encoding.unwrap_or(TextEncoding::UTF_8).unit().bytes() as u64;
        self.file.metadata().is_ok_and(|metadata| metadata.len() >= self.read_offset + unit)
    }

    /// When something that is held is to be given at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        let line = (self.splitter.held_bytes() > 0).then(|| self.last_read + self.line_timeout);
        line.into_iter().chain(self.assembly.due()).min()
    }

    /// Gives everything that is held.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Whole<'_>)) {
        let now = Instant::now();
        let assembly = &mut self.assembly;
        self.splitter.finish(|line| assembly.push(line, now, &mut take));
        self.assembly.finish(now, &mut take);
    }

    /// Whether it is gone, and that and its last line lie so far back that its writer has surely opened another.
    pub(super) fn was_held_long_enough(&self, now: Instant) -> bool {
        let Some(gone_since) = self.gone_since else { return false };
        let waited = now.saturating_duration_since(gone_since.max(self.last_read));
        waited >= RENAMED_WAIT || (waited >= DELETED_WAIT && self.is_deleted())
    }

    /// Whether everything there is was read and given.
    pub(super) fn is_read_to_end(&self) -> bool {
        !self.holds_anything() && self.file.metadata().is_ok_and(|metadata| metadata.len() == self.read_offset)
    }

    /// Whether no name leads to it any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether `other` is a copy of this file as it is or was when it was shorter, as `copytruncate` makes them: it begins with the
    /// same full block and ends as this file goes on there. Of less than a block only the name can tell: `bears_its_name`.
    pub(super) fn is_copied_to(&self, other: &File, bears_its_name: bool) -> bool {
        let Ok(length) = other.metadata().map(|metadata| metadata.len()) else { return false };
        let is_known = usize::from(self.prefix.length) == PREFIX_BYTES_MAX && length >= PREFIX_BYTES_MAX as u64;
        let may_be = is_known || (bears_its_name && self.gone_since.is_none() && length > 0);
        may_be
            && same_block(&self.file, other, 0, length)
            && same_block(&self.file, other, length.saturating_sub(1024), length)
    }

    /// How far it was read, and which ranges end with that.
    pub(super) fn checkpoints(&mut self) -> Vec<Checkpoint> {
        let place = self.place();
        let mut checkpoints = vec![place.checkpoint(self.id)];
        if self.has_passed_ranges() {
            checkpoints.extend(Arc::make_mut(&mut self.stored).take_passed(place.offsets));
        }
        checkpoints
    }

    /// Whether reading has come behind a range.
    pub(super) fn has_passed_ranges(&self) -> bool {
        !self.stored.is_empty() && self.stored.have_passed(self.place().offsets)
    }

    /// Where the first lines start that were not given yet.
    pub(super) fn place(&self) -> Place {
        let offsets = self.assembly.places(self.splitter.position());
        Place { prefix: self.prefix, offsets, path: self.path.clone() }
    }
}

/// Whether two files have the same bytes from `from` on, for a block or up to `end`.
fn same_block(one: &File, other: &File, from: u64, end: u64) -> bool {
    let length = (end - from).min(PREFIX_BYTES_MAX as u64) as usize;
    let (mut left, mut right) = ([0; PREFIX_BYTES_MAX], [0; PREFIX_BYTES_MAX]);
    let read = |file: &File, block: &mut [u8]| file.read_exact_at(block, from).is_ok();
    read(one, &mut left[..length]) && read(other, &mut right[..length]) && left[..length] == right[..length]
}

/// Refuses what is no text. An empty file passes: it is text until it says otherwise.
pub(super) fn check_text(file: &File) -> Result<(), BinaryFile> {
    let mut block = [0; 4096];
    match file.read_at(&mut block, 0) {
        Ok(read) if memchr::memchr(0, &block[..read]).is_some() => Err(BinaryFile),
        _ => Ok(()),
    }
}

//! The bytes of a segment: its name, its header, its records, and the way over damage to the next sound record.

use std::path::{Path, PathBuf};

use memchr::memmem;

/// A payload's bytes at most: more than the largest frame.
pub const PAYLOAD_BYTES_MAX: usize = 80 << 20;

pub(super) const SEGMENT_HEADER_BYTES: usize = 24;
pub(super) const RECORD_HEADER_BYTES: usize = 32;

const SEGMENT_MAGIC: [u8; 4] = *b"TFJL";
const RECORD_MAGIC: [u8; 4] = *b"TFJR";
const VERSION: u8 = 1;

/// The file of the segment that starts at `first_seq`.
pub(super) fn path_of(directory: &Path, first_seq: u64) -> PathBuf {
    directory.join(format!("{first_seq:020}.tfj"))
}

/// The first seq of the segment in this file, when it is one.
pub(super) fn first_seq_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".tfj")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A segment's header.
pub(super) fn segment_header(first_seq: u64, salt: u32) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..4].copy_from_slice(&SEGMENT_MAGIC);
    header[4] = VERSION;
    header[8..16].copy_from_slice(&first_seq.to_le_bytes());
    header[16..20].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The sequence numbers that a record of `rows` rows takes.
pub(super) fn numbers_taken(rows: u32) -> u64 {
    u64::from(rows.max(1))
}

/// Appends a record to `out`.
pub(super) fn put_record(out: &mut Vec<u8>, salt: u32, seq: u64, rows: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("the writer refuses payloads over PAYLOAD_BYTES_MAX");
    let mut header = [0; RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&RECORD_MAGIC);
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..20].copy_from_slice(&rows.to_le_bytes());
    header[20..24].copy_from_slice(&salt.to_le_bytes());
    header[24..28].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// What stands next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A sound record.
    Record {
        seq: u64,
        rows: u32,
        payload: &'a [u8],
    },
    /// This many bytes that are no record, with a sound one behind them.
    Damage(usize),
    /// This many bytes up to the end of the file that hold no sound record.
    Tail(usize),
    End,
}

/// Goes through a segment's bytes.
pub(super) struct SegmentCursor {
    /// As the header says, or, when that is damaged, the first sound record.
    salt: Option<u32>,
    /// No record's seq is below this.
    expected: u64,
    at: usize,
}

/// The segment's header says that a newer release wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewerVersion(pub u8);

impl SegmentCursor {
    /// At the start of the segment that its name says starts at `first_seq`. A damaged header costs nothing: the name and the
    /// records hold all it says; it is reported as damage by the first call of [`SegmentCursor::next`].
    pub(super) fn new(bytes: &[u8], first_seq: u64) -> Result<SegmentCursor, NewerVersion> {
        let header = bytes.first_chunk::<SEGMENT_HEADER_BYTES>();
        let header = header.filter(|header| {
            header[..4] == SEGMENT_MAGIC && crc32c::crc32c(&header[..20]).to_le_bytes() == header[20..]
        });
        if let Some(header) = header.filter(|header| header[4] != VERSION) {
            return Err(NewerVersion(header[4]));
        }
        let salt = header
            .map(|header| u32::from_le_bytes([header[16], header[17], header[18], header[19]]))
            .filter(|&salt| header == Some(&segment_header(first_seq, salt)));
        let at = if salt.is_some() { SEGMENT_HEADER_BYTES } else { 0 };
        Ok(SegmentCursor { salt, expected: first_seq, at })
    }

    /// The segment's salt, when any of it could be read.
    pub(super) fn salt(&self) -> Option<u32> {
        self.salt
    }

    /// Bytes gone through.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The seq behind the last record.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Goes to the next thing.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let rest = &bytes[self.at..];
        if rest.is_empty() {
            return Next::End;
        }
        if let Some((seq, rows, payload)) = self.record(rest) {
            self.salt.get_or_insert_with(|| u32::from_le_bytes([rest[20], rest[21], rest[22], rest[23]]));
            self.at += RECORD_HEADER_BYTES + payload.len();
            self.expected = seq + numbers_taken(rows);
            return Next::Record { seq, rows, payload };
        }
        let start = self.after_damage(rest);
        let sound = memmem::find_iter(&rest[start..], &RECORD_MAGIC)
            .map(|found| start + found)
            .find(|&found| self.record(&rest[found..]).is_some());
        match sound {
            Some(found) => {
                self.at += found;
                Next::Damage(found)
            }
            None => {
                self.at = bytes.len();
                Next::Tail(rest.len())
            }
        }
    }

    /// Where to look for the next record: when the header is sound only the payload is damaged, and nothing inside of it may
    /// be taken for a record.
    fn after_damage(&self, rest: &[u8]) -> usize {
        match self.header(rest) {
            Some((_, _, length, _)) => (RECORD_HEADER_BYTES + length).min(rest.len()),
            None if self.at == 0 && self.record(rest.get(SEGMENT_HEADER_BYTES..).unwrap_or_default()).is_some() => {
                SEGMENT_HEADER_BYTES
            }
            None => 1,
        }
    }

    /// Seq, rows, payload length and payload checksum of the record header at the start of `bytes`.
    fn header(&self, bytes: &[u8]) -> Option<(u64, u32, usize, u32)> {
        let header = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let seq = u64::from(word(8)) | u64::from(word(12)) << 32;
        let (length, rows) = (word(4) as usize, word(16));
        let sound = header[..4] == RECORD_MAGIC
            && word(28) == crc32c::crc32c(&header[..28])
            && self.salt.is_none_or(|salt| salt == word(20))
            && length <= PAYLOAD_BYTES_MAX
            && seq >= self.expected
            && seq.checked_add(numbers_taken(rows)).is_some();
        sound.then_some((seq, rows, length, word(24)))
    }

    fn record<'a>(&self, bytes: &'a [u8]) -> Option<(u64, u32, &'a [u8])> {
        let (seq, rows, length, crc) = self.header(bytes)?;
        let payload = bytes[RECORD_HEADER_BYTES..].get(..length)?;
        (crc32c::crc32c(payload) == crc).then_some((seq, rows, payload))
    }
}

//! What stands in a split's file, and the directory at its end that says where.
//!
//! ```text
//! directory := rows:varint
//!              oldest newest first seq:u64 last seq:u64 generation:u32 ; ids: time:i64 seq:u64
//!              table index region                            ; template_table, template_index
//!              times seqs observed region                    ; number columns of all rows; times with the sign bit turned
//!              page starts                                   ; for each page of times: its first (newest) time, i64 each
//!              origins origin codes region                   ; hosts with their resource's attributes; a number column
//!              superblock:region…                            ; postings, as many as the rows need
//!              traces spans := 0 | 1 dictionary runs         ; id_column, a region each
//!              cube := 0 | 1 region                          ; minute_counts
//!              steps:varint { service:bytes what:bytes }…    ; services that stepped down, for people
//! origins   := count:varint { bytes }…                       ; bytes: host:bytes, then the attributes as a schema's Rest
//! ```
//!
//! Templates' columns lie in regions that the table names; pages of text in regions that the columns name.

use taffrail_collector::model::Timestamp;

use super::RecordId;
use super::number_column::PAGE;
use super::postings::SUPERBLOCK;
use super::split_file::Region;
use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_varint};

/// The directory, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// How many rows there are.
    pub rows: u32,
    /// The least place.
    pub oldest: RecordId,
    /// The greatest place.
    pub newest: RecordId,
    /// The least sequence number.
    pub seq_first: u64,
    /// The greatest sequence number.
    pub seq_last: u64,
    /// How often its rows were rewritten at most.
    pub generation: u32,
    /// The table of templates.
    pub table: Region,
    /// The index of templates.
    pub index: Region,
    /// Times.
    pub times: Region,
    /// Sequence numbers.
    pub seqs: Region,
    /// Observed times.
    pub observed: Region,
    /// The first time of each page of times.
    pub page_starts: Vec<i64>,
    /// Hosts with their resource's attributes.
    pub origins: Region,
    /// Which of them each row has.
    pub origin_codes: Region,
    /// Postings.
    pub superblocks: Vec<Region>,
    /// Trace ids: dictionary and runs.
    pub traces: Option<(Region, Region)>,
    /// Span ids: dictionary and runs.
    pub spans: Option<(Region, Region)>,
    /// Counts by minute.
    pub cube: Option<Region>,
    /// Services that stepped down, and to what.
    pub stepped_down: Vec<(String, String)>,
}

impl Directory {
    /// The directory's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, u64::from(self.rows));
        for id in [self.oldest, self.newest] {
            out.extend_from_slice(&id.time.unix_nanos().to_le_bytes());
            out.extend_from_slice(&id.seq.to_le_bytes());
        }
        out.extend_from_slice(&self.seq_first.to_le_bytes());
        out.extend_from_slice(&self.seq_last.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        [&self.table, &self.index, &self.times, &self.seqs, &self.observed].iter().for_each(|r| r.put(&mut out));
        self.page_starts.iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
        self.origins.put(&mut out);
        self.origin_codes.put(&mut out);
        self.superblocks.iter().for_each(|region| region.put(&mut out));
        for ids in [&self.traces, &self.spans] {
            out.push(u8::from(ids.is_some()));
            if let Some((dictionary, runs)) = ids {
                dictionary.put(&mut out);
                runs.put(&mut out);
            }
        }
        out.push(u8::from(self.cube.is_some()));
        self.cube.iter().for_each(|region| region.put(&mut out));
        put_varint(&mut out, self.stepped_down.len() as u64);
        for (service, what) in &self.stepped_down {
            put_prefixed(&mut out, service.as_bytes());
            put_prefixed(&mut out, what.as_bytes());
        }
        out
    }

    /// Reads a directory.
    pub fn read(bytes: &[u8]) -> Result<Directory, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let cursor = &mut cursor;
        let rows = u32::try_from(cursor.varint()?).map_err(|_| Malformed("it counts too many rows"))?;
        let id = |cursor: &mut ByteCursor<'_>| -> Result<RecordId, Malformed> {
            Ok(RecordId { time: Timestamp::from_unix_nanos(cursor.u64()? as i64), seq: cursor.u64()? })
        };
        let (oldest, newest) = (id(cursor)?, id(cursor)?);
        let (seq_first, seq_last, generation) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
        let [table, index, times, seqs, observed] = {
            let mut regions = [Region::default(); 5];
            for region in &mut regions {
                *region = Region::read(cursor)?;
            }
            regions
        };
        let pages = (rows as usize).div_ceil(PAGE);
        let page_starts = (0..pages).map(|_| Ok(cursor.u64()? as i64)).collect::<Result<_, Malformed>>()?;
        let (origins, origin_codes) = (Region::read(cursor)?, Region::read(cursor)?);
        let superblocks =
            (0..rows.div_ceil(SUPERBLOCK)).map(|_| Region::read(cursor)).collect::<Result<_, Malformed>>()?;
        let ids = |cursor: &mut ByteCursor<'_>| -> Result<Option<(Region, Region)>, Malformed> {
            match cursor.u8()? {
                0 => Ok(None),
                _ => Ok(Some((Region::read(cursor)?, Region::read(cursor)?))),
            }
        };
        let (traces, spans) = (ids(cursor)?, ids(cursor)?);
        let cube = if cursor.u8()? == 0 { None } else { Some(Region::read(cursor)?) };
        let text = |cursor: &mut ByteCursor<'_>| -> Result<String, Malformed> {
            String::from_utf8(cursor.prefixed()?.to_vec()).map_err(|_| Malformed("a name is not UTF-8"))
        };
        let stepped_down = (0..cursor.count(2, usize::MAX)?)
            .map(|_| Ok((text(cursor)?, text(cursor)?)))
            .collect::<Result<_, Malformed>>()?;
        cursor.finish()?;
        Ok(Directory {
            rows,
            oldest,
            newest,
            seq_first,
            seq_last,
            generation,
            table,
            index,
            times,
            seqs,
            observed,
            page_starts,
            origins,
            origin_codes,
            superblocks,
            traces,
            spans,
            cube,
            stepped_down,
        })
    }
}

/// A time with its sign bit turned: sorts as a number without sign.
pub fn turned(time: i64) -> u64 {
    time as u64 ^ 1 << 63
}

/// The time back.
pub fn turned_back(number: u64) -> i64 {
    (number ^ 1 << 63) as i64
}

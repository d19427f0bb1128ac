//! Counts of a split's rows by minute, service and severity: what a histogram without words asks for.
//!
//! ```text
//! classes:varint { service:varint severity:u8 }…  minutes:varint { minute count… }…
//! minute := i64le, the first one, in minutes since the epoch; then minutes before the last one:varint
//! ```
//!
//! Minutes fall, as rows do; a count for each class. As rows are sorted by time, the sums of the counts also say at which
//! row each minute starts. A split of few rows over a long time has none: they would cost more than the rows.

use taffrail_collector::model::{Severity, Timestamp};

use crate::byte_cursor::{ByteCursor, Malformed, put_varint};

/// Nanoseconds in a minute.
pub const MINUTE: i64 = 60_000_000_000;

/// Minutes times classes may be so many times the rows.
const CELLS_PER_ROW_MAX: usize = 1;

/// The counts, read.
#[derive(Debug)]
pub struct MinuteCounts {
    /// (place of the service, severity).
    pub classes: Vec<(u32, Severity)>,
    /// Minutes since the epoch, falling.
    pub minutes: Vec<i64>,
    /// The first row of each minute, and the number of rows.
    pub starts: Vec<u32>,
    counts: Vec<u32>,
}

/// The bytes of the counts of rows with these times, falling, and classes; none when they would be too many.
pub fn encode(
    times: impl Iterator<Item = i64>,
    class_of_row: impl Iterator<Item = u32>,
    classes: &[(u32, Severity)],
) -> Option<Vec<u8>> {
    let mut minutes: Vec<(i64, Vec<u32>)> = Vec::new();
    let mut rows = 0;
    for (time, class) in times.zip(class_of_row) {
        let minute = time.div_euclid(MINUTE);
        if minutes.last().is_none_or(|(last, _)| *last != minute) {
            minutes.push((minute, vec![0; classes.len()]));
        }
        minutes.last_mut().expect("just pushed").1[class as usize] += 1;
        rows += 1;
        // A minute a row is the most there can be: enough to know after a while.
        if minutes.len() * classes.len() > (rows * CELLS_PER_ROW_MAX).max(1 << 16) {
            return None;
        }
    }
    let mut out = Vec::new();
    put_varint(&mut out, classes.len() as u64);
    for (service, severity) in classes {
        put_varint(&mut out, u64::from(*service));
        out.push(severity.number());
    }
    put_varint(&mut out, minutes.len() as u64);
    let mut before = None;
    for (minute, counts) in minutes {
        match before {
            None => out.extend_from_slice(&minute.to_le_bytes()),
            Some(before) => put_varint(&mut out, (before - minute) as u64),
        }
        before = Some(minute);
        counts.iter().for_each(|count| put_varint(&mut out, u64::from(*count)));
    }
    Some(out)
}

impl MinuteCounts {
    /// Reads the counts of a split of so many rows.
    pub fn read(bytes: &[u8], rows: u32) -> Result<MinuteCounts, Malformed> {
        const DAMAGED: Malformed = Malformed("its counts by minute contradict themselves");
        let mut cursor = ByteCursor(bytes);
        let mut classes = Vec::new();
        for _ in 0..cursor.count(2, usize::MAX)? {
            let service = u32::try_from(cursor.varint()?).map_err(|_| DAMAGED)?;
            classes.push((service, Severity::from_number(cursor.u8()?).ok_or(DAMAGED)?));
        }
        let count = cursor.count(1, rows as usize)?;
        let (mut minutes, mut starts) = (Vec::with_capacity(count), Vec::with_capacity(count + 1));
        let mut counts = Vec::new();
        let (mut minute, mut row) = (0i64, 0u32);
        for at in 0..count {
            minute = match at {
                0 => cursor.u64()? as i64,
                _ => minute.checked_sub_unsigned(cursor.varint()?).ok_or(DAMAGED)?,
            };
            minutes.push(minute);
            starts.push(row);
            for _ in 0..classes.len() {
                let count = u32::try_from(cursor.varint()?).map_err(|_| DAMAGED)?;
                row = row.checked_add(count).filter(|&row| row <= rows).ok_or(DAMAGED)?;
                counts.push(count);
            }
        }
        starts.push(row);
        cursor.finish()?;
        if row != rows { Err(DAMAGED) } else { Ok(MinuteCounts { classes, minutes, starts, counts }) }
    }

    /// When a minute starts.
    pub fn time(&self, minute: usize) -> Timestamp {
        Timestamp::from_unix_nanos(self.minutes[minute].saturating_mul(MINUTE))
    }

    /// The counts of a minute by class.
    pub fn counts(&self, minute: usize) -> &[u32] {
        &self.counts[minute * self.classes.len()..(minute + 1) * self.classes.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_by_minute() {
        let classes = [(0, Severity::INFO), (3, Severity::ERROR)];
        let times = [5 * MINUTE + 7, 5 * MINUTE, 4 * MINUTE + 1, -MINUTE];
        let bytes = encode(times.into_iter(), [0, 1, 1, 0].into_iter(), &classes).expect("few");
        let counts = MinuteCounts::read(&bytes, 4).expect("reads");
        assert_eq!(counts.classes, classes);
        assert_eq!(counts.minutes, [5, 4, -1]);
        assert_eq!(counts.starts, [0, 2, 3, 4]);
        assert_eq!([counts.counts(0), counts.counts(1), counts.counts(2)], [[1, 1], [0, 1], [1, 0]]);
        assert!(MinuteCounts::read(&bytes, 5).is_err());
        let scattered = (0..200_000).map(|row| -row * MINUTE);
        assert!(encode(scattered, std::iter::repeat(0), &classes).is_none());
    }
}

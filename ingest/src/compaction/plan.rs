//! Which splits to merge next: small ones of one day (UTC, by their newest record), so that each row is rewritten few times.
//!
//! On the day that is still coming in, [`FANOUT`] splits of one size are merged into one of the next, as in a tree: a row is
//! rewritten once for each factor of [`FANOUT`] between the first seal and the target. When the day is over, what is left of it is
//! merged, smallest first, as long as no split is more than twice as large as those smaller than it together: then each
//! rewriting makes a row's split half as large again at least, however many late records trickle in, and what is left
//! unmerged triples in size from one to the next. A split that has a good part of the target is left alone, so that a bulk load, whose
//! seals are large, rewrites nothing.
//!
//! A merge takes memory for its records as they are unpacked, which may be a hundred times what they are on disk. How much that
//! is takes a look into a split, so it is asked only where there would be a merge otherwise.

use std::time::Duration;

use taffrail_collector::model::Timestamp;

use crate::log_store::SplitMeta;

/// Splits of one size that are merged while their day lasts.
const FANOUT: usize = 8;
/// How many times larger than all before it a split may be that is merged with them when its day is over.
const LARGER: u64 = 2;
/// Sources of one merge: each is an open file and some blocks in memory.
const SOURCES_MAX: usize = 64;
/// A split with this part of the target is large enough.
const FULL: u64 = 4;
const DAY: Duration = Duration::from_secs(86_400);

/// How large splits are to become.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Rows.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of its records in memory.
    pub unpacked_bytes: u64,
}

/// Positions of the splits to merge next; none when nothing is worth it. `unpacked` tells the bytes in memory of the records of the
/// split at a position.
pub fn next_merge(
    splits: &[&SplitMeta],
    target: Target,
    now: Timestamp,
    unpacked: &dyn Fn(usize) -> u64,
) -> Option<Vec<usize>> {
    let day = |split: &SplitMeta| split.newest.time.floor_to(DAY);
    let full = |split: &SplitMeta| {
        split.rows.saturating_mul(FULL) >= target.rows || split.bytes.saturating_mul(FULL) >= target.bytes
    };
    let mut small: Vec<usize> = (0..splits.len()).filter(|&at| !full(splits[at])).collect();
    // The newest day first: it is asked about most.
    small.sort_by_key(|&at| (std::cmp::Reverse(day(splits[at])), splits[at].rows, splits[at].seq_first));
    small.chunk_by(|a, b| day(splits[*a]) == day(splits[*b])).find_map(|of_day| {
        let over = day(splits[of_day[0]]) < now.floor_to(DAY);
        group(&Planned { splits, target, unpacked: &|_| 0 }, of_day, over)?;
        let mut of_day = of_day.to_vec();
        of_day.retain(|&at| unpacked(at).saturating_mul(FULL) < target.unpacked_bytes);
        group(&Planned { splits, target, unpacked }, &of_day, over)
    })
}

/// What is planned.
struct Planned<'a> {
    splits: &'a [&'a SplitMeta],
    target: Target,
    unpacked: &'a dyn Fn(usize) -> u64,
}

/// Which splits of a day, which rise in size, to merge.
fn group(planned: &Planned<'_>, of_day: &[usize], over: bool) -> Option<Vec<usize>> {
    (0..of_day.len()).find_map(|start| {
        let rest = &of_day[start..];
        let count = if over { planned.count_left(rest) } else { planned.count_of_size(rest) };
        count.map(|count| rest[..count].to_vec())
    })
}

/// Splits taken together.
struct Gathered {
    count: usize,
    rows: u64,
    unpacked: u64,
}

impl Planned<'_> {
    /// How many of the first are of the size of the first, if that is enough of them, or enough rows or bytes.
    fn count_of_size(&self, rest: &[usize]) -> Option<usize> {
        let rows_max = self.splits[rest[0]].rows.saturating_mul(FANOUT as u64);
        let Gathered { count, rows, unpacked } = self.gather(rest, |split, _| split.rows < rows_max);
        let large =
            rows.saturating_mul(2) >= self.target.rows || unpacked.saturating_mul(2) >= self.target.unpacked_bytes;
        (count >= FANOUT || (count >= 2 && large)).then_some(count)
    }

    /// How many of the first, two at least, are each at most [`LARGER`] times as large as those before it together.
    fn count_left(&self, rest: &[usize]) -> Option<usize> {
        let count = self.gather(rest, |split, before| split.rows <= before.saturating_mul(LARGER)).count;
        (count >= 2).then_some(count)
    }

    /// Takes from the first on, as long as the target's size is not passed and `fits` (the split, rows before it) holds.
    fn gather(&self, rest: &[usize], fits: impl Fn(&SplitMeta, u64) -> bool) -> Gathered {
        let (first, target) = (self.splits[rest[0]], self.target);
        let mut bytes = first.bytes;
        let mut taken = Gathered { count: 1, rows: first.rows, unpacked: (self.unpacked)(rest[0]) };
        for &at in rest[1..].iter().take(SOURCES_MAX - 1) {
            let split = self.splits[at];
            let unpacked = taken.unpacked.saturating_add((self.unpacked)(at));
            if taken.rows + split.rows > target.rows
                || bytes + split.bytes > target.bytes
                || unpacked > target.unpacked_bytes
                || !fits(split, taken.rows)
            {
                break;
            }
            bytes += split.bytes;
            taken = Gathered { count: taken.count + 1, rows: taken.rows + split.rows, unpacked };
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::RecordId;

    const TARGET: Target = Target { rows: 1_000_000, bytes: 100_000_000, unpacked_bytes: 256_000_000 };

    /// A split whose records lie between two hours.
    fn split(rows: u64, oldest: i64, newest: i64) -> SplitMeta {
        let place = |hour: i64| RecordId { time: Timestamp::from_unix_seconds(hour * 3600), seq: 0 };
        SplitMeta {
            name: String::new(),
            rows,
            bytes: rows * 10,
            oldest: place(oldest),
            newest: place(newest),
            seq_first: 0,
            seq_last: 0,
            generation: 0,
            deletions_through: 0,
        }
    }

    fn next(splits: &[SplitMeta], hour: i64) -> Option<Vec<usize>> {
        let now = Timestamp::from_unix_seconds(hour * 3600);
        let splits: Vec<&SplitMeta> = splits.iter().collect();
        next_merge(&splits, TARGET, now, &|_| 0)
    }

    #[test]
    fn splits_of_a_day_and_a_size_are_merged() {
        let check = |rows: &[u64], hour, expected: Option<Vec<usize>>| {
            let splits: Vec<SplitMeta> = rows.iter().map(|rows| split(*rows, 1, 2)).collect();
            assert_eq!(next(&splits, hour), expected, "{rows:?}");
        };
        let (today, later) = (5, 30);
        check(&[100; 7], today, None);
        check(&[100; 8], today, Some((0..8).collect()));
        check(&[100, 90_000, 100, 100, 100, 100, 100, 100], today, None);
        check(&[900, 100, 200, 300, 400, 500, 600, 700, 790], today, Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        // What is large enough is left alone, also when there is much of it.
        check(&[250_000; 20], today, None);
        check(&[250_000; 20], later, None);
        // Enough for a large one: not one more.
        check(&[200_000; 8], today, Some((0..5).collect()));
        check(&[100; 2], later, Some(vec![0, 1]));
        check(&[100, 200, 600, 1_800, 5_400], later, Some(vec![0, 1, 2, 3, 4]));
        check(&[100, 201, 903], later, None);
        check(&[101, 102, 103, 104], later, Some(vec![0, 1, 2, 3]));
        check(&[100, 10_000, 10_000], later, Some(vec![1, 2]));
        check(&[100, 100, 200, 400, 5_000], later, Some(vec![0, 1, 2, 3]));
        check(&[100], later, None);
        check(&[], later, None);
    }

    #[test]
    fn days_are_not_mixed_and_the_newest_goes_first() {
        let splits = [split(10, 1, 2), split(10, 25, 26), split(10, 1, 3), split(10, 2, 25), split(10, 49, 50)];
        assert_eq!(next(&splits, 50), Some(vec![1, 3]));
        assert_eq!(next(&splits[2..], 50), None);
    }

    /// Seals of about one size come in until the day is over; then late records trickle.
    #[test]
    fn each_row_is_rewritten_few_times_and_few_splits_are_left() {
        let check = |seal: u64, seals: u64, late: u64| {
            let (mut splits, mut rewritten) = (Vec::new(), 0);
            let mut settle = |splits: &mut Vec<SplitMeta>, hour| {
                while let Some(group) = next(splits, hour) {
                    assert!(group.len() >= 2);
                    let rows = group.iter().map(|at| splits[*at].rows).sum();
                    rewritten += rows;
                    let merged = split(rows, 1, 2);
                    let mut at = 0;
                    splits.retain(|_| (!group.contains(&at), at += 1).0);
                    splits.push(merged);
                }
            };
            let mut rows = 0;
            for number in 0..seals {
                // No two are quite alike.
                let seal = seal + number * 7 % (seal / 2);
                rows += seal;
                splits.push(split(seal, 1, 2));
                settle(&mut splits, 5);
            }
            for _ in 0..late {
                splits.push(split(10, 1, 2));
                settle(&mut splits, 30);
            }
            settle(&mut splits, 30);
            rows += 10 * late;
            (rewritten as f64 / rows as f64, splits.len() as u64, rows.div_ceil(TARGET.rows / FULL))
        };
        for (seal, seals, late) in
            [(1_000, 144, 0), (1_000, 1_440, 0), (10_000, 1_440, 0), (100, 10_000, 0), (1_000, 144, 500)]
        {
            let (times, left, large) = check(seal, seals, late);
            assert!(times <= 6.0, "{seals} seals of {seal} rows were rewritten {times} times");
            assert!(left <= large + 10, "{left} splits are left of {seals} seals of {seal} rows");
        }
        let (times, left, _) = check(300_000, 50, 0);
        assert_eq!((times, left), (0.0, 50));
    }

    /// Records of 100 KB that compress a hundred times: what a merge takes in memory is bounded, and what is large enough there
    /// stays, also when it is taken for less by half.
    #[test]
    fn splits_are_also_measured_by_their_records_in_memory() {
        const RECORD: u64 = 100_000;
        let check = |rows: &[u64], hour: i64, sample: f64| {
            let now = Timestamp::from_unix_seconds(hour * 3600);
            let wide = |rows: u64| SplitMeta { bytes: rows * RECORD / 100, ..split(rows, 1, 2) };
            let mut splits: Vec<SplitMeta> = rows.iter().map(|rows| wide(*rows)).collect();
            let (mut merges, all) = (0, rows.iter().sum::<u64>());
            loop {
                let metas: Vec<&SplitMeta> = splits.iter().collect();
                let unpacked = |at: usize| (metas[at].rows as f64 * RECORD as f64 * sample) as u64;
                let Some(group) = next_merge(&metas, TARGET, now, &unpacked) else { break };
                let sum: u64 = group.iter().map(|at| unpacked(*at)).sum();
                assert!(group.len() >= 2 && sum <= TARGET.unpacked_bytes, "{sum} bytes");
                let mut left: u64 = group.iter().map(|at| splits[*at].rows).sum();
                let mut at = 0;
                splits.retain(|_| (!group.contains(&at), at += 1).0);
                while left > 0 {
                    let piece = left.min(TARGET.unpacked_bytes / RECORD + 1);
                    splits.push(wide(piece));
                    left -= piece;
                }
                merges += 1;
                assert!(merges <= rows.len(), "{rows:?} are merged again and again");
            }
            assert_eq!(splits.iter().map(|split| split.rows).sum::<u64>(), all);
            (merges, splits.len())
        };
        let (today, later) = (5, 30);
        for sample in [0.5, 1.0] {
            // As a merge leaves them that was cut for bytes, and as heads of wide records are sealed.
            assert_eq!(check(&[2_561; 20], later, sample), (0, 20));
            assert_eq!(check(&[2_561, 2_561, 2_561, 700], today, sample).0, 0);
            assert_eq!(check(&[1_300; 20], later, sample), (0, 20));
            for hour in [today, later] {
                let (merges, left) = check(&[50; 200], hour, sample);
                assert!(merges > 0 && left < 20, "{merges} merges left {left}");
            }
        }
    }
}

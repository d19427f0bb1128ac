//! Which splits to merge next: small ones of one day (UTC, by their newest record), so that each row is rewritten few times.
//!
//! On the day that is still coming in, [`FANOUT`] splits of one size are merged into one of the next, as in a tree: a row is
//! rewritten once for each factor of [`FANOUT`] between the first seal and the target. When the day is over, what is left of it is
//! merged, smallest first, as long as no split is more than twice as large as those smaller than it together: then each
//! rewriting makes a row's split half as large again at least, however many late records trickle in, and what is left
//! unmerged triples in size from one to the next. A split that has a good part of the target is left alone, so that a bulk load, whose
//! seals are large, rewrites nothing.

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
}

/// Positions of the splits to merge next; none when nothing is worth it.
pub fn next_merge(splits: &[&SplitMeta], target: Target, now: Timestamp) -> Option<Vec<usize>> {
    let day = |split: &SplitMeta| split.newest.time.floor_to(DAY);
    let full = |split: &SplitMeta| {
        split.rows.saturating_mul(FULL) >= target.rows || split.bytes.saturating_mul(FULL) >= target.bytes
    };
    let mut small: Vec<usize> = (0..splits.len()).filter(|&at| !full(splits[at])).collect();
    // The newest day first: it is asked about most.
    small.sort_by_key(|&at| (std::cmp::Reverse(day(splits[at])), splits[at].rows, splits[at].seq_first));
    small.chunk_by(|a, b| day(splits[*a]) == day(splits[*b])).find_map(|of_day| {
        let over = day(splits[of_day[0]]) < now.floor_to(DAY);
        (0..of_day.len()).find_map(|start| {
            let rest = &of_day[start..];
            let count = if over { count_left(splits, rest, target) } else { count_of_size(splits, rest, target) };
            count.map(|count| rest[..count].to_vec())
        })
    })
}

/// How many of the first are of the size of the first, if that is enough of them, or enough rows.
fn count_of_size(splits: &[&SplitMeta], rest: &[usize], target: Target) -> Option<usize> {
    let rows_max = splits[rest[0]].rows.saturating_mul(FANOUT as u64);
    let (count, rows) = gather(splits, rest, target, |split, _| split.rows < rows_max);
    (count >= FANOUT || (count >= 2 && rows.saturating_mul(2) >= target.rows)).then_some(count)
}

/// How many of the first, two at least, are each at most [`LARGER`] times as large as those before it together.
fn count_left(splits: &[&SplitMeta], rest: &[usize], target: Target) -> Option<usize> {
    let (count, _) = gather(splits, rest, target, |split, before| split.rows <= before.saturating_mul(LARGER));
    (count >= 2).then_some(count)
}

/// Counts from the first on, as long as the target's size is not passed and `fits` (the split, rows before it) holds.
fn gather(
    splits: &[&SplitMeta],
    rest: &[usize],
    target: Target,
    fits: impl Fn(&SplitMeta, u64) -> bool,
) -> (usize, u64) {
    let (mut rows, mut bytes) = (splits[rest[0]].rows, splits[rest[0]].bytes);
    let mut count = 1;
    for &at in rest[1..].iter().take(SOURCES_MAX - 1) {
        let split = splits[at];
        if rows + split.rows > target.rows || bytes + split.bytes > target.bytes || !fits(split, rows) {
            break;
        }
        rows += split.rows;
        bytes += split.bytes;
        count += 1;
    }
    (count, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::RecordId;

    const TARGET: Target = Target { rows: 1_000_000, bytes: 100_000_000 };

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
        next_merge(&splits, TARGET, now)
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
}

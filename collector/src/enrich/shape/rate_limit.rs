//! At most so many in so long: a bucket that fills with time and gives one token to each record.

use std::time::Duration;

use crate::model::Timestamp;

/// A limit as it is written: `1000/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Nanoseconds in which one token comes.
    token_nanos: i64,
    /// Tokens that may lie in the bucket.
    burst: i64,
}

/// The bucket at one moment. Time is counted in nanoseconds of credit, so that no token is ever rounded away.
#[derive(Debug)]
pub(super) struct Bucket {
    credit_nanos: i64,
    filled_at: Option<Timestamp>,
}

impl Rate {
    /// Reads `1000/s`, `60/m` or `500/h`; the burst is the number unless it is given.
    pub(super) fn read(text: &str, burst: Option<u32>) -> Result<Rate, String> {
        let wrong = || format!("limit = {text:?}: write a number and a unit, like \"1000/s\", \"60/m\" or \"500/h\"");
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let number: u32 = number.trim().parse().map_err(|_| wrong())?;
        let seconds: i64 = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return Err(wrong()),
        };
        if number == 0 || burst == Some(0) {
            return Err("a limit or a burst of 0 lets nothing through: drop_records does that".to_owned());
        }
        let token_nanos = (seconds * 1_000_000_000 / i64::from(number)).max(1);
        Ok(Rate { token_nanos, burst: i64::from(burst.unwrap_or(number)) })
    }
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Rate) -> Bucket {
        Bucket { credit_nanos: rate.token_nanos.saturating_mul(rate.burst), filled_at: None }
    }

    /// Takes a token if there is one. A clock that goes backwards brings none.
    pub(super) fn take(&mut self, rate: Rate, now: Timestamp) -> bool {
        let filled_at = self.filled_at.map_or(now, |filled| filled.max(now));
        let passed: Duration = self.filled_at.map_or(Duration::ZERO, |before| filled_at.saturating_since(before));
        self.filled_at = Some(filled_at);
        let passed = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX);
        let full = rate.token_nanos.saturating_mul(rate.burst);
        self.credit_nanos = self.credit_nanos.saturating_add(passed).min(full);
        let has_token = self.credit_nanos >= rate.token_nanos;
        if has_token {
            self.credit_nanos -= rate.token_nanos;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let rate = Rate::read("10/s", Some(3)).unwrap();
        let mut bucket = Bucket::new(rate);
        let mut take = |millis| bucket.take(rate, Timestamp::from_unix_millis(millis));
        assert_eq!([0, 0, 0, 0, 99].map(&mut take), [true, true, true, false, false]);
        assert_eq!([100, 100, 250, 300].map(&mut take), [true, false, true, true]);
        // The clock goes back: nothing comes of it, then or later.
        assert_eq!([200, 300, 399, 400].map(&mut take), [false, false, false, true]);
        assert_eq!([9_000, 9_000, 9_000, 9_000].map(&mut take), [true, true, true, false]);
    }

    #[test]
    fn limits_are_read_or_refused() {
        let check = |text, burst, expected: Option<(i64, i64)>| {
            let read = Rate::read(text, burst).ok().map(|rate| (rate.token_nanos, rate.burst));
            assert_eq!(read, expected, "{text}");
        };
        check("1000/s", None, Some((1_000_000, 1000)));
        check("60/m", Some(5), Some((1_000_000_000, 5)));
        check("1/h", None, Some((3_600_000_000_000, 1)));
        check("1000", None, None);
        check("0/s", None, None);
        check("5/s", Some(0), None);
        check("5/fortnight", None, None);
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_and_one_burst_ever_passes(
            (number, burst) in (1u32..50, 1u32..20),
            steps in prop::collection::vec(0i64..500, 1..200),
        ) {
            let rate = Rate::read(&format!("{number}/s"), Some(burst)).unwrap();
            let (mut bucket, mut now, mut passed) = (Bucket::new(rate), 0, 0);
            for step in &steps {
                now += step;
                passed += i64::from(bucket.take(rate, Timestamp::from_unix_millis(now)));
            }
            let most = i64::from(burst) + (now - steps[0]) * i64::from(number) / 1000 + 1;
            prop_assert!(passed <= most, "{} of at most {}", passed, most);
        }
    }
}

//! A moment in time, to the nanosecond.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, UTC. Covers 1677 to 2262, as OpenTelemetry's `time_unix_nano` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The earliest moment that can be written down.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest moment that can be written down.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The wall clock's reading.
    pub fn now() -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Timestamp(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns)),
        }
    }

    /// From nanoseconds since the epoch.
    pub const fn from_unix_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    /// From milliseconds since the epoch; clamped to the range that nanoseconds can say.
    pub const fn from_unix_millis(millis: i64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000_000))
    }

    /// From seconds since the epoch; clamped to the range that nanoseconds can say.
    pub const fn from_unix_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded towards the past.
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch with their fraction, as Prometheus writes time.
    pub fn unix_seconds(self) -> f64 {
        self.unix_millis() as f64 / 1000.0
    }

    /// This moment and `span` later, held at [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This moment less `span`, held at [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of the interval of `width` that holds this moment, counted from the epoch.
    ///
    /// # Panics
    /// When `width` is zero.
    #[must_use]
    pub fn floor_to(self, width: Duration) -> Timestamp {
        let width = i64::try_from(width.as_nanos()).unwrap_or(i64::MAX);
        assert!(width > 0, "an interval has a width");
        Timestamp(self.0.saturating_sub(self.0.rem_euclid(width)))
    }
}

/// RFC 3339 in UTC, with as many of three, six or nine decimals as the moment has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_nanosecond(i128::from(self.0)).map_err(|_| fmt::Error)?;
        match self.0.rem_euclid(1_000_000_000) {
            n if n % 1_000_000 == 0 => write!(f, "{moment:.3}"),
            n if n % 1_000 == 0 => write!(f, "{moment:.6}"),
            _ => write!(f, "{moment:.9}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_decimals_that_are_there() {
        let check = |nanos, expected: &str| assert_eq!(Timestamp::from_unix_nanos(nanos).to_string(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_500_000_000, "1970-01-01T00:00:01.500Z");
        check(1_000_001_000, "1970-01-01T00:00:01.000001Z");
        check(1, "1970-01-01T00:00:00.000000001Z");
        check(-1_000_000, "1969-12-31T23:59:59.999Z");
        check(i64::MAX, "2262-04-11T23:47:16.854775807Z");
        check(i64::MIN, "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn floors_towards_the_past_on_both_sides_of_the_epoch() {
        let minute = Duration::from_secs(60);
        assert_eq!(Timestamp::from_unix_seconds(61).floor_to(minute), Timestamp::from_unix_seconds(60));
        assert_eq!(Timestamp::from_unix_seconds(-1).floor_to(minute), Timestamp::from_unix_seconds(-60));
    }
}

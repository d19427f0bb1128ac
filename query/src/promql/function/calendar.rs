//! The parts of a date, in UTC, of values that are seconds since the epoch; without an argument, of the step's time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::PromqlError;
use super::scalar::time_series;
use super::{Arguments, Value};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let part: fn(DateTime) -> f64 = match name {
        "minute" => |date| f64::from(date.minute()),
        "hour" => |date| f64::from(date.hour()),
        "day_of_week" => |date| f64::from(date.weekday().to_sunday_zero_offset()),
        "day_of_month" => |date| f64::from(date.day()),
        "day_of_year" => |date| f64::from(date.day_of_year()),
        "days_in_month" => |date| f64::from(date.days_in_month()),
        "month" => |date| f64::from(date.month()),
        "year" => |date| f64::from(date.year()),
        _ => return None,
    };
    let series = if arguments.len() == 0 { Ok(time_series(arguments)) } else { arguments.vector(0) };
    Some(series.and_then(|series| arguments.evaluator.map(series, |seconds| date(seconds).map_or(f64::NAN, part))))
}

/// The date of whole seconds since the epoch; none outside the years −9999 to 9999.
fn date(seconds: f64) -> Option<DateTime> {
    if !seconds.is_finite() {
        return None;
    }
    let moment = jiff::Timestamp::from_second(seconds as i64).ok()?;
    Some(TimeZone::UTC.to_datetime(moment))
}

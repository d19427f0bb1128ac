//! How answers show a histogram.

use std::fmt::{self, Display, Formatter};

use super::super::labels::value_text;
use super::{Bucket, Histogram};

/// `{count:3, sum:4, [-0.001,0.001]:1, (1,2]:2}`, as Prometheus writes it.
impl Display for Histogram {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{{count:{}, sum:{}", go_text(self.count), go_text(self.sum))?;
        for bucket in self.buckets() {
            write!(out, ", {bucket}")?;
        }
        out.write_str("}")
    }
}

impl Display for Bucket {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(out, "{open}{},{}{close}:{}", go_text(self.lower), go_text(self.upper), go_text(self.count))
    }
}

impl Bucket {
    /// Prometheus' number for which bounds belong to a bucket: 0 the upper, 1 the lower, 2 none, 3 both.
    pub fn boundary_rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

/// A number as Go's `%g` writes it: with an exponent below 1e-4 and from 1e21 on.
pub(crate) fn go_text(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 || (1e-4..1e21).contains(&magnitude) {
        return value_text(value);
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

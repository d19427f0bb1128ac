//! The windows of one series that are numbers (counters, gauges, running totals), in memory, in as few bytes as a few
//! nanoseconds can make them: the first window stands in the series' own 48 bytes, further ones in a chain of slices, where
//! a window on the grid whose value is near the one before takes a byte.
//!
//! ```text
//! chain   := [before:f64] first record…          ; before: what all earlier windows added up to, unless 0
//! first   := signed                              ; the first end less the head's base
//! record  := control [gap] …                     ; the window, and how long it is to the next one's end
//! control := bit 7: the gap follows (else it is that of the record before), bits 0–6:
//!            0–111     the value less the one before, zigzag       } in steps of the scale, 10^-scale; values that are no
//!            112–118   the same, in 1–7 bytes                      } whole number of steps are passed over as "the one before"
//!            119       the value as f64
//!            120–124   the scale is 0–4 from here; the value, signed, in steps
//!            125       control of the value …; then max less value, value less min, signed, in steps
//!            126       control of the value …; then min and max as f64
//! gap     := milliseconds × 2:varint, or 1:varint nanoseconds:i64
//! ```
//!
//! The newest window stays outside of the chain, because it may still be joined. Windows that come late are not for here:
//! see `head`.

use taffrail_collector::model::SampleKind;

use super::GaugeWindow;
use super::points::{End, Levels, Points, Values, WindowEnds};
use super::slices::{Chain, Slices};
use crate::byte_cursor::{ByteCursor, Malformed, put_signed, put_varint};

const GAP_FOLLOWS: u8 = 0x80;
const NEAR: u64 = 112;
const FAR: u8 = 111;
const FLOAT: u8 = 119;
const RESCALED: u8 = 120;
const SPREAD_IN_STEPS: u8 = 125;
const SPREAD_AS_FLOATS: u8 = 126;

const POWERS: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
const MILLISECOND: i64 = 1_000_000;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct NumberWindows {
    last_end: End,
    last: f64,
    /// The value before `last`, in steps.
    steps: i64,
    chain: Chain,
    /// Milliseconds from the window before `last` to `last`, if it is so many.
    gap: u32,
    kind: SampleKind,
    scale: u8,
    has_before: bool,
    has_first: bool,
    /// The lowest and the highest of `last` differ from it: they stand in the head.
    is_spread: bool,
}

/// What became of a window that was to be taken in.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// It is in.
    Yes,
    /// It is older than the newest, or there is no room: it has to stand elsewhere.
    No,
}

/// Where the numbers of a head's series stand beside the series themselves.
#[derive(Debug, Default)]
pub(super) struct NumberSpace {
    slices: Slices,
    /// What first ends are counted from.
    base: Option<End>,
    record: Vec<u8>,
}

impl NumberSpace {
    /// Memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.slices.bytes()
    }

    /// An end near those that will come.
    pub(super) fn set_base(&mut self, end: End) {
        self.base.get_or_insert(end);
    }
}

impl NumberWindows {
    /// A series with its first window. Whoever calls keeps the extremes of a gauge that are not `window.last`.
    pub(super) fn new(
        kind: SampleKind,
        end: End,
        window: GaugeWindow,
        before: f64,
        space: &mut NumberSpace,
    ) -> NumberWindows {
        space.set_base(end);
        let mut windows = NumberWindows {
            last_end: end,
            last: window.last,
            steps: 0,
            chain: Chain::default(),
            gap: 0,
            kind,
            scale: 0,
            has_before: before.to_bits() != 0,
            has_first: false,
            is_spread: is_spread(window),
        };
        if windows.has_before {
            space.slices.append(&mut windows.chain, &before.to_le_bytes());
        }
        windows
    }

    /// Takes in a window that is not older than the newest. `spread` holds the extremes of the newest, where they are not
    /// its last value, and gets those of the window.
    pub(super) fn push(
        &mut self,
        end: End,
        window: GaugeWindow,
        spread: &mut Option<(f64, f64)>,
        space: &mut NumberSpace,
    ) -> Taken {
        if end < self.last_end || self.chain.is_full() {
            return Taken::No;
        }
        let newest = self.newest(*spread);
        let window = if end == self.last_end {
            joined(self.kind, newest, window)
        } else {
            self.record(newest, end, space);
            self.last_end = end;
            window
        };
        self.last = window.last;
        self.is_spread = is_spread(window);
        *spread = self.is_spread.then_some((window.min, window.max));
        Taken::Yes
    }

    pub(super) fn kind(&self) -> SampleKind {
        self.kind
    }

    pub(super) fn last_end(&self) -> End {
        self.last_end
    }

    /// Whether the extremes of the newest window are kept by the head.
    pub(super) fn is_spread(&self) -> bool {
        self.is_spread
    }

    /// What all windows before the first added up to.
    pub(super) fn before(&self, space: &NumberSpace) -> f64 {
        let mut read = Vec::new();
        if self.has_before {
            space.slices.read(self.chain, &mut read);
        }
        read.first_chunk().map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
    }

    /// The end of the first window.
    pub(super) fn first_end(&self, space: &NumberSpace) -> End {
        let mut first = self.last_end;
        self.visit(None, space, |end, _| {
            first = end;
            false
        });
        first
    }

    /// The windows with `start <= end of window < end`.
    pub(super) fn between(&self, start: End, end: End, spread: Option<(f64, f64)>, space: &NumberSpace) -> Points {
        let (mut ends, mut last) = (WindowEnds::new(), Vec::new());
        let mut extremes: Option<[Vec<f64>; 2]> = None;
        self.visit(spread, space, |at, window| {
            if at >= start && at < end {
                if is_spread(window) && extremes.is_none() {
                    extremes = Some([last.clone(), last.clone()]);
                }
                if let Some([min, max]) = &mut extremes {
                    min.push(window.min);
                    max.push(window.max);
                }
                ends.push(at);
                last.push(window.last);
            }
            at < end
        });
        let values = match self.kind {
            SampleKind::Counter => Values::Counter(last),
            SampleKind::Cumulative => Values::Cumulative(last),
            _ => Values::Gauge(Levels::of(last, extremes)),
        };
        Points::of(ends, values)
    }

    /// Calls `visit` with each window by rising end, until it says no.
    pub(super) fn visit(
        &self,
        spread: Option<(f64, f64)>,
        space: &NumberSpace,
        mut visit: impl FnMut(End, GaugeWindow) -> bool,
    ) {
        let mut bytes = Vec::new();
        if self.has_first {
            space.slices.read(self.chain, &mut bytes);
            let skipped = if self.has_before { size_of::<f64>() } else { 0 };
            let goes_on = Records::new(&bytes[skipped..], space.base.unwrap_or_default())
                .and_then(|records| records.visit(&mut visit))
                .expect("records are read as they were written");
            if !goes_on {
                return;
            }
        }
        visit(self.last_end, self.newest(spread));
    }

    fn newest(&self, spread: Option<(f64, f64)>) -> GaugeWindow {
        let (min, max) = spread.filter(|_| self.is_spread).unwrap_or((self.last, self.last));
        GaugeWindow { last: self.last, min, max }
    }

    /// Moves the newest window to the chain.
    fn record(&mut self, window: GaugeWindow, next_end: End, space: &mut NumberSpace) {
        let out = &mut space.record;
        out.clear();
        if !self.has_first {
            put_signed(out, self.last_end.wrapping_sub(space.base.unwrap_or_default()));
            self.has_first = true;
        }
        let control_at = out.len();
        let gap = next_end.wrapping_sub(self.last_end);
        let millis = u32::try_from(gap / MILLISECOND).ok().filter(|_| gap > 0 && gap % MILLISECOND == 0);
        let gap_follows = millis.is_none() || millis != Some(self.gap);
        out.push(0);
        if gap_follows {
            match millis {
                Some(millis) => put_varint(out, u64::from(millis) << 1),
                None => {
                    // An end may lie 2^64 from the one before: the low bit must not push the top one out.
                    out.push(1);
                    out.extend_from_slice(&gap.to_le_bytes());
                }
            }
            self.gap = millis.unwrap_or(0);
        }
        let value_at = if self.is_spread {
            out.push(0);
            out.len() - 1
        } else {
            control_at
        };
        let control = self.put_value(window.last, out);
        out[value_at] = control;
        if self.is_spread {
            let in_steps = |number| if control == FLOAT { None } else { steps_of(number, self.scale) };
            match (in_steps(window.min), in_steps(window.max)) {
                (Some(min), Some(max)) => {
                    out[control_at] = SPREAD_IN_STEPS;
                    put_signed(out, max - self.steps);
                    put_signed(out, self.steps - min);
                }
                _ => {
                    out[control_at] = SPREAD_AS_FLOATS;
                    out.extend_from_slice(&window.min.to_le_bytes());
                    out.extend_from_slice(&window.max.to_le_bytes());
                }
            }
        }
        if gap_follows {
            out[control_at] |= GAP_FOLLOWS;
        }
        space.slices.append(&mut self.chain, &space.record);
    }

    /// Writes what follows the value's control, and returns that.
    fn put_value(&mut self, value: f64, out: &mut Vec<u8>) -> u8 {
        if let Some(steps) = steps_of(value, self.scale) {
            let far = steps - self.steps; // both below 2^53
            let far = ((far << 1) ^ (far >> 63)) as u64;
            self.steps = steps;
            if far < NEAR {
                return far as u8;
            }
            let bytes = (71 - far.leading_zeros()) / 8; // 1 to 7
            out.extend_from_slice(&far.to_le_bytes()[..bytes as usize]);
            return FAR + bytes as u8;
        }
        let finer = (self.scale + 1..POWERS.len() as u8).find_map(|scale| Some((scale, steps_of(value, scale)?)));
        if let Some((scale, steps)) = finer {
            (self.scale, self.steps) = (scale, steps);
            put_signed(out, steps);
            return RESCALED + scale;
        }
        out.extend_from_slice(&value.to_le_bytes());
        FLOAT
    }
}

/// Reads a chain's records.
struct Records<'a> {
    bytes: ByteCursor<'a>,
    end: End,
    gap: i64,
    scale: u8,
    steps: i64,
}

impl Records<'_> {
    fn new(bytes: &[u8], base: End) -> Result<Records<'_>, Malformed> {
        let mut bytes = ByteCursor(bytes);
        let end = base.wrapping_add(bytes.signed()?);
        Ok(Records { bytes, end, gap: 0, scale: 0, steps: 0 })
    }

    fn visit(mut self, visit: &mut impl FnMut(End, GaugeWindow) -> bool) -> Result<bool, Malformed> {
        while !self.bytes.0.is_empty() {
            let control = self.bytes.u8()?;
            if control & GAP_FOLLOWS != 0 {
                let gap = self.bytes.varint()?;
                self.gap = if gap == 1 { self.bytes.u64()? as i64 } else { (gap >> 1) as i64 * MILLISECOND };
            }
            let window = match control & !GAP_FOLLOWS {
                SPREAD_IN_STEPS => {
                    let control = self.bytes.u8()?;
                    let last = self.value(control)?;
                    let (above, below) = (self.bytes.signed()?, self.bytes.signed()?);
                    let number = |steps: i64| steps as f64 / POWERS[usize::from(self.scale)];
                    GaugeWindow { last, min: number(self.steps - below), max: number(self.steps + above) }
                }
                SPREAD_AS_FLOATS => {
                    let control = self.bytes.u8()?;
                    GaugeWindow { last: self.value(control)?, min: self.bytes.f64()?, max: self.bytes.f64()? }
                }
                control => {
                    let last = self.value(control)?;
                    GaugeWindow { last, min: last, max: last }
                }
            };
            if !visit(self.end, window) {
                return Ok(false);
            }
            self.end = self.end.wrapping_add(self.gap);
        }
        Ok(true)
    }

    #[inline]
    fn value(&mut self, control: u8) -> Result<f64, Malformed> {
        match control {
            FLOAT => return self.bytes.f64(),
            RESCALED.. => {
                self.scale = control - RESCALED;
                self.steps = self.bytes.signed()?;
            }
            _ => {
                let far = if u64::from(control) < NEAR {
                    u64::from(control)
                } else {
                    let mut far = [0; 8];
                    let bytes = self.bytes.bytes(usize::from(control - FAR))?;
                    far[..bytes.len()].copy_from_slice(bytes);
                    u64::from_le_bytes(far)
                };
                self.steps += (far >> 1) as i64 ^ -((far & 1) as i64);
            }
        }
        Ok(self.steps as f64 / POWERS[usize::from(self.scale)])
    }
}

/// The value as a whole number of steps, if it is one to the bit.
#[inline]
fn steps_of(value: f64, scale: u8) -> Option<i64> {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0; // 2^53
    let power = POWERS[usize::from(scale)];
    let steps = (value * power).round_ties_even();
    // NaN is below nothing.
    (steps.abs() < EXACT_BELOW && ((steps as i64) as f64 / power).to_bits() == value.to_bits()).then_some(steps as i64)
}

fn is_spread(window: GaugeWindow) -> bool {
    window.last.to_bits() != window.min.to_bits() || window.last.to_bits() != window.max.to_bits()
}

/// The rule of `points`: of one window seen in two parts.
fn joined(kind: SampleKind, older: GaugeWindow, newer: GaugeWindow) -> GaugeWindow {
    match kind {
        SampleKind::Counter => level(older.last + newer.last),
        SampleKind::Cumulative => newer,
        _ => GaugeWindow { last: newer.last, min: older.min.min(newer.min), max: older.max.max(newer.max) },
    }
}

/// A window of one number.
pub(super) fn level(number: f64) -> GaugeWindow {
    GaugeWindow { last: number, min: number, max: number }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use taffrail_collector::model::SampleValue;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-300i64..300).prop_map(|n| n as f64),
            3 => (-100_000i64..100_000, 0..5).prop_map(|(n, decimals)| n as f64 / 10f64.powi(decimals)),
            1 => any::<f64>().prop_filter("equal to itself", |number| !number.is_nan()),
            1 => Just(-0.0),
        ]
    }

    /// Every window to the bit, which tells −0 from 0.
    fn bits(points: &Points) -> Vec<[u64; 4]> {
        let window = |place: usize| match points.values() {
            Values::Counter(list) | Values::Cumulative(list) => level(list[place]),
            Values::Gauge(levels) => levels.at(place),
            other => panic!("{other:?} are no numbers"),
        };
        let row = |(place, end): (usize, End)| {
            let GaugeWindow { last, min, max } = window(place);
            [end as u64, last.to_bits(), min.to_bits(), max.to_bits()]
        };
        points.ends().iter().enumerate().map(row).collect()
    }

    fn gap() -> impl Strategy<Value = i64> {
        prop_oneof![5 => Just(10_000_000_000), 1 => Just(0), 1 => 1i64..50, 1 => 1i64..1 << 40, 1 => Just(i64::MAX / 64)]
    }

    proptest! {
        #[test]
        fn numbers_equal_a_plain_list(
            kind in prop::sample::select(vec![SampleKind::Counter, SampleKind::Gauge, SampleKind::Cumulative]),
            windows in prop::collection::vec((gap(), number(), prop_oneof![4 => Just((0.0, 0.0)), 1 => (0.0..5.0, 0.0..9.0), 1 => (0..9u8, 0..9u8).prop_map(|(a, b)| (f64::from(a), f64::from(b)))]), 1..60),
            start in any::<i64>(), before in number(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        ) {
            let (mut plain, mut space) = (Points::new(kind), NumberSpace::default());
            let mut windows_in: Option<NumberWindows> = None;
            let (mut end, mut spread, mut ends) = (start / 2, None, Vec::new());
            for (gap, last, (below, above)) in windows {
                end = end.saturating_add(gap);
                ends.push(end);
                let window = match kind {
                    SampleKind::Gauge => GaugeWindow { last, min: last - below, max: last + above },
                    _ => level(last),
                };
                plain.insert(end, match kind {
                    SampleKind::Counter => SampleValue::Counter { sum: last },
                    SampleKind::Gauge => SampleValue::Gauge { last, min: window.min, max: window.max },
                    _ => SampleValue::Cumulative { total: last },
                });
                match &mut windows_in {
                    Some(series) => prop_assert_eq!(series.push(end, window, &mut spread, &mut space), Taken::Yes),
                    None => {
                        windows_in = Some(NumberWindows::new(kind, end, window, before, &mut space));
                        spread = is_spread(window).then_some((window.min, window.max));
                    }
                }
            }
            let series = windows_in.expect("at least one window");
            prop_assert_eq!(series.before(&space).to_bits(), before.to_bits());
            prop_assert_eq!(series.first_end(&space), ends[0]);
            prop_assert_eq!(series.last_end(), *ends.last().expect("as many"));
            prop_assert_eq!(bits(&series.between(i64::MIN, i64::MAX, spread, &space)), bits(&plain));
            let (from, to) = (*from.get(&ends), *to.get(&ends));
            prop_assert_eq!(series.between(from, to, spread, &space), plain.between(from, to));
        }
    }

    #[test]
    fn a_series_is_small_and_a_window_on_its_grid_takes_a_byte_or_two() {
        assert_eq!(size_of::<NumberWindows>(), 48);
        let mut space = NumberSpace::default();
        let mut windows = NumberWindows::new(SampleKind::Counter, 0, level(5.0), 0.0, &mut space);
        for at in 1..1_000i64 {
            windows.push(at * 10_000_000_000, level((at * 7 % 40) as f64), &mut None, &mut space);
        }
        assert!(space.bytes() < 1_500, "{}", space.bytes());
        assert_eq!(windows.push(0, level(1.0), &mut None, &mut space), Taken::No);
    }
}

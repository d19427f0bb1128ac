//! Whose turn it is: lanes share what a server takes 8 : 4 : 2 : 1, and what comes now gets nine tenths of it while a backlog waits.
//!
//! Stride scheduling over bytes: each class of frames advances by its bytes divided by its weight, and the one that is behind
//! is next. A class that had nothing to send does not save up for later. The backlog also never takes the last free request, so
//! that what comes now does not wait for it.

use super::ledger::LANES;
use crate::model::Lane;

/// Shares of the lanes, by number.
const LANE_WEIGHTS: [f64; LANES] = [8.0, 4.0, 2.0, 1.0];
/// Share of what comes now, and of the backlog: seven tenths are promised, frames are large, and the backlog has what the line carries while
/// nothing new is there.
const LIVE_WEIGHT: f64 = 0.9;
const BACKLOG_WEIGHT: f64 = 0.1;

/// Frames of one lane that come now, or that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) lane: Lane,
    pub(super) is_live: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    passes: [[f64; 2]; LANES],
    /// The pass of the class that was served last.
    now: f64,
}

impl Schedule {
    /// Which of these is next; all of them have frames to send, those marked are able to.
    ///
    /// None when it is the turn of one that is not able to just now: then the others wait for it, unless the server `is_roomy`: it
    /// could take much more without slowing down, and nobody gets less when all send.
    pub(super) fn next(&mut self, wanting: &[(Class, bool)], is_roomy: bool) -> Option<usize> {
        for (class, _) in wanting {
            let now = self.now;
            let pass = self.pass(*class);
            *pass = pass.max(now);
        }
        let live_waits = wanting.iter().any(|(class, _)| class.is_live);
        // Lanes share among those that are able to; only the backlog stands back for what comes now.
        let first = (0..wanting.len()).filter(|&at| wanting[at].1).min_by(|&a, &b| {
            let (a, b) = (self.pass_of(wanting[a].0), self.pass_of(wanting[b].0));
            a.total_cmp(&b)
        })?;
        let class = wanting[first].0;
        if class.is_live || !live_waits || is_roomy {
            return Some(first);
        }
        let of_live = wanting.iter().filter(|(class, _)| class.is_live).map(|(class, _)| self.pass_of(*class));
        (self.pass_of(class) <= of_live.fold(f64::INFINITY, f64::min)).then_some(first)
    }

    /// So many bytes of the class go out.
    pub(super) fn served(&mut self, class: Class, bytes: usize) {
        let weight = LANE_WEIGHTS[class.lane as usize] * if class.is_live { LIVE_WEIGHT } else { BACKLOG_WEIGHT };
        let pass = self.pass(class);
        let before = *pass;
        *pass += bytes as f64 / weight;
        self.now = before;
    }

    fn pass(&mut self, class: Class) -> &mut f64 {
        &mut self.passes[class.lane as usize][usize::from(class.is_live)]
    }

    fn pass_of(&self, class: Class) -> f64 {
        self.passes[class.lane as usize][usize::from(class.is_live)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn class(lane: Lane, is_live: bool) -> Class {
        Class { lane, is_live }
    }

    /// Bytes that each class gets of a thousand frames of 100 bytes, when all have frames to send all the time.
    fn shares(classes: &[Class]) -> Vec<usize> {
        let mut schedule = Schedule::default();
        let wanting: Vec<_> = classes.iter().map(|&class| (class, true)).collect();
        let mut sent = vec![0; classes.len()];
        for _ in 0..1000 {
            let at = schedule.next(&wanting, false).expect("all are able to");
            schedule.served(classes[at], 100);
            sent[at] += 1;
        }
        sent
    }

    #[test]
    fn lanes_and_what_comes_now_have_their_shares() {
        let near = |found: Vec<usize>, expected: &[usize]| {
            assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 5), "{found:?} {expected:?}");
        };
        near(shares(&[class(Lane::Normal, true), class(Lane::Normal, false)]), &[900, 100]);
        near(shares(&Lane::ALL.map(|lane| class(lane, true))), &[533, 267, 133, 67]);
        near(shares(&[class(Lane::Normal, false)]), &[1000]);
    }

    #[test]
    fn the_backlog_stands_back_for_a_live_frame_whose_turn_it_is() {
        let (live, old) = (class(Lane::Normal, true), class(Lane::Normal, false));
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(&[(live, true), (old, true)], false), Some(0));
        schedule.served(live, 100);
        // While the live stream waits for its answer and has more to send, the backlog gets its share and no more.
        assert_eq!(schedule.next(&[(live, false), (old, true)], false), Some(1));
        schedule.served(old, 100);
        assert_eq!(schedule.next(&[(live, false), (old, true)], false), None);
        assert_eq!(schedule.next(&[(live, false), (old, true)], true), Some(1));
        // With nothing live to send it has everything.
        assert_eq!(schedule.next(&[(old, true)], false), Some(0));
    }

    #[test]
    fn who_had_nothing_to_send_saves_nothing_up() {
        let (normal, urgent) = (class(Lane::Normal, true), class(Lane::Urgent, true));
        let mut schedule = Schedule::default();
        for _ in 0..1000 {
            schedule.served(normal, 1000);
        }
        let mut urgent_sent = 0;
        for _ in 0..30 {
            match schedule.next(&[(normal, true), (urgent, true)], false) {
                Some(1) => {
                    urgent_sent += 1;
                    schedule.served(urgent, 1000);
                }
                _ => schedule.served(normal, 1000),
            }
        }
        assert!((19..=21).contains(&urgent_sent), "{urgent_sent}");
    }
}

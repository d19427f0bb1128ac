//! Joins lines that come one by one from several senders, each with what its transport says of it: entries of the journal, syslog
//! messages.
//!
//! The lines of one sender follow each other; a group bears what was said of its first. Of so many senders lines may be held
//! at a time; with one, whatever comes from another ends the group, and everything is given in the order in which it came.

use std::time::Instant;

use super::config::Rules;
use super::grouper::{Group, Grouper, Limits, Part};

/// See the module's documentation. `K` tells senders apart, `C` is what is said of a line.
#[derive(Debug)]
pub struct Senders<K, C> {
    rules: Rules,
    limits: Limits,
    most: usize,
    /// Those of which something is held, the one that spoke last at the end.
    held: Vec<Sender<K, C>>,
    /// Lines so far: each is told by its number.
    lines: u64,
}

#[derive(Debug)]
struct Sender<K, C> {
    key: K,
    said: C,
    grouper: Grouper,
}

impl<K: PartialEq, C> Senders<K, C> {
    /// One that holds nothing, and lines of at most so many senders.
    pub fn new(rules: Rules, limits: Limits, most: usize) -> Senders<K, C> {
        Senders { rules, limits, most: most.max(1), held: Vec::new(), lines: 0 }
    }

    /// Takes a line of a sender, and gives the groups that it ends or is.
    pub fn push(
        &mut self,
        key: K,
        said: C,
        bytes: &[u8],
        truncated: bool,
        now: Instant,
        take: &mut dyn FnMut(C, Group<'_>),
    ) {
        let number = self.lines;
        self.lines += 1;
        let known = self.held.iter().position(|sender| sender.key == key).map(|at| self.held.remove(at));
        if known.is_none() && self.held.len() >= self.most {
            give(self.held.remove(0), take);
        }
        let (mut before, mut grouper) = match known {
            Some(Sender { said, grouper, .. }) => (Some(said), grouper),
            None => (None, Grouper::new(self.rules.clone(), self.limits)),
        };
        let mut own = Some(said);
        let part = Part { bytes, truncated, start: number, time: None };
        grouper.push(part, now, &mut |group: Group<'_>| {
            let said = if group.start == number { own.take() } else { before.take() };
            said.into_iter().for_each(|said| take(said, group));
        });
        let said = match grouper.start() {
            Some(start) if start == number => own,
            Some(_) => before,
            None => None,
        };
        self.held.extend(said.map(|said| Sender { key, said, grouper }));
    }

    /// The sender that spoke last, if something of it is held.
    pub fn last(&self) -> Option<&K> {
        self.held.last().map(|sender| &sender.key)
    }

    /// What was said of the lines that are held, of each sender's first.
    pub fn held(&self) -> impl Iterator<Item = &C> {
        self.held.iter().map(|sender| &sender.said)
    }

    /// Gives what was held for long enough.
    pub fn give_old(&mut self, now: Instant, take: &mut dyn FnMut(C, Group<'_>)) {
        for sender in self.held.extract_if(.., |sender| sender.grouper.due().is_none_or(|due| due <= now)) {
            give(sender, take);
        }
    }

    /// When something that is held is to be given at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.held.iter().filter_map(|sender| sender.grouper.due()).min()
    }

    /// Gives everything that is held.
    pub fn finish(&mut self, take: &mut dyn FnMut(C, Group<'_>)) {
        self.held.drain(..).for_each(|sender| give(sender, take));
    }
}

/// Waits until something is due, for ever when nothing is. Cancel-safe.
pub async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn give<K, C>(Sender { said, mut grouper, .. }: Sender<K, C>, take: &mut dyn FnMut(C, Group<'_>)) {
    let mut said = Some(said);
    grouper.finish(&mut |group: Group<'_>| said.take().into_iter().for_each(|said| take(said, group)));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Multiline;
    use super::*;

    /// What is given of lines `sender: text`, each with the number that was said of its first line.
    fn given(most: usize, lines: &[(&'static str, &str)]) -> Vec<(usize, String)> {
        let limits = Limits::new(1000, Duration::from_secs(5));
        let mut senders = Senders::new(Multiline::Auto.rules("test").unwrap(), limits, most);
        let mut found = Vec::new();
        let mut take = |number: usize, group: Group<'_>| {
            found.push((number, String::from_utf8_lossy(group.bytes).into_owned()));
        };
        let now = Instant::now();
        for (number, (sender, text)) in lines.iter().enumerate() {
            senders.push(*sender, number, text.as_bytes(), false, now, &mut take);
        }
        senders.give_old(now, &mut take);
        senders.give_old(now + Duration::from_secs(6), &mut take);
        assert_eq!((senders.due(), senders.held().count()), (None, 0));
        found
    }

    const TRACE: [(&str, &str); 3] =
        [("a", "ERROR no tea"), ("a", "java.lang.Exception: no"), ("a", "\tat Shop.ask(Shop.java:1)")];

    #[test]
    fn the_lines_of_a_sender_are_joined_and_those_of_others_are_not() {
        let check = |most, lines: &[(&'static str, &str)], expected: &[(usize, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(number, text)| (*number, (*text).to_owned())).collect();
            assert_eq!(given(most, lines), expected);
        };
        let whole = "ERROR no tea\njava.lang.Exception: no\n\tat Shop.ask(Shop.java:1)";
        check(1, &TRACE, &[(0, whole)]);
        check(
            4,
            &[TRACE[0], ("b", "fine"), TRACE[1], ("b", "fine too"), TRACE[2]],
            &[(1, "fine"), (3, "fine too"), (0, whole)],
        );
        check(
            1,
            &[TRACE[0], ("b", "fine"), TRACE[1]],
            &[(0, "ERROR no tea"), (1, "fine"), (2, "java.lang.Exception: no")],
        );
        check(2, &[("a", "{\"a\":1}"), ("a", ""), ("a", "b")], &[(0, "{\"a\":1}"), (2, "b")]);
    }

    #[test]
    fn the_sender_that_was_silent_for_longest_makes_room() {
        let found = given(2, &[("a", "1"), ("b", "2"), ("a", "  and more"), ("c", "3")]);
        assert_eq!(found, [(1, "2".to_owned()), (0, "1\n  and more".to_owned()), (3, "3".to_owned())]);
    }
}

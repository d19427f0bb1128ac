//! Which server is which: streams belong to a store, not to the address at which it was reached.
//!
//! A server that moves to another address, or two that change places, keep their streams: each says who it is whenever it is
//! asked what it has. A store that no address leads to any more is **missing**: what it may have waits for it, until every
//! server of the configuration has said that it is another.

use super::ledger::Ledger;
use super::state::KnownServer;

/// The servers that the ledger counts: first those of the configuration, in its order, then the missing ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    known: Vec<KnownServer>,
    configured: usize,
    /// Those of the configuration that have said who they are since the start.
    heard: Vec<bool>,
}

impl Identities {
    /// The servers of the configuration, and of those that the books count the ones that have something open.
    pub(super) fn new(urls: &[String], known: &[KnownServer], ledger: &mut Ledger) -> Identities {
        let mut all: Vec<KnownServer> = urls
            .iter()
            .map(|url| KnownServer {
                url: url.clone(),
                id: known.iter().find(|known| known.url == *url).and_then(|known| known.id.clone()),
            })
            .collect();
        let configured = all.len();
        let mut taken = vec![false; configured];
        let mut places = Vec::new();
        for (number, server) in known.iter().enumerate() {
            // A store that another has taken the place of bears the same address, further behind.
            let at =
                urls.iter().position(|url| *url == server.url).filter(|&at| !std::mem::replace(&mut taken[at], true));
            let has_open = ledger.streams.iter().any(|stream| stream.server == number && stream.lease.is_some());
            places.push(at.or_else(|| {
                has_open.then(|| {
                    all.push(server.clone());
                    all.len() - 1
                })
            }));
        }
        ledger.streams.retain(|stream| places[stream.server].is_some());
        ledger.renumber_servers(|from| places[from].unwrap_or(from));
        Identities { known: all, configured, heard: vec![false; configured] }
    }

    /// As they are written down.
    pub(super) fn known(&self) -> &[KnownServer] {
        &self.known
    }

    /// A server of the configuration has said who it is.
    pub(super) fn hear(&mut self, server: usize, id: &str, ledger: &mut Ledger) {
        if self.known[server].id.as_deref().is_some_and(|before| before != id) {
            // Another store answers at this address. The one before may be anywhere.
            self.known.push(self.known[server].clone());
            let missing = self.known.len() - 1;
            ledger.renumber_servers(|from| if from == server { missing } else { from });
        }
        self.known[server].id = Some(id.to_owned());
        self.heard[server] = true;
        for at in self.configured..self.known.len() {
            let heard = (0..self.configured).filter(|&candidate| self.heard[candidate]);
            let found = heard.into_iter().find(|&candidate| self.known[candidate].id == self.known[at].id);
            if let Some(found) = found {
                ledger.renumber_servers(|from| if from == at { found } else { from });
            }
        }
    }

    /// The address of a store that is certainly none of the configuration's and has a stream.
    pub(super) fn gone(&self, server: usize) -> Option<&str> {
        let is_gone = server >= self.configured && self.heard.iter().all(|heard| *heard);
        is_gone.then(|| &*self.known[server].url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Lane;

    fn urls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn streams_follow_their_store_to_another_address() {
        let known = [("a", Some("1")), ("b", Some("2")), ("c", None)];
        let known = known.map(|(url, id)| KnownServer { url: url.to_owned(), id: id.map(str::to_owned) });
        let mut ledger = Ledger::default();
        for server in 0..3 {
            ledger.lease_live(server, Lane::Normal, 0);
        }
        let servers = |ledger: &Ledger| ledger.streams.iter().map(|stream| stream.server).collect::<Vec<_>>();
        // `b` is now first, `a` is no longer named, `d` is new.
        let mut identities = Identities::new(&urls(&["b", "d", "c"]), &known, &mut ledger);
        assert_eq!(servers(&ledger), [3, 0, 2]);
        // Store 1 answers where 2 was.
        identities.hear(0, "1", &mut ledger);
        assert_eq!(servers(&ledger), [0, 4, 2]);
        identities.hear(2, "9", &mut ledger);
        assert_eq!(identities.gone(4), None);
        identities.hear(1, "3", &mut ledger);
        assert_eq!(servers(&ledger), [0, 4, 2]);
        assert_eq!(identities.gone(4), Some("b"));
        assert_eq!(identities.gone(0), None);
        identities.hear(1, "2", &mut ledger);
        assert_eq!(servers(&ledger), [0, 1, 2]);
    }

    #[test]
    fn a_store_that_took_the_place_of_another_is_found_whichever_answers_first() {
        let known =
            [("a", "1"), ("b", "2")].map(|(url, id)| KnownServer { url: url.to_owned(), id: Some(id.to_owned()) });
        for order in [[0, 1], [1, 0]] {
            let mut ledger = Ledger::default();
            ledger.lease_live(0, Lane::Normal, 0);
            ledger.lease_live(1, Lane::Normal, 0);
            let mut identities = Identities::new(&urls(&["a", "b"]), &known, &mut ledger);
            for server in order {
                identities.hear(server, ["2", "1"][server], &mut ledger);
            }
            let servers = |ledger: &Ledger| ledger.streams.iter().map(|stream| stream.server).collect::<Vec<_>>();
            assert_eq!(servers(&ledger), [1, 0]);
        }
        // Heard of one only, and then started again.
        let mut ledger = Ledger::default();
        ledger.lease_live(0, Lane::Normal, 0);
        let mut identities = Identities::new(&urls(&["a", "b"]), &known, &mut ledger);
        identities.hear(0, "3", &mut ledger);
        let mut again = Identities::new(&urls(&["a", "b"]), identities.known(), &mut ledger);
        again.hear(0, "3", &mut ledger);
        assert_eq!(ledger.streams[0].server, 2);
        again.hear(1, "1", &mut ledger);
        assert_eq!(ledger.streams[0].server, 1);
    }
}

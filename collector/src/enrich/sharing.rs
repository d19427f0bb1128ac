//! What the records of an enricher share instead of having their own: level words and resources.

use std::sync::Arc;

use rapidhash::RapidHashMap;

use crate::model::{Resource, SeverityText};

/// Level words met, so that records share them.
#[derive(Clone, Debug, Default)]
pub(super) struct LevelWords {
    known: Vec<SeverityText>,
    /// The one that a new word takes the place of when there are as many as are remembered.
    oldest: usize,
}

/// Level words remembered; programs use half a dozen.
const LEVEL_WORDS_MAX: usize = 16;

impl LevelWords {
    /// The word, shared with the records that said it before.
    pub(super) fn of(&mut self, word: &str) -> SeverityText {
        if let Some(known) = self.known.iter().find(|known| ***known == *word) {
            return known.clone();
        }
        let new = SeverityText::from(word);
        if self.known.len() < LEVEL_WORDS_MAX {
            self.known.push(new.clone());
        } else {
            self.known[self.oldest] = new.clone();
            self.oldest = (self.oldest + 1) % LEVEL_WORDS_MAX;
        }
        new
    }
}

/// Resources met, so that the records of one sender share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    known: RapidHashMap<Box<[u8]>, Shared>,
    key: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Shared {
    resource: Arc<Resource>,
    /// Held so that its address, which is part of the key, is not given to another.
    _base: Arc<Resource>,
}

/// Resources remembered before the memory is emptied.
const RESOURCES_MAX: usize = 8192;

impl Resources {
    /// The resource of the transport with the line's own host and service in place of its.
    pub(super) fn of(&mut self, base: &Arc<Resource>, host: Option<&str>, service: Option<&str>) -> Arc<Resource> {
        if host.is_none_or(|host| *host == *base.host) && service.is_none_or(|service| *service == *base.service) {
            return Arc::clone(base);
        }
        self.key.clear();
        self.key.extend_from_slice(&Arc::as_ptr(base).addr().to_ne_bytes());
        // No UTF-8 text holds these bytes, so that no two pairs of names share a key.
        self.key.extend_from_slice(host.map_or(b"\xfe", str::as_bytes));
        self.key.push(0xff);
        self.key.extend_from_slice(service.map_or(b"\xfe", str::as_bytes));
        if let Some(shared) = self.known.get(&*self.key) {
            return Arc::clone(&shared.resource);
        }
        if self.known.len() >= RESOURCES_MAX {
            self.known.clear();
        }
        let resource = Arc::new(Resource {
            host: host.map_or_else(|| Arc::clone(&base.host), Arc::from),
            service: service.map_or_else(|| Arc::clone(&base.service), Arc::from),
            attributes: base.attributes.clone(),
        });
        let shared = Shared { resource: Arc::clone(&resource), _base: Arc::clone(base) };
        self.known.insert(self.key.as_slice().into(), shared);
        resource
    }
}

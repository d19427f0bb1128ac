//! A million short byte strings that grow a few bytes at a time, in one arena: no allocation each, nothing moved when one
//! grows, and all of them gone at once.
//!
//! A string is a chain of slices, each longer than the one before, so that a short string wastes little and a long one has
//! few links:
//!
//! ```text
//! slice := content…  next:u32     ; where the chain goes on, in units of 8 bytes; written once the content is full
//! ```

/// Lengths of the slices of a chain, one after the other; the last is repeated. Multiples of [`UNIT`].
const SLICE_BYTES: [usize; 9] = [16, 16, 24, 40, 64, 96, 144, 216, 328];
/// Slices start at multiples of this.
const UNIT: usize = 8;
/// What a slice keeps for the place of the next.
const LINK_BYTES: usize = 4;
/// Memory is taken in pieces of this length; what is not used of one is never touched.
const PIECE_BYTES: usize = 1 << 20;
const PIECE_UNITS: usize = PIECE_BYTES / UNIT;

/// A string should take no more once it has this many bytes: whoever appends asks [`Chain::is_full`] first.
pub(super) const FULL_BYTES: usize = 16 << 20;

/// The arena.
#[derive(Debug, Default)]
pub(super) struct Slices {
    pieces: Vec<Box<[u8]>>,
    /// Units used of the last piece.
    used: usize,
}

/// A byte string in an arena. Only as good as the arena that it was written to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The first and the last slice, in units.
    first: u32,
    tail: u32,
    /// Bytes written to the last slice.
    written: u16,
    /// How many slices there are.
    links: u16,
}

impl Slices {
    /// Appends bytes to a string.
    pub(super) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = chain.room();
            if room == 0 {
                self.lengthen(chain);
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            let start = usize::from(chain.written);
            self.slice_mut(chain.tail)[start..start + now.len()].copy_from_slice(now);
            chain.written += now.len() as u16; // at most a slice's length
            bytes = later;
        }
    }

    /// All bytes of a string.
    pub(super) fn read(&self, chain: Chain, out: &mut Vec<u8>) {
        out.clear();
        let mut at = chain.first;
        for link in 1..=chain.links {
            let slice = self.slice(at);
            if link == chain.links {
                out.extend_from_slice(&slice[..usize::from(chain.written)]);
                return;
            }
            let (content, next) =
                slice[..length_of(link)].split_last_chunk::<LINK_BYTES>().expect("a slice has a link");
            out.extend_from_slice(content);
            at = u32::from_le_bytes(*next);
        }
    }

    /// Memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.len().saturating_sub(1) * PIECE_BYTES + self.used * UNIT
    }

    fn lengthen(&mut self, chain: &mut Chain) {
        let link = chain.links.checked_add(1).expect("FULL_BYTES is within that many slices");
        let place = self.take(length_of(link));
        if chain.links == 0 {
            chain.first = place;
        } else {
            let end = length_of(chain.links);
            self.slice_mut(chain.tail)[end - LINK_BYTES..end].copy_from_slice(&place.to_le_bytes());
        }
        *chain = Chain { first: chain.first, tail: place, written: 0, links: link };
    }

    fn take(&mut self, bytes: usize) -> u32 {
        let units = bytes / UNIT;
        if self.pieces.is_empty() || self.used + units > PIECE_UNITS {
            self.pieces.push(vec![0; PIECE_BYTES].into_boxed_slice());
            self.used = 0;
        }
        let place = (self.pieces.len() - 1) * PIECE_UNITS + self.used;
        self.used += units;
        u32::try_from(place).expect("a head is sealed long before it has 32 GiB")
    }

    fn slice(&self, place: u32) -> &[u8] {
        let place = place as usize;
        &self.pieces[place / PIECE_UNITS][place % PIECE_UNITS * UNIT..]
    }

    fn slice_mut(&mut self, place: u32) -> &mut [u8] {
        let place = place as usize;
        &mut self.pieces[place / PIECE_UNITS][place % PIECE_UNITS * UNIT..]
    }
}

impl Chain {
    fn room(self) -> usize {
        if self.links == 0 { 0 } else { length_of(self.links) - LINK_BYTES - usize::from(self.written) }
    }

    /// Whether it should take no more.
    pub(super) fn is_full(self) -> bool {
        usize::from(self.links) * SLICE_BYTES[SLICE_BYTES.len() - 1] >= FULL_BYTES
    }
}

/// The length of a chain's slice, counted from 1.
fn length_of(link: u16) -> usize {
    SLICE_BYTES[usize::from(link - 1).min(SLICE_BYTES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_that_grow_side_by_side_come_back(
            parts in prop::collection::vec((0usize..4, prop::collection::vec(any::<u8>(), 0..40)), 0..200),
        ) {
            let mut slices = Slices::default();
            let mut chains = [Chain::default(); 4];
            let mut model = [const { Vec::new() }; 4];
            for (which, bytes) in parts {
                slices.append(&mut chains[which], &bytes);
                model[which].extend(bytes);
            }
            let mut read = Vec::new();
            for (chain, bytes) in chains.into_iter().zip(&model) {
                slices.read(chain, &mut read);
                prop_assert_eq!(&read, bytes);
            }
        }
    }

    #[test]
    fn a_long_string_goes_over_many_pieces() {
        let mut slices = Slices::default();
        let mut chain = Chain::default();
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
        bytes.chunks(7).for_each(|part| slices.append(&mut chain, part));
        let mut read = Vec::new();
        slices.read(chain, &mut read);
        assert!(read == bytes);
        assert!(!chain.is_full() && slices.bytes() > 3_000_000);
    }
}

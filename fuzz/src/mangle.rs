//! Damages seeds, the same way in every run.

/// Calls `entry_point` with the seeds, and with `count` mangled forms of each.
pub fn mangled(seeds: &[Vec<u8>], count: u64, entry_point: fn(&[u8])) {
    for (at, seed) in seeds.iter().enumerate() {
        entry_point(seed);
        for length in 0..seed.len().min(400) {
            entry_point(&seed[..length]);
        }
        for round in 0..count {
            let mut random = Random(round << 8 | at as u64);
            let mut bytes = seed.clone();
            for _ in 0..1 + random.below(6) {
                mangle(&mut bytes, seeds, &mut random);
            }
            entry_point(&bytes);
        }
    }
}

fn mangle(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\"'\\{}[]():|#@,;=<>/*-+.09 \n\t\r_e";
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(20)).min(bytes.len());
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = TELLING[random.below(TELLING.len())],
        2 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].repeat(1 + random.below(40));
            bytes.splice(at..at, piece);
        }
        5 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let until = (from + random.below(40)).min(other.len());
            bytes.splice(at..end, other[from..until].iter().copied());
        }
        _ => bytes.truncate(at),
    }
    bytes.truncate(1 << 14);
}

/// splitmix64 (S. Vigna, <https://prng.di.unimi.it/splitmix64.c>).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

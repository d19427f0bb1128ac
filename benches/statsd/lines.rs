//! What is sent: of ten names six are counters, three timers, one a gauge, in random order; every datagram has as many lines.
//!
//! Each line leaves a trace in what is stored: a counter's sum grows by 1, a timer has one observation more, a gauge's level rises
//! by 1. So the samples alone tell how many lines they are made of.

/// Datagrams that are made beforehand and sent round and round.
const DATAGRAM_BYTES: usize = 24 << 20;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How many names, each with tags of its own.
    pub names: u32,
    /// Lines are put together up to so many bytes; 0: one line a datagram.
    pub datagram_bytes_max: usize,
    /// Whether names have tags.
    pub tags: bool,
}

impl Workload {
    /// How many lines each datagram has.
    pub fn lines_per_datagram(&self) -> u64 {
        (self.datagram_bytes_max / (self.line(7, 100).len() + 1)).max(1) as u64
    }

    /// Datagrams enough that every name comes several times.
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        let lines = self.lines_per_datagram();
        let bytes = lines * (self.line(7, 100).len() as u64 + 1);
        let count = (DATAGRAM_BYTES as u64 / bytes).min(400_000);
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut roll = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) as u32
        };
        let mut datagram = || {
            let lines: Vec<String> = (0..lines).map(|_| self.line(roll() % self.names, roll() % 900 + 100)).collect();
            lines.join("\n").into_bytes()
        };
        (0..count).map(|_| datagram()).collect()
    }

    /// A line; names and tags have one length, and a timer's line is the longest.
    fn line(&self, name: u32, value: u32) -> String {
        let (what, value, kind) = match name % 10 {
            0..=5 => ("hits", 1, "c"),
            6..=8 => ("time", value, "ms"),
            _ => ("load", 1, "g"),
        };
        let sign = if kind == "g" { "+" } else { "" };
        if !self.tags {
            return format!("shop.route{name:06}.{what}:{sign}{value}|{kind}");
        }
        let (service, zone) = (name % 40, name % 3);
        format!("shop.route{name:06}.{what}:{sign}{value}|{kind}|#env:prod,service:checkout{service:02},zone:eu{zone}")
    }
}

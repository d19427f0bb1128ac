//! Chance that repeats itself: the same seed tells the same story.

/// splitmix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// A whole number in `0..below`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.bits() % below
    }

    /// One of the items, the first ones more often than the last, as with goods and customers.
    pub fn favourite<T: Copy>(&mut self, items: &[T]) -> T {
        let share = self.share();
        items[(share * share * items.len() as f64) as usize]
    }

    /// Waiting time until the next of independent events, `mean` long on average (exponential distribution).
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// A duration as services take: `median`, often a little less, sometimes many times more (log-normal distribution).
    pub fn latency(&mut self, median: f64, spread: f64) -> f64 {
        // Box–Muller: a normal number from two even ones.
        let (a, b) = (1.0 - self.share(), self.share());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        median * (spread * normal).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_same_story_and_another_seed_another() {
        let story = |seed| {
            let mut dice = Dice::new(seed);
            (0..5).map(|_| dice.bits()).collect::<Vec<_>>()
        };
        assert_eq!(story(7), story(7));
        assert_ne!(story(7), story(8));
    }

    #[test]
    fn chances_are_what_they_say() {
        let mut dice = Dice::new(1);
        let mut mean =
            |of: &mut dyn FnMut(&mut Dice) -> f64| (0..20_000).map(|_| of(&mut dice)).sum::<f64>() / 20_000.0;
        assert!((mean(&mut |dice| f64::from(u8::from(dice.happens(0.25)))) - 0.25).abs() < 0.02);
        assert!((mean(&mut |dice| dice.wait(3.0)) - 3.0).abs() < 0.1);
        assert!((mean(&mut |dice| f64::from(u8::from(dice.latency(80.0, 0.5) < 80.0))) - 0.5).abs() < 0.02);
    }
}

//! An agent and its servers, killed again and again, in every way and at every named step of both, while lines are written
//! into rotating files: afterwards every line is stored once.
//!
//! Each [`Battlefield`] is one agent with its servers and lives through a few dozen kills ([`battlefield`]); several stand side
//! by side until there were enough ([`account`]). Then comes peace: it must drain, nothing may be missing, duplicate, corrupt or
//! spurious, and a fresh line must arrive. `TAFFRAIL_TEST_SEED` repeats the schedule, though not the moments of the machine's
//! own; `SOAK_KILLS` and `SOAK_MINUTES` make it longer (`make soak`).

mod account;
mod battlefield;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use account::{Account, Deck};
use battlefield::Battlefield;

use crate::oracle::Verdict;
use crate::server::Random;

/// The issue asks for at least three hundred.
const KILLS: u64 = 300;
/// Fields that stand side by side: how many servers they have, and what their agent is told not to do. An agent that asks a server
/// what it has before it sends again never repeats anything; one that does not ask shows that servers recognise what they have.
const LANES: [(usize, &str); 3] = [(1, ""), (2, ""), (1, "asking")];
/// Kills of a field before its peace.
const KILLS_OF_A_FIELD: u64 = 34;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Fields one after the other on a lane, until all lanes together have had enough.
fn fight(deck: &Deck, random: &Mutex<Random>, enough: impl Fn(u64) -> bool + Sync) -> Account {
    let (sum, kills) = (Mutex::new(Account::default()), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for (servers, broken) in LANES {
            let (sum, kills, enough) = (&sum, &kills, &enough);
            scope.spawn(move || {
                let _ends_the_others = EndOthers(kills);
                while !enough(kills.load(Relaxed)) {
                    let seed = random.lock().expect("the random generator").seed();
                    let mut field = Battlefield::start(seed, servers, (broken, ""));
                    let mut before = 0;
                    while field.account().kills < KILLS_OF_A_FIELD && !enough(kills.load(Relaxed)) {
                        field.fault(deck);
                        let now = field.account().kills;
                        kills.fetch_add(now - before, Relaxed);
                        before = now;
                    }
                    let account = field.peace();
                    sum.lock().expect("the account").add(account);
                }
            });
        }
    });
    sum.into_inner().expect("the account")
}

/// A lane that found something ends the others, too.
struct EndOthers<'a>(&'a AtomicU64);

const FOUND_SOMETHING: u64 = u64::MAX / 2;

impl Drop for EndOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(FOUND_SOMETHING, Relaxed);
        }
    }
}

#[test]
fn three_hundred_kills_of_agent_and_server_lose_nothing_and_repeat_nothing() {
    let mut random =
        Random::from_environment("three_hundred_kills_of_agent_and_server_lose_nothing_and_repeat_nothing");
    let deck = Deck::new(Random::from_seed(random.seed()));
    let random = Mutex::new(random);
    let (wanted, minutes) = (number("SOAK_KILLS"), number("SOAK_MINUTES"));
    let started = Instant::now();
    let enough = |kills: u64| {
        let time = minutes.is_none_or(|minutes| started.elapsed() >= Duration::from_secs(60 * minutes));
        kills >= FOUND_SOMETHING || kills >= wanted.unwrap_or(KILLS) && time
    };
    let account = fight(&deck, &random, enough);
    println!("{account}\nin {} s", started.elapsed().as_secs());
    assert!(account.kills >= KILLS.min(wanted.unwrap_or(KILLS)));
    assert!(account.duplicate_batches > 0, "no batch was sent twice: this tested nothing");
    assert!(account.reached("file:inside_append") > 0, "no write was torn: this tested too little");
    let missed: Vec<_> = account.never_reached().filter(|fate| is_certain(fate)).collect();
    assert!(missed.is_empty(), "never died at {missed:?}: is it still on the way?");
}

/// Whether every process that lives for a second comes to this step. Files are replaced every few seconds at most; merging,
/// retention and deletion have their own test (`crash_points`), which dies at each for certain.
fn is_certain(fate: &str) -> bool {
    let is_rare = fate.contains("rename") || fate.contains("directory");
    !is_rare && ["file:", "ship:", "store:", "seal:"].iter().any(|prefix| fate.contains(prefix))
}

/// Deaths of the server between storing and answering, with promises broken at the agent and at the server.
fn deaths_before_the_answer(broken: (&str, &str)) -> (Verdict, u64) {
    let mut random = Random::from_environment("what_is_stored_twice_is_found_out");
    let mut field = Battlefield::start(random.seed(), 1, broken);
    for _ in 0..8 {
        field.die_before_the_answer();
    }
    let (verdict, recognised) = field.quiet();
    println!("agent without {:?}, server without {:?}: {recognised} resends recognised, {verdict}", broken.0, broken.1);
    (verdict, recognised)
}

#[test]
#[cfg(debug_assertions)]
fn what_is_stored_twice_is_found_out() {
    let (sound, _) = deaths_before_the_answer(("", ""));
    assert!(sound.is_clean(), "{sound}");
    // An agent that does not ask sends again, and the server recognises it.
    let (recognised, resends) = deaths_before_the_answer(("asking", ""));
    assert!(recognised.is_clean() && resends > 0, "{resends} resends were recognised: {recognised}");
    let (broken, _) = deaths_before_the_answer(("asking", "recognition"));
    assert!(broken.duplicate() > 0, "the oracle did not notice that resends are stored twice: {broken}");
    assert_eq!(broken.missing(), 0, "{broken}");
}

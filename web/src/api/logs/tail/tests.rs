//! Followers against a plain list of what was stored: at random places in time, with random questions, while it is written, sealed
//! and merged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use taffrail_collector::model::{Batch, Timestamp};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::api::world::{START, World, record};

/// One stream of lines as it is read.
struct Reader {
    body: Body,
    waiting: Vec<u8>,
}

impl Reader {
    async fn open(world: &World, parameters: &str) -> Reader {
        let response = world.ask("GET", &format!("/api/v1/logs/tail?{parameters}")).await;
        assert_eq!(response.status(), 200, "{parameters}");
        Reader { body: response.into_body(), waiting: Vec::new() }
    }

    /// The next line, of whatever kind.
    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap().into_data().unwrap();
            self.waiting.extend_from_slice(&frame);
        }
    }

    /// The next line that is no heartbeat.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.line().await?;
            if line.get("heartbeat").is_none() {
                return Some(line);
            }
        }
    }

    /// Messages of the next lines, which are records.
    async fn messages(&mut self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        for _ in 0..count {
            let line = self.next().await.unwrap();
            messages.push(line["record"]["message"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned());
        }
        messages
    }
}

fn shop(numbers: std::ops::Range<i64>) -> Batch {
    Batch { logs: numbers.map(record).collect(), ..Batch::local() }
}

fn lines(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(|n| format!("line {n} of the shop")).collect()
}

#[tokio::test]
async fn matching_records_come_as_they_are_stored_until_the_server_stops() {
    let world = World::empty().await;
    let mut reader = Reader::open(&world, "q=level:error").await;
    assert!(reader.line().await.unwrap()["heartbeat"]["seq"].is_u64(), "a silent tail beats at once");
    world.deliver(shop(0..4)).await;
    assert_eq!(reader.messages(2).await, lines(&[0, 3]));
    let beat = loop {
        let line = reader.line().await.unwrap();
        if line["heartbeat"]["received"] == 4 {
            break line["heartbeat"].clone();
        }
    };
    assert_eq!((&beat["matched"], &beat["shown"], &beat["dropped"]), (&json!(2), &json!(2), &json!(0)));
    world.app.stopping.cancel();
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn records_are_followed_through_stages_that_take_each_alone() {
    let world = World::empty().await;
    world.deliver(shop(0..5)).await;
    let question = "level:error%20%7C%20rename%20n%20as%20number%20%7C%20where%20number:%3E0";
    let mut reader = Reader::open(&world, &format!("q={question}&last=10")).await;
    assert_eq!(reader.next().await.unwrap()["record"]["attributes"]["number"], 3);
    assert_eq!(reader.next().await.unwrap()["live"]["rows"], 1);
    world.deliver(shop(5..10)).await;
    assert_eq!(reader.next().await.unwrap()["record"]["attributes"]["number"], 6);
    assert_eq!(reader.next().await.unwrap()["record"]["attributes"]["number"], 9);
    for (stages, told) in [("stats%20count()", "stats count()"), ("fields%20n", "fields n")] {
        let (status, text) = world.text(&format!("/api/v1/logs/tail?q=*%20%7C%20{stages}")).await;
        assert!(status == 400 && text.contains(&format!("`| {told}` cannot be followed")), "{text}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_from_a_number_with_another_question() {
    let world = World::empty().await;
    let mut first = Reader::open(&world, "q=level:error").await;
    first.line().await.unwrap();
    world.deliver(shop(0..7)).await;
    let shown = first.next().await.unwrap();
    let next = shown["record"]["seq"].as_u64().unwrap() + 1;
    drop(first);
    let mut other = Reader::open(&world, &format!("q=level:info&from_seq={next}")).await;
    assert_eq!(other.next().await.unwrap()["live"]["rows"], 0, "all of it is still in memory");
    assert_eq!(other.messages(4).await, lines(&[1, 2, 4, 5]));
}

#[tokio::test]
async fn the_past_joins_without_a_gap_and_says_when_it_is_not_whole() {
    let world = World::empty().await;
    world.deliver(shop(0..5)).await;
    world.app.ingest.seal().await.unwrap();
    world.deliver(shop(5..8)).await;
    let check = async |parameters: &str, past: &[i64]| {
        let mut reader = Reader::open(&world, parameters).await;
        assert_eq!(reader.messages(past.len()).await, lines(past), "{parameters}");
        let live = reader.next().await.unwrap()["live"].clone();
        assert_eq!((&live["rows"], &live["partial"]), (&json!(past.len()), &json!(false)), "{parameters}");
        reader
    };
    check("last=3", &[5, 6, 7]).await;
    check("last=2&q=level:error", &[3, 6]).await;
    check("last=0", &[]).await;
    check(&format!("since={}", START + 2), &[2, 3, 4, 5, 6, 7]).await;
    check(&format!("since={}&last=1", START + 2), &[7]).await;
    let mut reader = check(&format!("since={}&q=level:error", START + 5), &[6]).await;
    world.deliver(shop(8..10)).await;
    assert_eq!(reader.messages(1).await, lines(&[9]));
}

#[tokio::test]
async fn a_number_that_was_never_given_is_answered_and_not_waited_for() {
    let world = World::empty().await;
    world.deliver(shop(0..2)).await;
    let mut reader = Reader::open(&world, "from_seq=700").await;
    let reset = reader.next().await.unwrap()["reset"].clone();
    assert_eq!((&reset["asked"], &reset["seq"]), (&json!(700), &json!(2)));
    assert!(reader.next().await.unwrap()["live"].is_object());
    world.deliver(shop(2..3)).await;
    assert_eq!(reader.messages(1).await, lines(&[2]));
}

#[tokio::test]
async fn events_carry_the_number_that_a_browser_comes_back_with() {
    let world = World::empty().await;
    world.deliver(shop(0..3)).await;
    let ask = async |last_event: &str| {
        let request = Request::builder().uri("/api/v1/logs/tail?last=3").header("accept", "text/event-stream");
        let request = request.header("last-event-id", last_event).body(Body::empty()).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut text = String::new();
        while !text.contains("event: live") {
            text += std::str::from_utf8(&body.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
        }
        text
    };
    let text = ask("").await;
    let ids: Vec<&str> = text.split("\n\n").filter(|event| event.contains("event: record")).collect();
    assert_eq!(ids.len(), 3, "{text}");
    assert!(ids[1].starts_with("id: 2\nevent: record\ndata: {\"id\":"), "{text}");
    // What comes after the number is live already: the ring has it.
    assert!(ask("1").await.contains("event: live\ndata: {\"seq\":1,\"rows\":0,\"partial\":false}"));
}

#[tokio::test]
async fn what_is_beyond_the_rate_is_counted_and_told() {
    let world = World::empty().await;
    let mut reader = Reader::open(&world, "rate=2").await;
    reader.line().await.unwrap();
    world.deliver(shop(0..5)).await;
    assert_eq!(reader.messages(2).await, lines(&[0, 1]));
    let gap = reader.next().await.unwrap()["gap"].clone();
    assert_eq!((&gap["from_seq"], &gap["to_seq"], &gap["rows"]), (&json!(2), &json!(4), &json!(3)));
}

#[tokio::test]
async fn bad_wishes_say_what_is_wrong() {
    let world = World::empty().await;
    let check = async |parameters: &str, expected: &str| {
        let (status, text) = world.text(&format!("/api/v1/logs/tail?{parameters}")).await;
        assert_eq!(status, 400, "{parameters}: {text}");
        assert!(text.contains(expected), "{parameters}: {text}");
    };
    check("from_seq=soon", "sequence number").await;
    check("q=level:(", "\"column\":").await;
    check("since=whenever", "whenever").await;
    check("last=-1", "`last`").await;
    check("last=20000", "10000 at most").await;
    check("rate=x", "`rate`").await;
}

#[tokio::test]
async fn more_followers_than_allowed_are_turned_away_and_a_place_comes_free() {
    let world = World::empty().await;
    let audience = &world.app.audience;
    let place = audience.enter(1).unwrap();
    let refused = audience.enter(1).unwrap_err();
    assert!(refused.message.contains("query.followers_max = 1"), "{}", refused.message);
    drop(place);
    assert!(audience.enter(1).is_ok());
    assert_eq!(audience.followers(), 0);
    let reader = Reader::open(&world, "").await;
    assert_eq!(audience.followers(), 1);
    drop(reader);
    assert_eq!(audience.followers(), 0);
}

/// A small generator, so that a seed repeats a schedule (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

const WRITERS: u64 = 3;
const BATCHES: u64 = 60;
const FOLLOWERS: u64 = 12;

/// Stores random batches, each a little later than the one before, now and then an hour late.
async fn write(world: Arc<World>, writer: u64, seed: u64) {
    let mut dice = Dice(seed + writer + 1);
    for _ in 0..BATCHES {
        let rows = 1 + dice.below(80) as i64;
        let first = dice.below(1_000_000) as i64 - if dice.below(4) == 0 { 3600 } else { 0 };
        world.deliver(shop(first..first + rows)).await;
        if dice.below(12) == 0 {
            world.app.ingest.seal().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(dice.below(6))).await;
    }
}

/// What a follower saw.
struct Seen {
    question: &'static str,
    /// The numbers of its records, in the order in which it was shown them.
    shown: Vec<u64>,
    /// From here on it wanted all that match.
    all_from: u64,
}

/// Follows from a random place through broken connections until it is told the last number.
async fn follow(world: Arc<World>, follower: u64, seed: u64, end: watch::Receiver<Option<u64>>) -> Seen {
    let mut dice = Dice(seed ^ ((follower + 1) << 32));
    tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
    let question = ["", "level:error"][dice.below(2) as usize];
    let (mut wish, mut all_from) = match dice.below(4) {
        0 => (String::new(), None),
        1 => (format!("&last={}", dice.below(100)), None),
        2 => ("&since=1970-01-01".to_owned(), Some(0)),
        _ => ("&from_seq=0".to_owned(), Some(0)),
    };
    let mut shown = Vec::new();
    let began = Instant::now();
    loop {
        let mut reader = Reader::open(&world, &format!("q={question}{wish}")).await;
        for _ in 0..1 + dice.below(400) {
            assert!(began.elapsed() < Duration::from_secs(60), "seed {seed}: the end is never told");
            let line = reader.line().await.expect("the server goes on");
            let next = if let Some(seq) = line["record"]["seq"].as_u64() {
                shown.push(seq);
                seq + 1
            } else if let Some(live) = line.get("live") {
                assert_eq!(live["partial"], false, "seed {seed}: {line}");
                *all_from.get_or_insert(live["seq"].as_u64().unwrap())
            } else if let Some(seq) = line["heartbeat"]["seq"].as_u64() {
                if end.borrow().is_some_and(|end| seq >= end) {
                    return Seen { question, shown, all_from: all_from.unwrap_or(seq) };
                }
                all_from.get_or_insert(seq);
                seq
            } else {
                assert_eq!(line["heartbeat"]["seq"], Value::Null, "seed {seed}: {line}");
                continue;
            };
            if line.get("live").is_none() {
                wish = format!("&from_seq={next}");
            }
        }
        // Broken within the past, it is gone on with from a number, and all from there on are wanted.
        if let Some(next) = wish.strip_prefix("&from_seq=") {
            all_from.get_or_insert(next.parse().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_everything_once_in_order_while_it_is_written_and_sealed() {
    let given = std::env::var("TAFFRAIL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| Timestamp::now().unix_nanos() as u64);
    let world = Arc::new(World::empty().await);
    let (told_end, end) = watch::channel(None);
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(world.clone(), writer, seed))).collect();
    let followers: Vec<_> =
        (0..FOLLOWERS).map(|follower| tokio::spawn(follow(world.clone(), follower, seed, end.clone()))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    told_end.send(Some(world.app.ingest.live_feed().seqs().end)).unwrap();

    let mut stored = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = format!("/api/v1/logs/search?from=1970-01-01&to=2200-01-01&limit=10000{cursor}");
        let page = world.lines(&page).await;
        for record in page.iter().filter_map(|line| line.get("record")) {
            stored.insert(record["seq"].as_u64().unwrap(), record["level"] == "error");
        }
        match page.last().unwrap()["summary"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for (number, follower) in followers.into_iter().enumerate() {
        let Seen { question, shown, all_from } = follower.await.unwrap();
        let at = format!("seed {seed}, follower {number} of {question:?}");
        assert!(shown.is_sorted_by(|a, b| a < b), "{at}: {shown:?}");
        let matching = |(seq, is_error): (&u64, &bool)| (*is_error || question.is_empty()).then_some(*seq);
        let expected: Vec<u64> = stored.range(all_from..).filter_map(matching).collect();
        let (past, followed) = shown.split_at(shown.partition_point(|seq| *seq < all_from));
        assert_eq!(followed, expected, "{at}");
        assert!(past.iter().all(|seq| stored.contains_key(seq)), "{at}: {past:?}");
    }
}

//! One follower from its first record of the past to the server's end: what it is told, in which order, and the counts that make the
//! stream honest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::live_feed::{Event, Gap, Passage, Subscription};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::audience::{Group, Place};
use super::past::{self, Page, Past};
use crate::api::App;
use crate::api_error::ApiError;

/// How often a follower is told how it stands.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// After records were sent, those of so long a time are sent together: a hundred followers that are woken for each record would take
/// the processors from those that store them.
const PACE: Duration = Duration::from_millis(20);
/// Bytes that are made ready before they are sent.
const READY_BYTES: usize = 256 << 10;
/// Smaller pieces are put together to one of this size.
const CHUNK_BYTES: usize = 64 << 10;

/// One follower.
pub struct Follower {
    app: Arc<App>,
    group: Arc<Group>,
    subscription: Subscription,
    stage: Stage,
    /// The number to go on with; none while records of the past with lower numbers may still come.
    next_seq: Option<u64>,
    counts: Counts,
    /// Why some of the past was not told; none when it was.
    past_partial: Option<String>,
    allowance: Option<Allowance>,
    /// What can be sent.
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    heartbeat_at: Instant,
    not_before: Instant,
    _place: Place,
}

enum Stage {
    /// What of the past is wanted is read next.
    Past(Past),
    /// It is being read, up to a number.
    Reading(AbortOnDropHandle<Result<Page, ApiError>>, Past, u64),
    /// Records as they come.
    Live,
    /// The server stops.
    Ended,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received: u64,
    matched: u64,
    shown: u64,
    dropped: u64,
    /// Records of the past that were sent.
    past: u64,
}

/// How many records may still be sent in this second.
struct Allowance {
    per_second: usize,
    left: usize,
    until: Instant,
}

impl Follower {
    /// A follower from now on, after what it wants of the past.
    pub fn new(
        app: Arc<App>,
        group: Arc<Group>,
        past: Option<Past>,
        per_second: Option<usize>,
        place: Place,
    ) -> Follower {
        let now = Instant::now();
        let subscription = app.ingest.live_feed().subscribe(None);
        let next_seq = match &past {
            None => Some(subscription.next_seq()),
            Some(Past::Since(seq)) => Some(*seq),
            Some(Past::Newest { .. }) => None,
        };
        Follower {
            app,
            group,
            subscription,
            stage: past.map_or(Stage::Live, Stage::Past),
            next_seq,
            counts: Counts::default(),
            past_partial: None,
            allowance: per_second.map(|per_second| Allowance { per_second, left: per_second, until: now }),
            ready: VecDeque::new(),
            ready_bytes: 0,
            heartbeat_at: now,
            not_before: now,
            _place: place,
        }
    }

    /// What is sent next; none at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        while self.ready.is_empty() {
            match &mut self.stage {
                Stage::Ended => return None,
                Stage::Past(past) => {
                    let past = past.clone();
                    self.begin_past(past);
                }
                Stage::Reading(reading, ..) => {
                    // A task's handle may be waited for again, a sleep and a cancellation too.
                    let page = tokio::select! {
                        biased;
                        () = self.app.stopping.cancelled() => None,
                        () = sleep_until(self.heartbeat_at) => {
                            self.heartbeat();
                            continue;
                        }
                        page = reading => Some(page),
                    };
                    match page {
                        Some(Ok(page)) => self.tell_past(page),
                        // The task does not panic; it is aborted when the runtime ends.
                        None | Some(Err(_)) => self.end(),
                    }
                }
                Stage::Live => self.follow().await,
            }
        }
        Some(self.take_ready())
    }

    async fn follow(&mut self) {
        let (subscription, not_before) = (&mut self.subscription, self.not_before);
        // Nothing was taken while it waits to begin: `Subscription::next` is cancel-safe, and so is all before it.
        let next = async {
            sleep_until(not_before).await;
            subscription.next().await
        };
        let event = tokio::select! {
            biased;
            () = self.app.stopping.cancelled() => None,
            () = sleep_until(self.heartbeat_at) => return self.heartbeat(),
            event = next => event,
        };
        let Some(event) = event else { return self.end() };
        self.take(event).await;
        while self.ready_bytes < READY_BYTES
            && let Some(event) = self.subscription.next_ready()
        {
            self.take(event).await;
            // A question that lets nothing through must not keep the thread to itself.
            tokio::task::consume_budget().await;
        }
        self.not_before = Instant::now() + PACE;
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Passage(passage) => self.tell_passage(&passage).await,
            Event::Gap(gap) => {
                self.counts.received += gap.rows.unwrap_or(0);
                self.drop_rows(gap, "this reader is slower than the records come; a search finds them");
            }
        }
        self.next_seq = Some(self.subscription.next_seq());
    }

    async fn tell_passage(&mut self, passage: &Passage) {
        let seqs = passage.seqs();
        let part = self.group.part(passage).await;
        let matching = part.from(seqs.start);
        let matched = matching.len();
        let sent = self.allowance.as_mut().map_or(matched, |allowance| allowance.take(matched));
        self.counts.received += seqs.end - seqs.start;
        self.counts.matched += matched as u64;
        self.counts.shown += sent as u64;
        self.app.audience.told.shown.fetch_add(sent as u64, Relaxed);
        let shown = matching.start..matching.start + sent;
        self.push(part.bytes(shown.clone()));
        if sent < matched {
            let gap = Gap { from_seq: part.seq(shown.end), to_seq: seqs.end - 1, rows: Some((matched - sent) as u64) };
            self.next_seq = Some(seqs.end);
            self.drop_rows(gap, "more than `rate` records a second match");
        }
    }

    /// Reads what is wanted of the past, up to what comes live from then on.
    fn begin_past(&mut self, past: Past) {
        let feed = self.app.ingest.live_feed();
        let live = feed.seqs();
        let from = match &past {
            Past::Since(from) if *from >= live.start => {
                self.subscription = feed.subscribe(Some(*from));
                return self.go_live(*from);
            }
            Past::Since(from) => *from,
            Past::Newest { .. } => 0,
        };
        self.subscription = feed.subscribe(Some(live.end));
        let reading = past::read(self.app.clone(), self.group.question.filter.clone(), past.clone(), from..live.end);
        self.stage = Stage::Reading(AbortOnDropHandle::new(tokio::spawn(reading)), past, live.end);
    }

    fn tell_past(&mut self, page: Result<Page, ApiError>) {
        let Stage::Reading(_, past, end) = std::mem::replace(&mut self.stage, Stage::Live) else { return };
        let Page { arrived, partial } = match page {
            Ok(page) => page,
            Err(error) => return self.miss_past(&past, end, &error.message),
        };
        let found = arrived.records.len();
        let mut told = Vec::new();
        let mut rows = 0;
        for stored in arrived.records {
            rows += u64::from(self.group.tell_each(stored, &mut told));
        }
        self.counts.past += rows;
        self.app.audience.told.shown.fetch_add(rows, Relaxed);
        self.push(told.into());
        match past {
            Past::Since(_) if partial.is_none() => {
                self.next_seq = Some(arrived.next_seq);
                if arrived.next_seq == end {
                    self.after_past(end);
                } else if self.counts.past >= past::ROWS_MAX {
                    self.miss_past(
                        &past,
                        end,
                        "a follower is told 200,000 records of the past at most; a search finds the others",
                    );
                } else {
                    self.stage = Stage::Past(Past::Since(arrived.next_seq));
                }
            }
            Past::Newest { rows: wanted, wants_all, .. } if partial.is_none() => {
                if arrived.is_cut && (wants_all || found < wanted) {
                    self.past_partial = Some("these are the newest records; a search finds those before".to_owned());
                }
                self.after_past(end);
            }
            // Those that were found are told, and that there may be more.
            _ => self.miss_past(&past, end, &partial.unwrap_or_default()),
        }
    }

    /// Tells that records below `end` may be missing, and why, and goes on behind them.
    fn miss_past(&mut self, past: &Past, end: u64, why: &str) {
        self.past_partial = Some(why.to_owned());
        let from_seq = self.next_seq.replace(end).unwrap_or(end);
        if matches!(past, Past::Since(_)) && from_seq < end {
            self.drop_rows(Gap { from_seq, to_seq: end - 1, rows: None }, why);
        }
        self.after_past(end);
    }

    /// The store was told up to `end`. What left the ring meanwhile is read from it too.
    fn after_past(&mut self, end: u64) {
        self.next_seq = Some(end);
        if self.app.ingest.live_feed().seqs().start > end && self.past_partial.is_none() {
            self.stage = Stage::Past(Past::Since(end));
        } else {
            self.go_live(end);
        }
    }

    fn go_live(&mut self, seq: u64) {
        self.next_seq = Some(seq);
        self.stage = Stage::Live;
        let partial = self.past_partial.clone().map_or(Value::Bool(false), Value::from);
        self.say("live", &json!({ "seq": seq, "rows": self.counts.past, "partial": partial }));
    }

    /// Says that the number which the follower came with was never given, and that it follows from now on.
    pub fn tell_of_unknown(&mut self, asked: u64) {
        let seq = self.subscription.next_seq();
        self.next_seq = Some(seq);
        let why = "this store has not come to that number: it is another one, or was restored from a backup; a search finds what came \
                   meanwhile";
        self.say("reset", &json!({ "asked": asked, "seq": seq, "reason": why }));
        self.go_live(seq);
    }

    fn drop_rows(&mut self, gap: Gap, why: &str) {
        let rows = gap.rows.unwrap_or(gap.to_seq - gap.from_seq + 1);
        self.counts.dropped += rows;
        self.app.audience.told.dropped.fetch_add(rows, Relaxed);
        let gap = json!({ "from_seq": gap.from_seq, "to_seq": gap.to_seq, "rows": rows, "reason": why });
        self.say("gap", &gap);
    }

    fn heartbeat(&mut self) {
        self.heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
        let Counts { received, matched, shown, dropped, .. } = self.counts;
        let beat = json!({
            "seq": self.next_seq, "time": Timestamp::now().to_string(),
            "received": received, "matched": matched, "shown": shown, "dropped": dropped,
        });
        self.say("heartbeat", &beat);
    }

    fn end(&mut self) {
        self.heartbeat();
        self.stage = Stage::Ended;
    }

    fn say(&mut self, name: &str, what: &Value) {
        let mut told = Vec::new();
        self.group.shape.tell(name, what, self.next_seq, &mut told);
        self.push(told.into());
    }

    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready_bytes += bytes.len();
            self.ready.push_back(bytes);
        }
    }

    /// A large piece as it is, small ones together.
    fn take_ready(&mut self) -> Bytes {
        let mut chunk = self.ready.pop_front().unwrap_or_default();
        if chunk.len() < CHUNK_BYTES && !self.ready.is_empty() {
            let mut whole = BytesMut::from(chunk);
            while whole.len() < CHUNK_BYTES
                && let Some(next) = self.ready.pop_front()
            {
                whole.extend_from_slice(&next);
            }
            chunk = whole.freeze();
        }
        self.ready_bytes -= chunk.len();
        chunk
    }
}

impl Allowance {
    /// As many of these as may still be sent now.
    fn take(&mut self, wanted: usize) -> usize {
        let now = Instant::now();
        if now >= self.until {
            (self.left, self.until) = (self.per_second, now + Duration::from_secs(1));
        }
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }
}

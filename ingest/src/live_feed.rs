//! Durable records as they come, for live tail: a bounded ring that many readers follow at their own pace. A reader that
//! falls behind is told which sequence numbers it missed.

use std::sync::Arc;
use taffrail_collector::model::LogRecord;

/// The ring's writing and subscribing end.
#[derive(Clone, Debug)]
pub struct LiveFeed {}

/// One reader.
#[derive(Debug)]
pub struct Subscription {}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Event {
    /// A durable record and its sequence number.
    Record {
        /// Its sequence number.
        seq: u64,
        /// The record.
        record: Arc<LogRecord>,
    },
    /// Records `from_seq ..= to_seq` left the ring before this reader came to them (they are in the store).
    Gap {
        /// First missed.
        from_seq: u64,
        /// Last missed.
        to_seq: u64,
    },
}

impl LiveFeed {
    /// Follows from `from_seq` on (from now when none). Metric windows take sequence numbers too, so numbers may skip.
    pub fn subscribe(&self, from_seq: Option<u64>) -> Subscription {
        let _ = from_seq;
        unimplemented!()
    }
}

impl Subscription {
    /// The next event; none once the store shuts down. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        unimplemented!()
    }
}

//! Stores the samples or the records of one request whole, or says why not, before it is answered.

use crate::delivery::{Outcome, Outlet, Refusal, RefusalReason};
use crate::model::{Batch, LogRecord, Sample, SampleKind};

/// Samples that are stored in one piece, so that one request leaves room for others.
const BATCH_SAMPLES_MAX: usize = 100_000;

/// Stores the samples piece by piece, each before the next, and stops at the first that is refused. Readings that are sent
/// again after that are the same readings; windows would add up, so they all go with the last piece.
pub(super) async fn store_whole(outlet: &Outlet, mut samples: Vec<Sample>) -> Result<(), Refusal> {
    let is_window = |sample: &Sample| {
        matches!(sample.value.kind(), SampleKind::Counter | SampleKind::Distribution | SampleKind::Set)
    };
    if samples.len() > BATCH_SAMPLES_MAX {
        samples.sort_by_key(is_window);
    }
    while !samples.is_empty() {
        let at = samples.len().min(BATCH_SAMPLES_MAX);
        let rest = if is_window(&samples[at - 1]) { Vec::new() } else { samples.split_off(at) };
        match outlet.deliver(Batch { samples, ..Batch::local() }).await {
            Outcome::Stored { .. } | Outcome::Duplicate { .. } => {}
            Outcome::Refused(refusal) => return Err(refusal),
            Outcome::Gap { .. } => return Err(taken_for_placed()),
        }
        samples = rest;
    }
    Ok(())
}

/// Hands the batches over, waits for all of them, and says why one was refused if any was.
pub(super) async fn store_records(outlet: &Outlet, batches: Vec<Vec<LogRecord>>) -> Result<(), Refusal> {
    let mut pending = Vec::new();
    let mut refused = None;
    for logs in batches {
        match outlet.send(Batch { logs, ..Batch::local() }).await {
            Ok(answer) => pending.push(answer),
            Err(refusal) => {
                refused = Some(refusal);
                break;
            }
        }
    }
    for answer in pending {
        match answer.outcome().await {
            Outcome::Stored { .. } | Outcome::Duplicate { .. } => {}
            Outcome::Refused(refusal) => {
                refused.get_or_insert(refusal);
            }
            Outcome::Gap { .. } => {
                refused.get_or_insert_with(taken_for_placed);
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

fn taken_for_placed() -> Refusal {
    Refusal {
        reason: RefusalReason::WriteFailed,
        message: "the store took a batch without a place for one with a place".to_owned(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delivery;
    use crate::model::{LabelSet, SampleValue, Timestamp};

    #[tokio::test]
    async fn pieces_go_one_after_the_other_and_all_windows_with_the_last() {
        let labels = Arc::new(LabelSet::new([("__name__", "x")]));
        let sample = |at: i64| Sample {
            labels: Arc::clone(&labels),
            timestamp: Timestamp::from_unix_millis(at),
            interval_ms: 0,
            value: if at % 3 == 0 { SampleValue::Counter { sum: 1.0 } } else { SampleValue::Cumulative { total: 1.0 } },
            unit: "",
            exemplars: Vec::new(),
        };
        let samples: Vec<Sample> = (0..240_000).map(sample).collect();
        let (outlet, mut receiver) = delivery::channel(1);
        let storing = tokio::spawn(async move { store_whole(&outlet, samples).await });
        let mut pieces = Vec::new();
        while let Some(delivery) = receiver.recv().await {
            let windows = delivery.batch.samples.iter().filter(|sample| sample.value.kind() == SampleKind::Counter);
            pieces.push((delivery.batch.samples.len(), windows.count()));
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
        }
        assert_eq!(pieces, [(100_000, 0), (140_000, 80_000)]);
        assert_eq!(storing.await.unwrap(), Ok(()));
    }
}

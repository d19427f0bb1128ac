//! How a question is run: on a blocking thread, within its budget, and only as long as somebody waits for the answer.
//!
//! A dropped connection drops the handler's future or the answer's stream; either drops a [`CancelOnDrop`], and the store
//! stops at its next look at the [`Scan`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use taffrail_ingest::{Scan, StopReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api_error::ApiError;
use crate::config::QuerySettings;

/// How long a question waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Damaged splits that are named one by one, in an answer as well as in `/readyz` and `/metrics`.
pub const DAMAGED_NAMED_MAX: usize = 100;

/// Gives questions their turn and their budget, and counts them.
#[derive(Debug)]
pub struct Questions {
    settings: QuerySettings,
    turns: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    asked: AtomicU64,
    turned_away: AtomicU64,
    cancelled: Arc<AtomicU64>,
}

/// Cancels the scan when nobody waits for it any more.
#[derive(Debug)]
pub struct CancelOnDrop {
    scan: Arc<Scan>,
    cancelled: Arc<AtomicU64>,
    done: bool,
}

/// A question whose turn has come.
#[derive(Debug)]
pub struct Turn {
    /// Its budget and meter.
    pub scan: Arc<Scan>,
    /// To be kept by whoever waits for the answer.
    pub guard: CancelOnDrop,
    /// To be kept by the thread that works on it.
    pub permit: OwnedSemaphorePermit,
}

/// Counts of questions, for Taffrail's own metrics.
#[derive(Clone, Copy, Debug)]
pub struct QuestionCounts {
    /// Questions that got a turn.
    pub asked: u64,
    /// Those refused because too many were under way.
    pub turned_away: u64,
    /// Those that nobody waited for to the end.
    pub cancelled: u64,
    /// Those under way now.
    pub running: usize,
    /// Files that are being written now.
    pub exports: usize,
}

impl Questions {
    /// Questions within these limits.
    pub fn new(settings: QuerySettings) -> Questions {
        let turns = Arc::new(Semaphore::new(settings.concurrency_max));
        Questions {
            exports: Arc::new(Semaphore::new(settings.exports_max)),
            settings,
            turns,
            asked: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            cancelled: Arc::default(),
        }
    }

    /// The limits.
    pub fn settings(&self) -> &QuerySettings {
        &self.settings
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Result<Turn, ApiError> {
        self.turn_within(None).await
    }

    /// Waits for a turn that may take less time than others.
    async fn turn_within(&self, time_max: Option<Duration>) -> Result<Turn, ApiError> {
        let Ok(permit) = tokio::time::timeout(TURN_WAIT_MAX, self.turns.clone().acquire_owned()).await else {
            self.turned_away.fetch_add(1, Relaxed);
            return Err(ApiError::overloaded(format!(
                "query.concurrency_max = {}: that many questions are being answered already; ask again in a moment",
                self.settings.concurrency_max
            )));
        };
        let permit = permit.expect("the semaphore is never closed");
        self.asked.fetch_add(1, Relaxed);
        let scan = Arc::new(Scan::new(
            Some(time_max.map_or(self.settings.time_max, |wanted| wanted.min(self.settings.time_max))),
            self.settings.rows_max,
        ));
        let guard = CancelOnDrop { scan: scan.clone(), cancelled: self.cancelled.clone(), done: false };
        Ok(Turn { scan, guard, permit })
    }

    /// A turn for a file of any size or a rehearsal of rules, which may take longer than an answer; it takes no turn from questions.
    pub fn turn_of_export(&self) -> Result<Turn, ApiError> {
        let Ok(permit) = self.exports.clone().try_acquire_owned() else {
            self.turned_away.fetch_add(1, Relaxed);
            return Err(ApiError::overloaded(format!(
                "query.exports_max = {}: that many files are being written, or rules rehearsed, already; ask again in a while",
                self.settings.exports_max
            )));
        };
        self.asked.fetch_add(1, Relaxed);
        let scan = Arc::new(Scan::new(Some(self.settings.export_time_max), u64::MAX));
        let guard = CancelOnDrop { scan: scan.clone(), cancelled: self.cancelled.clone(), done: false };
        Ok(Turn { scan, guard, permit })
    }

    /// Runs a question to its end and returns the answer with the meter.
    pub async fn ask<T, E, F>(&self, work: F) -> Result<(T, Arc<Scan>), E>
    where
        T: Send + 'static,
        E: From<ApiError> + Send + 'static,
        F: FnOnce(&Scan) -> Result<T, E> + Send + 'static,
    {
        self.ask_within(None, work).await
    }

    /// The same for one that may take less time than others.
    pub async fn ask_within<T, E, F>(&self, time_max: Option<Duration>, work: F) -> Result<(T, Arc<Scan>), E>
    where
        T: Send + 'static,
        E: From<ApiError> + Send + 'static,
        F: FnOnce(&Scan) -> Result<T, E> + Send + 'static,
    {
        let Turn { scan, guard, permit } = self.turn_within(time_max).await?;
        let worker_scan = scan.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&worker_scan)
        });
        let answer = answer.await;
        guard.done();
        match answer {
            Ok(answer) => answer.map(|answer| (answer, scan)),
            Err(panic) => Err(ApiError::internal(format!("the question could not be answered: {panic}")).into()),
        }
    }

    /// How many there were.
    pub fn counts(&self) -> QuestionCounts {
        QuestionCounts {
            asked: self.asked.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            running: self.settings.concurrency_max - self.turns.available_permits(),
            exports: self.settings.exports_max - self.exports.available_permits(),
        }
    }
}

impl CancelOnDrop {
    /// The answer is complete.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.done {
            self.scan.cancel();
            self.cancelled.fetch_add(1, Relaxed);
        }
    }
}

/// What an answer cost and whether it is whole: the `summary` of every native answer.
pub fn summary(scan: &Scan, stopped: Option<&str>) -> Value {
    let mut summary = json!({
        "scanned_rows": scan.rows(),
        "scanned_bytes": scan.bytes(),
        "scanned_splits": scan.splits(),
        "elapsed_ms": elapsed_ms(scan),
    });
    tell_whether_whole(&mut summary, scan, stopped);
    summary
}

/// Puts into an answer whether it is whole: `partial` is false or says why not, and `damaged_splits` names the damaged splits
/// that it is without, as many as [`DAMAGED_NAMED_MAX`].
pub fn tell_whether_whole(answer: &mut Value, scan: &Scan, stopped: Option<&str>) {
    let mut damaged = scan.left_out();
    let without = match damaged.len() {
        0 => None,
        1 => Some("1 damaged split is left out".to_owned()),
        count => Some(format!("{count} damaged splits are left out")),
    };
    let (done, parts) = scan.parts();
    let stopped = stopped.map(|why| match parts.saturating_sub(done) {
        0 => why.to_owned(),
        left => format!("{why}; {left} of {parts} parts were not looked at to their end"),
    });
    let partial = match (stopped, without) {
        (None, None) => Value::Bool(false),
        (Some(why), None) => why.into(),
        (None, Some(without)) => without.into(),
        (Some(why), Some(without)) => format!("{why}; {without}").into(),
    };
    damaged.truncate(DAMAGED_NAMED_MAX);
    answer["partial"] = partial;
    answer["damaged_splits"] = damaged.into();
}

/// How far a question has come: the `progress` line of a stream.
pub fn progress(scan: &Scan) -> Value {
    let (parts_done, parts) = scan.parts();
    json!({ "progress": {
        "parts_done": parts_done,
        "parts": parts,
        "scanned_rows": scan.rows(),
        "elapsed_ms": elapsed_ms(scan),
    }})
}

/// Why an answer is partial.
pub fn stop_words(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancelled => "cancelled",
        StopReason::OutOfTime => "out of time (query.time_max)",
        StopReason::OutOfRows => "out of rows (query.rows_max)",
    }
}

fn elapsed_ms(scan: &Scan) -> f64 {
    (scan.elapsed().as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_the_asker_stops_the_work_and_frees_the_turn() {
        let questions = Arc::new(Questions::new(QuerySettings { concurrency_max: 1, ..QuerySettings::default() }));
        let (started, wait_started) = tokio::sync::oneshot::channel();
        let asker = tokio::spawn({
            let questions = questions.clone();
            async move {
                questions
                    .ask::<(), ApiError, _>(move |scan| {
                        let _ = started.send(());
                        while scan.touch(1, 0).is_ok() {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        Ok(())
                    })
                    .await
            }
        });
        wait_started.await.unwrap();
        asker.abort();
        // The one turn there is comes free only if the work ended.
        let (answer, _) = questions.ask::<_, ApiError, _>(|_| Ok(7)).await.unwrap();
        assert_eq!(answer, 7);
        assert_eq!(questions.counts().cancelled, 1);
        assert_eq!(questions.counts().asked, 2);
    }

    #[tokio::test]
    async fn the_budget_of_rows_reaches_the_scan() {
        let questions = Questions::new(QuerySettings { rows_max: 10, ..QuerySettings::default() });
        let (stopped, scan) = questions.ask::<_, ApiError, _>(|scan| Ok(scan.touch(11, 5).err())).await.unwrap();
        scan.leave_out("a");
        let summary = summary(&scan, stopped.map(stop_words));
        assert_eq!(summary["partial"], "out of rows (query.rows_max); 1 damaged split is left out");
        assert_eq!(summary["damaged_splits"], json!(["a"]));
        assert_eq!(summary["scanned_rows"], 11);
        assert_eq!(summary["scanned_bytes"], 5);
    }
}

//! What stands behind the routes that tests speak to: a store that keeps what it is given and answers as it is told.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::ServiceExt;

use super::SourceContext;
use super::descriptions::DESCRIPTION_SERIES;
use crate::delivery::{self, Outcome};
use crate::model::{LogRecord, Sample};

/// See the module's documentation.
pub struct SmallStore {
    /// What a source is given.
    pub context: SourceContext,
    /// The samples it was given, but for descriptions.
    pub samples: Arc<Mutex<Vec<Sample>>>,
    /// The records it was given.
    pub logs: Arc<Mutex<Vec<LogRecord>>>,
    /// Descriptions of metrics: `metric type unit help`, without what is not said.
    pub descriptions: Arc<Mutex<Vec<String>>>,
}

impl SmallStore {
    /// One that answers every batch so.
    pub fn answering(outcome: Outcome) -> SmallStore {
        let (outlet, mut deliveries) = delivery::channel(4);
        let (samples, descriptions) = (Arc::<Mutex<Vec<Sample>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let logs = Arc::<Mutex<Vec<LogRecord>>>::default();
        let (keep, keep_descriptions, keep_logs) = (Arc::clone(&samples), Arc::clone(&descriptions), Arc::clone(&logs));
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                keep_logs.lock().extend(delivery.batch.logs);
                for sample in delivery.batch.samples {
                    if sample.labels.name() == DESCRIPTION_SERIES {
                        let said = ["metric", "type", "unit", "help"].map(|name| sample.labels.get(name).to_owned());
                        keep_descriptions
                            .lock()
                            .push(said.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
                    } else {
                        keep.lock().push(sample);
                    }
                }
                delivery.receipt.answer(outcome.clone());
            }
        });
        SmallStore { context: SourceContext::bare(outlet), samples, logs, descriptions }
    }
}

/// Posts a body; status, headers and body of the answer.
pub async fn post(
    router: &Router,
    path: &str,
    content_type: &str,
    encoding: &str,
    body: Vec<u8>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::post(path)
        .header("content-type", content_type)
        .header("content-encoding", encoding)
        .body(Body::from(body))
        .unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

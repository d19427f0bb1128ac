//! What goes wrong with a request, as the JSON that answers it: `{"error":{"message":"…","column":7}}`.
//!
//! The Prometheus API has an envelope of its own for the same thing: see `api/prometheus`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use taffrail_collector::delivery::{Refusal, RefusalReason};
use taffrail_ingest::log_store::LogStoreError;
use taffrail_query::log_search::ParseError;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence for the person who asked.
    pub message: String,
    /// Where in the question it went wrong, counted in characters from 1.
    pub column: Option<usize>,
    /// Seconds after which it is worth trying again.
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// The question cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, message)
    }

    /// The fault is ours.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Too much at once: worth trying again soon.
    pub fn overloaded(message: impl Into<String>) -> ApiError {
        ApiError { retry_after_seconds: Some(1), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// An answer with this status and message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), column: None, retry_after_seconds: None }
    }

    /// The JSON of the error alone, also the last line of a stream that fails on its way.
    pub fn body(&self) -> serde_json::Value {
        let mut error = json!({ "message": self.message });
        if let Some(column) = self.column {
            error["column"] = column.into();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> ApiError {
        ApiError { column: Some(error.column), ..ApiError::bad_request(error.message) }
    }
}

impl From<LogStoreError> for ApiError {
    fn from(error: LogStoreError) -> ApiError {
        ApiError::internal(error.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let status = match refusal.reason {
            RefusalReason::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalReason::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            RefusalReason::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            RefusalReason::WriteFailed => StatusCode::INTERNAL_SERVER_ERROR,
            RefusalReason::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            RefusalReason::IdentityConflict => StatusCode::CONFLICT,
        };
        let retry_after_seconds = refusal.retry_after.map(|wait| wait.as_secs().max(1));
        ApiError { retry_after_seconds, ..ApiError::new(status, refusal.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_error_says_where() {
        let error = ApiError::from(ParseError { message: "a quote is not closed".into(), column: 7 });
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        assert_eq!(error.body(), json!({"error": {"message": "a quote is not closed", "column": 7}}));
    }

    #[test]
    fn a_refusal_that_may_pass_says_when_to_try_again() {
        let response = ApiError::from(Refusal::shutting_down()).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}

//! An answer in one piece of JSON, written out by the thread that found it: laying out a large one takes longer than a thread
//! of the runtime may be kept from its other connections.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde::Serialize;

/// JSON that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Document(Bytes);

impl Document {
    /// Writes the value out.
    pub fn of(value: &impl Serialize) -> Document {
        Document(serde_json::to_vec(value).expect("our own answers have text keys and finite numbers").into())
    }

    /// Text that already is JSON.
    pub fn written(json: Vec<u8>) -> Document {
        Document(json.into())
    }

    /// The text.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.0).into_response()
    }
}

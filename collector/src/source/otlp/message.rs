//! A request's bytes become the message they are, if they are one that fits into memory.

use prost::Message;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::source::protobuf::fields_within;

/// Fields that a request may have, all levels together: each can take some hundred bytes once it is read.
const FIELDS_MAX: usize = 1 << 22;
/// Objects that a request in JSON may have: the smallest, `{}`, can become a record with all its fields.
const OBJECTS_MAX: usize = 1 << 20;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageForm {
    /// Protobuf.
    Protobuf,
    /// JSON as protobuf maps to it, ids in hexadecimal.
    Json,
}

/// Why nothing of a request can be taken.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is no such message.
    #[error("the body is not an {what}: {message}")]
    Malformed {
        /// The message that it should be.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// It would give more samples than the limit, which this is.
    #[error("the request gives more than {0} samples")]
    TooManySamples(usize),
    /// It holds more records or spans than the limit, which this is.
    #[error("the request holds more than {0} records")]
    TooManyRecords(usize),
    /// It has more fields than anybody needs.
    #[error("the request has more than {FIELDS_MAX} fields")]
    TooManyFields,
}

/// Reads the message that `what` names.
pub(super) fn decoded<M>(body: &[u8], form: MessageForm, what: &'static str) -> Result<M, ReadError>
where
    M: Message + Default + DeserializeOwned,
{
    let is_too_much = match form {
        MessageForm::Protobuf => fields_within(body, FIELDS_MAX) > FIELDS_MAX,
        MessageForm::Json => memchr::memchr_iter(b'{', body).count() > OBJECTS_MAX,
    };
    if is_too_much {
        return Err(ReadError::TooManyFields);
    }
    let malformed = |message: String| ReadError::Malformed { what, message };
    match form {
        MessageForm::Protobuf => M::decode(body).map_err(|error| malformed(error.to_string())),
        MessageForm::Json => serde_json::from_slice(body).map_err(|error| malformed(error.to_string())),
    }
}

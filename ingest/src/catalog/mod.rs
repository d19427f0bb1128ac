//! The catalog: which splits and blocks exist, how far each agent's streams and sources are durable, and small documents
//! (alert states, later dashboards and saved views). One SQLite file in WAL mode; one transaction per seal.

use serde::Serialize;
use thiserror::Error;

/// The open catalog.
pub struct Catalog {}

/// The catalog's file could not be read or written.
#[derive(Debug, Error)]
#[error("catalog: {0}")]
pub struct CatalogError(pub String);

/// How far one stream of an agent is durable.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct StreamMark {
    /// The agent's epoch.
    pub epoch: u64,
    /// The stream.
    pub stream: u32,
    /// Its last durable sequence number.
    pub acked_through: u64,
}

impl Catalog {
    /// The document `key` of `kind`.
    pub fn document(&self, kind: &str, key: &str) -> Result<Option<String>, CatalogError> {
        let _ = (kind, key);
        unimplemented!()
    }
    /// All documents of a kind, by key.
    pub fn documents(&self, kind: &str) -> Result<Vec<(String, String)>, CatalogError> {
        let _ = kind;
        unimplemented!()
    }
    /// Writes a document; durable when this returns.
    pub fn put_document(&self, kind: &str, key: &str, value: &str) -> Result<(), CatalogError> {
        let _ = (kind, key, value);
        unimplemented!()
    }
    /// Removes a document.
    pub fn remove_document(&self, kind: &str, key: &str) -> Result<(), CatalogError> {
        let _ = (kind, key);
        unimplemented!()
    }
}

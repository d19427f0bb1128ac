//! State that survives restarts, as documents of the catalog.

use std::sync::Arc;

use taffrail_ingest::catalog::Catalog;
use taffrail_query::alert::saved_state::StateStore;

/// The kind of the catalog's documents that hold alert state.
const KIND: &str = "alerts";

/// The alerts of all rules, as one document.
pub struct CatalogState {
    catalog: Arc<Catalog>,
}

impl CatalogState {
    /// The alerts of all rules.
    pub fn of_rules(catalog: Arc<Catalog>) -> CatalogState {
        CatalogState { catalog }
    }
}

impl StateStore for CatalogState {
    fn load(&self) -> Option<String> {
        self.catalog.document(KIND, "rules").unwrap_or_else(|error| {
            tracing::warn!("alerts.rules: the saved state cannot be read: {error}");
            None
        })
    }

    /// A state that cannot be saved is no reason to stop evaluating: it is logged, and the next change tries again.
    fn save(&self, document: &str) {
        if let Err(error) = self.catalog.put_document(KIND, "rules", document) {
            tracing::warn!("alerts.rules: the state cannot be saved: {error}");
        }
    }
}

/// Small documents of one kind, by key. All methods may block; the error is a sentence for a person.
pub trait Documents: Send + Sync {
    /// All of them.
    fn all(&self) -> Result<Vec<(String, String)>, String>;
    /// Writes one; durable when this returns.
    fn put(&self, key: &str, text: &str) -> Result<(), String>;
    /// Removes one.
    fn remove(&self, key: &str) -> Result<(), String>;
}

/// Documents of the catalog.
pub struct CatalogDocuments {
    catalog: Arc<Catalog>,
    kind: &'static str,
}

impl CatalogDocuments {
    /// What channels were told.
    pub fn of_told(catalog: Arc<Catalog>) -> CatalogDocuments {
        CatalogDocuments { catalog, kind: "told" }
    }

    /// Silences.
    pub fn of_silences(catalog: Arc<Catalog>) -> CatalogDocuments {
        CatalogDocuments { catalog, kind: "silences" }
    }
}

impl Documents for CatalogDocuments {
    fn all(&self) -> Result<Vec<(String, String)>, String> {
        self.catalog.documents(self.kind).map_err(|error| error.to_string())
    }

    fn put(&self, key: &str, text: &str) -> Result<(), String> {
        self.catalog.put_document(self.kind, key, text).map_err(|error| error.to_string())
    }

    fn remove(&self, key: &str) -> Result<(), String> {
        self.catalog.remove_document(self.kind, key).map_err(|error| error.to_string())
    }
}

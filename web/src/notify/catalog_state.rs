//! State that survives restarts, as a document of the catalog.

use std::sync::Arc;

use taffrail_ingest::catalog::Catalog;
use taffrail_query::alert::saved_state::StateStore;

/// The kind of the catalog's documents that hold alert state.
const KIND: &str = "alerts";

/// One document.
pub struct CatalogState {
    catalog: Arc<Catalog>,
    key: &'static str,
}

impl CatalogState {
    /// The alerts of all rules.
    pub fn of_rules(catalog: Arc<Catalog>) -> CatalogState {
        CatalogState { catalog, key: "rules" }
    }

    /// What receivers were told.
    pub fn of_notifications(catalog: Arc<Catalog>) -> CatalogState {
        CatalogState { catalog, key: "notifications" }
    }
}

impl StateStore for CatalogState {
    fn load(&self) -> Option<String> {
        self.catalog.document(KIND, self.key).unwrap_or_else(|error| {
            tracing::warn!("alerts.{}: the saved state cannot be read: {error}", self.key);
            None
        })
    }

    /// A state that cannot be saved is no reason to stop evaluating: it is logged, and the next change tries again.
    fn save(&self, document: &str) {
        if let Err(error) = self.catalog.put_document(KIND, self.key, document) {
            tracing::warn!("alerts.{}: the state cannot be saved: {error}", self.key);
        }
    }
}

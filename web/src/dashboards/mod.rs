//! Dashboards: pages of charts, numbers, tables and log lines that people write down as YAML.
//!
//! The same text lives in files (kept in git, read again when they change), in the catalog (written by the page or the API)
//! and in this binary (the built-in set). This folder reads, checks, keeps and converts them; asking what their panels ask is
//! left to the page. The format for its users: `web/dashboards.md`.
//!
//! Reading order: [`model`] (what a dashboard is), [`yaml`] (text to dashboard and back, with places), [`check`] (what no single
//! value can show to be wrong), [`variables`] (names in questions), [`files`], [`built_in`], [`library`] (all of them together),
//! [`grafana`] (dashboards of Grafana turned into ours).

pub mod built_in;
pub mod check;
pub mod files;
pub mod grafana;
pub mod library;
pub mod model;
pub mod variables;
pub mod yaml;

pub use library::Library;
pub use model::Dashboard;
pub use yaml::Problem;

//! Scraping: Prometheus endpoints are asked for their metrics, each at its own moment of the interval.
//!
//! `[[collector.scrape]]` is a simple list. Beside what a target says, each has the series `up` (1 when it was read),
//! `scrape_duration_seconds` and `scrape_samples_scraped`. A series that a target no longer has, and all of a target that cannot be
//! read, get a staleness marker, so that answers end where the data does.
//!
//! Reading order: [`exposition`] (the text formats), [`target_series`] (what a target has, and what it no longer has), `scraper`
//! (one target's rounds).

mod config;
pub mod exposition;
mod scraper;
pub mod target_series;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use scraper::start;

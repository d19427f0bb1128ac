//! Shaping: rules of the configuration that change, drop, thin out or slow down records before they leave this host.
//!
//! A rule says which records it is for (source, service, path, fields) and what to do with them. Rules are taken in their order.
//! In one rule the decision comes first (`keep`, `drop_records`, `sample`, `limit`), then `copy`, `rename`, `drop`, `add`. What a rule
//! did is counted under its name, and what sampling and limits dropped is also said in records of its own. Nothing here
//! reads a clock: the time is the arrival of the record at hand.
//!
//! Reading order: [`config`] (a rule as it is written), [`rule`] (checked and compiled), [`condition`] (which records), [`field`] (a
//! record's fields by name), [`sampling`], [`rate_limit`], [`dropped`] (the records that say what was dropped), [`shaper`] (the rules
//! at work on the records of one source).

mod condition;
mod config;
mod dropped;
mod field;
mod rate_limit;
mod rule;
mod sampling;
mod shaper;

pub use config::Config;
pub(super) use field::Memory;
pub use rule::Rules;
pub(super) use shaper::Shaper;

#[cfg(test)]
mod tests;

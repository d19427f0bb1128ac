//! Alert rules: a Prometheus rules file, evaluated on time, with state that survives restarts.
//!
//! Reading order: [`rule`] (what a file says), `rule_yaml` (its text), [`log_expression`] (what `type: logs` asks),
//! [`comparison`] (the number a rule compares with), [`template`] (labels and annotations), [`state`] (an alert's life),
//! `values` (what an expression gives now), [`evaluate`] (one evaluation, pure), `overlay` (what was recorded a moment ago),
//! [`rule_files`] (files that change), [`saved_state`] (what survives a restart), `status` (what evaluations gave so far),
//! [`snapshot`] (how everything stands), [`schedule`] (everything on its time), [`unit_test`] (tests of rules files), [`replay`] (what rules would have done).
//!
//! Who tells people about alerts lives in the web room: it watches [`schedule::Manager::changes`] and reads
//! [`schedule::Manager::alerts`].

pub mod comparison;
pub mod evaluate;
pub mod log_expression;
mod overlay;
pub mod replay;
pub mod rule;
pub mod rule_files;
mod rule_yaml;
pub mod saved_state;
pub mod schedule;
pub mod snapshot;
pub mod state;
mod status;
pub mod template;
pub mod unit_test;
mod values;

//! The tests that drive the whole program, as its users do: the binary, real senders, real questions.
//!
//! - [`house`]: the promises about the code itself (who may import whom, where `unsafe` may stand).
//! - [`first_answers`]: a line and a metric in through each door, and out through HTTP and the command line.
//! - [`live_tail`]: followers whose server is killed and comes back, and followers that are interrupted.
//! - [`senders`]: clients that are not ours (Python's `SysLogHandler`, `logger`, `curl`).
//! - [`statsd_clients`]: clients of StatsD that are not ours, from `PyPI`, npm and crates.io.
//! - [`metric_senders`]: OpenTelemetry's SDK, `graphyte`, `prometheus_client` as a target, Debian's Prometheus writing to us.
//! - [`promtool`]: Debian's `promtool` asks as it asks Prometheus.
//! - [`rules`]: `promtool` and we judge the same rules files and tests alike; rehearsals; the rules that come with the program.
//! - [`openapi`]: schemathesis asks every endpoint what `/openapi.json` says of it.
//! - [`bad_input`]: what is malformed, too big or too deep is answered, counted and shown, and costs no neighbour.
//! - [`startup`]: taken ports, unwritable directories, unknown keys: a sentence that names the setting.
//! - [`crash`]: killed at random moments, with all that was acknowledged there afterwards, once.
//! - [`damage`]: splits flipped, cut and removed, while the server runs and while it does not; `taffrail doctor`.
//! - [`backup`]: backups under load, killed backups, and what is restored from them.
//! - [`crash_points`]: killed at every named step of sealing, compaction, retention and deletion.
//! - [`series_crash`]: the same for merges and deletions of metric series, and at random moments, against a plain map.
//! - [`full_disk`]: a full disk stops a seal or a merge, and room lets it go on.
//! - [`keep`]: rules of retention changed while the server runs, and records deleted from the command line.
//! - [`agents`]: an agent's own log, metrics and status, `taffrail top` and `tap`, and what the server knows of it.
//! - [`rotation`]: a file rotated while it is written, and an agent that ships it.
//! - [`kill`]: an agent and its servers, killed hundreds of times at random moments and at every named step of both.
//! - [`faults`]: twenty ways in which networks, servers, names, certificates, disks and clocks fail, each in its own network.
//! - [`alerts`]: a rules file that fires, notifies, survives a restart and is reloaded.
//! - [`errors`]: error groups, resolved and back, deploys with what they changed, checks and hosts.
//! - [`annotations`]: deploys from the command line, StatsD events and lines, kept over a kill and in a backup.
//! - [`dashboards`]: files checked and read again, Grafana's imported, exported from the command line.
//! - [`notify`]: every channel, bad sinks, silences, Debian's Alertmanager and its tool.
//! - [`log_metrics`]: errors in the log divided by requests in StatsD, recorded and alerted on; patterns on the command line.
//! - [`browser`]: the pages in a real Chromium.
//!
//! What they stand on: [`server`] and [`process`] (started and ended with their test), [`field`] (an agent and its servers),
//! [`oracle`] (knows what was written and says what became of it).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails where it stands, and prints its seed"
)]

mod agent;
mod agents;
mod alerts;
mod annotations;
mod backup;
mod bad_input;
mod browser;
mod crash;
mod crash_points;
mod damage;
mod dashboards;
mod errors;
mod faults;
mod field;
mod first_answers;
mod full_disk;
mod house;
mod keep;
mod kill;
mod live_tail;
mod log_metrics;
mod metric_senders;
mod notify;
mod openapi;
mod oracle;
mod process;
mod promtool;
mod rotation;
mod rules;
mod senders;
mod series_crash;
mod server;
mod startup;
mod statsd_clients;

//! Syslog over UDP and TCP on one port: RFC 3164, RFC 5424, and what passes for them.
//!
//! Reading order: [`message`] (one message's header, structured data and text; pure), [`framing`] (a TCP stream into
//! messages, RFC 6587; pure), [`config`], [`listener`] (sockets, limits, batches).

mod config;
mod framing;
mod listener;
mod message;

pub use config::Config;
pub use framing::{Frame, Framer};
pub use listener::start;
pub use message::{Message, parse, parse_line};

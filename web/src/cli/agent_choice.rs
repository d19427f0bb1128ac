//! Whom `taffrail top` and `taffrail tap` ask: an agent of this host, or a server.

use std::path::PathBuf;

use clap::Args;

use super::Ending;
use super::client::Client;
use super::settings_flags::SettingsFlags;
use crate::agent::{self, status_socket};

/// The server that is asked when no agent runs here and nothing else is said.
const USUAL_SERVER: &str = "http://127.0.0.1:6464";

/// An agent or a server.
#[derive(Args, Clone, Debug)]
pub struct AgentChoice {
    /// Ask the agent with this state directory; without it the one of the settings file, when it runs
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    state_dir: Option<PathBuf>,
    /// The settings file; without it ./taffrail.toml, then /etc/taffrail/taffrail.toml, when there
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    config: Option<PathBuf>,
    /// Ask this server [default: http://127.0.0.1:6464 when no agent runs here]
    #[arg(long, value_name = "URL", env = "TAFFRAIL_SERVER")]
    server: Option<String>,
}

/// Who is asked.
#[derive(Debug)]
pub enum Asked {
    /// An agent, over its socket.
    Agent(Client),
    /// A server, over HTTP.
    Server(Client),
}

impl AgentChoice {
    /// Whom the flags mean.
    pub fn choose(&self) -> Result<Asked, Ending> {
        if let Some(state_dir) = &self.state_dir {
            return Ok(Asked::Agent(Client::of_agent(state_dir)));
        }
        if let Some(server) = &self.server {
            return Ok(Asked::Server(Client::new(server)?));
        }
        let (settings, _) = SettingsFlags { config: self.config.clone(), ..SettingsFlags::default() }.load()?;
        let state_dir = agent::state_dir(&settings.collector);
        // A settings file was named: it is its agent that is meant, running or not.
        if self.config.is_some() || state_dir.join(status_socket::FILE_NAME).exists() {
            return Ok(Asked::Agent(Client::of_agent(&state_dir)));
        }
        Ok(Asked::Server(Client::new(USUAL_SERVER)?))
    }
}

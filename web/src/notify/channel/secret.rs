//! A text that nobody may see: never printed, and read from its file whenever it is needed, so that it can be changed without a
//! restart.

use std::fmt;
use std::path::PathBuf;

use super::Failure;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Written in the settings.
    Text(String),
    /// The first line of a file.
    File(PathBuf),
}

impl Secret {
    /// The secret itself.
    pub async fn read(&self) -> Result<String, Failure> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| Failure::Later(format!("{}: {error}", path.display()), None))?;
                Ok(text.lines().next().unwrap_or_default().trim().to_owned())
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => f.write_str("<secret>"),
            Secret::File(path) => write!(f, "<secret in {}>", path.display()),
        }
    }
}

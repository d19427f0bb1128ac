//! `taffrail demo`: the server beside a small simulated shop, so that every page is alive.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use super::Outcome;
use super::serve::{Companion, Serving, serve};
use super::settings_flags::{SettingsFlags, path_value};
use crate::config::Override;
use crate::demo;
use crate::server::Server;

/// Rules for the shop: they fire while its bad version is deployed.
const RULES: &str = include_str!("../demo/rules.yml");

/// How to show it.
#[derive(Args, Clone, Debug)]
pub struct DemoArguments {
    #[command(flatten)]
    settings: SettingsFlags,
    /// Print the addresses as one line of JSON on standard output once everything is ready
    #[arg(long)]
    print_addresses: bool,
}

/// Serves with the shop until stopped; without --data-dir everything is gone afterwards.
pub fn run(arguments: DemoArguments) -> Outcome {
    let mut flags = arguments.settings;
    // Removed when it is dropped, at the end.
    let temporary = tempfile::tempdir().context("make a temporary directory")?;
    let data_dir = flags.data_dir.get_or_insert_with(|| temporary.path().join("data"));
    let shop_dir = data_dir.join("shop");
    std::fs::create_dir_all(&shop_dir).with_context(|| format!("server.data_dir: make {}", shop_dir.display()))?;
    let payment_log = shop_dir.join("payment.log");
    if flags.rules.is_empty() {
        let rules = shop_dir.join("rules.yml");
        std::fs::write(&rules, RULES).with_context(|| format!("write {}", rules.display()))?;
        flags.rules.push(rules);
    }
    let mut overrides = flags.overrides();
    overrides.extend(shop_settings(&payment_log));
    let serving = Serving { file: flags.file(), overrides, print_addresses: arguments.print_addresses };
    serve(serving, |server| {
        let addresses = addresses(server, payment_log)?;
        let stop = CancellationToken::new();
        let shop = demo::run(addresses, demo::Settings::default(), stop.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = shop.await {
                tracing::warn!("the shop closed early: {error}");
            }
        });
        Ok(Some(Companion { stop, task }))
    })
}

/// Only the shop's file is read, so that a newcomer sees the shop and not this machine.
fn shop_settings(payment_log: &Path) -> [Override; 2] {
    let group = Table::from_iter([
        ("include".to_owned(), Value::Array(vec![path_value(payment_log)])),
        ("service".to_owned(), Value::String("payment".to_owned())),
    ]);
    let laid = |key, value| Override { key, flag: "taffrail demo", value };
    [laid("collector.files", Value::Array(vec![Value::Table(group)])), laid("collector.no_host", Value::Boolean(true))]
}

fn addresses(server: &Server, payment_log: PathBuf) -> anyhow::Result<demo::Addresses> {
    let listeners = server.listeners();
    let address = |setting: &str, address: &Option<String>| {
        let address = address.as_deref().ok_or_else(|| anyhow!("{setting} is off, and the shop needs it"))?;
        address.parse().with_context(|| format!("{setting} = {address}"))
    };
    Ok(demo::Addresses {
        http: address("server.http", &listeners.http)?,
        statsd: address("collector.statsd.address", &listeners.statsd)?,
        syslog: address("collector.syslog.address", &listeners.syslog)?,
        payment_log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shops_rules_and_settings_are_good() {
        let directory = tempfile::tempdir().unwrap();
        let rules = directory.path().join("rules.yml");
        std::fs::write(&rules, RULES).unwrap();
        crate::alert_rules::check(&[rules.to_str().unwrap().to_owned()]).unwrap();
        let overrides = shop_settings(&directory.path().join("payment.log")).to_vec();
        let (settings, _) = crate::config::Settings::load(None, overrides).unwrap();
        assert_eq!((settings.collector.files.len(), settings.collector.no_host), (1, true));
    }
}

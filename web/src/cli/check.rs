//! `taffrail check`: are the settings, the rules files and the dashboards right? `--print` shows every key with its explanation.

use clap::Args;

use super::settings_flags::SettingsFlags;
use super::terminal::{print_line, print_remark};
use super::{Ending, Outcome};
use crate::config::reference;

/// What to check.
#[derive(Args, Clone, Debug)]
pub struct CheckArguments {
    /// Print all settings as a file: every key explained, with its value and where that came from
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    settings: SettingsFlags,
}

/// Checks everything and says what is wrong.
pub fn run(arguments: CheckArguments) -> Outcome {
    let (settings, layers) = arguments.settings.load()?;
    for warning in layers.warnings() {
        print_remark(&warning);
    }
    rules(&settings.alerts.rules)?;
    super::dashboards::check_files(&settings.dashboards.files)?;
    let notifications = crate::notify::check(&crate::alert_rules::notify_config(&settings.alerts, String::new()));
    let routing = notifications.map_err(|mistake| Ending::WrongSettings(vec![mistake]))?;
    for remark in routing.remarks {
        print_remark(&format!("alerts.routing: {remark}"));
    }
    if arguments.print {
        print_line(reference::print(&layers).trim_end())?;
    } else {
        let file = arguments.settings.file();
        let file = file.map_or_else(|| "no settings file; the defaults".to_owned(), |file| file.display().to_string());
        print_line(&format!("{file}: good"))?;
    }
    Ok(())
}

/// Checks rules files and says everything that is wrong with them.
pub fn rules(patterns: &[String]) -> Outcome {
    crate::alert_rules::check(patterns).map_err(Ending::from)
}

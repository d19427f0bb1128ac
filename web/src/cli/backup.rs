//! `taffrail backup` and `taffrail restore`: a store into a directory of generations while it is in use, and back.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use taffrail_ingest::backup::{self, BackupError, BackupReport};

use super::settings_flags::SettingsFlags;
use super::terminal::{print_line, print_remark};
use super::{Ending, Outcome};

/// What to back up, and where to.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The server goes on meanwhile; it need not run either. Each backup adds a generation to DIR and copies only files that none \
            of the earlier ones has. A generation counts once it is complete. Restore with `taffrail restore DIR --data-dir NEW`.

Exit codes: 0 done, 1 failed, or parts that the catalog lists are missing (the rest was backed up), 2 wrong usage."
)]
pub struct BackupArguments {
    /// Where the backup lies: a directory of its own, best on another disk
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The settings file that names the data directory; without it ./taffrail.toml, then /etc/taffrail/taffrail.toml
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory to back up [env: TAFFRAIL_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep so many generations, this one included, and remove older ones; all when absent
    #[arg(long, value_name = "COUNT")]
    keep: Option<NonZeroUsize>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What to restore, and where to.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Every byte is checked against the backup's checksums. Start the restored store with `taffrail serve --data-dir NEW`."
)]
pub struct RestoreArguments {
    /// The directory that `taffrail backup` wrote
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The data directory to make: new, or empty
    #[arg(long, value_name = "NEW", required_unless_present = "list")]
    data_dir: Option<PathBuf>,
    /// Which generation; the newest when absent
    #[arg(long, value_name = "NAME")]
    generation: Option<String>,
    /// Show which generations there are, and restore nothing
    #[arg(long, conflicts_with_all = ["data_dir", "generation"])]
    list: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Makes a generation.
pub fn run(arguments: BackupArguments) -> Outcome {
    let BackupArguments { directory, config, data_dir, keep, json } = arguments;
    let (settings, _) = SettingsFlags { config, data_dir, ..SettingsFlags::default() }.load()?;
    let data_dir = settings.store.data_dir;
    let report =
        with_progress("backing up", move |stop, progress| backup::make(&data_dir, &directory, keep, stop, progress))?;
    if json {
        print_line(&serde_json::to_string(&report).context("write the report")?)?;
    } else {
        print_line(&told(&report))?;
    }
    for part in &report.missing {
        print_remark(&format!("{part} is listed and not there: the backup is without it; `taffrail doctor` says more"));
    }
    if report.missing.is_empty() { Ok(()) } else { Err(Ending::Problems) }
}

/// Brings a generation back, or shows which there are.
pub fn restore(arguments: RestoreArguments) -> Outcome {
    let RestoreArguments { directory, data_dir, generation, list, json } = arguments;
    let Some(data_dir) = data_dir.filter(|_| !list) else { return show(&directory, json) };
    let target = data_dir.display().to_string();
    let (name, restored) = with_progress("restoring", move |stop, progress| {
        backup::restore(&directory, generation.as_deref(), &data_dir, stop, progress)
    })?;
    let bytes: u64 = restored.files.iter().map(|file| file.bytes).sum();
    let files = restored.files.len();
    print_line(&if json {
        json!({ "generation": name, "time": restored.time, "files": files, "bytes": bytes, "data_dir": target })
            .to_string()
    } else {
        format!("generation {name}, made {}: {files} files, {}, restored to {target}", restored.time, HumanBytes(bytes))
    })?;
    for part in &restored.missing {
        print_remark(&format!("{part} was not there when the backup was made"));
    }
    Ok(())
}

fn show(directory: &std::path::Path, json: bool) -> Outcome {
    let generations = backup::generations(directory).map_err(|error| anyhow!(error))?;
    if generations.is_empty() {
        return Err(anyhow!("{} holds no generation of a backup", directory.display()).into());
    }
    for (name, generation) in generations {
        let line = match generation {
            Ok(generation) => {
                let bytes: u64 = generation.files.iter().map(|file| file.bytes).sum();
                let files = generation.files.len();
                match json {
                    true => json!({ "generation": name, "time": generation.time, "files": files, "bytes": bytes })
                        .to_string(),
                    false => format!("{name}: {files} files, {}", HumanBytes(bytes)),
                }
            }
            Err(error) if json => json!({ "generation": name, "error": error.to_string() }).to_string(),
            Err(error) => format!("{name}: {error}"),
        };
        print_line(&line)?;
    }
    Ok(())
}

fn told(report: &BackupReport) -> String {
    let removed = match report.removed.len() {
        0 => String::new(),
        count => format!("; removed {count} older ones"),
    };
    format!(
        "generation {}: {} files, {}; copied {} of them, {}{removed}",
        report.generation,
        report.files,
        HumanBytes(report.bytes),
        report.copied_files,
        HumanBytes(report.copied_bytes)
    )
}

/// Works on a thread of its own beside a bar, until it is done or Ctrl-C stops it; then it clears up behind itself.
fn with_progress<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce(&AtomicBool, &mut dyn FnMut(u64, u64)) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Ending> {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what);
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let worker = tokio::task::spawn_blocking({
            let (stop, bar) = (stop.clone(), bar.clone());
            move || {
                work(&stop, &mut |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })
            }
        });
        tokio::pin!(worker);
        // A join handle and the signal are both cancel-safe.
        tokio::select! {
            result = &mut worker => result,
            _ = tokio::signal::ctrl_c() => {
                stop.store(true, Relaxed);
                worker.await
            }
        }
    });
    bar.finish_and_clear();
    match result.context("finish the work")? {
        Err(BackupError::Stopped) => Err(Ending::Interrupted),
        result => Ok(result.map_err(|error| anyhow!(error))?),
    }
}

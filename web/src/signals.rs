//! The signals that end a process or make it read its settings again.

use tokio::signal::unix::{SignalKind, signal};

/// Returns at SIGINT or SIGTERM; calls `hang_up` at each SIGHUP, on a thread where it may block.
pub async fn wait_for_stop(hang_up: impl Fn()) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangs_up = signal(SignalKind::hangup())?;
    loop {
        // Signals are kept by their streams, so nothing is lost between two turns.
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangs_up.recv() => tokio::task::block_in_place(&hang_up),
        }
    }
}

/// Ends the process at once when a second SIGINT comes while it is stopping.
pub fn exit_at_next_interrupt() {
    tokio::spawn(async {
        let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
        interrupt.recv().await;
        tracing::warn!("interrupted again: ending at once; everything acknowledged is on disk");
        std::process::exit(130);
    });
}

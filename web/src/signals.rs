//! The signals that end a process or make it read its settings again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of one process. From [`Signals::listen`] on none of them ends it by itself.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangs_up: Signal,
}

impl Signals {
    /// Starts to listen: before anybody is told that the process is ready, for whoever hears of it may ask it to stop.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangs_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at SIGINT or SIGTERM; calls `hang_up` at each SIGHUP, on a thread where it may block.
    pub async fn wait_for_stop(&mut self, hang_up: impl Fn()) {
        loop {
            // Signals are kept by their streams, so nothing is lost between two turns.
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangs_up.recv() => tokio::task::block_in_place(&hang_up),
            }
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

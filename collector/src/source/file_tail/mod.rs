//! Tails files by pattern: every line once, through rotation, truncation, deletion and restarts.
//!
//! The file is its own spool: what was read is remembered in a checkpoint that travels in the same batch as the lines, so
//! that a restart goes on exactly behind the last line that was stored. Polling decides what is there, the kernel's
//! word only makes it look sooner; one thread reads all files in turn and keeps all of them open (the limit of open files is raised).
//! What cannot be had: lines written between the copying and the truncation of `copytruncate` (what was written before the copy was
//! made is read from the copy, where that lies beside the file under a rotated name); of several such rotations while the agent was
//! away all but the copy that continues what was read; and a file both created and deleted between two looks. A renamed file is held
//! open for ten minutes after its last line and its renaming; what is written to it later waits until it is looked for again. A file that lost its end
//! and not its beginning is gone on with at its new end (`file_shrank`). A truncation is counted as `truncated_file`, bytes that were seen and are nowhere any more as `truncated_bytes_lost`.
//!
//! Reading order: [`config`], [`patterns`] (which files), [`checkpoint`] (who a file is and how far it was read),
//! [`container`], [`encoding`] and [`assembly`] (from lines to what becomes a record), [`stored_ranges`] (what a server had before), [`tracked_file`] (one open file), [`group`] (files
//! read the same way), [`rotation`] (where a renamed file went), [`discovery`] (what is new and what is gone), [`watch`] (the kernel
//! tells of changes), [`gzip`] (compressed files), [`tailer`] (the thread).

mod assembly;
mod checkpoint;
mod config;
mod container;
mod discovery;
mod encoding;
mod group;
mod gzip;
mod patterns;
mod resources;
mod rotation;
mod stored_ranges;
mod tailer;
mod tracked_file;
mod watch;

#[cfg(test)]
mod loss_tests;
#[cfg(test)]
mod random_group_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

pub use config::{Config, StartAt};
pub use container::Format;
pub use tailer::start;

//! The web room: answers become pages, API replies, notifications and exit codes.

//! The `taffrail` binary.
fn main() -> std::process::ExitCode {
    taffrail_web::cli::run()
}

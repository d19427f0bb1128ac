//! Lays out the folder of browser files that `ui_assets.rs` embeds: the built page, or a placeholder that says how to build it.
//!
//! The page comes from `$TAFFRAIL_UI_DIST`, else from `web/ui/dist`. This script never runs npm and needs no network: a
//! bare `cargo build` works on a machine without Node. Where a file stands beside its brotli form (`app.js`, `app.js.br`)
//! only the latter is embedded, which keeps the binary small.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("ui");
    println!("cargo::rerun-if-env-changed=TAFFRAIL_UI_DIST");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/placeholder.html");

    let ui = crate_dir.join("ui");
    let dist = env::var_os("TAFFRAIL_UI_DIST").map_or_else(|| ui.join("dist"), PathBuf::from);
    if target.exists() {
        fs::remove_dir_all(&target).expect("the old browser files can be removed from OUT_DIR");
    }
    fs::create_dir_all(&target).expect("OUT_DIR can be written");

    if dist.join("index.html").exists() || dist.join("index.html.br").exists() {
        println!("cargo::rerun-if-changed={}", dist.display());
        copy_folder(&dist, &target).unwrap_or_else(|error| panic!("cannot copy {}: {error}", dist.display()));
    } else {
        // Cargo takes a watched path that does not exist for changed, each time; the folder that will hold it does exist.
        if ui.exists() {
            println!("cargo::rerun-if-changed={}", ui.display());
        }
        fs::copy(crate_dir.join("src/placeholder.html"), target.join("index.html"))
            .expect("the placeholder page can be copied to OUT_DIR");
    }
}

/// Copies files and folders; of a file and its brotli form only the latter.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().expect("a directory's entry has a name");
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
            continue;
        }
        let mut compressed = path.clone().into_os_string();
        compressed.push(".br");
        if !Path::new(&compressed).exists() {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

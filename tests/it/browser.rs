//! The pages in a real Chromium, driven by `web/ui/test/browser/walk.mjs` against the demo's world, with two agents
//! beside it. Screenshots are left in `tests/output/`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::agent::Agent;
use crate::server::{Server, taffrail, wait_for};

#[test]
fn the_browser_walk_passes_over_the_demo() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ready = root.join("web/ui/node_modules/playwright-core").exists()
        && root.join("web/ui/dist/index.html").exists()
        && Path::new("/usr/bin/chromium").exists();
    if !ready {
        println!("SKIPPED: needs /usr/bin/chromium and a built web/ui (make ui)");
        assert!(std::env::var_os("CI").is_none(), "in CI the browser must be there");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_command(
        taffrail().env_remove("TAFFRAIL_OWN_METRICS").args(["demo"]),
        &directory.path().join("data"),
        &[],
    );
    // Two agents for the Ingest page: one that is well, and one whose other server is away.
    let well = Agent::start(&directory.path().join("well"), &[server.url("")]);
    let half = Agent::start(&directory.path().join("half"), &["http://127.0.0.1:1".to_owned(), server.url("")]);
    for agent in [&well, &half] {
        agent.write_lines(&["level=info msg=\"a line for the Ingest page\""]);
    }
    wait_for("both agents to say how they do", || {
        let (_, answer) = server.get("/api/v1/agents");
        let said = answer["agents"].as_array()?.iter().filter(|agent| agent["report"].is_object()).count();
        (said == 2).then_some(())
    });
    let output = root.join("tests/output");
    let walk = Command::new("node")
        .arg("test/browser/walk.mjs")
        .current_dir(root.join("web/ui"))
        .env("BASE_URL", server.url(""))
        .env("OUTPUT_DIR", &output)
        .stdin(Stdio::null())
        .output()
        .expect("run node");
    let text = String::from_utf8_lossy(&walk.stdout) + String::from_utf8_lossy(&walk.stderr);
    println!("{text}");
    assert!(walk.status.success(), "the walk failed; screenshots are in {}", output.display());
}

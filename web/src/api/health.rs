//! `/healthz` (the process answers) and `/readyz` (it takes data and questions, and which files it cannot read).

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use taffrail_ingest::log_store::DamagedSplit;
use taffrail_ingest::series_store::{BlockInfo, DamagedBlock};

use super::App;
use super::question::DAMAGED_NAMED_MAX;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// The store is open before the port is, so only stopping makes a server unready. A damaged split does not: everything else
/// is served.
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    if app.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    let (logs, series) = (app.ingest.logs().clone(), app.ingest.series().clone());
    let look = move || (logs.damaged_splits(), series.damaged_blocks());
    let (splits, blocks) = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    let splits = splits.iter().map(|split| {
        let DamagedSplit { name, reason, rows, oldest, newest, .. } = split;
        format!("split {name}: {reason} ({rows} records, {oldest} to {newest})")
    });
    let blocks = blocks.iter().map(|DamagedBlock { block, reason }| {
        let BlockInfo { name, samples, first_end, last_end, .. } = block;
        format!("series block {name}: {reason} ({samples} windows, {first_end} to {last_end})")
    });
    (StatusCode::OK, ready(&splits.chain(blocks).collect::<Vec<_>>()))
}

fn ready(damaged: &[String]) -> String {
    let mut text = "ready\n".to_owned();
    if !damaged.is_empty() {
        let _ = writeln!(
            text,
            "{} files below data_dir cannot be read, and answers are without what they hold. Restore them from a backup; `taffrail \
             doctor` says more.",
            damaged.len()
        );
    }
    for line in damaged.iter().take(DAMAGED_NAMED_MAX) {
        let _ = writeln!(text, "{line}");
    }
    if damaged.len() > DAMAGED_NAMED_MAX {
        let _ = writeln!(text, "and {} more", damaged.len() - DAMAGED_NAMED_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use crate::api::world::{TRACE, World};

    #[tokio::test]
    async fn a_stopping_server_is_alive_and_not_ready() {
        let world = World::empty().await;
        assert_eq!(world.text("/readyz").await.0, 200);
        world.app.stopping.cancel();
        assert_eq!(world.text("/readyz").await.0, 503);
        assert_eq!(world.text("/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn a_damaged_split_is_named_everywhere_and_comes_back_when_it_is_restored() {
        let world = World::shop().await;
        world.ask("POST", "/-/seal").await;
        let lines = "/api/v1/logs/search?from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";
        let splits = world.directory.path().join("splits");
        let name = std::fs::read_dir(&splits).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        let moved = splits.with_extension("moved");
        std::fs::rename(&splits, &moved).unwrap();

        let found = world.lines(lines).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["summary"]["damaged_splits"], serde_json::json!([name]));
        assert_eq!(found[0]["summary"]["partial"], "1 damaged split is left out");
        assert!(found[0]["summary"]["next_cursor"].is_null());
        let range = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";
        for question in ["logs/histogram", "logs/facets", "logs/fields"] {
            let answer = world.get(&format!("/api/v1/{question}?{range}")).await;
            assert_eq!(answer["summary"]["damaged_splits"], serde_json::json!([name]), "{question}");
        }
        let trace = world.get(&format!("/api/v1/traces/{TRACE}")).await;
        assert_eq!(
            (&trace["damaged_splits"], trace["records"].as_array().unwrap().len()),
            (&serde_json::json!([name]), 0)
        );
        let (status, text) = world.text("/readyz").await;
        assert!(status == 200 && text.starts_with("ready\n") && text.contains(&name), "{text}");
        let metrics = world.text("/metrics").await.1;
        assert!(metrics.contains("\ntaffrail_damaged_splits 1\n"), "{metrics}");
        assert!(metrics.contains(&format!("\ntaffrail_damaged_split_rows{{split=\"{name}\"}} 10\n")), "{metrics}");
        // What lies outside of its time is answered as ever.
        let outside = world.lines("/api/v1/logs/search?from=2025-01-01T00:00:00Z&to=2025-01-02T00:00:00Z").await;
        assert_eq!((&outside[0]["summary"]["partial"], outside.len()), (&serde_json::json!(false), 1));

        std::fs::rename(&moved, &splits).unwrap();
        while world.text("/readyz").await.1 != "ready\n" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(world.lines(lines).await.len(), 11);
    }

    #[tokio::test]
    async fn a_damaged_block_is_a_warning_and_named_until_it_is_restored() {
        let world = World::shop().await;
        world.ask("POST", "/-/seal").await;
        // The day is long over: it is merged, and summed up at three resolutions.
        let directory = world.directory.path().join("blocks");
        let blocks =
            || -> Vec<PathBuf> { std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect() };
        let is_done = |blocks: &[PathBuf]| {
            blocks.len() == 4 && blocks.iter().all(|path| path.extension().is_some_and(|end| end == "series"))
        };
        while !is_done(&blocks()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let moved = world.directory.path().join("moved");
        let question = format!("/api/v1/query?query=%7B%22web.hits%22%7D&time={}", crate::api::world::START + 10);
        let mut found = None;
        for block in blocks() {
            std::fs::rename(&block, &moved).unwrap();
            let answer = world.get(&question).await;
            if answer["data"]["result"] == serde_json::json!([]) {
                found = Some((block, answer));
                break;
            }
            std::fs::rename(&moved, &block).unwrap();
        }
        let (block, answer) = found.expect("one of the blocks has the windows as they came");
        let name = block.file_name().unwrap().to_string_lossy().into_owned();
        assert!(answer["warnings"][0].as_str().unwrap().contains(&name), "{answer}");
        assert!(world.text("/readyz").await.1.contains(&name));
        assert!(world.text("/metrics").await.1.contains("\ntaffrail_damaged_blocks 1\n"));
        std::fs::rename(&moved, &block).unwrap();
        let answer = world.get(&question).await;
        assert_eq!((answer["data"]["result"].as_array().unwrap().len(), answer.get("warnings")), (1, None));
        assert_eq!(world.text("/readyz").await.1, "ready\n");
    }

    #[tokio::test]
    async fn pages_are_served_beside_the_api() {
        let world = World::empty().await;
        for path in ["/", "/logs", "/explore", "/trace/abc", "/alerts"] {
            let (status, text) = world.text(path).await;
            assert_eq!(status, 200, "{path}");
            assert!(text.contains("<!doctype html>"), "{path}");
        }
        assert_eq!(world.text("/assets/missing.js").await.0, 404);
        assert_eq!(world.text("/api/v1/nothing").await.0, 404);
    }
}

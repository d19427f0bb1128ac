//! Dashboards from the command line: Grafana's imported, exported as files, checked; a file in the server's folder read again, and
//! a bad one that keeps what it said.

use std::path::Path;
use std::process::Output;

use crate::server::{Server, taffrail, wait_for};

const GRAFANA: &str = r#"{"title": "From Grafana", "panels": [
    {"type": "timeseries", "title": "Up", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8}, "targets": [{"expr": "up"}]},
    {"type": "nodeGraph", "title": "Nodes", "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8}}]}"#;

fn dashboards(server: &Server, arguments: &[&str]) -> Output {
    let mut command = taffrail();
    command.arg("dashboards").args(arguments).env("TAFFRAIL_SERVER", server.url(""));
    command.output().expect("run taffrail dashboards")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_dashboard_travels_from_grafana_to_a_file_that_the_server_reads_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("taffrail.toml"), format!("[dashboards]\nfiles = [{:?}]\n", path("boards/*.yaml"))).unwrap();
    std::fs::write(path("grafana.json"), GRAFANA).unwrap();
    let server = Server::start_with(&directory.path().join("data"), &["--config", &path("taffrail.toml")]);

    let imported = dashboards(&server, &["import", &path("grafana.json")]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert_eq!(text(&imported.stdout).trim(), server.url("/d/from-grafana"));
    assert!(text(&imported.stderr).contains("not mapped: Nodes: a panel of type `nodeGraph`"), "{imported:?}");
    let again = dashboards(&server, &["import", &path("grafana.json")]);
    assert!(!again.status.success() && text(&again.stderr).contains("--replace"), "{}", text(&again.stderr));
    assert!(dashboards(&server, &["import", &path("grafana.json"), "--replace"]).status.success());

    let exported = dashboards(&server, &["export", "from-grafana", "--to", &path("boards")]);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let file = path("boards/from-grafana.yaml");
    assert!(Path::new(&file).exists());
    let board = || server.get("/api/v1/dashboards/from-grafana").1;
    wait_for("the file to be read", || (board()["origin"] == "file").then_some(()));
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("From Grafana", "From a file")).unwrap();
    wait_for("the change to be seen", || (board()["title"] == "From a file").then_some(()));
    std::fs::write(&file, "title: t\nrows:\n- panles: []\n").unwrap();
    wait_for("the mistake to be told", || (board()["problems"][0]["line"] == 3).then_some(()));
    assert_eq!(board()["title"], "From a file", "what it said last goes on");

    let checked = dashboards(&server, &["check", &file]);
    assert_eq!(checked.status.code(), Some(78));
    assert!(text(&checked.stderr).contains("from-grafana.yaml:3:3: unknown field"), "{}", text(&checked.stderr));
    let listed = dashboards(&server, &["list"]);
    assert!(text(&listed.stdout).lines().any(|line| line.starts_with("hosts ") && line.contains("built in")));
}

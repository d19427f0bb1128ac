//! Rows 1 to 6: connections that are refused, dropped or half open, and servers that stand still.

use std::time::Duration;

use super::Row;
use super::network::Network;
use super::scene::Scene;
use crate::oracle::Writer;

/// The rows.
pub const ROWS: &[Row] = &[
    ("0", "nothing but rotation, removal and truncation in place", quiet_day),
    ("1", "connections refused with a reset", |network| {
        cut_off(network, &|network| network.on_the_way_to(0, "-j REJECT --reject-with tcp-reset"))
    }),
    ("2", "host unreachable", |network| {
        cut_off(network, &|network| network.on_the_way_to(0, "-j REJECT --reject-with icmp-host-unreachable"))
    }),
    ("3", "everything dropped", |network| {
        cut_off(network, &|network| {
            network.on_the_way_to(0, "-j DROP");
            network.on_the_way_from(0, "-j DROP");
        })
    }),
    ("4a", "what belongs to a connection is dropped, opening one works", |network| {
        cut_off(network, &|network| network.on_the_way_to(0, "-m conntrack --ctstate ESTABLISHED -j DROP"))
    }),
    ("4b", "the connections of now are dead, new ones work", dead_connections),
    ("5a", "the way back is dropped, two servers", |network| {
        cut_off(network, &|network| network.on_the_way_from(0, "-m conntrack --ctstate ESTABLISHED -j DROP"))
    }),
    ("5b", "the way back is dropped, one server", lost_answers),
    ("6", "the server stands still", standing_still),
];

/// The first server is cut off for a while: everything goes to the second at once, and to the first when it is back.
fn cut_off(network: &Network, fault: &dyn Fn(&Network)) -> String {
    let mut scene = Scene::begin(network, 2);
    fault(network);
    let moved = scene.until_it_flows_to(1);
    scene.goes_on(3);
    network.lift();
    let back = scene.until_it_flows_to(0);
    format!("moved on after {}, back after {}, {}", seconds(moved), seconds(back), scene.ends_clean())
}

fn quiet_day(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    let path = scene.directory.path().join("logs/truncated.log");
    let writer = Writer::truncated_file(&scene.ledger, "truncated", &path, 40, 7);
    scene.also_writes(writer);
    scene.goes_on(12);
    scene.ends_clean()
}

fn dead_connections(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    let ports = network.connections_to(0);
    assert!(!ports.is_empty(), "there are connections to break");
    for port in ports {
        network.on_the_way_to(0, &format!("--sport {port} -j DROP"));
        network.on_the_way_from(0, &format!("--dport {port} -j DROP"));
    }
    // What was under way may still be stored.
    scene.goes_on(1);
    let flows = scene.until_it_flows_to(0);
    format!("flows again after {}, {}", seconds(flows), scene.ends_clean())
}

fn lost_answers(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    network.on_the_way_from(0, "-j DROP");
    scene.goes_on(8);
    network.lift();
    scene.ends_clean()
}

fn standing_still(network: &Network) -> String {
    let mut scene = Scene::begin(network, 2);
    scene.servers[0].host.running().pause();
    let moved = scene.until_it_flows_to(1);
    scene.goes_on(5);
    scene.servers[0].host.running().resume();
    let back = scene.until_it_flows_to(0);
    format!("moved on after {}, back after {}, {}", seconds(moved), seconds(back), scene.ends_clean())
}

/// To be read.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

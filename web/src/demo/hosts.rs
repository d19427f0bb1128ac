//! What the shop's three machines would say of themselves: the figures that an agent reads (`collector.host_metrics`), as DogStatsD
//! lines. While the bad release is out, the machine of `checkout` labours.

use std::fmt::Write;
use std::time::Duration;

use taffrail_collector::model::Timestamp;

use super::dice::Dice;
use super::shop::Story;
use super::speech::Service;

/// How often they speak, as agents do.
pub const INTERVAL: Duration = Duration::from_secs(10);

const GIB: f64 = (1u64 << 30) as f64;
const STRING: &str = "a String takes everything";

/// The lines of all machines at a moment. With `dated` each carries the moment, for history.
pub fn at(story: &Story, at: Timestamp, dated: bool) -> String {
    let seconds = at.unix_nanos() / 1_000_000_000;
    let stamp = if dated { format!("|T{seconds}") } else { String::new() };
    let mut lines = String::new();
    for (number, service) in [Service::Web, Service::Checkout, Service::Payment].into_iter().enumerate() {
        // The same machine says the same of the same moment, however often it is asked.
        let mut dice = Dice::new(seconds.unsigned_abs() << 2 | number as u64);
        let labours = matches!(service, Service::Checkout) && at >= story.bad_release && at < story.rollback;
        let wave = (seconds as f64 / 1_700.0 + number as f64).sin();
        let busy = 0.28 + 0.12 * wave + 0.06 * dice.share() + if labours { 0.45 } else { 0.0 };
        let memory = 0.52 + 0.08 * number as f64 + 0.02 * wave + if labours { 0.18 } else { 0.0 };
        let disk = 0.41 + 0.17 * number as f64 + (seconds % 86_400) as f64 / 86_400.0 * 0.02;
        let traffic = 60_000.0 + 25_000.0 * wave + 12_000.0 * dice.share();
        let mut send = |metric: &str, value: f64, kind: &str, tags: &str| {
            writeln!(lines, "{metric}:{value}|{kind}{stamp}|#env:demo,host:{}{tags}", service.host()).expect(STRING);
        };
        send("host.cpu.count", 4.0, "g", "");
        send("host.cpu.busy", busy, "g", "");
        send("host.load", busy * 4.4, "g", ",over:1m");
        send("host.load", busy * 4.1, "g", ",over:5m");
        send("host.memory.total", 16.0 * GIB, "g", "");
        send("host.memory.used", memory * 16.0 * GIB, "g", "");
        send("host.memory.used_ratio", memory, "g", "");
        send("host.disk.used_ratio", disk, "g", ",mount:/");
        send("host.disk.total", 200.0 * GIB, "g", ",mount:/");
        send("host.uptime", 86_400.0 * 12.0 + (seconds % 86_400) as f64, "g", "");
        send("host.process.cpu", busy * 3.1, "g", &format!(",process:{}", service.name()));
        send("host.process.cpu", 0.11 + 0.05 * dice.share(), "g", ",process:journald");
        let seconds = INTERVAL.as_secs_f64();
        send("host.disk.bytes", traffic.mul_add(0.2, 9_000.0) * seconds, "c", ",direction:read");
        send("host.disk.bytes", traffic.mul_add(0.7, 20_000.0) * seconds, "c", ",direction:write");
        send("host.network.bytes", traffic * seconds, "c", ",direction:receive");
        send("host.network.bytes", traffic * 2.3 * seconds, "c", ",direction:transmit");
    }
    lines
}

#[cfg(test)]
mod tests {
    use taffrail_collector::source::statsd::line;

    use super::*;

    #[test]
    fn every_line_is_read_and_the_labouring_machine_is_seen() {
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let story = Story::new(start, Duration::from_secs(60), Duration::from_secs(60));
        let busy = |moment: Timestamp| {
            let lines = at(&story, moment, true);
            for line in lines.lines() {
                line::parse(line, line::Dialects::default()).unwrap_or_else(|malformed| panic!("{malformed}: {line}"));
            }
            let of_checkout = |line: &&str| line.starts_with("host.cpu.busy") && line.contains("shop-app-1");
            let line = lines.lines().find(of_checkout).unwrap();
            line.split([':', '|']).nth(1).unwrap().parse::<f64>().unwrap()
        };
        let well = busy(story.bad_release.saturating_sub(Duration::from_secs(10)));
        let labouring = busy(story.bad_release.saturating_add(Duration::from_secs(10)));
        assert!(well < 0.5 && labouring > 0.6, "{well} {labouring}");
    }
}

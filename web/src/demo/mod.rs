//! The demonstration: a small shop of three services that use the server's real ports and a log file, like any application.
//!
//! `web` posts JSON lines over HTTP, `checkout` sends logfmt by syslog (RFC 5424 over TCP), `payment` writes a plain text file
//! that the server tails; all three send StatsD over UDP. Every request has a W3C trace id that all of them log. On start
//! the last hour is sent as well, so that every page is alive at once.
//!
//! Reading order: [`shop`] (what happens), [`speech`] (what is said of it), [`format`] (how each service writes it),
//! [`metrics`], [`hosts`], [`senders`] (the ways out), [`dice`].

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::Timestamp;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::senders::{LogPoster, QUEUE_LINES_MAX};
use self::shop::{Request, Shop, Story};
use self::speech::Service;

pub mod dice;
pub mod format;
pub mod hosts;
pub mod metrics;
pub mod senders;
pub mod shop;
pub mod speech;

/// Where the shop sends to.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The server's HTTP port.
    pub http: SocketAddr,
    /// The server's StatsD port, UDP and TCP.
    pub statsd: SocketAddr,
    /// The server's syslog port, TCP.
    pub syslog: SocketAddr,
    /// The file that `payment` logs to; the server must tail it. Its folder must exist.
    pub payment_log: PathBuf,
}

/// What the demonstration shows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The same seed brings the same requests.
    pub seed: u64,
    /// Requests a second in the shop's busiest hour. Default 30; over its day the mean is two thirds of it.
    pub requests_per_second_max: f64,
    /// How much history is sent on start. Default one hour; zero sends none.
    pub history: Duration,
    /// When `checkout` 1.5.0 is deployed, from the start. Default 4 minutes.
    pub bad_release_after: Duration,
    /// How long it stays. Default 4 minutes.
    pub bad_release_lasts: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 6_464,
            requests_per_second_max: 30.0,
            history: Duration::from_secs(3_600),
            bad_release_after: Duration::from_secs(240),
            bad_release_lasts: Duration::from_secs(240),
        }
    }
}

/// Runs the shop until `stop`, then lets what was said be sent for a moment. An error says that no UDP socket could be had.
pub async fn run(addresses: Addresses, settings: Settings, stop: CancellationToken) -> io::Result<()> {
    let start = Timestamp::now();
    let story = Story::new(start, settings.bad_release_after, settings.bad_release_lasts);
    let outlets = Outlets::open(&addresses).await?;
    let history = tokio::spawn({
        let shop = Shop::new(story, settings.seed.wrapping_add(1), settings.requests_per_second_max);
        let began = start.saturating_sub(settings.history);
        let (addresses, stop) = (addresses.clone(), stop.clone());
        async move {
            tokio::select! {
                () = send_history(shop, story, began, start, &addresses) => {}
                () = stop.cancelled() => {}
            }
        }
    });
    let shop = Shop::new(story, settings.seed, settings.requests_per_second_max);
    tokio::select! {
        () = keep_open(shop, start, &outlets.sockets) => {}
        () = announce(story, start, &outlets.sockets.statsd) => {}
        () = measure_hosts(story, &outlets.sockets.statsd) => {}
        () = stop.cancelled() => {}
    }
    let _ = history.await;
    outlets.close().await;
    Ok(())
}

/// The services' open ends.
#[derive(Clone, Debug)]
struct Sockets {
    web: mpsc::Sender<String>,
    checkout: mpsc::Sender<String>,
    payment: mpsc::Sender<String>,
    statsd: Arc<UdpSocket>,
}

struct Outlets {
    sockets: Sockets,
    senders: JoinSet<()>,
}

impl Outlets {
    async fn open(addresses: &Addresses) -> io::Result<Outlets> {
        let any = SocketAddr::new(addresses.statsd.ip(), 0);
        let statsd = UdpSocket::bind(any).await?;
        statsd.connect(addresses.statsd).await?;
        let mut senders = JoinSet::new();
        let (web, lines) = mpsc::channel(QUEUE_LINES_MAX);
        senders.spawn(senders::send_json(LogPoster::new(addresses.http), lines));
        let (checkout, lines) = mpsc::channel(QUEUE_LINES_MAX);
        senders.spawn(senders::send_syslog(addresses.syslog, lines));
        let (payment, lines) = mpsc::channel(QUEUE_LINES_MAX);
        senders.spawn(senders::write_file(addresses.payment_log.clone(), lines));
        Ok(Outlets { sockets: Sockets { web, checkout, payment, statsd: Arc::new(statsd) }, senders })
    }

    /// Lets the senders send what they hold, for a moment.
    async fn close(mut self) {
        drop(self.sockets);
        let all = async { while self.senders.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
    }
}

/// Lets requests in as time goes by. Never ends.
async fn keep_open(mut shop: Shop, start: Timestamp, sockets: &Sockets) {
    let mut at = start;
    loop {
        at = at.saturating_add(shop.wait(at));
        let now = Timestamp::now();
        // After a sleep of the machine nobody comes at once for all who could not come.
        if now.saturating_since(at) > Duration::from_secs(5) {
            at = now;
        }
        tokio::time::sleep(at.saturating_since(now)).await;
        tokio::spawn(live_through(shop.request(at), sockets.clone()));
    }
}

/// One request as it happens: each service speaks when its moment comes.
async fn live_through(request: Request, sockets: Sockets) {
    let begun = tokio::time::Instant::now();
    send_statsd(&sockets.statsd, &metrics::in_flight("+1")).await;
    for said in speech::of(&request) {
        tokio::time::sleep_until(begun + said.after).await;
        let now = Timestamp::now();
        let (outlet, text) = match said.service {
            Service::Web => (&sockets.web, format::json_line(&said, now)),
            Service::Checkout => (&sockets.checkout, format::syslog_frame(&said, now)),
            Service::Payment => (&sockets.payment, format::log4j_lines(&said, now)),
        };
        // A full queue loses the line: see `senders`.
        let _ = outlet.try_send(text);
    }
    send_statsd(&sockets.statsd, &metrics::in_flight("-1")).await;
    send_statsd(&sockets.statsd, &metrics::of(&request, false)).await;
}

/// Sends the event of each deployment when it happens. Never ends.
async fn announce(story: Story, start: Timestamp, statsd: &UdpSocket) {
    for at in story.deployments().into_iter().filter(|at| *at >= start) {
        tokio::time::sleep(at.saturating_since(Timestamp::now())).await;
        send_statsd(statsd, &metrics::deployment(&story, at)).await;
    }
    std::future::pending().await
}

/// Sends what the machines say of themselves, again and again. Never ends.
async fn measure_hosts(story: Story, statsd: &UdpSocket) {
    let mut ticks = tokio::time::interval(hosts::INTERVAL);
    loop {
        ticks.tick().await;
        send_statsd(statsd, &hosts::at(&story, Timestamp::now(), false)).await;
    }
}

async fn send_statsd(socket: &UdpSocket, lines: &str) {
    // Whoever sends StatsD does not care whether anybody listens.
    let _ = socket.send(lines.as_bytes()).await;
}

/// Sends everything that happened between two moments, as fast as the server takes it.
async fn send_history(mut shop: Shop, story: Story, from: Timestamp, to: Timestamp, addresses: &Addresses) {
    let poster = LogPoster::new(addresses.http);
    let (logs, log_lines) = mpsc::channel::<String>(4_000);
    let (statsd, metric_lines) = mpsc::channel::<String>(4_000);
    let events: Vec<Timestamp> = story.deployments().into_iter().filter(|at| (from..to).contains(at)).collect();
    let happen = async move {
        for at in events {
            let _ = statsd.send(metrics::deployment(&story, at)).await;
        }
        let mut measured = from;
        while measured < to {
            let _ = statsd.send(hosts::at(&story, measured, true)).await;
            measured = measured.saturating_add(hosts::INTERVAL);
        }
        let mut at = from.saturating_add(shop.wait(from));
        while at < to {
            let request = shop.request(at);
            for said in speech::of(&request) {
                let _ = logs.send(format::json_line(&said, at.saturating_add(said.after))).await;
            }
            let _ = statsd.send(metrics::of(&request, true)).await;
            at = at.saturating_add(shop.wait(at));
        }
    };
    let post = async move {
        let mut log_lines = log_lines;
        let mut waiting = Vec::new();
        while log_lines.recv_many(&mut waiting, 2_000).await > 0 {
            poster.post(waiting.join("\n")).await;
            waiting.clear();
        }
    };
    tokio::join!(happen, post, senders::send_statsd_history(addresses.statsd, metric_lines));
    tracing::info!("the demonstration's history is complete");
}

#[cfg(test)]
mod tests;

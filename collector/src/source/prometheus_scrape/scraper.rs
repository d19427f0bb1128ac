//! One target's rounds: when it is asked, how, and what is said of it.
//!
//! A target is asked at whole multiples of the interval plus an offset of its own, made of its name and this host's, so that
//! targets are not asked all at once and a restart does not move them. Redirects are not followed: a target that wants to be
//! read elsewhere is to be named so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rapidhash::v3::rapidhash_v3;
use thiserror::Error;
use tokio::task::JoinSet;

use super::Config;
use super::config::Scheme;
use super::exposition::Format;
use super::target_series::{Round, TargetSeries, Unusable};
use crate::model::Timestamp;
use crate::ship::connection::Connections;
use crate::source::descriptions::Descriptions;
use crate::source::json_lines::body::{self, BodyError};
use crate::source::sample_feeder::{self, SampleFeed, SamplePortion};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "scrape";

/// What we read, best first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Starts to scrape all groups. Must be called within a Tokio runtime. Without targets the task ends at once.
pub fn start(groups: &[Config], context: SourceContext) -> Result<Running, StartError> {
    let (mut scrapers, descriptions) = (Vec::new(), Arc::default());
    for group in groups {
        check(group)?;
        for target in &group.targets {
            scrapers.push(Scraper::new(group, target, &context, &descriptions)?);
        }
    }
    let task = tokio::spawn(async move {
        let mut running: JoinSet<()> = scrapers.into_iter().map(|scraper| scraper.run(context.clone())).collect();
        while running.join_next().await.is_some() {}
    });
    Ok(Running { kind: KIND, address: None, task })
}

fn check(group: &Config) -> Result<(), StartError> {
    let refuse = |setting, message| Err(StartError { setting, message });
    if group.interval < Duration::from_secs(1) || group.interval > Duration::from_secs(86_400) {
        let message = format!("{:?} is not between one second and one day", group.interval);
        return refuse("collector.scrape.interval", message);
    }
    if group.timeout > group.interval {
        let message = format!("{:?} is longer than the interval, {:?}", group.timeout, group.interval);
        return refuse("collector.scrape.timeout", message);
    }
    if !group.path.starts_with('/') {
        return refuse("collector.scrape.path", format!("`{}` does not begin with a slash", group.path));
    }
    Ok(())
}

/// Why a target could not be read.
#[derive(Debug, Error)]
enum Failure {
    #[error("no answer within {0:?}: raise collector.scrape.timeout, or make it quicker")]
    TimedOut(Duration),
    #[error("collector.scrape.token_file: {0}")]
    Token(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("it answered {status}{location}")]
    Status { status: StatusCode, location: String },
    #[error("it has more than {0} bytes: raise collector.scrape.body_bytes_max")]
    TooLarge(usize),
    #[error("its answer broke off: {0}")]
    BrokeOff(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Undecodable(#[from] BodyError),
    #[error("its answer is no UTF-8")]
    NoText,
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Failure {
    /// The reason's name in counters.
    fn reason(&self) -> &'static str {
        match self {
            Failure::TimedOut(_) => "timed_out",
            Failure::Token(_) => "unreadable_token",
            Failure::Unreachable(_) => "unreachable",
            Failure::Status { .. } => "unexpected_status",
            Failure::TooLarge(_) | Failure::Undecodable(BodyError::TooLarge(_)) => "body_too_large",
            Failure::BrokeOff(_) => "body_broke_off",
            Failure::Undecodable(_) | Failure::NoText => "malformed_body",
            Failure::Unusable(Unusable::TooManySamples(_)) => "too_many_samples",
            Failure::Unusable(Unusable::Cut) => "body_cut",
        }
    }
}

struct Scraper {
    config: Config,
    uri: Uri,
    connections: Connections,
    series: TargetSeries,
    offset: Duration,
    tally: Arc<Tally>,
}

/// An answer as it came.
struct Answer {
    body: Bytes,
    encoding: String,
    format: Format,
}

impl Scraper {
    fn new(
        config: &Config,
        target: &str,
        context: &SourceContext,
        descriptions: &Arc<Descriptions>,
    ) -> Result<Scraper, StartError> {
        let url = format!("{}://{target}{}", config.scheme.name(), config.path);
        let uri: Uri = url.parse().map_err(|error| StartError {
            setting: "collector.scrape.targets",
            message: format!("`{target}` is not a host with a port like 127.0.0.1:9100: {error}"),
        })?;
        let connections = Connections::new(config.scheme == Scheme::Https, config.tls.clone());
        // The section is an agent's, too, and says where it stands there.
        let here = |message: String| message.replace("collector.tls", "collector.scrape.tls");
        let unusable = |message| StartError { setting: "collector.scrape.tls", message: here(message) };
        connections.check().map_err(unusable)?;
        let identity = format!("{} {url}", context.resource.host);
        let interval_ms = u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Ok(Scraper {
            series: TargetSeries::new(config, target, Arc::clone(descriptions)),
            offset: Duration::from_millis(rapidhash_v3(identity.as_bytes()) % interval_ms),
            tally: context.tallies.of(KIND, &url),
            config: config.clone(),
            uri,
            connections,
        })
    }

    async fn run(mut self, context: SourceContext) {
        let (feed, feeder) = sample_feeder::start(&context, Arc::clone(&self.tally));
        let mut next = next_round(Timestamp::now(), self.config.interval, self.offset);
        loop {
            tokio::select! {
                () = tokio::time::sleep(next.saturating_since(Timestamp::now())) => {}
                () = context.stop.cancelled() => break,
            }
            // A round that is under way when the source is to stop is given up: the target is none the worse for it.
            let scraped = tokio::select! {
                scraped = self.scrape() => scraped,
                () = context.stop.cancelled() => break,
            };
            let Some(scraper) = self.take(scraped, &feed).await else { break };
            self = scraper;
            // Rounds that were missed are not made up for.
            next = next_round(Timestamp::now(), self.config.interval, self.offset);
        }
        drop(feed);
        let _ = feeder.await;
    }

    /// Asks the target; says when, and how long that took.
    async fn scrape(&self) -> (Timestamp, Duration, Result<Answer, Failure>) {
        let (at, started) = (Timestamp::now(), Instant::now());
        let at = Timestamp::from_unix_millis(at.unix_millis());
        let timeout = self.config.timeout;
        let answer = tokio::time::timeout(timeout, self.ask()).await;
        let answer = answer.unwrap_or(Err(Failure::TimedOut(timeout)));
        if answer.is_err() {
            self.connections.discard();
        }
        (at, started.elapsed(), answer)
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        let mut request = Request::get(self.uri.clone())
            .header(header::ACCEPT, ACCEPT)
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::USER_AGENT, concat!("taffrail/", env!("CARGO_PKG_VERSION")))
            .header("x-prometheus-scrape-timeout-seconds", self.config.timeout.as_secs_f64().to_string());
        if let Some(path) = &self.config.token_file {
            let token = tokio::fs::read_to_string(path).await.map_err(|error| Failure::Token(error.to_string()))?;
            let token = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let mut token = token.map_err(|error| Failure::Token(error.to_string()))?;
            token.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(Full::default()).map_err(|error| Failure::Unreachable(error.to_string()))?;
        let response = self.connections.request(request).await;
        let response = response.map_err(|error| Failure::Unreachable(error.reason()))?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if response.status() != StatusCode::OK {
            let location = match text(header::LOCATION) {
                "" => String::new(),
                location => format!(" and points to {location}, which is not followed: name that in collector.scrape"),
            };
            return Err(Failure::Status { status: response.status(), location });
        }
        let encoding = text(header::CONTENT_ENCODING).to_owned();
        let format = match text(header::CONTENT_TYPE).starts_with("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        };
        let bytes_max = self.config.body_bytes_max;
        match Limited::new(response.into_body(), bytes_max).collect().await {
            Ok(body) => Ok(Answer { body: body.to_bytes(), encoding, format }),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(bytes_max)),
            Err(error) => Err(Failure::BrokeOff(error)),
        }
    }

    /// Hands on what an answer holds, or that there was none; none when the process ends meanwhile.
    async fn take(
        mut self,
        (at, took, answer): (Timestamp, Duration, Result<Answer, Failure>),
        feed: &SampleFeed,
    ) -> Option<Scraper> {
        let bytes = answer.as_ref().map_or(0, |answer| answer.body.len() as u64);
        let read = match answer {
            Ok(answer) => {
                let reading = tokio::task::spawn_blocking(move || {
                    let round = self.read(&answer, at);
                    (self, round)
                });
                let (scraper, round) = reading.await.ok()?;
                self = scraper;
                round
            }
            Err(failure) => Err(failure),
        };
        let (round, up) = match read {
            Ok(round) => (round, 1.0),
            Err(failure) => {
                let example = format!("{}: {failure}", self.uri);
                self.tally.problem(failure.reason(), 1, example.as_bytes());
                (Round { samples: self.series.end(at), ..Round::default() }, 0.0)
            }
        };
        for (reason, (count, example)) in &round.refused {
            self.tally.problem(reason, *count, example.as_bytes());
        }
        let mut samples = round.samples;
        samples.push(self.series.about("up", up, at));
        samples.push(self.series.about("scrape_duration_seconds", took.as_secs_f64(), at));
        samples.push(self.series.about("scrape_samples_scraped", round.scraped as f64, at));
        feed.send(SamplePortion { samples, bytes }).await;
        Some(self)
    }

    fn read(&mut self, answer: &Answer, at: Timestamp) -> Result<Round, Failure> {
        let body = body::decoded(&answer.body, &answer.encoding, self.config.body_bytes_max)?;
        let body = String::from_utf8(body).map_err(|_| Failure::NoText)?;
        Ok(self.series.read(&body, answer.format, at)?)
    }
}

/// The first moment after `now` that lies the offset behind a whole multiple of the interval.
fn next_round(now: Timestamp, interval: Duration, offset: Duration) -> Timestamp {
    let this = now.floor_to(interval).saturating_add(offset);
    if this > now { this } else { this.saturating_add(interval) }
}

//! `/api/v1/{query,query_range,format_query,parse_query}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_query::promql::{self, Answer, Evaluated, PromqlError};

use super::matrix::Matrix;
use super::notation::{histogram, labels, moment, point, read_moment, read_span, required_moment};
use super::{Failure, Success};
use crate::api::App;
use crate::api::document::Document;
use crate::api::parameters::Parameters;

/// As in Prometheus: enough for a week by the minute, and no screen has more columns.
const POINTS_MAX: u128 = 11_000;

/// Answers `query`, `time`, `timeout`, `lookback_delta`, `limit` and `stats`.
pub async fn instant(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, Failure> {
    let query = read_query(&parameters);
    let time = read_moment(&parameters, "time")?.unwrap_or_else(Timestamp::now);
    let limit = read_limit(&parameters)?;
    let wants_stats = parameters.get("stats").is_some();
    let (timeout, lookback) = (read_span(&parameters, "timeout")?, read_lookback(&parameters)?);
    let source = promql::StoreSource::new(app.ingest.series().clone()).with_logs(app.ingest.logs().clone());
    let work = move |scan: &Scan| {
        let began = Instant::now();
        let evaluated = promql::instant_looking_back(&query, time, lookback, &source, scan).map_err(about_query)?;
        let mut answer = instant_answer(time, limit, evaluated);
        if wants_stats {
            answer.data["stats"] = stats(began, scan);
        }
        Ok::<_, Failure>(answer.document())
    };
    Ok(app.questions.ask_within(timeout, work).await?.0)
}

fn instant_answer(time: Timestamp, limit: usize, evaluated: Evaluated<Answer>) -> Success {
    let Evaluated { mut value, mut warnings, infos } = evaluated;
    let is_cut = match &mut value {
        Answer::Vector(values) => cut(values, limit),
        Answer::Matrix(series) => cut(series, limit),
        Answer::Scalar(_) | Answer::Text(_) => false,
    };
    if is_cut {
        warnings.push(CUT.to_owned());
    }
    let at = time.unix_millis();
    let (kind, result) = match value {
        Answer::Scalar(value) => ("scalar", point(at, value)),
        Answer::Text(text) => ("string", json!([moment(at), text])),
        Answer::Vector(values) => {
            let shown = values.iter().map(|one| match &one.histogram {
                Some(of) => json!({ "metric": labels(&one.labels), "histogram": [moment(at), histogram(of)] }),
                None => json!({ "metric": labels(&one.labels), "value": point(at, one.value) }),
            });
            ("vector", shown.collect())
        }
        Answer::Matrix(series) => ("matrix", json!(Matrix(&series))),
    };
    Success::new(json!({ "resultType": kind, "result": result })).with_remarks(warnings, infos)
}

/// The answer to a range query.
#[derive(Serialize)]
struct MatrixData<'a> {
    #[serde(rename = "resultType")]
    result_type: &'static str,
    result: Matrix<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Value>,
}

/// Answers `query`, `start`, `end`, `step`, `timeout`, `lookback_delta`, `limit` and `stats`.
pub async fn range(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, Failure> {
    let query = read_query(&parameters);
    let start = required_moment(&parameters, "start")?;
    let end = required_moment(&parameters, "end")?;
    let step = read_span(&parameters, "step")?
        .ok_or_else(|| Failure::bad_data("invalid parameter \"step\": cannot parse \"\" to a valid duration"))?;
    check_range(start, end, step)?;
    let limit = read_limit(&parameters)?;
    let wants_stats = parameters.get("stats").is_some();
    let (timeout, lookback) = (read_span(&parameters, "timeout")?, read_lookback(&parameters)?);
    let source = promql::StoreSource::new(app.ingest.series().clone()).with_logs(app.ingest.logs().clone());
    let answers = app.answers.clone();
    let work = move |scan: &Scan| {
        let began = Instant::now();
        let answer = match lookback {
            None => answers.range(&query, start, end, step, &source, scan),
            // Answers that are kept look back as far as usual.
            some => promql::range_looking_back(&query, (start, end, step), some, &source, scan).map(Arc::new),
        };
        let answer = answer.map_err(about_query)?;
        let shown = if limit > 0 { limit.min(answer.value.len()) } else { answer.value.len() };
        let data = MatrixData {
            result_type: "matrix",
            result: Matrix(&answer.value[..shown]),
            stats: wants_stats.then(|| stats(began, scan)),
        };
        let mut warnings = answer.warnings.clone();
        if shown < answer.value.len() {
            warnings.push(CUT.to_owned());
        }
        Ok::<_, Failure>(Success::new(data).with_remarks(warnings, answer.infos.clone()).document())
    };
    Ok(app.questions.ask_within(timeout, work).await?.0)
}

/// Answers `query`: the same query, laid out.
pub async fn format(parameters: Parameters) -> Result<Success, Failure> {
    let formatted = promql::format(&read_query(&parameters)).map_err(about_query)?;
    Ok(Success::new(formatted.into()))
}

/// Answers `query`: the query as a tree.
pub async fn parse(parameters: Parameters) -> Result<Success, Failure> {
    Ok(Success::new(promql::outline(&read_query(&parameters)).map_err(about_query)?))
}

/// What Prometheus says when `limit` leaves something out.
const CUT: &str = "results truncated due to limit";

/// The query; none is an expression of nothing, and refused as that.
fn read_query(parameters: &Parameters) -> String {
    parameters.get("query").unwrap_or_default().to_owned()
}

/// How far back instant selectors look, if not as far as usual.
fn read_lookback(parameters: &Parameters) -> Result<Option<Duration>, Failure> {
    read_span(parameters, "lookback_delta").map_err(|_| {
        let text = parameters.get("lookback_delta").unwrap_or_default();
        Failure::bad_data(format!("error parsing lookback delta duration: cannot parse {text:?} to a valid duration"))
    })
}

/// A query that cannot be read is a parameter that is wrong.
fn about_query(error: PromqlError) -> Failure {
    match error {
        PromqlError::Invalid(message) => Failure::bad_data(format!("invalid parameter \"query\": {message}")),
        error => error.into(),
    }
}

/// How many series an answer may have; 0 is as many as there are.
fn read_limit(parameters: &Parameters) -> Result<usize, Failure> {
    let Some(text) = parameters.get("limit") else { return Ok(0) };
    text.parse().map_err(|_| {
        Failure::bad_data(format!("invalid parameter \"limit\": limit must be non-negative whole number, not {text:?}"))
    })
}

fn cut<T>(values: &mut Vec<T>, limit: usize) -> bool {
    let is_cut = limit > 0 && values.len() > limit;
    if is_cut {
        values.truncate(limit);
    }
    is_cut
}

/// How long it took and how many samples were looked at. We do not tell phases apart: all of it is evaluation.
fn stats(began: Instant, scan: &Scan) -> Value {
    let seconds = began.elapsed().as_secs_f64();
    json!({
        "timings": {
            "evalTotalTime": seconds, "resultSortTime": 0.0, "queryPreparationTime": 0.0, "innerEvalTime": seconds,
            "execQueueTime": 0.0, "execTotalTime": seconds,
        },
        "samples": { "totalQueryableSamples": scan.rows(), "peakSamples": scan.rows() },
    })
}

fn check_range(start: Timestamp, end: Timestamp, step: Duration) -> Result<(), Failure> {
    if end < start {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    if step < Duration::from_millis(1) {
        return Err(Failure::bad_data(
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if end.saturating_since(start).as_nanos() / step.as_nanos() > POINTS_MAX {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_ranges_are_refused() {
        let check = |start, end, step, ok| {
            let at = Timestamp::from_unix_seconds;
            assert_eq!(
                check_range(at(start), at(end), Duration::from_millis(step)).is_ok(),
                ok,
                "{start} {end} {step}"
            );
        };
        check(0, 10, 1000, true);
        check(5, 5, 1000, true);
        check(10, 0, 1000, false);
        check(0, 10, 0, false);
        check(0, 11_000, 1000, true);
        check(0, 11_001, 1000, false);
    }
}

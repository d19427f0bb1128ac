//! `/api/v1/{query,query_range,format_query}`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_query::promql::{self, Answer, Evaluated, Series};

use super::notation::{labels, point, read_moment, read_span, required_moment};
use super::{Failure, Success};
use crate::api::App;
use crate::api::document::Document;
use crate::api::parameters::Parameters;

/// As in Prometheus: enough for a week by the minute, and no screen has more columns.
const POINTS_MAX: u128 = 11_000;

/// Answers `query` and `time`.
pub async fn instant(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, Failure> {
    let query = read_query(&parameters)?;
    let time = read_moment(&parameters, "time")?.unwrap_or_else(Timestamp::now);
    let source = promql::StoreSource::new(app.ingest.series().clone());
    let work = move |scan: &Scan| {
        let evaluated = promql::instant(&query, time, &source, scan)?;
        Ok::<_, Failure>(instant_answer(time, evaluated).document())
    };
    Ok(app.questions.ask(work).await?.0)
}

fn instant_answer(time: Timestamp, evaluated: Evaluated<Answer>) -> Success {
    let Evaluated { value, warnings, infos } = evaluated;
    let at = time.unix_millis();
    let (kind, result) = match value {
        Answer::Scalar(value) => ("scalar", point(at, value)),
        Answer::Text(text) => ("string", json!([super::notation::moment(at), text])),
        Answer::Vector(values) => {
            let values = values.iter();
            let values = values.map(|one| json!({ "metric": labels(&one.labels), "value": point(at, one.value) }));
            ("vector", values.collect())
        }
        Answer::Matrix(series) => ("matrix", matrix(&series)),
    };
    Success::new(json!({ "resultType": kind, "result": result })).with_remarks(warnings, infos)
}

/// Answers `query`, `start`, `end`, `step`.
pub async fn range(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, Failure> {
    let query = read_query(&parameters)?;
    let start = required_moment(&parameters, "start")?;
    let end = required_moment(&parameters, "end")?;
    let step = read_span(&parameters, "step")?
        .ok_or_else(|| Failure::bad_data("invalid parameter \"step\": it is missing"))?;
    check_range(start, end, step)?;
    let source = promql::StoreSource::new(app.ingest.series().clone());
    let answers = app.answers.clone();
    let work = move |scan: &Scan| {
        let answer = answers.range(&query, start, end, step, &source, scan)?;
        let data = json!({ "resultType": "matrix", "result": matrix(&answer.value) });
        Ok::<_, Failure>(Success::new(data).with_remarks(answer.warnings.clone(), answer.infos.clone()).document())
    };
    Ok(app.questions.ask(work).await?.0)
}

/// Answers `query`: the same query, laid out.
pub async fn format(parameters: Parameters) -> Result<Success, Failure> {
    let query = read_query(&parameters)?;
    Ok(Success::new(promql::format(&query)?.into()))
}

fn read_query(parameters: &Parameters) -> Result<String, Failure> {
    let query = parameters.get("query");
    query.map(str::to_owned).ok_or_else(|| Failure::bad_data("invalid parameter \"query\": it is missing"))
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

fn matrix(series: &[Series]) -> Value {
    let points = |one: &Series| one.points.iter().map(|(at, value)| point(*at, *value)).collect::<Value>();
    series.iter().map(|one| json!({ "metric": labels(&one.labels), "values": points(one) })).collect()
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

//! `/api/v1/{series,labels,label/<name>/values}`: which series and labels there are. Grafana's query builder and
//! every completion ask these.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::Value;
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::series_store::LabelMatcher;
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::promql::{self, PromqlError, StoreSource, damage_warnings};

use super::notation::{labels, read_moment};
use super::{Failure, Success};
use crate::api::App;
use crate::api::parameters::Parameters;

/// Answers `match[]` (at least one), `start`, `end`, `limit`.
pub async fn series(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let selectors = read_selectors(&parameters)?;
    if selectors.is_empty() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let found = find(&app, &parameters, selectors, |series, found: &mut BTreeSet<Arc<LabelSet>>| {
        found.insert(series.clone());
    });
    let (found, scan) = found.await?;
    cut(&parameters, &scan, found.iter().map(|series| labels(series)).collect())
}

/// Answers `match[]`, `start`, `end`, `limit`.
pub async fn names(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let selectors = read_selectors(&parameters)?;
    let found = find(&app, &parameters, selectors, |series, found: &mut BTreeSet<String>| {
        for (name, _) in series.iter() {
            if !found.contains(name) {
                found.insert(name.to_owned());
            }
        }
    });
    let (found, scan) = found.await?;
    cut(&parameters, &scan, found.into_iter().map(Value::from).collect())
}

/// Answers `match[]`, `start`, `end`, `limit`. A name that is no Prometheus name may be escaped as `U__web_2e_hits`.
pub async fn values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Success, Failure> {
    let selectors = read_selectors(&parameters)?;
    let name = unescaped(&name);
    // One more tells that there are more.
    let most = match limit(&parameters)? {
        0 => usize::MAX,
        limit => limit.saturating_add(1),
    };
    let found =
        ask(&app, &parameters, selectors, move |source, matchers, range, scan, found: &mut BTreeSet<String>| {
            found.append(&mut source.label_values(&name, matchers, range, most, scan)?);
            Ok(())
        });
    let (found, scan) = found.await?;
    cut(&parameters, &scan, found.into_iter().map(Value::from).collect())
}

/// The matchers of each `match[]`; each must be a single selector.
pub(super) fn read_selectors(parameters: &Parameters) -> Result<Vec<Vec<LabelMatcher>>, Failure> {
    let mut found = Vec::new();
    for text in parameters.all("match[]") {
        let bad = |why: &str| Failure::bad_data(format!("invalid parameter \"match[]\": {why}"));
        found.push(promql::only_selector(text).map_err(|error| bad(&error.to_string()))?);
    }
    Ok(found)
}

/// Runs over the series of all selectors (all series without any) in `start` … `end`, by default all of time.
async fn find<T, F>(
    app: &App,
    parameters: &Parameters,
    selectors: Vec<Vec<LabelMatcher>>,
    mut collect: F,
) -> Result<(T, Arc<Scan>), Failure>
where
    T: Default + Send + 'static,
    F: FnMut(&Arc<LabelSet>, &mut T) + Send + 'static,
{
    let collect_all = move |source: &StoreSource, matchers: &[LabelMatcher], range, scan: &Scan, found: &mut T| {
        source.series(matchers, range, scan)?.iter().for_each(|series| collect(series, found));
        Ok(())
    };
    ask(app, parameters, selectors, collect_all).await
}

/// Asks for each of the selectors (for all series without any) in `start` … `end`, by default all of time.
async fn ask<T, F>(
    app: &App,
    parameters: &Parameters,
    selectors: Vec<Vec<LabelMatcher>>,
    mut collect: F,
) -> Result<(T, Arc<Scan>), Failure>
where
    T: Default + Send + 'static,
    F: FnMut(&StoreSource, &[LabelMatcher], TimeRange, &Scan, &mut T) -> Result<(), PromqlError> + Send + 'static,
{
    let start = read_moment(parameters, "start")?.unwrap_or(Timestamp::MIN);
    let end = read_moment(parameters, "end")?.unwrap_or(Timestamp::MAX);
    let source = StoreSource::new(app.ingest.series().clone()).with_logs(app.ingest.logs().clone());
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let work = move |scan: &Scan| {
        let mut found = T::default();
        for matchers in &selectors {
            collect(&source, matchers, TimeRange { start, end }, scan, &mut found)?;
        }
        Ok::<_, Failure>(found)
    };
    app.questions.ask(work).await
}

fn limit(parameters: &Parameters) -> Result<usize, Failure> {
    Ok(parameters.count("limit", 0, usize::MAX)?)
}

/// At most `limit` of them; as in Prometheus, 0 sets no limit and a cut is a warning.
fn cut(parameters: &Parameters, scan: &Scan, mut values: Vec<Value>) -> Result<Success, Failure> {
    let limit = limit(parameters)?;
    let too_many = limit > 0 && values.len() > limit;
    if too_many {
        values.truncate(limit);
    }
    let mut warnings = damage_warnings(scan);
    if too_many {
        warnings.push("results truncated due to limit".to_owned());
    }
    Ok(Success::new(values.into()).with_remarks(warnings, Vec::new()))
}

/// Prometheus' escaping of names in URLs: `U__` before it, `_2e_` for U+002E, `__` for `_`
/// (<https://github.com/prometheus/proposals/blob/main/proposals/2023-08-21-utf8.md>). Anything else is the name itself.
fn unescaped(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut plain = String::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        let Some((code, after)) = after.split_once('_') else { return name.to_owned() };
        if code.is_empty() {
            plain.push('_');
        } else {
            match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
                Some(c) => plain.push(c),
                None => return name.to_owned(),
            }
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escaped_names_come_back() {
        let check = |escaped, expected| assert_eq!(unescaped(escaped), expected);
        check("job", "job");
        check("U__web_2e_hits", "web.hits");
        check("U__a__b_2e_c", "a_b.c");
        check("U__broken_2e", "U__broken_2e");
        check("U__broken_zz_", "U__broken_zz_");
    }

    #[test]
    fn a_cut_is_a_warning() {
        let limited = |limit: &str| Parameters::new(vec![("limit".into(), limit.into())]);
        let values = || vec![Value::from("a"), Value::from("b")];
        let answer = cut(&limited("1"), &Scan::unlimited(), values()).unwrap();
        assert_eq!((answer.data, answer.warnings.len()), (json!(["a"]), 1));
        let answer = cut(&limited("0"), &Scan::unlimited(), values()).unwrap();
        assert_eq!((answer.data, answer.warnings.len()), (json!(["a", "b"]), 0));
    }
}

//! `info`: labels of info series (`target_info`) put on the series of the same `instance` and `job`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_ingest::series_store::LabelMatcher;

use super::super::PromqlError;
use super::super::labels::only;
use super::super::selection::{matcher, matchers};
use super::super::source::Wanted;
use super::super::syntax::{Expression, Kind, Matcher, Selector, Test};
use super::{Arguments, StepSeries, Value, Windows, in_order, is_absent, join_same_labels};

/// What series are matched by.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    (name == "info").then(|| info(arguments))
}

/// The conditions of the second argument: on the info series' names, and on labels that are to be added.
struct Asked {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Asked {
    fn of(expression: Option<&Expression>) -> Asked {
        let plain = |test, value: &str| Matcher { label: NAME_LABEL.to_owned(), test, value: value.to_owned() };
        let mut asked = Asked { names: Vec::new(), data: Vec::new() };
        if let Some(Kind::Selector(selector)) = expression.map(|expression| &expression.kind) {
            asked.names.extend(selector.name.iter().map(|name| plain(Test::Equal, name)));
            let (names, data): (Vec<_>, Vec<_>) =
                selector.matchers.iter().cloned().partition(|matcher| matcher.label == NAME_LABEL);
            asked.names.extend(names);
            asked.data = data;
        }
        if asked.names.is_empty() {
            asked.names.push(plain(Test::Equal, "target_info"));
        } else if asked.names.iter().all(|name| matches!(name.test, Test::NotEqual | Test::NotMatches)) {
            asked.names.push(plain(Test::Matches, ".+_info"));
        }
        asked
    }
}

/// An info series: where it has points, and when they were measured.
struct InfoSeries {
    labels: Arc<LabelSet>,
    /// The time of the latest point at each step.
    times: Vec<Option<i64>>,
}

fn info(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let base = arguments.vector(0)?;
    let asked = Asked::of(arguments.call.arguments.get(1));
    let names: Vec<LabelMatcher> = asked.names.iter().map(matcher).collect::<Result<_, _>>()?;
    let data: Vec<LabelMatcher> = asked.data.iter().map(matcher).collect::<Result<_, _>>()?;
    let is_info = |labels: &LabelSet| names.iter().all(|matcher| matcher.passes(labels));
    let found = info_series(arguments, &asked)?;
    let mut by_identity: HashMap<LabelSet, Vec<&InfoSeries>> = HashMap::new();
    for series in &found {
        by_identity.entry(only(&series.labels, &IDENTIFYING)).or_default().push(series);
    }
    // A label that must have a value must come from an info series.
    let required = data.iter().any(|matcher| !matcher.test.passes(""));
    let added: HashSet<&str> = asked.data.iter().map(|matcher| matcher.label.as_str()).collect();
    let steps = arguments.steps.count;
    let mut results: Vec<StepSeries> = Vec::new();
    for one in base {
        if is_info(&one.labels) {
            results.push(one);
            continue;
        }
        let identity = only(&one.labels, &IDENTIFYING);
        let partners = by_identity.get(&identity).map_or(&[][..], |partners| &partners[..]);
        let mut of_labels: HashMap<Arc<LabelSet>, usize> = HashMap::new();
        for step in (0..steps).filter(|&step| one.is_there(step)) {
            let Some(labels) = enriched(&one.labels, partners, step, &added, required)? else { continue };
            let place = *of_labels.entry(labels).or_insert_with_key(|labels| {
                let mut series = StepSeries::empty(labels.clone(), steps);
                series.drop_name = one.drop_name;
                results.push(series);
                results.len() - 1
            });
            results[place].put(step, one.cell(step));
        }
    }
    if arguments.evaluator.dialect().delayed_names {
        Ok(Value::Vector(results))
    } else {
        join_same_labels(results).map(Value::Vector)
    }
}

/// The info series that pass all conditions.
fn info_series(arguments: &Arguments<'_, '_>, asked: &Asked) -> Result<Vec<InfoSeries>, PromqlError> {
    let steps = arguments.steps;
    let first = first_selector(arguments.expression(0)?);
    let (at, offset) = first.map_or((None, None), |selector| (selector.at, selector.offset.as_ref()));
    let lookback_ms = arguments.evaluator.dialect().lookback_ms;
    let windows = Windows::new(arguments.evaluator.moments(steps, at, offset)?, lookback_ms);
    let selector = Selector {
        span: arguments.span,
        name: None,
        matchers: asked.names.iter().chain(&asked.data).cloned().collect(),
        offset: None,
        at: None,
        extension: None,
    };
    let found = Mutex::new(Vec::new());
    let fetch = (lookback_ms, 0);
    arguments.evaluator.fetch(
        &matchers(&selector)?,
        &windows.ends_ms,
        fetch,
        Wanted::default(),
        &|place, series| {
            arguments.evaluator.hold(steps.count)?;
            let mut times = vec![None; steps.count];
            windows.each(&series, |step, window, _| {
                let (time, value) = window.last();
                if !is_absent(value) {
                    times[step] = Some(time);
                }
            });
            found.lock().push((place, InfoSeries { labels: series.labels, times }));
            Ok(())
        },
    )?;
    Ok(in_order(found))
}

/// The selector whose moments the info series are looked at.
fn first_selector(expression: &Expression) -> Option<&Selector> {
    match &expression.kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => Some(selector),
        _ => expression.children().into_iter().find_map(first_selector),
    }
}

/// The labels with those of the partners at a step; none when what must be added is not there. Of two info series of one
/// name the one measured later counts.
fn enriched(
    labels: &Arc<LabelSet>,
    partners: &[&InfoSeries],
    step: usize,
    added: &HashSet<&str>,
    required: bool,
) -> Result<Option<Arc<LabelSet>>, PromqlError> {
    let mut latest: BTreeMap<&str, (i64, &LabelSet)> = BTreeMap::new();
    for partner in partners {
        let Some(time) = partner.times[step] else { continue };
        match latest.get(partner.labels.name()) {
            Some((before, other)) if *before == time => {
                return Err(PromqlError::Execution(format!(
                    "found duplicate series for info metric: existing {} @ {before}, new {} @ {time}",
                    super::super::labels::in_braces(other),
                    super::super::labels::in_braces(&partner.labels)
                )));
            }
            Some((before, _)) if *before > time => {}
            _ => {
                latest.insert(partner.labels.name(), (time, &partner.labels));
            }
        }
    }
    let mut more: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, info) in latest.values() {
        for (name, value) in info.iter() {
            let is_data = name != NAME_LABEL && !IDENTIFYING.contains(&name);
            if !is_data || !(added.is_empty() || added.contains(name)) || !labels.get(name).is_empty() {
                continue;
            }
            if let Some(other) = more.insert(name, value)
                && other != value
            {
                return Err(PromqlError::Execution(format!("conflicting label: {name}")));
            }
        }
    }
    if more.is_empty() {
        let enriched = !latest.is_empty() && added.iter().all(|name| !labels.get(name).is_empty());
        return Ok((!required || enriched).then(|| labels.clone()));
    }
    Ok(Some(Arc::new(LabelSet::new(labels.iter().chain(more)))))
}

//! A routing file: Alertmanager's configuration, checked. The first thing that is wrong is said with its line and column.

mod receivers;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};
use taffrail_query::alert::rule::{Problem, parse_duration};

use super::Routing;
use super::inhibit::InhibitRule;
use super::matcher::{Matcher, Operator, parse_matchers};
use super::route::{GroupBy, Route, Timing};
use super::time_interval::{
    TimeInterval, parse_days_of_month, parse_months, parse_time, parse_weekdays, parse_years, parse_zone,
};
use yaml::{Ignored, RawFile, RawInhibitRule, RawInterval, RawNamedInterval, RawRoute, Text};

/// Reads a routing file that stands at `path`, by which files of secrets are found.
pub fn parse_routing(path: &Path, text: &str) -> Result<Routing, Problem> {
    let problem = |(location, message): Wrong| Problem {
        file: path.display().to_string(),
        line: location.line(),
        column: location.column(),
        message,
    };
    let raw = read_yaml(text).map_err(problem)?;
    let mut check = Check { directory: path.parent().unwrap_or(Path::new("")), remarks: Vec::new() };
    check.file(raw).map_err(problem)
}

/// What is wrong, and where.
type Wrong = (Location, String);

struct Check<'a> {
    /// Names of files are meant from here.
    directory: &'a Path,
    remarks: Vec<String>,
}

fn read_yaml(text: &str) -> Result<RawFile, Wrong> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let parsed: Result<Option<RawFile>, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let text = error.without_snippet().to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.split(" at line ").next().unwrap_or(first).to_owned();
        (error.location().unwrap_or(Location::UNKNOWN), message)
    })
}

impl Check<'_> {
    fn file(&mut self, raw: RawFile) -> Result<Routing, Wrong> {
        if let Some(template) = raw.templates.first() {
            self.remark(template.referenced, "templates: messages have their built-in texts; these files are not read");
        }
        let intervals = self.intervals(raw.time_intervals, raw.mute_time_intervals)?;
        let mut receivers = BTreeMap::new();
        for receiver in raw.receivers {
            let at = receiver.name.referenced;
            let receiver = self.receiver(receiver, &raw.global)?;
            let name = receiver.name.clone();
            if name.is_empty() {
                return Err((at, "a receiver needs a name".to_owned()));
            }
            if receivers.insert(name.clone(), receiver).is_some() {
                return Err((at, format!("another receiver is named {name:?}: names of receivers are unique")));
            }
        }
        let Some(route) = raw.route else {
            return Err((Location::UNKNOWN, "the file has no route: write route: with a receiver:".to_owned()));
        };
        let root = &route.value;
        if !root.matchers.is_empty() || !root.equal.is_empty() || !root.match_re.is_empty() {
            return Err((route.referenced, "the first route takes every alert and has no matchers".to_owned()));
        }
        if root.receiver.is_none() {
            return Err((route.referenced, "the first route needs a receiver:".to_owned()));
        }
        if !root.mute_time_intervals.is_empty() || !root.active_time_intervals.is_empty() {
            return Err((route.referenced, "the first route is never muted: put time intervals below it".to_owned()));
        }
        let everything = Route::everything("", GroupBy::Labels(Vec::new()), Timing::default());
        let known = Names { receivers: receivers.keys().collect(), intervals: intervals.keys().collect() };
        let route = self.route(&route, &everything, true, &known)?;
        let inhibit_rules = raw.inhibit_rules.iter().map(inhibit_rule).collect::<Result<_, _>>()?;
        let remarks = std::mem::take(&mut self.remarks);
        Ok(Routing { route, receivers, inhibit_rules, intervals, remarks })
    }

    fn route(
        &mut self,
        raw: &Spanned<RawRoute>,
        parent: &Route,
        is_root: bool,
        known: &Names<'_>,
    ) -> Result<Route, Wrong> {
        let RawRoute { receiver, group_by, matchers, equal, match_re, goes_on, routes, .. } = &raw.value;
        let matchers = read_matchers(matchers, equal, match_re)?;
        if let Some(receiver) = receiver.as_ref().filter(|receiver| !known.receivers.contains(&receiver.value)) {
            let near =
                crate::config::mistake::closest(&receiver.value, known.receivers.iter().map(|name| name.as_str()));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err((receiver.referenced, format!("no receiver is named {:?}{hint}", receiver.value)));
        }
        let group_by = match group_by {
            None => parent.group_by.clone(),
            Some(names) if names.iter().any(|name| name.value == "...") => match &names[..] {
                [_] => GroupBy::All,
                [first, ..] => {
                    return Err((first.referenced, "'...' means every label and stands alone".to_owned()));
                }
                [] => GroupBy::Labels(Vec::new()),
            },
            Some(names) => {
                let mut seen = BTreeSet::new();
                if let Some(twice) = names.iter().find(|name| !seen.insert(&name.value)) {
                    return Err((twice.referenced, format!("group_by names {:?} twice", twice.value)));
                }
                GroupBy::Labels(names.iter().map(|name| name.value.clone()).collect())
            }
        };
        let duration = |key: &str, written: &Option<Text>, inherited: Duration| match written {
            None => Ok(inherited),
            Some(written) => read_duration(key, written),
        };
        let timing = Timing {
            group_wait: duration("group_wait", &raw.value.group_wait, parent.timing.group_wait)?,
            group_interval: duration("group_interval", &raw.value.group_interval, parent.timing.group_interval)?,
            repeat_interval: duration("repeat_interval", &raw.value.repeat_interval, parent.timing.repeat_interval)?,
        };
        for (key, span, written) in [
            ("group_interval", timing.group_interval, &raw.value.group_interval),
            ("repeat_interval", timing.repeat_interval, &raw.value.repeat_interval),
        ] {
            if let Some(written) = written.as_ref().filter(|_| span.is_zero()) {
                return Err((written.referenced, format!("{key} is longer than nothing")));
            }
        }
        let mut route = Route {
            key: if is_root { parent.key.clone() } else { parent.key_below(&matchers) },
            receiver: receiver.as_ref().map_or_else(|| parent.receiver.clone(), |receiver| receiver.value.clone()),
            matchers,
            group_by,
            goes_on: *goes_on,
            timing,
            mute_intervals: known.intervals_of(&raw.value.mute_time_intervals)?,
            active_intervals: known.intervals_of(&raw.value.active_time_intervals)?,
            routes: Vec::new(),
        };
        route.routes = routes.iter().map(|child| self.route(child, &route, false, known)).collect::<Result<_, _>>()?;
        Ok(route)
    }

    fn intervals(
        &mut self,
        new: Vec<RawNamedInterval>,
        old: Vec<RawNamedInterval>,
    ) -> Result<BTreeMap<String, Vec<TimeInterval>>, Wrong> {
        let mut intervals = BTreeMap::new();
        for named in new.into_iter().chain(old) {
            let read = named.time_intervals.iter().map(interval).collect::<Result<Vec<_>, _>>()?;
            let (name, at) = (named.name.value, named.name.referenced);
            if intervals.insert(name.clone(), read).is_some() {
                return Err((at, format!("another time interval is named {name:?}")));
            }
        }
        Ok(intervals)
    }

    /// Says of a key that it has no effect.
    fn ignore(&mut self, key: &str, written: &Ignored, why: &str) {
        if let Some(written) = written {
            self.remark(written.referenced, &format!("{key}: {why}"));
        }
    }

    fn remark(&mut self, at: Location, message: &str) {
        self.remarks.push(format!("line {}: {message}", at.line()));
    }
}

/// What can be referred to.
struct Names<'a> {
    receivers: BTreeSet<&'a String>,
    intervals: BTreeSet<&'a String>,
}

impl Names<'_> {
    fn intervals_of(&self, written: &[Text]) -> Result<Vec<String>, Wrong> {
        if let Some(unknown) = written.iter().find(|name| !self.intervals.contains(&name.value)) {
            return Err((unknown.referenced, format!("no time interval is named {:?}", unknown.value)));
        }
        Ok(written.iter().map(|name| name.value.clone()).collect())
    }
}

/// New matchers and the two maps that older files have.
fn read_matchers(
    matchers: &[Text],
    equal: &BTreeMap<String, Text>,
    patterns: &BTreeMap<String, Text>,
) -> Result<Vec<Matcher>, Wrong> {
    let mut read = Vec::new();
    for written in matchers {
        read.extend(parse_matchers(&written.value).map_err(|message| (written.referenced, message))?);
    }
    for (operator, map) in [(Operator::Equal, equal), (Operator::Matches, patterns)] {
        for (name, value) in map {
            let matcher = Matcher::new(name, operator, &value.value);
            read.push(matcher.map_err(|message| (value.referenced, message))?);
        }
    }
    Ok(read)
}

fn inhibit_rule(raw: &RawInhibitRule) -> Result<InhibitRule, Wrong> {
    // Its name is for people who read the file.
    let RawInhibitRule { name: _, source_matchers, source_match, source_match_re, .. } = raw;
    Ok(InhibitRule {
        sources: read_matchers(source_matchers, source_match, source_match_re)?,
        targets: read_matchers(&raw.target_matchers, &raw.target_match, &raw.target_match_re)?,
        equal: raw.equal.iter().map(|name| name.value.clone()).collect(),
    })
}

fn interval(raw: &RawInterval) -> Result<TimeInterval, Wrong> {
    fn all<T>(written: &[Text], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Wrong> {
        written.iter().map(|one| read(&one.value).map_err(|message| (one.referenced, message))).collect()
    }
    let mut times = Vec::new();
    for range in &raw.times {
        let read = |text: &Text| parse_time(&text.value).map_err(|message| (text.referenced, message));
        let (from, to) = (read(&range.start_time)?, read(&range.end_time)?);
        if from >= to {
            let message = "a time range ends after it starts; one over midnight is two: up to 24:00, and from 00:00";
            return Err((range.start_time.referenced, message.to_owned()));
        }
        times.push((from, to));
    }
    Ok(TimeInterval {
        times,
        weekdays: all(&raw.weekdays, parse_weekdays)?,
        days_of_month: all(&raw.days_of_month, parse_days_of_month)?,
        months: all(&raw.months, parse_months)?,
        years: all(&raw.years, parse_years)?,
        zone: match &raw.location {
            Some(zone) => parse_zone(&zone.value).map_err(|message| (zone.referenced, message))?,
            None => TimeInterval::always().zone,
        },
    })
}

fn read_duration(key: &str, written: &Text) -> Result<Duration, Wrong> {
    parse_duration(&written.value).map_err(|message| (written.referenced, format!("{key}: {message}")))
}

#[cfg(test)]
mod tests;

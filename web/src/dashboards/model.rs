//! What a dashboard is: the YAML's shape, which is also the JSON's.
//!
//! Texts that are checked later are [`Spanned`], so that a mistake has a place; serialised they are plain texts.

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// Columns of the grid, as many as Grafana's, so that imports keep their widths.
pub const COLUMNS: u8 = 24;

/// A text that knows where it stands.
pub type Text = Spanned<String>;

/// A dashboard as written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its name.
    pub title: Text,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The time range that it opens with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Spanned<TimeSpan>>,
    /// How often it asks anew (`30s`); never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Text>,
    /// Names that questions may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Spanned<Variable>>,
    /// Rows of panels, from the top.
    pub rows: Spanned<Vec<Row>>,
}

/// A range of time as written: `now-3h`, `now`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSpan {
    /// Where it begins.
    pub from: String,
    /// Where it ends. Default `now`.
    #[serde(default = "now")]
    pub to: String,
}

/// A name that stands for one or several values. Where its values come from: `label`, `field`, `values`, or nothing of these:
/// then it is a text that is typed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// As questions write it behind `$`.
    pub name: String,
    /// As the page writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its values are those of this label …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its values are those of this field of log records …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// … among the series that this selector, or the records that this search matches; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Text>,
    /// Its values, named one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Only values that this regular expression matches; its first group, where it has one, is the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<Text>,
    /// Several values may be chosen.
    #[serde(default, skip_serializing_if = "is_false")]
    pub multi: bool,
    /// "All" may be chosen, and is unless `default` says otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all: bool,
    /// What is chosen at first; the first value when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default: Vec<String>,
    /// Not shown on the page.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
}

/// A row: a heading and panels that fill the grid from left to right.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its heading; rows without one cannot be folded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Folded at first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub collapsed: bool,
    /// Drawn once for each chosen value of this variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Text>,
    /// What stands in it.
    #[serde(default)]
    pub panels: Vec<Spanned<Panel>>,
}

/// How a panel shows its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelType {
    /// Lines over time.
    #[default]
    Chart,
    /// One number a series, large.
    Stat,
    /// One number a series between two ends.
    Gauge,
    /// One bar a series.
    Bars,
    /// Rows and columns.
    Table,
    /// How values are spread, over time.
    Heatmap,
    /// Log records.
    Logs,
    /// Words.
    Text,
}

/// One panel.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Its heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// More about it, shown on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is shown. Default `chart`.
    #[serde(default, rename = "type")]
    pub kind: PanelType,
    /// Columns of [`COLUMNS`]; an equal share of the row when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<Spanned<u8>>,
    /// Steps of about 38 pixels. Default 8; of numbers 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<Spanned<u8>>,
    /// Drawn once for each chosen value of this variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Text>,
    /// What it asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<Spanned<Query>>,
    /// The words of a text panel, in a small part of Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The unit of its values: bytes, ms, s, ratio, percent, /s or any other word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Digits behind the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// The lower end of its scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How a chart draws. Default `lines`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub draw: Draw,
    /// A chart's scale. Default `linear`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale: Scale,
    /// What a chart does where there is no value. Default `gap`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gaps: Gaps,
    /// What stands below a chart. Default `list`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub legend: Legend,
    /// Which number of a series a stat, gauge or bar shows. Default `last`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calc: Calculation,
    /// From which values on things are good or bad.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// Fields that log records show beside time, level and message; columns of a table, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Rows, records or series at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One question: PromQL or the search language.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// In PromQL …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promql: Option<Text>,
    /// … or in the search language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Text>,
    /// What its lines are called; `{{label}}` is replaced. Their labels when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The field that counts of log records are split by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// How a chart draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Draw {
    /// Lines.
    #[default]
    Lines,
    /// Lines above a coloured area.
    Area,
    /// Areas on top of each other.
    Stacked,
    /// Bars on top of each other.
    Bars,
    /// Dots.
    Points,
}

/// A chart's scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Even.
    #[default]
    Linear,
    /// Each step ten times the one before.
    Log,
}

/// What a chart does where there is no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gaps {
    /// Leaves the line out.
    #[default]
    Gap,
    /// Joins what is there.
    Join,
    /// Takes it for zero.
    Zero,
}

/// What stands below a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Legend {
    /// Names.
    #[default]
    List,
    /// Names with last, mean, lowest and highest.
    Table,
    /// Nothing.
    None,
}

/// Which number of a series is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Calculation {
    /// The newest.
    #[default]
    Last,
    /// The oldest.
    First,
    /// The mean.
    Mean,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// All together.
    Sum,
    /// The newest less the oldest.
    Change,
}

/// From a value on, a level.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The value; below the first one nothing is said.
    pub from: f64,
    /// What it means.
    pub level: Level,
}

/// What a threshold means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    None,
    /// Good.
    Good,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Bad.
    Bad,
}

impl Dashboard {
    /// All panels, in order.
    pub fn panels(&self) -> impl Iterator<Item = &Spanned<Panel>> {
        self.rows.value.iter().flat_map(|row| &row.panels)
    }
}

fn now() -> String {
    "now".to_owned()
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

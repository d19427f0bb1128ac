//! A small evaluator for Go's `text/template`, as far as alert texts use it, with Prometheus' variables and functions
//! (<https://pkg.go.dev/text/template>, <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>).
//!
//! Texts are data: an expansion may take [`STEPS_MAX`] steps and give [`OUTPUT_BYTES_MAX`] bytes. Where Go refuses to compare
//! an integer with a float (`gt $value 5`) we compare: people mean the number.
//!
//! Reading order: [`value`], [`lexer`], [`parse`], [`evaluate`], [`function`], [`number`] (how Go and Prometheus write numbers),
//! [`printf`].

mod evaluate;
mod function;
mod lexer;
mod number;
mod parse;
mod printf;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use taffrail_collector::model::{LabelSet, Timestamp};
use thiserror::Error;

pub use number::humanize;

use crate::promql::InstantValue;

/// Steps (nodes, function calls) that one expansion may take.
pub const STEPS_MAX: usize = 100_000;

/// Bytes that one expansion may give.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A template that was read without errors. Cheap to clone; equal when the texts are.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    parsed: Arc<parse::Parsed>,
}

/// What a template can see.
pub struct Context<'a> {
    /// `$labels`, `.Labels`: the labels of the alert's series.
    pub labels: &'a LabelSet,
    /// `$value`, `.Value`.
    pub value: f64,
    /// `$externalLabels`, `.ExternalLabels`.
    pub external_labels: &'a BTreeMap<String, String>,
    /// `$externalURL`, `.ExternalURL`, `externalURL`: where people reach this server.
    pub external_url: &'a str,
    /// `now`.
    pub now: Timestamp,
    /// `query "…"`: PromQL at the moment of the evaluation.
    pub query: &'a dyn Fn(&str) -> Result<Vec<InstantValue>, String>,
}

/// Why a template gives no text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        Ok(Template { text: text.into(), parsed: Arc::new(parse::parse(text)?) })
    }

    /// The text it gives.
    pub fn expand(&self, context: &Context<'_>) -> Result<String, TemplateError> {
        evaluate::expand(&self.parsed, context)
    }

    /// The text it gives; an error stands in the text, so that no alert is lost for the sake of its wording.
    pub fn expand_or_explain(&self, context: &Context<'_>) -> String {
        self.expand(context).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }
}

/// The text it was read from.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;

//! The text of an expression, as Prometheus writes it: on one line, or laid out where that is longer than a hundred
//! characters.

use std::fmt::{self, Display, Formatter};

use super::quoted::quote;
use super::{
    Aggregation, At, Binary, Cardinality, DurationExpression, Expression, Grouping, Kind, Length, Operator, Selector,
    Subquery,
};

/// Lines longer than this are split.
const WIDTH_MAX: usize = 100;

impl Expression {
    /// The expression laid out over lines.
    pub(crate) fn pretty(&self) -> String {
        self.pretty_at(0)
    }

    fn pretty_at(&self, level: usize) -> String {
        let indent = "  ".repeat(level);
        let line = self.to_string();
        if line.len() <= WIDTH_MAX {
            return format!("{indent}{line}");
        }
        match &self.kind {
            Kind::Number { .. } | Kind::Text(_) | Kind::Selector(_) | Kind::Range { .. } => format!("{indent}{line}"),
            Kind::Parentheses(inner) => format!("{indent}(\n{}\n{indent})", inner.pretty_at(level + 1)),
            Kind::Sign { minus, of } => {
                format!("{indent}{}{}", if *minus { '-' } else { '+' }, of.pretty_at(level).trim_start())
            }
            Kind::Subquery(subquery) => format!("{}{}", subquery.of.pretty_at(level), SubqueryEnd(subquery)),
            Kind::Binary(binary) => format!(
                "{}\n{indent}{}\n{}",
                binary.left.pretty_at(level + 1),
                OperatorWithModifiers(binary),
                binary.right.pretty_at(level + 1)
            ),
            Kind::Aggregation(aggregation) => {
                let parameter = aggregation.parameter.as_ref();
                let parameter = parameter.map_or(String::new(), |of| format!("{},\n", of.pretty_at(level + 1)));
                let of = aggregation.of.pretty_at(level + 1);
                format!("{indent}{}(\n{parameter}{of}\n{indent})", AggregationStart(aggregation))
            }
            Kind::Call(call) => {
                let arguments: Vec<String> =
                    call.arguments.iter().map(|argument| argument.pretty_at(level + 1)).collect();
                format!("{indent}{}(\n{}\n{indent})", call.function.name, arguments.join(",\n"))
            }
        }
    }
}

impl Display for Expression {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number { value, is_duration: false } => write!(out, "{}", super::super::labels::value_text(*value)),
            Kind::Number { value, .. } => write_seconds(out, *value),
            Kind::Text(text) => out.write_str(&quote(text)),
            Kind::Parentheses(inner) => write!(out, "({inner})"),
            Kind::Sign { minus, of } => write!(out, "{}{of}", if *minus { '-' } else { '+' }),
            Kind::Selector(selector) => write!(out, "{selector}{}", Modifiers(selector)),
            Kind::Range { selector, range } => write!(out, "{selector}[{range}]{}", Modifiers(selector)),
            Kind::Subquery(subquery) => write!(out, "{}{}", subquery.of, SubqueryEnd(subquery)),
            Kind::Binary(binary) => {
                write!(out, "{} {} {}", binary.left, OperatorWithModifiers(binary), binary.right)
            }
            Kind::Aggregation(aggregation) => {
                write!(out, "{}(", AggregationStart(aggregation))?;
                if let Some(parameter) = &aggregation.parameter {
                    write!(out, "{parameter}, ")?;
                }
                write!(out, "{})", aggregation.of)
            }
            Kind::Call(call) => {
                write!(out, "{}(", call.function.name)?;
                for (place, argument) in call.arguments.iter().enumerate() {
                    write!(out, "{}{argument}", if place > 0 { ", " } else { "" })?;
                }
                out.write_str(")")
            }
        }
    }
}

/// Name and matchers, without modifiers.
impl Display for Selector {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut inside: Vec<String> = Vec::new();
        if let Some(name) = &self.name {
            if is_plain_name(name) {
                out.write_str(name)?;
            } else {
                inside.push(quote(name));
            }
        }
        inside.extend(self.matchers.iter().map(|matcher| {
            format!("{}{}{}", label_text(&matcher.label), matcher.test.symbol(), quote(&matcher.value))
        }));
        if inside.is_empty() && self.name.is_some() {
            return Ok(());
        }
        write!(out, "{{{}}}", inside.join(","))
    }
}

struct Modifiers<'a>(&'a Selector);

impl Display for Modifiers<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Some(extension) = self.0.extension {
            write!(out, " {}", extension.name())?;
        }
        write_moment(out, self.0.at, self.0.offset.as_ref())
    }
}

struct SubqueryEnd<'a>(&'a Subquery);

impl Display for SubqueryEnd<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            write!(out, "{step}")?;
        }
        out.write_str("]")?;
        write_moment(out, self.0.at, self.0.offset.as_ref())
    }
}

fn write_moment(out: &mut Formatter<'_>, at: Option<At>, offset: Option<&Length>) -> fmt::Result {
    match at {
        Some(At::Start) => out.write_str(" @ start()")?,
        Some(At::End) => out.write_str(" @ end()")?,
        Some(At::Moment(ms)) => write!(out, " @ {:.3}", ms as f64 / 1000.0)?,
        None => {}
    }
    match offset {
        Some(offset) => write!(out, " offset {offset}"),
        None => Ok(()),
    }
}

struct OperatorWithModifiers<'a>(&'a Binary);

impl Display for OperatorWithModifiers<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Binary { operator, truth, matching, cardinality, fill_left, fill_right, .. } = self.0;
        write!(out, "{}{}", operator.symbol(), if *truth { " bool" } else { "" })?;
        match matching {
            Some(Grouping::Only(labels)) => write!(out, " on ({})", label_list(labels))?,
            Some(Grouping::AllBut(labels)) if !labels.is_empty() => write!(out, " ignoring ({})", label_list(labels))?,
            // A grouping cannot stand without a matching.
            Some(_) if !matches!(cardinality, Cardinality::OneToOne | Cardinality::ManyToMany) => {
                out.write_str(" ignoring ()")?;
            }
            _ => {}
        }
        match cardinality {
            Cardinality::ManyToOne(labels) => write!(out, " group_left ({})", label_list(labels))?,
            Cardinality::OneToMany(labels) => write!(out, " group_right ({})", label_list(labels))?,
            Cardinality::OneToOne | Cardinality::ManyToMany => {}
        }
        let text = super::super::labels::value_text;
        match (fill_left, fill_right) {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => write!(out, " fill ({})", text(*left)),
            (left, right) => {
                if let Some(left) = left {
                    write!(out, " fill_left ({})", text(*left))?;
                }
                right.map_or(Ok(()), |right| write!(out, " fill_right ({})", text(right)))
            }
        }
    }
}

struct AggregationStart<'a>(&'a Aggregation);

impl Display for AggregationStart<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.aggregator.name())?;
        match &self.0.grouping {
            Some(Grouping::AllBut(labels)) => write!(out, " without ({}) ", label_list(labels)),
            Some(Grouping::Only(labels)) if !labels.is_empty() => write!(out, " by ({}) ", label_list(labels)),
            _ => Ok(()),
        }
    }
}

fn label_list(labels: &[String]) -> String {
    labels.iter().map(|label| label_text(label)).collect::<Vec<_>>().join(", ")
}

fn label_text(label: &str) -> String {
    if is_plain_name(label) && !label.contains(':') { label.to_owned() } else { quote(label) }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

impl Display for Length {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Length::Known(ms) => write_ms(out, *ms),
            Length::Expression(_, expression) => write!(out, "{expression}"),
        }
    }
}

impl Display for DurationExpression {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpression::Number(seconds, true) => write_seconds(out, *seconds),
            DurationExpression::Number(seconds, false) => out.write_str(&super::super::labels::value_text(*seconds)),
            DurationExpression::Step => out.write_str("step()"),
            DurationExpression::Range => out.write_str("range()"),
            DurationExpression::Negative(of) => write!(out, "-{of}"),
            DurationExpression::Parentheses(of) => write!(out, "({of})"),
            DurationExpression::Least(a, b) => write!(out, "min({a}, {b})"),
            DurationExpression::Greatest(a, b) => write!(out, "max({a}, {b})"),
            DurationExpression::Arithmetic(operator, a, b) => write!(out, "{a} {} {b}", Operator::symbol(*operator)),
        }
    }
}

fn write_seconds(out: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
    match super::grammar::milliseconds(seconds) {
        Some(ms) => write_ms(out, ms),
        None => write!(out, "{seconds}"),
    }
}

/// `1h30m`: units from long to short; years and weeks only where they come out even.
pub(super) fn write_ms(out: &mut impl fmt::Write, ms: i64) -> fmt::Result {
    if ms == 0 {
        return out.write_str("0s");
    }
    if ms < 0 {
        out.write_str("-")?;
    }
    let mut rest = ms.unsigned_abs();
    let units: [(&str, u64, bool); 7] = [
        ("y", 365 * 86_400_000, true),
        ("w", 7 * 86_400_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1_000, false),
        ("ms", 1, false),
    ];
    for (unit, length, only_even) in units {
        if rest >= length && (!only_even || rest.is_multiple_of(length)) {
            write!(out, "{}{unit}", rest / length)?;
            rest %= length;
        }
    }
    Ok(())
}

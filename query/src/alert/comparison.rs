//! Whether an expression compares something with a number: then an alert's page can show the value even while it does not
//! fire ("0.3 of 0.5").
//!
//! `lhs > 0.5` gives the elements of `lhs` for which it holds, unchanged. So the left side is evaluated once and both
//! answers are read from it: what is now, and what fires.

use crate::promql::syntax::{Comparison as Comparing, Expression, Kind, Operator, ValueType, parse};

/// `expression > threshold`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The left side, as it is written.
    pub expression: String,
    /// `>`, `>=`, `<`, `<=`, `==` or `!=`.
    pub operator: &'static str,
    /// The number.
    pub threshold: f64,
}

impl Comparison {
    /// Whether the value passes, as PromQL compares.
    pub fn holds(&self, value: f64) -> bool {
        match self.operator {
            ">" => value > self.threshold,
            ">=" => value >= self.threshold,
            "<" => value < self.threshold,
            "<=" => value <= self.threshold,
            "==" => value == self.threshold,
            _ => value != self.threshold,
        }
    }
}

/// Checks PromQL, and takes it apart when it is a comparison with a number.
pub(super) fn parse_expression(text: &str) -> Result<Option<Comparison>, String> {
    let expression = parse(text).map_err(|error| error.to_string())?;
    if !matches!(expression.value_type(), ValueType::Vector | ValueType::Scalar) {
        return Err("a rule needs an expression with one value a series: not a range ([5m]) and not text".to_owned());
    }
    let Kind::Binary(binary) = &expression.bare().kind else { return Ok(None) };
    let (Some(threshold), ValueType::Vector, false) = (literal(&binary.right), binary.left.value_type(), binary.truth)
    else {
        return Ok(None);
    };
    let operator = match binary.operator {
        Operator::Compare(Comparing::Greater) => ">",
        Operator::Compare(Comparing::GreaterOrEqual) => ">=",
        Operator::Compare(Comparing::Less) => "<",
        Operator::Compare(Comparing::LessOrEqual) => "<=",
        Operator::Compare(Comparing::Equal) => "==",
        Operator::Compare(Comparing::NotEqual) => "!=",
        _ => return Ok(None),
    };
    let left = text.get(binary.left.span.start..binary.left.span.end);
    Ok(left.map(|left| Comparison { expression: left.trim().to_owned(), operator, threshold }))
}

fn literal(expression: &Expression) -> Option<f64> {
    match &expression.bare().kind {
        Kind::Number { value, .. } => Some(*value),
        Kind::Sign { minus, of } => literal(of).map(|number| if *minus { -number } else { number }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_with_a_number_are_taken_apart() {
        let check = |text: &str, expected: Option<(&str, &str, f64)>| {
            let found = parse_expression(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = found.as_ref().map(|c| (c.expression.as_str(), c.operator, c.threshold));
            assert_eq!(found, expected, "{text}");
        };
        check("up == 0", Some(("up", "==", 0.0)));
        check("rate(errors[5m]) / rate(hits[5m]) > 0.05", Some(("rate(errors[5m]) / rate(hits[5m])", ">", 0.05)));
        check("(x >= -1.5)", Some(("x", ">=", -1.5)));
        check("x{a=\">\"} > (3)", Some(("x{a=\">\"}", ">", 3.0)));
        check("x > 1 > 2", Some(("x > 1", ">", 2.0)));
        check("{\"web.hits\"} < 1e3 # comment > 5", Some(("{\"web.hits\"}", "<", 1000.0)));
        check("(x > 1) or (y > 2)", None);
        check("x > y", None);
        check("x > bool 5", None);
        check("sum(x)", None);
        check("vector(1)", None);
    }

    #[test]
    fn what_gives_no_value_a_series_is_refused() {
        for text in ["x[5m]", "\"text\"", "x >", "", "sum(", "nonsense(x)"] {
            assert!(parse_expression(text).is_err(), "{text}");
        }
    }
}

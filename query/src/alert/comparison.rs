//! Whether an expression compares something with a number: then an alert's page can show the value even while it does not
//! fire ("0.3 of 0.5").
//!
//! `lhs > 0.5` gives the elements of `lhs` for which it holds, unchanged. So the left side is evaluated once and both
//! answers are read from it: what is now, and what fires.

use promql_parser::parser::token::{T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_NEQ};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr};

use crate::promql::parse;

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
    let (text, expression) = without_parentheses(text, &expression);
    let Expr::Binary(BinaryExpr { op, lhs, rhs, modifier }) = expression else { return Ok(None) };
    let operator = match op.id() {
        T_GTR => ">",
        T_GTE => ">=",
        T_LSS => "<",
        T_LTE => "<=",
        T_EQLC => "==",
        T_NEQ => "!=",
        _ => return Ok(None),
    };
    let truth_values = modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
    let (Some(threshold), ValueType::Vector, false) = (literal(rhs), lhs.value_type(), truth_values) else {
        return Ok(None);
    };
    // The parser keeps no positions: the left side ends where what comes before the operator reads as it.
    let left = text
        .match_indices(operator)
        .map(|(at, _)| &text[..at])
        .find(|left| parse(left).is_ok_and(|parsed| parsed == **lhs));
    Ok(left.map(|left| Comparison { expression: left.trim().to_owned(), operator, threshold }))
}

/// What stands inside the outermost parentheses, as text and as tree.
fn without_parentheses<'a>(text: &'a str, expression: &'a Expr) -> (&'a str, &'a Expr) {
    let (mut text, mut expression) = (text.trim(), expression);
    while let (Expr::Paren(inner), Some(inside)) =
        (expression, text.strip_prefix('(').and_then(|text| text.strip_suffix(')')))
    {
        (text, expression) = (inside.trim(), &inner.expr);
    }
    (text, expression)
}

fn literal(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Unary(unary) => literal(&unary.expr).map(|number| -number),
        Expr::Paren(inner) => literal(&inner.expr),
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

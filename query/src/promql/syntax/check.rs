//! Whether the parts of an expression fit together, as Prometheus' parser says it.

use super::{
    Aggregation, Binary, Call, Cardinality, Expression, Extension, Grouping, Kind, Selector, Span, SyntaxError, Test,
    ValueType,
};

type Result = std::result::Result<(), SyntaxError>;

/// Checks an expression and all below it.
pub(super) fn check(expression: &Expression) -> Result {
    check_node(expression, None)
}

/// `caller` is the function that the expression is an argument of.
fn check_node(expression: &Expression, caller: Option<&str>) -> Result {
    let span = expression.span;
    let caller_below = match &expression.kind {
        Kind::Call(call) => Some(call.function.name),
        Kind::Parentheses(_) => caller,
        _ => None,
    };
    // What `info` takes as its second argument is no selector of series: it may select nothing by itself.
    let is_info = matches!(&expression.kind, Kind::Call(call) if call.function.name == "info");
    for child in expression.children().into_iter().take(if is_info { 1 } else { usize::MAX }) {
        check_node(child, caller_below)?;
    }
    match &expression.kind {
        Kind::Number { .. } | Kind::Text(_) | Kind::Parentheses(_) => Ok(()),
        Kind::Sign { of, .. } => match of.value_type() {
            ValueType::Scalar | ValueType::Vector => Ok(()),
            other => Err(SyntaxError::new(
                span,
                format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    other.name()
                ),
            )),
        },
        Kind::Selector(selector) => {
            if selector.extension == Some(Extension::Anchored) {
                return Err(SyntaxError::new(span, "anchored modifier can only be used with range vector selectors"));
            }
            check_selector(selector)
        }
        Kind::Range { selector, .. } => {
            check_selector(selector)?;
            check_extension(selector, caller, span)
        }
        Kind::Subquery(subquery) => match subquery.of.value_type() {
            ValueType::Vector => Ok(()),
            other => Err(SyntaxError::new(
                span,
                format!("subquery is only allowed on instant vector, got {} instead", other.name()),
            )),
        },
        Kind::Binary(binary) => check_binary(binary, span),
        Kind::Aggregation(aggregation) => check_aggregation(aggregation),
        Kind::Call(call) => check_call(call, span),
    }
}

fn check_selector(selector: &Selector) -> Result {
    for matcher in selector.matchers.iter().filter(|matcher| matches!(matcher.test, Test::Matches | Test::NotMatches)) {
        if let Err(error) = super::super::selection::anchored(&matcher.value) {
            return Err(SyntaxError::new(selector.span, error));
        }
    }
    if let Some(name) = &selector.name {
        // A name beside the braces and one inside would contradict each other.
        let twice = selector.matchers.iter().find(|matcher| matcher.label == "__name__" && matcher.test == Test::Equal);
        if let Some(other) = twice {
            let message = format!("metric name must not be set twice: {name:?} or {:?}", other.value);
            return Err(SyntaxError::new(selector.span, message));
        }
        return Ok(());
    }
    let wants_something = selector.matchers.iter().any(|matcher| match matcher.test {
        Test::Equal => !matcher.value.is_empty(),
        Test::NotEqual => matcher.value.is_empty(),
        Test::Matches => super::super::selection::anchored(&matcher.value).is_ok_and(|regex| !regex.is_match("")),
        Test::NotMatches => super::super::selection::anchored(&matcher.value).is_ok_and(|regex| regex.is_match("")),
    });
    if wants_something {
        Ok(())
    } else {
        Err(SyntaxError::new(selector.span, "vector selector must contain at least one non-empty matcher"))
    }
}

fn check_extension(selector: &Selector, caller: Option<&str>, span: Span) -> Result {
    let (name, functions): (_, &[&str]) = match selector.extension {
        None => return Ok(()),
        Some(Extension::Anchored) => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Some(Extension::Smoothed) => ("smoothed", &["delta", "increase", "rate"]),
    };
    match caller {
        Some(caller) if !functions.contains(&caller) => Err(SyntaxError::new(
            span,
            format!("{name} modifier can only be used with: {} - not with {caller}", functions.join(", ")),
        )),
        _ => Ok(()),
    }
}

fn check_binary(binary: &Binary, span: Span) -> Result {
    let (left, right) = (binary.left.value_type(), binary.right.value_type());
    let operator = binary.operator;
    for (side, of) in [(left, &binary.left), (right, &binary.right)] {
        if !matches!(side, ValueType::Scalar | ValueType::Vector) {
            return Err(SyntaxError::new(
                of.span,
                "binary expression must contain only scalar and instant vector types",
            ));
        }
    }
    if binary.truth && !operator.compares() {
        return Err(SyntaxError::new(span, "bool modifier can only be used on comparison operators"));
    }
    let both_scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if operator.compares() && !binary.truth && both_scalars {
        return Err(SyntaxError::new(span, "comparisons between scalars must use BOOL modifier"));
    }
    if left != ValueType::Vector || right != ValueType::Vector {
        if binary.matching.is_some() || binary.fill_left.is_some() || binary.fill_right.is_some() {
            return Err(SyntaxError::new(span, "vector matching only allowed between instant vectors"));
        }
        if operator.is_set_operator() {
            let message = format!("set operator {:?} not allowed in binary scalar expression", operator.symbol());
            return Err(SyntaxError::new(span, message));
        }
    }
    if let (Some(Grouping::Only(on)), Cardinality::ManyToOne(included) | Cardinality::OneToMany(included)) =
        (&binary.matching, &binary.cardinality)
        && let Some(both) = on.iter().find(|label| included.contains(label))
    {
        let message = format!("label {both:?} must not occur in ON and GROUP clause at once");
        return Err(SyntaxError::new(span, message));
    }
    Ok(())
}

fn check_aggregation(aggregation: &Aggregation) -> Result {
    expect(&aggregation.of, ValueType::Vector, "aggregation expression")?;
    match (aggregation.aggregator.parameter(), &aggregation.parameter) {
        (Some(wanted), Some(parameter)) => expect(parameter, wanted, "aggregation parameter"),
        _ => Ok(()),
    }
}

fn check_call(call: &Call, span: Span) -> Result {
    let (function, given) = (call.function, call.arguments.len());
    let name = function.name;
    let most = function.takes.len();
    let count = |least: usize, how: &str| {
        SyntaxError::new(span, format!("expected {how}{least} argument(s) in call to {name:?}, got {given}"))
    };
    match function.optional {
        0 if given != most => return Err(count(most, "")),
        optional if optional != 0 => {
            let least = most.saturating_sub(usize::try_from(optional.unsigned_abs()).unwrap_or(usize::MAX));
            if given < least {
                return Err(count(least, "at least "));
            }
            let most = if name == "histogram_quantiles" { 12 } else { most };
            if (optional > 0 || name == "histogram_quantiles") && given > most {
                return Err(count(most, "at most "));
            }
        }
        _ => {}
    }
    for (place, argument) in call.arguments.iter().enumerate() {
        let wanted = function.takes.get(place).or(function.takes.last()).copied();
        let Some(wanted) = wanted else { continue };
        if name == "info" && place == 1 {
            if !matches!(argument.kind, Kind::Selector(_)) {
                return Err(SyntaxError::new(argument.span, "expected label selectors only"));
            }
            continue;
        }
        expect(argument, wanted, &format!("call to function {name:?}"))?;
    }
    Ok(())
}

fn expect(expression: &Expression, wanted: ValueType, context: &str) -> Result {
    let found = expression.value_type();
    if found == wanted {
        return Ok(());
    }
    let message = format!("expected type {} in {context}, got {}", wanted.name(), found.name());
    Err(SyntaxError::new(expression.span, message))
}

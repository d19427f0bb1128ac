//! An expression as JSON, as Prometheus' `parse_query` gives it.

use serde_json::{Value, json};

use super::{At, Cardinality, Expression, Grouping, Kind, Length, Matcher, Selector, Test};

impl Expression {
    /// The tree as JSON.
    pub(crate) fn outline(&self) -> Value {
        match &self.kind {
            Kind::Number { value, .. } => {
                json!({ "type": "numberLiteral", "val": super::super::labels::value_text(*value) })
            }
            Kind::Text(text) => json!({ "type": "stringLiteral", "val": text }),
            Kind::Parentheses(inner) => json!({ "type": "parenExpr", "expr": inner.outline() }),
            Kind::Sign { minus, of } => {
                json!({ "type": "unaryExpr", "op": if *minus { "-" } else { "+" }, "expr": of.outline() })
            }
            Kind::Selector(selector) => selector_outline("vectorSelector", selector),
            Kind::Range { selector, range } => {
                let mut outline = selector_outline("matrixSelector", selector);
                outline["range"] = milliseconds(Some(range));
                outline
            }
            Kind::Subquery(subquery) => {
                let mut outline = json!({
                    "type": "subquery",
                    "expr": subquery.of.outline(),
                    "range": milliseconds(Some(&subquery.range)),
                    "step": milliseconds(subquery.step.as_ref()),
                    "offset": milliseconds(subquery.offset.as_ref()),
                });
                set_moment(&mut outline, subquery.at);
                outline
            }
            Kind::Binary(binary) => {
                let (card, include): (_, &[String]) = match &binary.cardinality {
                    Cardinality::OneToOne => ("one-to-one", &[]),
                    Cardinality::ManyToOne(labels) => ("many-to-one", labels),
                    Cardinality::OneToMany(labels) => ("one-to-many", labels),
                    Cardinality::ManyToMany => ("many-to-many", &[]),
                };
                let (on, labels): (_, &[String]) = match &binary.matching {
                    Some(Grouping::Only(labels)) => (true, labels),
                    Some(Grouping::AllBut(labels)) => (false, labels),
                    None => (false, &[]),
                };
                let is_vector = |side: &Expression| side.value_type() == super::ValueType::Vector;
                let matching = (is_vector(&binary.left) && is_vector(&binary.right)).then(|| {
                    json!({
                        "card": card, "labels": labels, "on": on, "include": include,
                        "fillValues": { "lhs": binary.fill_left, "rhs": binary.fill_right },
                    })
                });
                json!({
                    "type": "binaryExpr", "op": binary.operator.symbol(), "bool": binary.truth, "matching": matching,
                    "lhs": binary.left.outline(), "rhs": binary.right.outline(),
                })
            }
            Kind::Aggregation(aggregation) => {
                let (without, grouping): (_, &[String]) = match &aggregation.grouping {
                    Some(Grouping::Only(labels)) => (false, labels),
                    Some(Grouping::AllBut(labels)) => (true, labels),
                    None => (false, &[]),
                };
                json!({
                    "type": "aggregation", "op": aggregation.aggregator.name(), "grouping": grouping,
                    "without": without, "param": aggregation.parameter.as_ref().map(Expression::outline),
                    "expr": aggregation.of.outline(),
                })
            }
            Kind::Call(call) => json!({
                "type": "call",
                "func": {
                    "name": call.function.name,
                    "argTypes": call.function.takes.iter().map(|wanted| type_name(*wanted)).collect::<Vec<_>>(),
                    "variadic": call.function.optional,
                    "returnType": type_name(call.function.gives),
                },
                "args": call.arguments.iter().map(Expression::outline).collect::<Vec<_>>(),
            }),
        }
    }
}

fn type_name(of: super::ValueType) -> &'static str {
    match of {
        super::ValueType::Scalar => "scalar",
        super::ValueType::Vector => "vector",
        super::ValueType::Matrix => "matrix",
        super::ValueType::Text => "string",
    }
}

fn selector_outline(kind: &str, selector: &Selector) -> Value {
    let matcher =
        |label: &str, test: Test, value: &str| json!({ "name": label, "type": test.symbol(), "value": value });
    let of = |m: &Matcher| matcher(&m.label, m.test, &m.value);
    let named = selector.name.iter().map(|name| matcher("__name__", Test::Equal, name));
    let mut outline = json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or(""),
        "matchers": selector.matchers.iter().map(of).chain(named).collect::<Vec<_>>(),
        "offset": milliseconds(selector.offset.as_ref()),
    });
    if let Some(extension) = selector.extension {
        outline[extension.name()] = true.into();
    }
    set_moment(&mut outline, selector.at);
    outline
}

fn set_moment(outline: &mut Value, at: Option<At>) {
    let (timestamp, start_or_end) = match at {
        Some(At::Moment(ms)) => (Some(ms), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
        None => (None, None),
    };
    outline["timestamp"] = timestamp.into();
    outline["startOrEnd"] = start_or_end.into();
}

/// 0 for what is not written or depends on the query's step.
fn milliseconds(length: Option<&Length>) -> Value {
    match length {
        Some(Length::Known(ms)) => (*ms).into(),
        _ => 0.into(),
    }
}

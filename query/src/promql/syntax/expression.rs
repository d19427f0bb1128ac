//! The tree of an expression.

use super::Span;

/// A node and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    /// How many nodes lie on the longest way down, itself included.
    pub(crate) depth: u32,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A number; written as a duration it is its seconds.
    Number { value: f64, is_duration: bool },
    /// Text in quotes.
    Text(String),
    /// An expression in brackets.
    Parentheses(Box<Expression>),
    /// A sign before an expression.
    Sign { minus: bool, of: Box<Expression> },
    /// An instant selector.
    Selector(Selector),
    /// A selector with a range; modifiers stand in the selector.
    Range { selector: Selector, range: Length },
    /// An expression over a range.
    Subquery(Box<Subquery>),
    /// Two expressions and an operator.
    Binary(Box<Binary>),
    /// `sum by (job) (…)`.
    Aggregation(Box<Aggregation>),
    /// A function's call.
    Call(Call),
}

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    Scalar,
    Vector,
    Matrix,
    Text,
}

impl ValueType {
    /// As Prometheus' messages say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::Text => "string",
        }
    }
}

/// Which series are meant, and when.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// The selector without modifiers.
    pub(crate) span: Span,
    pub(crate) name: Option<String>,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset: Option<Length>,
    pub(crate) at: Option<At>,
    pub(crate) extension: Option<Extension>,
}

/// How a selector looks beyond its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Anchored,
    Smoothed,
}

impl Extension {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Extension::Anchored => "anchored",
            Extension::Smoothed => "smoothed",
        }
    }
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) test: Test,
    pub(crate) value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    NotEqual,
    Matches,
    NotMatches,
}

impl Test {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Test::Equal => "=",
            Test::NotEqual => "!=",
            Test::Matches => "=~",
            Test::NotMatches => "!~",
        }
    }
}

/// `@ …`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum At {
    Start,
    End,
    /// Milliseconds since the epoch.
    Moment(i64),
}

/// A length of time: known, or worked out from the query's step and range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Length {
    /// Milliseconds.
    Known(i64),
    Expression(Span, Box<DurationExpression>),
}

/// Arithmetic on seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DurationExpression {
    /// Seconds; whether they were written as a duration.
    Number(f64, bool),
    Step,
    Range,
    Negative(Box<DurationExpression>),
    Parentheses(Box<DurationExpression>),
    Least(Box<DurationExpression>, Box<DurationExpression>),
    Greatest(Box<DurationExpression>, Box<DurationExpression>),
    Arithmetic(Operator, Box<DurationExpression>, Box<DurationExpression>),
}

/// `expression[range:step]`.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) of: Expression,
    pub(crate) range: Length,
    pub(crate) step: Option<Length>,
    pub(crate) offset: Option<Length>,
    pub(crate) at: Option<At>,
}

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Atan2,
    Compare(Comparison),
    And,
    Or,
    Unless,
    /// `</`: what of a histogram lies below a number.
    TrimUpper,
    /// `>/`: what of a histogram lies above a number.
    TrimLower,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

impl Operator {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Power => "^",
            Operator::Atan2 => "atan2",
            Operator::Compare(Comparison::Equal) => "==",
            Operator::Compare(Comparison::NotEqual) => "!=",
            Operator::Compare(Comparison::Greater) => ">",
            Operator::Compare(Comparison::Less) => "<",
            Operator::Compare(Comparison::GreaterOrEqual) => ">=",
            Operator::Compare(Comparison::LessOrEqual) => "<=",
            Operator::And => "and",
            Operator::Or => "or",
            Operator::Unless => "unless",
            Operator::TrimUpper => "</",
            Operator::TrimLower => ">/",
        }
    }

    /// Which binds stronger; `^` alone groups from the right.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Operator::Or => 1,
            Operator::And | Operator::Unless => 2,
            Operator::Compare(_) | Operator::TrimUpper | Operator::TrimLower => 3,
            Operator::Add | Operator::Subtract => 4,
            Operator::Multiply | Operator::Divide | Operator::Modulo | Operator::Atan2 => 5,
            Operator::Power => 6,
        }
    }

    pub(crate) fn is_set_operator(self) -> bool {
        matches!(self, Operator::And | Operator::Or | Operator::Unless)
    }

    pub(crate) fn compares(self) -> bool {
        matches!(self, Operator::Compare(_))
    }
}

/// Two expressions, an operator and how their series are matched.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) operator: Operator,
    pub(crate) left: Expression,
    pub(crate) right: Expression,
    /// `bool`.
    pub(crate) truth: bool,
    /// `on` or `ignoring`.
    pub(crate) matching: Option<Grouping>,
    pub(crate) cardinality: Cardinality,
    /// What stands for a series that the left side lacks.
    pub(crate) fill_left: Option<f64>,
    /// What stands for a series that the right side lacks.
    pub(crate) fill_right: Option<f64>,
}

/// How many series of one side may meet one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left`, with labels taken from the right side.
    ManyToOne(Vec<String>),
    /// `group_right`, with labels taken from the left side.
    OneToMany(Vec<String>),
    /// Set operators.
    ManyToMany,
}

/// Labels that count, or that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// `by`, `on`.
    Only(Vec<String>),
    /// `without`, `ignoring`.
    AllBut(Vec<String>),
}

/// An aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregation {
    pub(crate) aggregator: Aggregator,
    pub(crate) parameter: Option<Expression>,
    pub(crate) of: Expression,
    pub(crate) grouping: Option<Grouping>,
}

/// What is made of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
}

impl Aggregator {
    const ALL: [(&'static str, Aggregator); 14] = [
        ("sum", Aggregator::Sum),
        ("avg", Aggregator::Avg),
        ("count", Aggregator::Count),
        ("min", Aggregator::Min),
        ("max", Aggregator::Max),
        ("group", Aggregator::Group),
        ("stddev", Aggregator::Stddev),
        ("stdvar", Aggregator::Stdvar),
        ("topk", Aggregator::TopK),
        ("bottomk", Aggregator::BottomK),
        ("count_values", Aggregator::CountValues),
        ("quantile", Aggregator::Quantile),
        ("limitk", Aggregator::LimitK),
        ("limit_ratio", Aggregator::LimitRatio),
    ];

    /// The aggregator of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Aggregator> {
        Aggregator::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, aggregator)| *aggregator)
    }

    pub(crate) fn name(self) -> &'static str {
        Aggregator::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// What it wants beside a vector.
    pub(crate) fn parameter(self) -> Option<ValueType> {
        match self {
            Aggregator::TopK
            | Aggregator::BottomK
            | Aggregator::Quantile
            | Aggregator::LimitK
            | Aggregator::LimitRatio => Some(ValueType::Scalar),
            Aggregator::CountValues => Some(ValueType::Text),
            _ => None,
        }
    }
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static super::function_table::Function,
    pub(crate) arguments: Vec<Expression>,
}

impl Expression {
    /// What it gives.
    pub(crate) fn value_type(&self) -> ValueType {
        match &self.kind {
            Kind::Number { .. } => ValueType::Scalar,
            Kind::Text(_) => ValueType::Text,
            Kind::Parentheses(inner) | Kind::Sign { of: inner, .. } => inner.value_type(),
            Kind::Selector(_) | Kind::Aggregation(_) => ValueType::Vector,
            Kind::Range { .. } | Kind::Subquery(_) => ValueType::Matrix,
            Kind::Binary(binary) => match (binary.left.value_type(), binary.right.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Kind::Call(call) => call.function.gives,
        }
    }

    /// The expressions right below it, from left to right.
    pub(crate) fn children(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::Number { .. } | Kind::Text(_) | Kind::Selector(_) | Kind::Range { .. } => Vec::new(),
            Kind::Parentheses(inner) | Kind::Sign { of: inner, .. } => vec![inner],
            Kind::Subquery(subquery) => vec![&subquery.of],
            Kind::Binary(binary) => vec![&binary.left, &binary.right],
            Kind::Aggregation(aggregation) => aggregation.parameter.iter().chain([&aggregation.of]).collect(),
            Kind::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// Without the brackets around it.
    pub(crate) fn bare(&self) -> &Expression {
        match &self.kind {
            Kind::Parentheses(inner) => inner.bare(),
            _ => self,
        }
    }
}

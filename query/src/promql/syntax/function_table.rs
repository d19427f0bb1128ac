//! The functions: what they want and what they give.

use super::ValueType::{self, Matrix, Scalar, Text, Vector};

/// A function's signature.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) takes: &'static [ValueType],
    /// How many of the last arguments may be left out; −1 when the last may be repeated, or left out.
    pub(crate) optional: i32,
    pub(crate) gives: ValueType,
}

impl Function {
    /// The function of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Function> {
        let at = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok()?;
        Some(&FUNCTIONS[at])
    }
}

const fn plain(name: &'static str, takes: &'static [ValueType], gives: ValueType) -> Function {
    Function { name, takes, optional: 0, gives }
}

const fn flexible(name: &'static str, takes: &'static [ValueType], optional: i32) -> Function {
    Function { name, takes, optional, gives: Vector }
}

/// By name.
pub(crate) static FUNCTIONS: [Function; 89] = [
    plain("abs", &[Vector], Vector),
    plain("absent", &[Vector], Vector),
    plain("absent_over_time", &[Matrix], Vector),
    plain("acos", &[Vector], Vector),
    plain("acosh", &[Vector], Vector),
    plain("asin", &[Vector], Vector),
    plain("asinh", &[Vector], Vector),
    plain("atan", &[Vector], Vector),
    plain("atanh", &[Vector], Vector),
    plain("avg_over_time", &[Matrix], Vector),
    plain("ceil", &[Vector], Vector),
    plain("changes", &[Matrix], Vector),
    plain("clamp", &[Vector, Scalar, Scalar], Vector),
    plain("clamp_max", &[Vector, Scalar], Vector),
    plain("clamp_min", &[Vector, Scalar], Vector),
    plain("cos", &[Vector], Vector),
    plain("cosh", &[Vector], Vector),
    plain("count_over_time", &[Matrix], Vector),
    flexible("day_of_month", &[Vector], 1),
    flexible("day_of_week", &[Vector], 1),
    flexible("day_of_year", &[Vector], 1),
    flexible("days_in_month", &[Vector], 1),
    plain("deg", &[Vector], Vector),
    plain("delta", &[Matrix], Vector),
    plain("deriv", &[Matrix], Vector),
    plain("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector),
    plain("end", &[], Scalar),
    plain("exp", &[Vector], Vector),
    plain("first_over_time", &[Matrix], Vector),
    plain("floor", &[Vector], Vector),
    plain("histogram_avg", &[Vector], Vector),
    plain("histogram_count", &[Vector], Vector),
    plain("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    plain("histogram_quantile", &[Scalar, Vector], Vector),
    flexible("histogram_quantiles", &[Vector, Text, Scalar, Scalar], -1),
    plain("histogram_stddev", &[Vector], Vector),
    plain("histogram_stdvar", &[Vector], Vector),
    plain("histogram_sum", &[Vector], Vector),
    flexible("hour", &[Vector], 1),
    plain("idelta", &[Matrix], Vector),
    plain("increase", &[Matrix], Vector),
    flexible("info", &[Vector, Vector], 1),
    plain("irate", &[Matrix], Vector),
    flexible("label_join", &[Vector, Text, Text, Text], -1),
    plain("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    plain("last_over_time", &[Matrix], Vector),
    plain("ln", &[Vector], Vector),
    plain("log10", &[Vector], Vector),
    plain("log2", &[Vector], Vector),
    plain("mad_over_time", &[Matrix], Vector),
    plain("max_of", &[Scalar, Scalar], Scalar),
    plain("max_over_time", &[Matrix], Vector),
    plain("min_of", &[Scalar, Scalar], Scalar),
    plain("min_over_time", &[Matrix], Vector),
    flexible("minute", &[Vector], 1),
    flexible("month", &[Vector], 1),
    plain("pi", &[], Scalar),
    plain("predict_linear", &[Matrix, Scalar], Vector),
    plain("present_over_time", &[Matrix], Vector),
    plain("quantile_over_time", &[Scalar, Matrix], Vector),
    plain("rad", &[Vector], Vector),
    plain("range", &[], Scalar),
    plain("rate", &[Matrix], Vector),
    plain("resets", &[Matrix], Vector),
    flexible("round", &[Vector, Scalar], 1),
    plain("scalar", &[Vector], Scalar),
    plain("sgn", &[Vector], Vector),
    plain("sin", &[Vector], Vector),
    plain("sinh", &[Vector], Vector),
    plain("sort", &[Vector], Vector),
    flexible("sort_by_label", &[Vector, Text], -1),
    flexible("sort_by_label_desc", &[Vector, Text], -1),
    plain("sort_desc", &[Vector], Vector),
    plain("sqrt", &[Vector], Vector),
    plain("start", &[], Scalar),
    plain("stddev_over_time", &[Matrix], Vector),
    plain("stdvar_over_time", &[Matrix], Vector),
    plain("step", &[], Scalar),
    plain("sum_over_time", &[Matrix], Vector),
    plain("tan", &[Vector], Vector),
    plain("tanh", &[Vector], Vector),
    plain("time", &[], Scalar),
    plain("timestamp", &[Vector], Vector),
    plain("ts_of_first_over_time", &[Matrix], Vector),
    plain("ts_of_last_over_time", &[Matrix], Vector),
    plain("ts_of_max_over_time", &[Matrix], Vector),
    plain("ts_of_min_over_time", &[Matrix], Vector),
    plain("vector", &[Scalar], Vector),
    flexible("year", &[Vector], 1),
];

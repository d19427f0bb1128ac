//! What stands behind a selector or subquery: its range, `offset`, `@`, `anchored` and `smoothed`, and the lengths of time in them.

use super::super::{
    At, DurationExpression, Expression, Extension, Kind, Length, Operator, Span, Subquery, SyntaxError,
};
use super::{OPEN_MAX, Parser, Result, TokenKind, too_deep};

impl Parser<'_> {
    /// What stands in `[…]`: a range, or a range and a step.
    pub(super) fn range(&mut self, of: Expression) -> Result<Expression> {
        let start = of.span.start;
        self.advance();
        let range = self.positive_length()?;
        if self.take_sign(":") {
            let step = if self.is_sign("]") { None } else { Some(self.positive_length()?) };
            self.expect_sign("]", "subquery selector")?;
            let subquery = Subquery { of, range, step, offset: None, at: None };
            return self.node(start, Kind::Subquery(Box::new(subquery)));
        }
        self.expect_sign("]", "subquery or range selector")?;
        let Kind::Selector(selector) = of.kind else {
            return Err(SyntaxError::new(of.span, "ranges only allowed for vector selectors"));
        };
        if selector.offset.is_some() {
            return Err(SyntaxError::new(of.span, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(SyntaxError::new(of.span, "no @ modifiers allowed before range"));
        }
        if selector.extension.is_some() {
            return Err(SyntaxError::new(of.span, "no anchored or smoothed modifiers allowed before range"));
        }
        self.node(start, Kind::Range { selector, range })
    }

    fn positive_length(&mut self) -> Result<Length> {
        let span = self.span();
        let expression = self.duration(0)?;
        let span = Span { start: span.start, end: self.end() };
        match constant(&expression) {
            Some(seconds) => match milliseconds(seconds) {
                Some(ms) if ms > 0 => Ok(Length::Known(ms)),
                Some(_) => Err(SyntaxError::new(span, "duration must be greater than 0")),
                None => Err(SyntaxError::new(span, "duration out of range")),
            },
            None => Ok(Length::Expression(span, Box::new(expression))),
        }
    }

    /// Without brackets only the first number counts: `x offset 5m * 2` is `(x offset 5m) * 2`.
    pub(super) fn offset(&mut self) -> Result<Length> {
        let start = self.span().start;
        let expression = self.duration_operand("offset")?;
        let span = Span { start, end: self.end() };
        match constant(&expression) {
            Some(seconds) => {
                milliseconds(seconds).map(Length::Known).ok_or_else(|| SyntaxError::new(span, "duration out of range"))
            }
            None => Ok(Length::Expression(span, Box::new(expression))),
        }
    }

    fn duration(&mut self, least: u8) -> Result<DurationExpression> {
        self.depth += 1;
        if self.depth > OPEN_MAX {
            return Err(too_deep(self.span()));
        }
        let mut left = self.duration_operand("subquery or range selector")?;
        let mut chained = 0;
        while let Some(operator) = self.operator().filter(|operator| operator.precedence() >= least.max(4)) {
            chained += 1;
            if operator == Operator::Atan2 || chained > OPEN_MAX {
                return Err(self.unexpected("subquery or range selector", "duration"));
            }
            self.advance();
            let precedence = operator.precedence();
            let right = self.duration(if operator == Operator::Power { precedence } else { precedence + 1 })?;
            left = DurationExpression::Arithmetic(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn duration_operand(&mut self, context: &str) -> Result<DurationExpression> {
        if self.is_sign("-") || self.is_sign("+") {
            let minus = self.is_sign("-");
            self.advance();
            self.depth += 1;
            if self.depth > OPEN_MAX {
                return Err(too_deep(self.span()));
            }
            let mut of = self.duration_operand(context)?;
            if context != "offset" && self.is_sign("^") {
                self.advance();
                let right = self.duration(Operator::Power.precedence())?;
                of = DurationExpression::Arithmetic(Operator::Power, Box::new(of), Box::new(right));
            }
            self.depth -= 1;
            return Ok(if minus { DurationExpression::Negative(Box::new(of)) } else { of });
        }
        match self.kind().clone() {
            TokenKind::Number(value) => {
                self.advance();
                Ok(DurationExpression::Number(value, false))
            }
            TokenKind::Duration(ms) => {
                self.advance();
                Ok(DurationExpression::Number(ms as f64 / 1000.0, true))
            }
            TokenKind::Sign("(") => {
                self.advance();
                let inner = self.duration(0)?;
                self.expect_sign(")", context)?;
                Ok(DurationExpression::Parentheses(Box::new(inner)))
            }
            TokenKind::Word(word) if self.next_is_sign("(") => {
                let word = word.to_ascii_lowercase();
                match word.as_str() {
                    "step" | "range" => {
                        self.advance();
                        self.advance();
                        self.expect_sign(")", context)?;
                        Ok(if word == "step" { DurationExpression::Step } else { DurationExpression::Range })
                    }
                    "min" | "max" | "min_of" | "max_of" => {
                        self.advance();
                        self.advance();
                        let first = Box::new(self.duration(0)?);
                        self.expect_sign(",", context)?;
                        let second = Box::new(self.duration(0)?);
                        self.expect_sign(")", context)?;
                        Ok(if word.starts_with("min") {
                            DurationExpression::Least(first, second)
                        } else {
                            DurationExpression::Greatest(first, second)
                        })
                    }
                    _ => Err(self.unexpected(context, "number, duration, step(), or range()")),
                }
            }
            _ => Err(self.unexpected(context, "number, duration, step(), or range()")),
        }
    }

    pub(super) fn moment(&mut self) -> Result<At> {
        if (self.is_word("start") || self.is_word("end")) && self.next_is_sign("(") {
            let at = if self.is_word("start") { At::Start } else { At::End };
            self.advance();
            self.advance();
            self.expect_sign(")", "@")?;
            return Ok(at);
        }
        let span = self.span();
        let minus = self.take_sign("-");
        if !minus {
            self.take_sign("+");
        }
        let seconds = match self.kind() {
            TokenKind::Number(value) => *value,
            TokenKind::Duration(ms) => *ms as f64 / 1000.0,
            _ => return Err(self.unexpected("@", "timestamp")),
        };
        self.advance();
        let seconds = if minus { -seconds } else { seconds };
        let out_of_bounds = || {
            let seconds = if seconds.is_infinite() {
                if minus { "-Inf".to_owned() } else { "+Inf".to_owned() }
            } else if seconds.is_nan() {
                "NaN".to_owned()
            } else {
                format!("{seconds:.6}")
            };
            SyntaxError::new(span, format!("timestamp out of bounds for @ modifier: {seconds}"))
        };
        let ms = (seconds * 1000.0).round();
        if ms.is_nan() || ms.abs() >= 9.2e18 {
            return Err(out_of_bounds());
        }
        Ok(At::Moment(ms as i64))
    }

    pub(super) fn set_offset(&mut self, mut of: Expression, offset: Length) -> Result<Expression> {
        let slot = match &mut of.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => &mut selector.offset,
            Kind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or range vector selector or \
                               a subquery";
                return Err(SyntaxError::new(of.span, message));
            }
        };
        if slot.is_some() {
            return Err(SyntaxError::new(of.span, "offset may not be set multiple times"));
        }
        *slot = Some(offset);
        of.span.end = self.end();
        Ok(of)
    }

    pub(super) fn set_at(&mut self, mut of: Expression, at: At) -> Result<Expression> {
        let slot = match &mut of.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => &mut selector.at,
            Kind::Subquery(subquery) => &mut subquery.at,
            _ => {
                let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a \
                               subquery";
                return Err(SyntaxError::new(of.span, message));
            }
        };
        if slot.is_some() {
            return Err(SyntaxError::new(of.span, "@ <timestamp> may not be set multiple times"));
        }
        *slot = Some(at);
        of.span.end = self.end();
        Ok(of)
    }

    pub(super) fn set_extension(&mut self, mut of: Expression, extension: Extension) -> Result<Expression> {
        let name = extension.name();
        let (Kind::Selector(selector) | Kind::Range { selector, .. }) = &mut of.kind else {
            let message = format!(
                "{name} modifier must be preceded by an instant vector selector or range vector selector, but follows a {} \
                 instead",
                of.kind.name()
            );
            return Err(SyntaxError::new(of.span, message));
        };
        match selector.extension {
            Some(before) if before != extension => {
                return Err(SyntaxError::new(of.span, "anchored and smoothed modifiers cannot be used together"));
            }
            Some(_) => {
                return Err(SyntaxError::new(of.span, format!("{name} modifier may not be set multiple times")));
            }
            None => selector.extension = Some(extension),
        }
        of.span.end = self.end();
        Ok(of)
    }
}

/// The seconds of an expression that is no more than a number with a sign.
fn constant(expression: &DurationExpression) -> Option<f64> {
    match expression {
        DurationExpression::Number(seconds, _) => Some(*seconds),
        DurationExpression::Negative(of) => constant(of).map(|seconds| -seconds),
        _ => None,
    }
}

/// Whole milliseconds, as far as Go's nanoseconds reach.
pub(crate) fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (ms.abs() <= (i64::MAX / 1_000_000) as f64).then_some(ms as i64)
}

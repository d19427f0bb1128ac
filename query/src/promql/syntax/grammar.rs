//! The parser: recursive descent, operators by precedence climbing; what stands behind selectors is read by `modifier`. What it
//! gives has the right shape; whether the types fit is looked at in `check`.

mod modifier;

pub(crate) use modifier::milliseconds;

use super::function_table::Function;
use super::token::{Token, TokenKind, tokens};
use super::{
    Aggregation, Aggregator, Binary, Call, Cardinality, Comparison, Expression, Extension, Grouping, Kind, Matcher,
    Operator, Selector, Span, SyntaxError, Test,
};

/// How deep an expression may nest, chains of operators among it: walks over it recurse.
const DEPTH_MAX: u32 = 150;

/// How many brackets, calls and signs may be open at once: each takes this parser several calls.
const OPEN_MAX: u32 = 80;

type Result<T> = std::result::Result<T, SyntaxError>;

/// The expression that a text stands for.
pub(super) fn parse(query: &str) -> Result<Expression> {
    let tokens = tokens(query)?;
    let mut parser = Parser { query, tokens, at: 0, depth: 0 };
    if parser.kind() == &TokenKind::End {
        return Err(SyntaxError::new(parser.span(), "no expression found in input"));
    }
    let expression = parser.expression(0)?;
    match parser.kind() {
        TokenKind::End => Ok(expression),
        _ => Err(parser.unexpected("", "")),
    }
}

struct Parser<'q> {
    query: &'q str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn kind(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Where the token before ended.
    fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].span.end)
    }

    fn advance(&mut self) -> TokenKind {
        let kind = self.tokens[self.at].kind.clone();
        if kind != TokenKind::End {
            self.at += 1;
        }
        kind
    }

    fn is_sign(&self, wanted: &str) -> bool {
        matches!(self.kind(), TokenKind::Sign(sign) if *sign == wanted)
    }

    fn take_sign(&mut self, wanted: &str) -> bool {
        let found = self.is_sign(wanted);
        self.at += usize::from(found);
        found
    }

    /// The sign or an error that says where it is missing.
    fn expect_sign(&mut self, wanted: &str, context: &str) -> Result<()> {
        if self.take_sign(wanted) { Ok(()) } else { Err(self.unexpected(context, &format!("{wanted:?}"))) }
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self.kind(), TokenKind::Word(word) if word.eq_ignore_ascii_case(wanted))
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.is_word(wanted);
        self.at += usize::from(found);
        found
    }

    fn next_is_sign(&self, wanted: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| matches!(token.kind, TokenKind::Sign(sign) if sign == wanted))
    }

    fn next_is_word(&self, wanted: &[&str]) -> bool {
        let is = |word: &String| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted));
        self.tokens.get(self.at + 1).is_some_and(|token| matches!(&token.kind, TokenKind::Word(word) if is(word)))
    }

    fn unexpected(&self, context: &str, expected: &str) -> SyntaxError {
        let span = self.span();
        let mut message = format!("unexpected {}", self.kind().describe(&self.query[span.start..span.end]));
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        SyntaxError::new(span, message)
    }

    fn node(&self, start: usize, kind: Kind) -> Result<Expression> {
        let mut node = Expression { span: Span { start, end: self.end() }, kind, depth: 0 };
        node.depth = 1 + node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > DEPTH_MAX {
            return Err(too_deep(node.span));
        }
        Ok(node)
    }

    /// An expression whose operators bind at least as strong as `least`.
    fn expression(&mut self, least: u8) -> Result<Expression> {
        self.depth += 1;
        if self.depth > OPEN_MAX {
            return Err(too_deep(self.span()));
        }
        let mut left = self.operand()?;
        while let Some(operator) = self.operator().filter(|operator| operator.precedence() >= least) {
            left = self.binary(left, operator)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<Operator> {
        Some(match self.kind() {
            TokenKind::Sign(sign) => match *sign {
                "+" => Operator::Add,
                "-" => Operator::Subtract,
                "*" => Operator::Multiply,
                "/" => Operator::Divide,
                "%" => Operator::Modulo,
                "^" => Operator::Power,
                "==" => Operator::Compare(Comparison::Equal),
                "!=" => Operator::Compare(Comparison::NotEqual),
                ">" => Operator::Compare(Comparison::Greater),
                "<" => Operator::Compare(Comparison::Less),
                ">=" => Operator::Compare(Comparison::GreaterOrEqual),
                "<=" => Operator::Compare(Comparison::LessOrEqual),
                "</" => Operator::TrimUpper,
                ">/" => Operator::TrimLower,
                _ => return None,
            },
            TokenKind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "and" => Operator::And,
                "or" => Operator::Or,
                "unless" => Operator::Unless,
                "atan2" => Operator::Atan2,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn binary(&mut self, left: Expression, operator: Operator) -> Result<Expression> {
        self.advance();
        let truth = self.take_word("bool");
        let (mut matching, mut cardinality) = (None, Cardinality::OneToOne);
        let (mut fill_left, mut fill_right) = (None, None);
        if self.is_word("on") || self.is_word("ignoring") {
            let on = self.is_word("on");
            self.advance();
            let labels = self.labels()?;
            matching = Some(if on { Grouping::Only(labels) } else { Grouping::AllBut(labels) });
        }
        if self.is_word("group_left") || self.is_word("group_right") {
            let span = self.span();
            let to_left = self.is_word("group_left");
            if matching.is_none() {
                return Err(self.unexpected("", ""));
            }
            self.advance();
            let labels = if self.is_sign("(") { self.labels()? } else { Vec::new() };
            if operator.is_set_operator() {
                let message = format!("no grouping allowed for {:?} operation", operator.symbol());
                return Err(SyntaxError::new(span, message));
            }
            cardinality = if to_left { Cardinality::ManyToOne(labels) } else { Cardinality::OneToMany(labels) };
        }
        while self.next_is_sign("(") && ["fill", "fill_left", "fill_right"].iter().any(|word| self.is_word(word)) {
            let span = self.span();
            let (to_left, to_right) = (!self.is_word("fill_right"), !self.is_word("fill_left"));
            self.advance();
            let number = self.fill_value()?;
            if operator.is_set_operator() {
                return Err(SyntaxError::new(span, "filling in missing series not allowed for set operators"));
            }
            if (to_left && fill_left.is_some()) || (to_right && fill_right.is_some()) {
                return Err(SyntaxError::new(span, "a fill modifier may not be set twice"));
            }
            if to_left {
                fill_left = Some(number);
            }
            if to_right {
                fill_right = Some(number);
            }
        }
        if operator.is_set_operator() {
            cardinality = Cardinality::ManyToMany;
        }
        let precedence = operator.precedence();
        let right = self.expression(if operator == Operator::Power { precedence } else { precedence + 1 })?;
        let start = left.span.start;
        let binary = Binary { operator, left, right, truth, matching, cardinality, fill_left, fill_right };
        self.node(start, Kind::Binary(Box::new(binary)))
    }

    fn fill_value(&mut self) -> Result<f64> {
        self.expect_sign("(", "fill value")?;
        let minus = self.take_sign("-");
        if !minus {
            self.take_sign("+");
        }
        let value = match self.kind() {
            TokenKind::Number(value) => *value,
            TokenKind::Duration(ms) => *ms as f64 / 1000.0,
            _ => return Err(self.unexpected("fill value", "number")),
        };
        self.advance();
        self.expect_sign(")", "fill value")?;
        Ok(if minus { -value } else { value })
    }

    /// `(a, b, "c.d")`.
    fn labels(&mut self) -> Result<Vec<String>> {
        self.expect_sign("(", "grouping opts")?;
        let mut labels = Vec::new();
        while !self.take_sign(")") {
            match self.kind().clone() {
                TokenKind::Word(word) if !word.contains(':') => labels.push(word),
                TokenKind::Text(text) if !text.is_empty() => labels.push(text),
                // Names that read as numbers elsewhere.
                TokenKind::Number(_) if self.query[self.span().start..].starts_with(|c: char| c.is_alphabetic()) => {
                    let span = self.span();
                    labels.push(self.query[span.start..span.end].to_owned());
                }
                _ => return Err(self.unexpected("grouping opts", "label")),
            }
            self.advance();
            if !self.is_sign(")") {
                self.expect_sign(",", "grouping opts")?;
            }
        }
        Ok(labels)
    }

    /// An operand with its sign and what follows it: a range, `offset`, `@`.
    fn operand(&mut self) -> Result<Expression> {
        let start = self.span().start;
        if self.is_sign("-") || self.is_sign("+") {
            let minus = self.is_sign("-");
            self.advance();
            // A sign binds weaker than `^` only.
            let of = self.expression(Operator::Power.precedence())?;
            if let Kind::Number { value, is_duration } = of.kind {
                let value = if minus { -value } else { value };
                return self.node(start, Kind::Number { value, is_duration });
            }
            return self.node(start, Kind::Sign { minus, of: Box::new(of) });
        }
        let mut operand = self.primary()?;
        loop {
            operand = if self.is_sign("[") {
                self.range(operand)?
            } else if self.is_word("offset") {
                self.advance();
                let offset = self.offset()?;
                self.set_offset(operand, offset)?
            } else if self.is_sign("@") {
                self.advance();
                let at = self.moment()?;
                self.set_at(operand, at)?
            } else if self.is_word("anchored") || self.is_word("smoothed") {
                let extension = if self.is_word("anchored") { Extension::Anchored } else { Extension::Smoothed };
                self.advance();
                self.set_extension(operand, extension)?
            } else {
                return Ok(operand);
            };
        }
    }

    fn primary(&mut self) -> Result<Expression> {
        let start = self.span().start;
        match self.kind().clone() {
            TokenKind::Number(value) => {
                self.advance();
                self.node(start, Kind::Number { value, is_duration: false })
            }
            TokenKind::Duration(ms) => {
                self.advance();
                self.node(start, Kind::Number { value: ms as f64 / 1000.0, is_duration: true })
            }
            TokenKind::Text(text) => {
                self.advance();
                self.node(start, Kind::Text(text))
            }
            TokenKind::Sign("(") => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect_sign(")", "")?;
                self.node(start, Kind::Parentheses(Box::new(inner)))
            }
            TokenKind::Sign("{") => self.selector(start, None),
            TokenKind::Word(word) => {
                if let Some(aggregator) = Aggregator::named(&word)
                    && (self.next_is_sign("(") || self.next_is_word(&["by", "without"]))
                {
                    return self.aggregation(start, aggregator);
                }
                if self.next_is_sign("(") {
                    return self.call(start, &word);
                }
                // Words that begin a matching or a condition cannot be names.
                let reserved = ["bool", "on", "ignoring", "group_left", "group_right", "atan2"];
                if reserved.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) {
                    return Err(self.unexpected("", ""));
                }
                self.advance();
                self.selector(start, Some(word))
            }
            _ => Err(self.unexpected("", "")),
        }
    }

    fn aggregation(&mut self, start: usize, aggregator: Aggregator) -> Result<Expression> {
        self.advance();
        let mut grouping = self.grouping()?;
        if !self.is_sign("(") {
            return Err(self.unexpected("aggregation", ""));
        }
        let mut arguments = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let span = Span { start, end: self.end() };
        let wanted = 1 + usize::from(aggregator.parameter().is_some());
        if arguments.is_empty() {
            return Err(SyntaxError::new(span, "no arguments for aggregate expression provided"));
        }
        if arguments.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                arguments.len()
            );
            return Err(SyntaxError::new(span, message));
        }
        let of = arguments.pop();
        let parameter = arguments.pop();
        let Some(of) = of else { return Err(SyntaxError::new(span, "no arguments for aggregate expression provided")) };
        self.node(start, Kind::Aggregation(Box::new(Aggregation { aggregator, parameter, of, grouping })))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>> {
        if self.take_word("by") {
            return Ok(Some(Grouping::Only(self.labels()?)));
        }
        if self.take_word("without") {
            return Ok(Some(Grouping::AllBut(self.labels()?)));
        }
        Ok(None)
    }

    fn arguments(&mut self) -> Result<Vec<Expression>> {
        self.expect_sign("(", "")?;
        let mut arguments = Vec::new();
        if self.take_sign(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.take_sign(")") {
                return Ok(arguments);
            }
            self.expect_sign(",", "")?;
            if self.is_sign(")") {
                return Err(SyntaxError::new(self.span(), "trailing commas not allowed in function call args"));
            }
        }
    }

    fn call(&mut self, start: usize, name: &str) -> Result<Expression> {
        let span = self.span();
        let Some(function) = Function::named(name) else {
            return Err(SyntaxError::new(span, format!("unknown function with name {name:?}")));
        };
        self.advance();
        let arguments = self.arguments()?;
        self.node(start, Kind::Call(Call { function, arguments }))
    }

    fn selector(&mut self, start: usize, name: Option<String>) -> Result<Expression> {
        let mut selector = Selector {
            span: Span { start, end: start },
            name,
            matchers: Vec::new(),
            offset: None,
            at: None,
            extension: None,
        };
        if self.take_sign("{") {
            while !self.take_sign("}") {
                self.matcher(&mut selector)?;
                if !self.is_sign("}") {
                    self.expect_sign(",", "label matching")?;
                }
            }
        }
        selector.span.end = self.end();
        self.node(start, Kind::Selector(selector))
    }

    fn matcher(&mut self, selector: &mut Selector) -> Result<()> {
        let span = self.span();
        let (label, quoted) = match self.kind().clone() {
            TokenKind::Word(word) => (word, false),
            TokenKind::Text(text) => (text, true),
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        self.advance();
        let test = match self.kind() {
            TokenKind::Sign("=") => Test::Equal,
            TokenKind::Sign("!=") => Test::NotEqual,
            TokenKind::Sign("=~") => Test::Matches,
            TokenKind::Sign("!~") => Test::NotMatches,
            _ if quoted => {
                // A quoted name stands alone.
                if let Some(before) = &selector.name {
                    let message = format!("metric name must not be set twice: {before:?} or {label:?}");
                    return Err(SyntaxError::new(span, message));
                }
                selector.name = Some(label);
                return Ok(());
            }
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.advance();
        let TokenKind::Text(value) = self.kind().clone() else {
            return Err(self.unexpected("label matching", "string"));
        };
        self.advance();
        selector.matchers.push(Matcher { label, test, value });
        Ok(())
    }
}

fn too_deep(span: Span) -> SyntaxError {
    SyntaxError::new(
        span,
        format!("the expression nests too deep: more than {OPEN_MAX} brackets or {DEPTH_MAX} operators in a row"),
    )
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Number { .. } => "number literal",
            Kind::Text(_) => "string literal",
            Kind::Parentheses(_) => "parenthesis expression",
            Kind::Sign { .. } => "unary expression",
            Kind::Selector(_) => "vector selector",
            Kind::Range { .. } => "matrix selector",
            Kind::Subquery(_) => "subquery",
            Kind::Binary(_) => "binary expression",
            Kind::Aggregation(_) => "aggregation",
            Kind::Call(_) => "call",
        }
    }
}

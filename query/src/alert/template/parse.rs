//! The template's tree: nodes, pipelines, commands. Names of functions and variables are checked here, so that a rules file
//! with a wrong one is refused before any alert needs it.

use std::collections::HashMap;

use super::TemplateError;
use super::function::is_function;
use super::lexer::{Piece, Token, TokenKind, pieces};

/// The deepest nesting of actions and parentheses.
const NESTING_MAX: usize = 50;

/// A template and those that it defines.
pub(super) struct Parsed {
    pub nodes: Vec<Node>,
    pub defined: HashMap<String, Vec<Node>>,
}

pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, each: Vec<Node>, otherwise: Vec<Node> },
    Template { name: String, data: Option<Pipeline> },
    Break,
    Continue,
}

pub(super) struct Pipeline {
    /// Variables that get the value; two only in `range $key, $value := …`.
    pub variables: Vec<String>,
    /// Whether the variables are new (`:=`) or get another value (`=`).
    pub declares: bool,
    /// The first gives a value, each next gets the one before as its last argument.
    pub commands: Vec<Command>,
}

pub(super) enum Command {
    Value(Operand),
    Call { function: String, arguments: Vec<Operand> },
}

pub(super) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    /// A function without arguments in the place of an argument.
    Call(String),
    Pipeline(Box<Pipeline>),
    /// `.a.b` after something.
    Fields(Box<Operand>, Vec<String>),
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Parsed, TemplateError> {
    let known = ["", "labels", "externalLabels", "externalURL", "value"];
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        variables: known.into_iter().map(str::to_owned).collect(),
        defined: HashMap::new(),
        nesting: 0,
        loops: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Stop::Text => Ok(Parsed { nodes, defined: parser.defined }),
        Stop::End => error("{{end}} without {{if}}, {{range}} or {{with}} before it"),
        Stop::Else(_) => error("{{else}} without {{if}}, {{range}} or {{with}} before it"),
    }
}

/// What ends a list of nodes.
enum Stop {
    Text,
    End,
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// Variables that can be seen, inner ones last.
    variables: Vec<String>,
    defined: HashMap<String, Vec<Node>>,
    nesting: usize,
    loops: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(TokenKind::Identifier(name)) => name.as_str(),
                Some(_) => "",
                None => return error("an action is empty: {{}}"),
            };
            let rest = || tokens[1..].to_vec();
            match keyword {
                "end" if tokens.len() == 1 => return Ok((nodes, Stop::End)),
                "else" => return Ok((nodes, Stop::Else(rest()))),
                "if" | "with" | "range" => nodes.push(self.block(keyword, rest())?),
                "define" => self.define(&tokens[1..])?,
                "template" => nodes.push(self.template(&tokens[1..])?),
                "break" | "continue" if tokens.len() == 1 => {
                    if self.loops == 0 {
                        return error(&format!("{{{{{keyword}}}}} stands outside of {{{{range}}}}"));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "block" | "end" | "break" | "continue" => {
                    return error(&format!("{{{{{keyword} …}}}} is not understood here"));
                }
                _ => {
                    let pipeline = self.pipeline(tokens, false)?;
                    nodes.push(Node::Print(pipeline));
                }
            }
        }
        Ok((nodes, Stop::Text))
    }

    fn block(&mut self, keyword: &str, tokens: Vec<Token>) -> Result<Node, TemplateError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return error(&format!("actions nest at most {NESTING_MAX} deep"));
        }
        let outside = self.variables.len();
        let pipeline = self.pipeline(tokens, keyword == "range")?;
        self.loops += usize::from(keyword == "range");
        let (then, end) = self.nodes()?;
        self.loops -= usize::from(keyword == "range");
        let otherwise = match end {
            Stop::End => Vec::new(),
            Stop::Text => return error(&format!("{{{{{keyword}}}}} is not closed: write {{{{end}}}}")),
            Stop::Else(tokens) if tokens.is_empty() => match self.nodes()? {
                (nodes, Stop::End) => nodes,
                _ => return error(&format!("{{{{else}}}} of {{{{{keyword}}}}} is not closed: write {{{{end}}}}")),
            },
            Stop::Else(mut tokens) => {
                let next = match &tokens.remove(0).kind {
                    TokenKind::Identifier(next) if next == keyword && keyword != "range" => keyword,
                    _ => return error("write {{else}}, {{else if …}} or {{else with …}}"),
                };
                vec![self.block(next, tokens)?]
            }
        };
        self.variables.truncate(outside);
        self.nesting -= 1;
        Ok(match keyword {
            "if" => Node::If { condition: pipeline, then, otherwise },
            "with" => Node::With { value: pipeline, then, otherwise },
            _ => Node::Range { over: pipeline, each: then, otherwise },
        })
    }

    fn define(&mut self, tokens: &[Token]) -> Result<(), TemplateError> {
        let [Token { kind: TokenKind::Text(name), .. }] = tokens else {
            return error("a definition has a name: {{define \"name\"}}");
        };
        if self.nesting > 0 {
            return error("{{define}} stands inside another action");
        }
        // What is defined sees the data it is given, and no variable from outside.
        let outer = std::mem::replace(&mut self.variables, vec![String::new()]);
        self.nesting += 1;
        let body = self.nodes()?;
        self.nesting -= 1;
        self.variables = outer;
        match body {
            (nodes, Stop::End) => {
                self.defined.insert(name.clone(), nodes);
                Ok(())
            }
            _ => error("{{define}} is not closed: write {{end}}"),
        }
    }

    fn template(&mut self, tokens: &[Token]) -> Result<Node, TemplateError> {
        let Some((Token { kind: TokenKind::Text(name), .. }, rest)) = tokens.split_first() else {
            return error("write {{template \"name\" data}}");
        };
        let data = if rest.is_empty() { None } else { Some(self.pipeline(rest.to_vec(), false)?) };
        Ok(Node::Template { name: name.clone(), data })
    }

    fn pipeline(&mut self, tokens: Vec<Token>, ranges: bool) -> Result<Pipeline, TemplateError> {
        let mut tokens = Tokens { tokens: tokens.into_iter().peekable() };
        let pipeline = self.read_pipeline(&mut tokens, ranges)?;
        match tokens.tokens.next() {
            None => Ok(pipeline),
            Some(Token { kind: TokenKind::Close, .. }) => error("a parenthesis closes nothing"),
            Some(_) => error("the action goes on where it should end"),
        }
    }

    fn read_pipeline(&mut self, tokens: &mut Tokens, ranges: bool) -> Result<Pipeline, TemplateError> {
        let (variables, declares) = tokens.declaration(ranges)?;
        let mut commands = vec![self.command(tokens)?];
        while tokens.take(&TokenKind::Pipe) {
            let command = self.command(tokens)?;
            if matches!(command, Command::Value(_)) {
                return error("only a function can follow | in an action");
            }
            commands.push(command);
        }
        for variable in &variables {
            if declares {
                self.variables.push(variable.clone());
            } else if !self.variables.contains(variable) {
                return error(&format!("${variable} is not known: declare it with :="));
            }
        }
        Ok(Pipeline { variables, declares, commands })
    }

    fn command(&mut self, tokens: &mut Tokens) -> Result<Command, TemplateError> {
        if let Some(Token { kind: TokenKind::Identifier(name), .. }) = tokens.tokens.peek()
            && !matches!(name.as_str(), "true" | "false" | "nil")
        {
            let function = self.function(name.clone())?;
            tokens.tokens.next();
            let mut arguments = Vec::new();
            while tokens.at_operand() {
                arguments.push(self.operand(tokens)?);
            }
            return Ok(Command::Call { function, arguments });
        }
        if !tokens.at_operand() {
            return error("a value or a function is missing");
        }
        let value = self.operand(tokens)?;
        if tokens.at_operand() {
            return error("a value takes no arguments; only a function does");
        }
        Ok(Command::Value(value))
    }

    fn operand(&mut self, tokens: &mut Tokens) -> Result<Operand, TemplateError> {
        let Some(token) = tokens.tokens.next() else { return error("a value is missing") };
        let operand = match token.kind {
            TokenKind::Dot => Operand::Dot,
            TokenKind::Field(name) => Operand::Fields(Box::new(Operand::Dot), vec![name]),
            TokenKind::Text(text) => Operand::Text(text),
            TokenKind::Int(number) => Operand::Int(number),
            TokenKind::Float(number) => Operand::Float(number),
            TokenKind::Variable(name) if self.variables.contains(&name) => Operand::Variable(name),
            TokenKind::Variable(name) => return error(&format!("${name} is not known")),
            TokenKind::Identifier(name) => match name.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                _ => Operand::Call(self.function(name)?),
            },
            TokenKind::Open => {
                self.nesting += 1;
                if self.nesting > NESTING_MAX {
                    return error(&format!("parentheses nest at most {NESTING_MAX} deep"));
                }
                let inner = self.read_pipeline(tokens, false)?;
                self.nesting -= 1;
                if !tokens.take(&TokenKind::Close) {
                    return error("a parenthesis is not closed");
                }
                Operand::Pipeline(Box::new(inner))
            }
            _ => return error("a value is missing"),
        };
        let mut fields = Vec::new();
        while let Some(Token { kind: TokenKind::Field(name), spaced: false }) = tokens.tokens.peek() {
            fields.push(name.clone());
            tokens.tokens.next();
        }
        Ok(match operand {
            operand if fields.is_empty() => operand,
            Operand::Fields(of, mut first) => {
                first.extend(fields);
                Operand::Fields(of, first)
            }
            operand => Operand::Fields(Box::new(operand), fields),
        })
    }

    fn function(&self, name: String) -> Result<String, TemplateError> {
        if is_function(&name) { Ok(name) } else { error(&format!("function {name:?} is not known")) }
    }
}

struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Tokens {
    fn take(&mut self, kind: &TokenKind) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    fn at_operand(&mut self) -> bool {
        self.tokens.peek().is_some_and(|token| {
            !matches!(
                token.kind,
                TokenKind::Pipe | TokenKind::Close | TokenKind::Declare | TokenKind::Assign | TokenKind::Comma
            )
        })
    }

    /// `$x :=`, `$x =` or, in a range, `$key, $value :=` at the start.
    fn declaration(&mut self, ranges: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let mut ahead = self.tokens.clone();
        let mut variables = Vec::new();
        while let Some(Token { kind: TokenKind::Variable(name), .. }) = ahead.next() {
            variables.push(name);
            let declares = match ahead.next().map(|token| token.kind) {
                Some(TokenKind::Declare) => true,
                Some(TokenKind::Assign) => false,
                Some(TokenKind::Comma) if ranges && variables.len() == 1 => continue,
                Some(TokenKind::Comma) => return error("only {{range $key, $value := …}} declares two variables"),
                _ => break,
            };
            self.tokens = ahead;
            return Ok((variables, declares));
        }
        Ok((Vec::new(), false))
    }
}

fn error<T>(message: &str) -> Result<T, TemplateError> {
    Err(TemplateError(message.to_owned()))
}

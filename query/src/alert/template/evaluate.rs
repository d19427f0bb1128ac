//! From the tree to text.

use std::collections::BTreeMap;

use super::function::call;
use super::parse::{Command, Node, Operand, Parsed, Pipeline};
use super::value::Value;
use super::{Context, OUTPUT_BYTES_MAX, STEPS_MAX, TemplateError};

/// The deepest nesting of templates that call each other.
const CALLS_MAX: usize = 50;

/// The text that the template gives.
pub(super) fn expand(parsed: &Parsed, context: &Context<'_>) -> Result<String, TemplateError> {
    let labels: BTreeMap<String, String> =
        context.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let entries = [
        ("labels", "Labels", Value::Labels(labels)),
        ("externalLabels", "ExternalLabels", Value::Labels(context.external_labels.clone())),
        ("externalURL", "ExternalURL", Value::Text(context.external_url.to_owned())),
        ("value", "Value", Value::Float(context.value)),
    ];
    let data = Value::Map(entries.iter().map(|(_, name, value)| ((*name).to_owned(), value.clone())).collect());
    let mut variables = vec![(String::new(), data.clone())];
    variables.extend(entries.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    let mut evaluator = Evaluator { parsed, context, variables, output: String::new(), steps: 0, calls: 0 };
    evaluator.nodes(&parsed.nodes, &data)?;
    Ok(evaluator.output)
}

/// How a list of nodes came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// The running expansion.
pub(super) struct Evaluator<'a> {
    parsed: &'a Parsed,
    pub(super) context: &'a Context<'a>,
    variables: Vec<(String, Value)>,
    output: String,
    steps: usize,
    calls: usize,
}

impl Evaluator<'_> {
    /// What a template defined by this name gives for the data (`tmpl`, `template`).
    pub(super) fn defined(&mut self, name: &str, data: &Value) -> Result<String, TemplateError> {
        let parsed = self.parsed;
        let nodes =
            parsed.defined.get(name).ok_or_else(|| TemplateError(format!("no template {name:?} is defined")))?;
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(TemplateError(format!("templates call each other more than {CALLS_MAX} deep")));
        }
        let variables = std::mem::replace(&mut self.variables, vec![(String::new(), data.clone())]);
        let output = std::mem::take(&mut self.output);
        let result = self.nodes(nodes, data);
        self.calls -= 1;
        self.variables = variables;
        let given = std::mem::replace(&mut self.output, output);
        result.map(|_| given)
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        let outside = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(outside);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        self.step()?;
        match node {
            Node::Text(text) => self.print(text)?,
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(&value.to_string())?;
                }
            }
            Node::If { condition, then, otherwise } => {
                let outside = self.variables.len();
                let branch = if self.pipeline(condition, dot)?.is_true() { then } else { otherwise };
                let flow = self.nodes(branch, dot)?;
                self.variables.truncate(outside);
                return Ok(flow);
            }
            Node::With { value, then, otherwise } => {
                let outside = self.variables.len();
                let value = self.pipeline(value, dot)?;
                let flow = if value.is_true() { self.nodes(then, &value)? } else { self.nodes(otherwise, dot)? };
                self.variables.truncate(outside);
                return Ok(flow);
            }
            Node::Range { over, each, otherwise } => return self.range(over, each, otherwise, dot),
            Node::Template { name, data } => {
                let data = data.as_ref().map_or(Ok(Value::Nil), |data| self.pipeline(data, dot))?;
                let text = self.defined(name, &data)?;
                self.print(&text)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        each: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        let value = self.commands(over, dot)?;
        let keyed =
            |map: Vec<(String, Value)>| map.into_iter().map(|(name, value)| (Value::Text(name), value)).collect();
        let items: Vec<(Value, Value)> = match value {
            Value::List(items) => (0..).map(Value::Int).zip(items).collect(),
            Value::Map(map) => keyed(map.into_iter().collect()),
            Value::Labels(map) => keyed(map.into_iter().map(|(name, value)| (name, Value::Text(value))).collect()),
            Value::Int(count) => {
                (0..count.clamp(0, STEPS_MAX as i64)).map(|n| (Value::Int(n), Value::Int(n))).collect()
            }
            Value::Nil => Vec::new(),
            other => return Err(TemplateError(format!("range cannot go over a {}", other.kind()))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            self.step()?;
            let outside = self.variables.len();
            match &over.variables[..] {
                [] => {}
                [value] => self.set(value, item.clone(), over.declares),
                [index, value, ..] => {
                    self.set(index, key, over.declares);
                    self.set(value, item.clone(), over.declares);
                }
            }
            let flow = self.nodes(each, &item)?;
            self.variables.truncate(outside);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let value = self.commands(pipeline, dot)?;
        for variable in &pipeline.variables {
            self.set(variable, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(match command {
                Command::Value(operand) => self.operand(operand, dot)?,
                Command::Call { function, arguments } => self.call(function, arguments, piped, dot)?,
            });
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn call(
        &mut self,
        function: &str,
        arguments: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        self.step()?;
        // `and` and `or` evaluate only as far as they must.
        if let "and" | "or" = function {
            let mut last = None;
            for argument in arguments {
                let value = self.operand(argument, dot)?;
                if value.is_true() == (function == "or") {
                    return Ok(value);
                }
                last = Some(value);
            }
            return piped.or(last).ok_or_else(|| TemplateError(format!("{function} needs an argument")));
        }
        let mut values = arguments.iter().map(|argument| self.operand(argument, dot)).collect::<Result<Vec<_>, _>>()?;
        values.extend(piped);
        call(self, function, values)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        Ok(match operand {
            Operand::Dot => dot.clone(),
            Operand::Nil => Value::Nil,
            Operand::Bool(truth) => Value::Bool(*truth),
            Operand::Int(number) => Value::Int(*number),
            Operand::Float(number) => Value::Float(*number),
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map_or(Value::Nil, |(_, value)| value.clone())
            }
            Operand::Call(function) => self.call(function, &[], None, dot)?,
            Operand::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
            Operand::Fields(of, names) => {
                let mut value = self.operand(of, dot)?;
                for name in names {
                    value = value.field(name).map_err(TemplateError)?;
                }
                value
            }
        })
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, old)) if !declares => *old = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn print(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.output.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(TemplateError(format!("the text grows beyond {} KiB", OUTPUT_BYTES_MAX >> 10)));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn step(&mut self) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(TemplateError(format!("the template takes more than {STEPS_MAX} steps")));
        }
        Ok(())
    }
}

//! Walks a template's tree over the data.

use serde_json::Value;

use super::parse::{Base, Branch, Node, Operand, Pipe};
use super::{Error, funcs, print};

/// A value, or the "no value" of a missing map key.
pub(super) type Val = Option<Value>;

/// Fields whose objects are maps: a key that is not there is no error (Go's zero value).
const MAPS: [&str; 16] = [
    "Labels",
    "Annotations",
    "Sysctls",
    "Tmpfs",
    "Config",
    "Networks",
    "Ports",
    "Options",
    "StorageOpt",
    "Data",
    "ExposedPorts",
    "Volumes",
    "PortBindings",
    "Attributes",
    "Usage",
    "LogOpts",
];

/// Fields that docker's JSON leaves out when they are empty, though its types have them.
const OMITTED: [&str; 17] = [
    "Health",
    "SizeRw",
    "SizeRootFs",
    "Sysctls",
    "Annotations",
    "Tmpfs",
    "StorageOpt",
    "Mounts",
    "Init",
    "Healthcheck",
    "StopTimeout",
    "StopSignal",
    "Shell",
    "ExecIDs",
    "Dead",
    "OnBuild",
    "ExposedPorts",
];

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Eval<'a> {
    root: &'a Value,
    vars: Vec<(String, Val)>,
    out: String,
}

pub(super) fn render(nodes: &[Node], data: &Value) -> Result<String, Error> {
    let mut eval = Eval { root: data, vars: Vec::new(), out: String::new() };
    eval.list(nodes, &Some(data.clone()))?;
    Ok(eval.out)
}

impl Eval<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Val) -> Result<Flow, Error> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                Node::Emit(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.names.is_empty() {
                        self.out.push_str(&print::shown(&value));
                    }
                    Flow::On
                }
                Node::If(branch) => self.scoped(|eval| eval.branch(branch, dot, false))?,
                Node::With(branch) => self.scoped(|eval| eval.branch(branch, dot, true))?,
                Node::Range(branch) => self.scoped(|eval| eval.range(branch, dot))?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// Variables declared inside end with `body`.
    fn scoped<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.vars.len();
        let result = body(self);
        self.vars.truncate(depth);
        result
    }

    fn branch(&mut self, branch: &Branch, dot: &Val, rebind: bool) -> Result<Flow, Error> {
        let value = self.pipe(&branch.pipe, dot)?;
        if !funcs::truth(&value) {
            return self.list(&branch.otherwise, dot);
        }
        self.list(&branch.then, if rebind { &value } else { dot })
    }

    fn range(&mut self, branch: &Branch, dot: &Val) -> Result<Flow, Error> {
        let items = items(self.operands(&branch.pipe, dot)?)?;
        if items.is_empty() {
            return self.list(&branch.otherwise, dot);
        }
        for (key, item) in items {
            let depth = self.vars.len();
            match branch.pipe.names.as_slice() {
                [value] => self.vars.push((value.clone(), Some(item.clone()))),
                [index, value] => {
                    self.vars.push((index.clone(), Some(key)));
                    self.vars.push((value.clone(), Some(item.clone())));
                }
                _ => {}
            }
            let flow = self.list(&branch.then, &Some(item))?;
            self.vars.truncate(depth);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// Evaluates, and declares or assigns the pipe's variable.
    fn pipe(&mut self, pipe: &Pipe, dot: &Val) -> Result<Val, Error> {
        let value = self.operands(pipe, dot)?;
        if let Some(name) = pipe.names.first() {
            if pipe.assign {
                let slot = self.vars.iter_mut().rev().find(|(have, _)| have == name);
                slot.ok_or_else(|| undefined(name))?.1 = value.clone();
            } else {
                self.vars.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn operands(&mut self, pipe: &Pipe, dot: &Val) -> Result<Val, Error> {
        let mut piped: Option<Val> = None;
        for command in &pipe.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.flatten())
    }

    fn command(&mut self, command: &[Operand], dot: &Val, piped: Option<Val>) -> Result<Val, Error> {
        let Some((head, rest)) = command.split_first() else {
            return Err(Error::Syntax("missing value in action".into()));
        };
        if let Base::Func(name) = &head.base {
            if name == "and" || name == "or" {
                return self.short_circuit(name == "or", rest, dot, piped);
            }
            let args = self.arguments(rest, dot, piped)?;
            return Ok(Some(funcs::call(name, &args)?));
        }
        if rest.is_empty() && piped.is_none() {
            return self.operand(head, dot);
        }
        let args = self.arguments(rest, dot, piped)?;
        self.method(head, dot, &args)
    }

    fn arguments(&mut self, operands: &[Operand], dot: &Val, piped: Option<Val>) -> Result<Vec<Val>, Error> {
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(piped);
        Ok(args)
    }

    fn short_circuit(&mut self, stop: bool, rest: &[Operand], dot: &Val, piped: Option<Val>) -> Result<Val, Error> {
        let mut last = None;
        for operand in rest {
            last = self.operand(operand, dot)?;
            if funcs::truth(&last) == stop {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    /// `.Label "x"`: a lookup in the object `Label()`.
    fn method(&mut self, head: &Operand, dot: &Val, args: &[Val]) -> Result<Val, Error> {
        let name = head.chain.last().map_or("value", String::as_str);
        let table = match (&head.base, dot) {
            (Base::Dot, Some(Value::Object(object))) => object.get(&format!("{name}()")),
            _ => None,
        };
        let (Some(table), [Some(Value::String(key))]) = (table, args) else {
            return Err(Error::Data(format!("`{name}` is no function and takes no argument")));
        };
        Ok(Some(table.get(key).cloned().unwrap_or_else(|| Value::String(String::new()))))
    }

    fn operand(&mut self, operand: &Operand, dot: &Val) -> Result<Val, Error> {
        let chain = operand.chain.as_slice();
        match &operand.base {
            Base::Dot => fields(dot.as_ref(), chain),
            Base::Literal(value) => fields(Some(value), chain),
            Base::Var(name) if name.is_empty() => fields(Some(self.root), chain),
            Base::Var(name) => {
                let found = self.vars.iter().rev().find(|(have, _)| have == name);
                fields(found.ok_or_else(|| undefined(name))?.1.as_ref(), chain)
            }
            Base::Func(name) => {
                let value = funcs::call(name, &[])?;
                fields(Some(&value), chain)
            }
            Base::Paren(pipe) => {
                let value = self.pipe(pipe, dot)?;
                fields(value.as_ref(), chain)
            }
        }
    }
}

fn undefined(name: &str) -> Error {
    Error::Data(format!("undefined variable `${name}`"))
}

/// Follows `.A.B`; a name that differs only in case is the same field (`.ID` is JSON's `Id`).
fn fields(start: Option<&Value>, chain: &[String]) -> Result<Val, Error> {
    let mut value = start;
    let mut parent = "";
    for name in chain {
        value = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => match object
                .get(name)
                .or_else(|| object.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v))
            {
                Some(found) => Some(found),
                None if MAPS.contains(&parent) || OMITTED.contains(&name.as_str()) => None,
                None => return Err(Error::Data(format!("there is no field `{name}`"))),
            },
            Some(other) => {
                let kind = funcs::kind(other);
                return Err(Error::Data(format!("cannot take field `{name}` of a {kind}")));
            }
        };
        parent = name;
    }
    Ok(value.cloned())
}

/// What `range` visits, with its key or index.
fn items(value: Val) -> Result<Vec<(Value, Value)>, Error> {
    Ok(match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.into_iter().enumerate().map(|(i, v)| (Value::from(i), v)).collect(),
        Some(Value::Object(object)) => {
            let mut pairs: Vec<_> = object.into_iter().filter(|(k, _)| !k.ends_with("()")).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.into_iter().map(|(k, v)| (Value::String(k), v)).collect()
        }
        Some(Value::Number(n)) if n.as_u64().is_some_and(|n| n <= 1 << 20) => {
            (0..n.as_u64().unwrap_or(0)).map(|i| (Value::from(i), Value::from(i))).collect()
        }
        Some(other) => {
            return Err(Error::Data(format!("cannot range over a {}", funcs::kind(&other))));
        }
    })
}

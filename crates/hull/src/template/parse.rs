//! Builds the tree of a template from its pieces.

use std::collections::VecDeque;

use serde_json::Value;

use super::Error;
use super::funcs;
use super::lex::{Piece, Token};

/// One part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Emit(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// `if`, `with` or `range` with its two bodies.
#[derive(Debug)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub then: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// `$x, $y := command | command`.
#[derive(Debug)]
pub(super) struct Pipe {
    pub names: Vec<String>,
    pub assign: bool,
    pub commands: Vec<Vec<Operand>>,
}

/// One operand with the fields taken of it.
#[derive(Debug)]
pub(super) struct Operand {
    pub base: Base,
    pub chain: Vec<String>,
}

/// What an operand starts from.
#[derive(Debug)]
pub(super) enum Base {
    Dot,
    Var(String),
    Func(String),
    Literal(Value),
    Paren(Box<Pipe>),
}

pub(super) fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>, Error> {
    let mut parser = Parser { pieces: pieces.into(), loops: 0 };
    let (nodes, end) = parser.list(None)?;
    match end {
        Stop::Text => Ok(nodes),
        Stop::End => Err(Error::Syntax("unexpected `end`".into())),
        Stop::Else(_) => Err(Error::Syntax("unexpected `else`".into())),
    }
}

/// What ended a list of nodes.
enum Stop {
    Text,
    End,
    /// The tokens after `else`, as in `else if .X`.
    Else(VecDeque<Token>),
}

struct Parser {
    pieces: VecDeque<Piece>,
    loops: usize,
}

impl Parser {
    fn list(&mut self, inside: Option<&str>) -> Result<(Vec<Node>, Stop), Error> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.pop_front() {
            let mut tokens: VecDeque<Token> = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens.into(),
            };
            let keyword = match tokens.front() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => return Ok((nodes, Stop::End)),
                "else" => {
                    tokens.pop_front();
                    return Ok((nodes, Stop::Else(tokens)));
                }
                "if" | "with" | "range" => {
                    tokens.pop_front();
                    nodes.push(self.branch(&keyword, tokens)?);
                }
                "break" | "continue" if self.loops == 0 => {
                    return Err(Error::Syntax(format!("`{keyword}` outside of `range`")));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" | "call" => {
                    return Err(Error::Syntax(format!("`{keyword}` is not supported in a format")));
                }
                _ => nodes.push(Node::Emit(whole_pipe(tokens)?)),
            }
        }
        match inside {
            None => Ok((nodes, Stop::Text)),
            Some(word) => Err(Error::Syntax(format!("unexpected end of template: `{word}` has no `end`"))),
        }
    }

    fn branch(&mut self, keyword: &str, tokens: VecDeque<Token>) -> Result<Node, Error> {
        let pipe = whole_pipe(tokens)?;
        let looping = usize::from(keyword == "range");
        self.loops += looping;
        let (then, end) = self.list(Some(keyword))?;
        self.loops -= looping;
        let otherwise = match end {
            Stop::Else(tokens) => self.otherwise(tokens)?,
            _ => Vec::new(),
        };
        let branch = Branch { pipe, then, otherwise };
        Ok(match keyword {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    fn otherwise(&mut self, mut tokens: VecDeque<Token>) -> Result<Vec<Node>, Error> {
        match tokens.pop_front() {
            None => match self.list(Some("else"))? {
                (nodes, Stop::End) => Ok(nodes),
                _ => Err(Error::Syntax("expected `end` after `else`".into())),
            },
            Some(Token::Word(word)) if word == "if" || word == "with" => Ok(vec![self.branch(&word, tokens)?]),
            Some(_) => Err(Error::Syntax("unexpected value after `else`".into())),
        }
    }
}

fn whole_pipe(mut tokens: VecDeque<Token>) -> Result<Pipe, Error> {
    let pipe = pipe(&mut tokens)?;
    match tokens.pop_front() {
        None => Ok(pipe),
        Some(_) => Err(Error::Syntax("unexpected `)` or value in action".into())),
    }
}

fn pipe(tokens: &mut VecDeque<Token>) -> Result<Pipe, Error> {
    let (names, assign) = declaration(tokens);
    let mut commands = vec![command(tokens)?];
    while let Some(Token::Pipe) = tokens.front() {
        tokens.pop_front();
        commands.push(command(tokens)?);
    }
    Ok(Pipe { names, assign, commands })
}

/// `$x :=`, `$x =` or `$i, $v :=` at the front.
fn declaration(tokens: &mut VecDeque<Token>) -> (Vec<String>, bool) {
    let name = |at: usize| match tokens.get(at) {
        Some(Token::Var(name)) => Some(name.clone()),
        _ => None,
    };
    let (names, width) = match (name(0), tokens.get(1), name(2)) {
        (Some(a), Some(Token::Comma), Some(b)) => (vec![a, b], 3),
        (Some(a), _, _) => (vec![a], 1),
        _ => return (Vec::new(), false),
    };
    let assign = match tokens.get(width) {
        Some(Token::Declare) => false,
        Some(Token::Assign) => true,
        _ => return (Vec::new(), false),
    };
    tokens.drain(..=width);
    (names, assign)
}

fn command(tokens: &mut VecDeque<Token>) -> Result<Vec<Operand>, Error> {
    let mut operands = Vec::new();
    while let Some(token) = tokens.front() {
        if matches!(token, Token::Pipe | Token::Close) {
            break;
        }
        operands.push(operand(tokens)?);
    }
    if operands.is_empty() {
        return Err(Error::Syntax("missing value in action".into()));
    }
    Ok(operands)
}

fn operand(tokens: &mut VecDeque<Token>) -> Result<Operand, Error> {
    let mut chain = Vec::new();
    let base = match tokens.pop_front() {
        Some(Token::Dot) => Base::Dot,
        Some(Token::Field { name, .. }) => {
            chain.push(name);
            Base::Dot
        }
        Some(Token::Var(name)) => Base::Var(name),
        Some(Token::Literal(value)) => Base::Literal(value),
        Some(Token::Word(name)) if funcs::exists(&name) => Base::Func(name),
        Some(Token::Word(name)) => {
            return Err(Error::Syntax(format!("function `{name}` is not defined")));
        }
        Some(Token::Open) => {
            let inner = pipe(tokens)?;
            match tokens.pop_front() {
                Some(Token::Close) => Base::Paren(Box::new(inner)),
                _ => return Err(Error::Syntax("unclosed `(`".into())),
            }
        }
        Some(token) => return Err(Error::Syntax(format!("unexpected {token:?} in action"))),
        None => return Err(Error::Syntax("missing value in action".into())),
    };
    while let Some(Token::Field { spaced: false, .. }) = tokens.front() {
        if let Some(Token::Field { name, .. }) = tokens.pop_front() {
            chain.push(name);
        }
    }
    Ok(Operand { base, chain })
}

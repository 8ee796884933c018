//! What a driver script is made of, whatever its language: commands, assignments, loops, choices, functions.
//!
//! Texts hold marked variables: their values are looked up when the steps are followed.

use std::rc::Rc;

/// Before and behind the name of a variable whose value is not looked up yet.
pub(super) const OPEN: char = '\u{1}';
pub(super) const CLOSE: char = '\u{2}';
/// How deep blocks and brackets may stand in one another; what is deeper is read as if it stood outside.
pub(super) const NESTED: usize = 16;

/// A step of a script.
#[derive(Debug)]
pub(super) enum Step {
    Line(Line),
    Each(Each),
    /// What is done in the first case that holds.
    Choice(Vec<(Condition, Vec<Step>)>),
    Function(Function),
    /// A loop that only the run counts: it is read once.
    Block(Vec<Step>),
    Leave(Leave),
}

/// What the rest of is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// `continue`.
    Round,
    /// `break`.
    Loop,
    /// `return`.
    Function,
}

/// A statement.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The words of its commands.
    pub words: Vec<String>,
    /// What it assigns: one value, or its parts to several names.
    pub assigned: Vec<(Vec<String>, Value)>,
    /// The call that it may be of a function of the script.
    pub call: Option<Call>,
}

/// A call of a function: arguments by place or by name.
#[derive(Debug)]
pub(super) struct Call {
    pub name: String,
    pub arguments: Vec<(Option<String>, Value)>,
}

/// A loop.
#[derive(Debug)]
pub(super) struct Each {
    pub names: Vec<String>,
    pub over: Value,
    pub part: Part,
    pub body: Vec<Step>,
}

/// What of a value a loop goes over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The elements of a list, the keys of a map, the characters of a text.
    Elements,
    /// The values of a map.
    Values,
    /// The keys of a map with their values.
    Pairs,
    /// A text's parts between others.
    Between(String),
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub name: String,
    /// Its parameters, some with a value that they have if the call gives none.
    pub parameters: Vec<(String, Option<Value>)>,
    pub body: Vec<Step>,
}

/// What an expression comes to.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// A text that a loop goes over word by word.
    Words(String),
    List(Vec<Rc<Value>>),
    Map(Vec<(String, Rc<Value>)>),
}

/// When a case holds.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// In all other cases.
    Otherwise,
    /// Both are the same.
    Same(Value, Value),
    /// The text fits one of the patterns.
    Fits(Value, Vec<String>),
    /// The first is an element of the second, or a part of its text.
    Within(Value, Value),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// Only the script's run tells.
    Unknown,
}

impl Condition {
    /// When it does not hold.
    pub fn otherwise(self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            condition => Self::Not(Box::new(condition)),
        }
    }
}

/// A variable's name, marked.
pub(super) fn mark(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The name that a text consists of, if it is nothing but a marked variable.
pub(super) fn only_name(text: &str) -> Option<&str> {
    text.strip_prefix(OPEN)?.strip_suffix(CLOSE).filter(|name| !name.contains([OPEN, CLOSE]))
}

/// Whether a text may be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
}

/// Splits `NAME:-word`, `NAME-word`, `NAME:=word` and `NAME=word`: a variable, what it is taken for where it holds nothing,
/// and whether it holds that from then on.
pub(super) fn default(name: &str) -> Option<(&str, &str, bool)> {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|end| *end > 0)?;
    let (base, rest) = name.split_at(end);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let word = rest.strip_prefix(['-', '='])?;
    Some((base, word, rest.starts_with('=')))
}

/// Whether a variable, by the last part of its name, holds the version.
pub(super) fn is_version(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("version"))
}

/// Splits a line into words at blanks outside of quotes, which are taken away; what separates commands is a word. What is
/// marked stays as it is.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut is_marked = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        is_marked = (is_marked || c == OPEN) && c != CLOSE;
        match (c, quote) {
            (c, _) if is_marked => word.get_or_insert_default().push(c),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\n', None) => words.extend(word.take()),
            ('|' | '&' | ';', None) => {
                words.extend(word.take());
                let twice = chars.next_if_eq(&c).is_some();
                words.push(if twice { format!("{c}{c}") } else { c.to_string() });
            }
            ('#', None) if word.is_none() => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Whether a word separates commands.
pub(super) fn is_separator(word: &str) -> bool {
    ["|", "||", "&&", ";", ";;", "&"].contains(&word)
}

//! What the variables of a script hold: one value here, where a loop or a call gives it, else whatever is assigned to them
//! somewhere. The version becomes `{version}`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::steps::{CLOSE, Each, OPEN, Part, Step, Value, default, is_version, only_name};
use super::tokens::{VALUE_LIMIT, key};

/// How often a value may name a variable that names a variable.
const DEPTH: usize = 64;
/// How much all values that are put into commands may come to, in bytes.
pub(super) const TOTAL_LIMIT: usize = 16 << 20;
/// How many values are looked at for variables that nobody knows, which a circle may ask for over and over.
const LOOKS: usize = 100_000;
/// How many variables may have a value of their own within loops and calls.
const BOUND: usize = 256;
/// In how many assignments a list or a map is looked for.
const ASSIGNED: usize = 100;
/// How often a loop is gone through at most.
const ITERATIONS: usize = 64;

/// Whether nothing in a value is left to be looked up, or to be run.
pub(crate) fn is_known(value: &str) -> bool {
    !value.contains(['$', '`'])
}

impl Value {
    /// How much there is to look at, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Words(text) => text.len() + 1,
            Self::List(items) => items.iter().map(|item| item.size()).sum::<usize>() + 1,
            Self::Map(pairs) => pairs.iter().map(|(key, item)| key.len() + item.size()).sum::<usize>() + 1,
        }
    }

    /// The text that it is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Words(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What is at a place of a list or a text, or at a key of a map.
    fn at(&self, key: &str) -> Option<Rc<Self>> {
        match self {
            Self::List(items) => items.get(key.parse::<usize>().ok()?).cloned(),
            Self::Map(pairs) => pairs.iter().find(|(known, _)| known == key).map(|(_, item)| Rc::clone(item)),
            Self::Text(text) => text.chars().nth(key.parse().ok()?).map(|c| Rc::new(Self::Text(c.to_string()))),
            Self::Words(_) => None,
        }
    }

    /// Its parts that a loop goes over.
    fn parts(&self, part: &Part) -> Option<Vec<Rc<Self>>> {
        let text = |text: &str| Rc::new(Self::Text(text.to_owned()));
        let parts: Vec<Rc<Self>> = match (part, self) {
            (Part::Elements, Self::List(items)) => items.iter().take(ITERATIONS + 1).cloned().collect(),
            (Part::Elements, Self::Words(words)) if is_known(words) => words.split_whitespace().map(text).collect(),
            (Part::Elements, Self::Text(of)) if is_known(of) => of.chars().map(|c| text(&c.to_string())).collect(),
            (Part::Between(separator), Self::Text(of)) if is_known(of) => match separator.as_str() {
                "" => of.split_whitespace().map(text).collect(),
                separator => of.split(separator).map(text).collect(),
            },
            (part, Self::Map(pairs)) => {
                let pairs = pairs.iter().take(ITERATIONS + 1);
                let of = |(key, item): &(String, Rc<Self>)| match part {
                    Part::Values => Rc::clone(item),
                    Part::Pairs => Rc::new(Self::List(vec![text(key), Rc::clone(item)])),
                    Part::Elements | Part::Between(_) => text(key),
                };
                pairs.map(of).collect()
            }
            _ => return None,
        };
        (parts.len() <= ITERATIONS).then_some(parts)
    }
}

/// Everything that is assigned to variables somewhere.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<String, Vec<Rc<Value>>>);

impl Values {
    /// Takes in what is assigned in some steps.
    pub fn collect(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Line(line) => {
                    for (names, value) in &line.assigned {
                        if let [name] = names.as_slice() {
                            self.0.entry(name.clone()).or_default().push(Rc::new(value.clone()));
                        }
                    }
                }
                Step::Each(each) => self.collect(&each.body),
                Step::Choice(cases) => cases.iter().for_each(|(_, steps)| self.collect(steps)),
                Step::Function(function) => self.collect(&function.body),
                Step::Block(steps) => self.collect(steps),
                Step::Leave(_) => {}
            }
        }
    }

    fn of(&self, name: &str) -> &[Rc<Value>] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether what a command puts out is assigned to a variable.
    fn are_said_by_commands(&self, name: &str) -> bool {
        let texts = self.of(name).iter().take(ASSIGNED).filter_map(|value| value.text());
        texts.into_iter().any(|text| text.contains('`') || text.contains("$("))
    }

    /// The first list or map that a variable holds.
    fn structure(&self, name: &str) -> Option<Rc<Value>> {
        self.of(name).iter().take(ASSIGNED).find(|value| value.text().is_none()).cloned()
    }
}

/// Puts the values of variables in their places. A script may be made to have values without end: what a variable comes to
/// is kept, and what is too long counts as not known.
pub(super) struct Resolver<'a> {
    values: &'a Values,
    /// What variables came to; nothing for those that nobody knows, and while a variable is looked into.
    known: BTreeMap<String, Option<String>>,
    /// How many bytes of values may still be put into commands.
    left: usize,
    /// How many values may still be looked at for what has to be looked at again.
    looks: usize,
    /// What loops and calls give variables, the innermost last.
    bound: Vec<(String, Rc<Value>)>,
    /// From where on that is seen here.
    seen_from: usize,
}

/// Where variables that are given values from now on begin.
pub(super) struct Level {
    begin: usize,
    seen_from: usize,
}

impl<'a> Resolver<'a> {
    pub fn new(values: &'a Values) -> Self {
        Self { values, known: BTreeMap::new(), left: TOTAL_LIMIT, looks: LOOKS, bound: Vec::new(), seen_from: 0 }
    }

    /// Begins a loop, or a call, which may not see what its caller has been given.
    pub fn enter(&mut self, sees_all: bool) -> Level {
        let level = Level { begin: self.bound.len(), seen_from: self.seen_from };
        self.seen_from = if sees_all { self.seen_from } else { level.begin };
        level
    }

    /// Forgets what was given since.
    pub fn forget(&mut self, level: &Level) {
        self.bound.truncate(level.begin);
    }

    /// Ends a loop or a call.
    pub fn leave(&mut self, level: &Level) {
        self.forget(level);
        self.seen_from = level.seen_from;
    }

    /// Gives variables a value, or each its part of it.
    pub fn bind(&mut self, names: &[String], value: &Rc<Value>) {
        if let [name] = names {
            return self.bind_from(self.seen_from, name, Rc::clone(value));
        }
        let mut parts = vec![Rc::clone(value)];
        while parts.len() < names.len() {
            let Some(at) = parts.iter().position(|part| matches!(&**part, Value::List(items) if items.len() > 1))
            else {
                return;
            };
            let Value::List(items) = &*Rc::clone(&parts[at]) else { return };
            parts.splice(at..=at, items.iter().take(BOUND).cloned());
        }
        if parts.len() == names.len() {
            names.iter().zip(parts).for_each(|(name, part)| self.bind_from(self.seen_from, name, part));
        }
    }

    /// Gives a parameter its value, whatever the caller calls so.
    pub fn bind_here(&mut self, level: &Level, name: &str, value: Rc<Value>) {
        self.bind_from(level.begin, name, value);
    }

    fn bind_from(&mut self, begin: usize, name: &str, value: Rc<Value>) {
        let has_room = self.bound.len() < BOUND;
        match self.bound[begin..].iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, held)) => *held = value,
            None if has_room => self.bound.push((name.to_owned(), value)),
            None => {}
        }
    }

    /// What a loop or a call gave a variable.
    pub fn bound(&self, name: &str) -> Option<&Rc<Value>> {
        self.bound[self.seen_from..].iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether a text names a variable that a loop or a call gave a value; whether all that it names are such.
    pub fn depends(&self, text: &str) -> (bool, bool) {
        let names = text.split(OPEN).skip(1).filter_map(|rest| rest.split([CLOSE, '[']).next());
        let mut names = names.map(|name| default(name).map_or(name, |(base, ..)| base));
        let some = names.clone().any(|name| self.bound(name).is_some());
        (some, names.all(|name| self.bound(name).is_some()))
    }

    /// Returns what a value comes to here; nothing if it is a variable that nobody knows, or too long.
    pub fn evaluate(&mut self, value: &Value) -> Option<Rc<Value>> {
        Some(Rc::new(match value {
            Value::Text(text) => {
                let structure = only_name(text).and_then(|name| {
                    self.find(name).or_else(|| self.values.structure(name)).filter(|value| value.text().is_none())
                });
                if structure.is_some() {
                    return structure;
                }
                let resolved = self.resolve_within(text, DEPTH, VALUE_LIMIT)?;
                if only_name(text).is_some_and(|name| resolved == unknown(name)) {
                    return None;
                }
                Value::Text(resolved)
            }
            Value::Words(text) => Value::Words(self.resolve_within(text, DEPTH, VALUE_LIMIT)?),
            Value::List(items) => Value::List(items.iter().map(|item| self.element(item)).collect()),
            Value::Map(pairs) => {
                Value::Map(pairs.iter().map(|(key, item)| (key.clone(), self.element(item))).collect())
            }
        }))
    }

    fn element(&mut self, value: &Rc<Value>) -> Rc<Value> {
        self.evaluate(value).unwrap_or_else(|| Rc::clone(value))
    }

    /// Returns what a loop goes over, in its order; nothing if that cannot be told, or is too much.
    pub fn parts(&mut self, each: &Each) -> Option<Vec<Rc<Value>>> {
        self.evaluate(&each.over)?.parts(&each.part)
    }

    /// What a loop or a call gave, or what is at an index: `platforms[os][1]`.
    fn find(&mut self, name: &str) -> Option<Rc<Value>> {
        let Some((base, indices)) = name.split_once('[').filter(|_| default(name).is_none()) else {
            return self.bound(name).cloned();
        };
        let mut value = self.bound(base).cloned().or_else(|| self.values.structure(base))?;
        for index in indices.split('[') {
            let index = index.strip_suffix(']')?;
            let at = match key(index) {
                Some(key) => key.to_owned(),
                None if index.bytes().all(|byte| byte.is_ascii_digit()) => index.to_owned(),
                None => self.here(index, DEPTH)?,
            };
            value = value.at(&at)?;
        }
        Some(value)
    }

    pub fn resolve(&mut self, word: &str) -> String {
        self.resolve_within(word, DEPTH, usize::MAX).unwrap_or_default()
    }

    /// Returns nothing if it comes to more than `limit` bytes.
    fn resolve_within(&mut self, word: &str, depth: usize, limit: usize) -> Option<String> {
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let Some((name, after)) = behind.split_once(CLOSE) else { break };
            text += before;
            match self.here(name, depth).filter(|value| depth < DEPTH || value.len() <= self.left) {
                Some(value) => {
                    self.left = self.left.saturating_sub(if depth < DEPTH { 0 } else { value.len() });
                    text += &value;
                }
                None => text += &unknown(name),
            }
            if text.len() > limit {
                return None;
            }
            rest = after;
        }
        text += rest;
        (text.len() <= limit).then_some(text)
    }

    /// The text that a variable holds here. Within what is assigned somewhere, that is what it holds anywhere.
    fn here(&mut self, name: &str, depth: usize) -> Option<String> {
        let values = self.values;
        if let (Some((base, word, _)), [value, ..]) = (default(name), values.of(name)) {
            let held = self.here(base, depth).filter(|held| *held != unknown(base));
            return match held {
                Some(held) => Some(held),
                // What a command says counts more than the word.
                None if values.are_said_by_commands(base) => None,
                None if word.is_empty() => Some(String::new()),
                None => self.resolve_within(value.text()?, depth, VALUE_LIMIT),
            };
        }
        let found = if depth == DEPTH { self.find(name) } else { None };
        match found {
            Some(value) => self.resolve_within(value.text()?, DEPTH - 1, VALUE_LIMIT),
            None => self.anywhere(name, depth),
        }
    }

    fn anywhere(&mut self, name: &str, depth: usize) -> Option<String> {
        if is_version(name) {
            return Some("{version}".to_owned());
        }
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if depth == 0 {
            return None;
        }
        self.known.insert(name.to_owned(), None);
        let values = self.values.of(name);
        let plain = |value: &&str| !["", "false", "true", "None", "False", "True"].contains(value);
        let resolved: Vec<String> = values
            .iter()
            .filter_map(|value| value.text())
            .filter(plain)
            .filter_map(|value| self.resolve_within(value, depth - 1, VALUE_LIMIT))
            .filter(|value| is_known(value))
            .collect();
        // What holds the version is what a release is built from; of those, `v1.0` rather than `1.0`.
        let best = resolved.iter().filter(|value| value.contains("{version}")).max_by_key(|value| value.len());
        let best = best.or_else(|| resolved.first()).cloned();
        match self.looks.checked_sub(values.len() + 1) {
            // Within a circle nobody knows what is known outside of it.
            Some(left) if best.is_none() && depth < DEPTH => {
                self.looks = left;
                self.known.remove(name);
            }
            _ => drop(self.known.insert(name.to_owned(), best.clone())),
        }
        best
    }
}

/// How a variable stands in a text if nobody knows it.
fn unknown(name: &str) -> String {
    format!("${{{name}}}")
}

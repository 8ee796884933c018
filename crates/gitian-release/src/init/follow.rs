//! Follows the steps of a script: goes through its loops and calls as often as the script would, and into the cases that may
//! hold. Nothing is run, and a script that goes on without end is left in a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gitian_process::{Failure, interrupt};

use super::steps::{Call, Condition, Each, Function, Leave, Line, NESTED, Step, Value, is_separator};
use super::values::{Resolver, Values, is_known};
use super::words::{Language, Words};
use super::{python, shell};
use crate::pattern::Pattern;

/// How much is read within loops and calls, in bytes of the script.
const FOLLOWED: usize = 2 << 20;

impl Words {
    /// Reads a script.
    ///
    /// # Errors
    /// We were asked to stop.
    pub fn read(text: &str, language: Language) -> Result<Self, Failure> {
        let steps = match language {
            Language::Shell => shell::read(text)?,
            Language::Python => python::read(text)?,
        };
        commands(&steps, language)
    }
}

/// Returns the commands of some steps.
///
/// # Errors
/// We were asked to stop.
fn commands(steps: &[Step], language: Language) -> Result<Words, Failure> {
    let mut values = Values::default();
    values.collect(steps);
    let mut functions = BTreeMap::new();
    define(steps, &mut functions);
    let mut follower = Follower {
        resolver: Resolver::new(&values),
        functions,
        called: BTreeSet::new(),
        done: BTreeSet::new(),
        sees_all: language == Language::Shell,
        inside: 0,
        left: FOLLOWED,
        words: Words::default(),
    };
    follower.find_calls(steps, false);
    follower.steps(steps, true)?;
    // What is called by nothing but what is never called.
    let missed: Vec<&Function> = follower.functions.values().copied().collect();
    for function in missed {
        if follower.called.contains(function.name.as_str()) && !follower.done.contains(function.name.as_str()) {
            follower.steps(&function.body, true)?;
        }
    }
    Ok(follower.words)
}

/// Finds the functions of a script; of those with one name, the last.
fn define<'a>(steps: &'a [Step], functions: &mut BTreeMap<&'a str, &'a Function>) {
    for step in steps {
        match step {
            Step::Line(_) | Step::Leave(_) => {}
            Step::Block(steps) => define(steps, functions),
            Step::Each(each) => define(&each.body, functions),
            Step::Choice(cases) => cases.iter().for_each(|(_, steps)| define(steps, functions)),
            Step::Function(function) => {
                functions.insert(&function.name, function);
                define(&function.body, functions);
            }
        }
    }
}

struct Follower<'a> {
    resolver: Resolver<'a>,
    functions: BTreeMap<&'a str, &'a Function>,
    /// The functions that are followed where they are called, since it matters from where; others are where they stand.
    called: BTreeSet<&'a str>,
    /// Those that were.
    done: BTreeSet<&'a str>,
    /// Whether a function sees the variables of its caller.
    sees_all: bool,
    /// In how many loops and calls we are.
    inside: usize,
    left: usize,
    words: Words,
}

impl<'a> Follower<'a> {
    /// Finds the functions that are called with something known, or in loops.
    fn find_calls(&mut self, steps: &'a [Step], in_loop: bool) {
        for step in steps {
            match step {
                Step::Line(Line { call: Some(call), .. }) => {
                    let Some((name, _)) = self.functions.get_key_value(call.name.as_str()) else { continue };
                    let name = *name;
                    let mut arguments = call.arguments.iter();
                    if in_loop || arguments.any(|(_, value)| self.argument(value).is_some()) {
                        self.called.insert(name);
                    }
                }
                Step::Line(_) | Step::Leave(_) => {}
                Step::Block(steps) => self.find_calls(steps, in_loop),
                Step::Each(each) => self.find_calls(&each.body, true),
                Step::Choice(cases) => cases.iter().for_each(|(_, steps)| self.find_calls(steps, in_loop)),
                Step::Function(function) => self.find_calls(&function.body, in_loop),
            }
        }
    }

    /// What an argument comes to, if something is known of it.
    fn argument(&mut self, value: &Value) -> Option<Rc<Value>> {
        self.resolver.evaluate(value).filter(|value| value.text().is_none_or(is_known))
    }

    /// Takes from what may still be followed; whether there was as much. Outside of loops and calls all is read.
    fn may_go_on(&mut self, size: usize) -> bool {
        if self.inside == 0 {
            return true;
        }
        let left = self.left.checked_sub(size + 1);
        self.words.is_cut |= left.is_none();
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    /// `is_sure` unless they may be left out. Returns what they leave for sure.
    fn steps(&mut self, steps: &'a [Step], is_sure: bool) -> Result<Option<Leave>, Failure> {
        for step in steps {
            interrupt::check()?;
            let left = match step {
                Step::Line(line) => {
                    self.line(line, is_sure)?;
                    None
                }
                Step::Each(each) => self.each(each, is_sure)?,
                Step::Choice(cases) => self.choice(cases, is_sure)?,
                // Of what a loop leaves, only the function is more than the loop.
                Step::Block(steps) => self.steps(steps, is_sure)?.filter(|left| *left == Leave::Function),
                Step::Leave(leave) => Some(*leave).filter(|_| is_sure && self.inside > 0),
                Step::Function(function) if self.called.contains(function.name.as_str()) => None,
                Step::Function(function) => {
                    self.steps(&function.body, is_sure)?;
                    None
                }
            };
            if left.is_some() {
                return Ok(left);
            }
        }
        Ok(None)
    }

    fn each(&mut self, each: &'a Each, is_sure: bool) -> Result<Option<Leave>, Failure> {
        if !self.may_go_on(each.over.size()) {
            return Ok(None);
        }
        let Some(parts) = self.resolver.parts(each) else { return self.steps(&each.body, false) };
        let level = self.resolver.enter(true);
        self.inside += 1;
        let mut left = None;
        for part in parts {
            if !self.may_go_on(each.names.len()) {
                break;
            }
            self.resolver.forget(&level);
            self.resolver.bind(&each.names, &part);
            left = self.steps(&each.body, is_sure)?.filter(|left| *left != Leave::Round);
            if left.is_some() {
                break;
            }
        }
        self.inside -= 1;
        self.resolver.leave(&level);
        Ok(left.filter(|left| *left == Leave::Function))
    }

    fn choice(&mut self, cases: &'a [(Condition, Vec<Step>)], mut is_sure: bool) -> Result<Option<Leave>, Failure> {
        for (condition, steps) in cases {
            if !self.may_go_on(condition.size()) {
                return Ok(None);
            }
            match self.holds(condition) {
                Some(false) => {}
                Some(true) => return self.steps(steps, is_sure),
                None => {
                    is_sure = false;
                    self.steps(steps, false)?;
                }
            }
        }
        Ok(None)
    }

    fn line(&mut self, line: &'a Line, is_sure: bool) -> Result<(), Failure> {
        if !self.may_go_on(line.words.iter().map(|word| word.len() + 1).sum()) {
            return Ok(());
        }
        let resolved: Vec<String> = line.words.iter().map(|word| self.resolver.resolve(word)).collect();
        let commands = resolved.split(|word| is_separator(word));
        self.words.commands.extend(commands.filter(|words| !words.is_empty()).map(<[String]>::to_vec));
        if self.inside > 0 {
            self.assign(line, is_sure);
        }
        match &line.call {
            Some(call) if call.name == "shift" && self.sees_all => self.shift(),
            Some(call) => self.call(call)?,
            None => {}
        }
        Ok(())
    }

    /// Within a loop a variable has the value that was assigned last; what may be left out counts if nothing else does.
    fn assign(&mut self, line: &Line, is_sure: bool) {
        for (names, value) in &line.assigned {
            let is_given = names.iter().any(|name| self.resolver.bound(name).is_some());
            let depends = value.text().is_none_or(|text| self.resolver.depends(text).0);
            if (is_sure || depends && !is_given)
                && let Some(value) = self.resolver.evaluate(value)
            {
                self.resolver.bind(names, &value);
            }
        }
    }

    /// The second argument of a shell's function becomes its first.
    fn shift(&mut self) {
        for place in 1..10 {
            let next = self.resolver.bound(&(place + 1).to_string()).cloned();
            let next = next.unwrap_or_else(|| Rc::new(Value::Text(format!("${{{place}}}"))));
            if self.resolver.bound(&place.to_string()).is_some() {
                self.resolver.bind(&[place.to_string()], &next);
            }
        }
    }

    fn call(&mut self, call: &Call) -> Result<(), Failure> {
        let Some(function) = self.functions.get(call.name.as_str()).copied() else { return Ok(()) };
        if !self.called.contains(function.name.as_str()) {
            return Ok(());
        }
        if self.inside > NESTED {
            self.words.is_cut = true;
            return Ok(());
        }
        self.done.insert(&function.name);
        let mut given = Vec::new();
        for (place, (name, value)) in call.arguments.iter().enumerate() {
            let name = name.as_ref().or_else(|| function.parameters.get(place).map(|(name, _)| name));
            given.extend(name.cloned().zip(self.argument(value)));
        }
        if self.sees_all {
            let texts: Vec<&str> = call.arguments.iter().filter_map(|(_, value)| value.text()).collect();
            let all = self.argument(&Value::Words(texts.join(" ")));
            given.extend(all.map(|all| ("@".to_owned(), all)));
        }
        let level = self.resolver.enter(self.sees_all);
        if self.sees_all {
            // The arguments of a shell's function are its own, whatever else it sees.
            for (name, _) in &function.parameters {
                self.resolver.bind_here(&level, name, Rc::new(Value::Text(format!("${{{name}}}"))));
            }
        }
        for (name, value) in &function.parameters {
            if let Some(value) = value.as_ref().and_then(|value| self.argument(value)) {
                self.resolver.bind_here(&level, name, value);
            }
        }
        self.inside += 1;
        for (name, value) in given {
            self.resolver.bind_here(&level, &name, value);
        }
        self.steps(&function.body, true)?;
        self.inside -= 1;
        self.resolver.leave(&level);
        Ok(())
    }

    /// Whether a case holds, if that is plain from what loops and calls give: what a variable holds elsewhere may be
    /// another value when the script runs.
    fn holds(&mut self, condition: &Condition) -> Option<bool> {
        match condition {
            Condition::Otherwise => Some(true),
            Condition::Unknown => None,
            Condition::Same(one, other) => Some(self.given(one)?.text()? == self.given(other)?.text()?),
            Condition::Fits(_, patterns) if patterns.iter().any(|pattern| pattern == "*") => Some(true),
            Condition::Fits(value, patterns) => {
                let value = self.given(value)?;
                let text = value.text()?;
                let is_plain = |pattern: &String| !pattern.contains(['[', '\\', '$', '`', '\u{1}']);
                patterns.iter().all(is_plain).then(|| patterns.iter().any(|pattern| Pattern::new(pattern).fits(text)))
            }
            Condition::Within(one, other) => {
                let (one, other) = (self.given(one)?, self.given(other)?);
                let one = one.text()?;
                Some(match &*other {
                    Value::Text(text) | Value::Words(text) => text.contains(one),
                    Value::List(items) => items.iter().any(|item| item.text() == Some(one)),
                    Value::Map(pairs) => pairs.iter().any(|(key, _)| key == one),
                })
            }
            Condition::Not(condition) => self.holds(condition).map(|holds| !holds),
            Condition::All(conditions) => self.first(conditions, false),
            Condition::Any(conditions) => self.first(conditions, true),
        }
    }

    /// What all of some conditions, or one of them, come to: `decisive` as soon as one is that.
    fn first(&mut self, conditions: &[Condition], decisive: bool) -> Option<bool> {
        let answers: Vec<Option<bool>> = conditions.iter().map(|condition| self.holds(condition)).collect();
        let is_open = answers.contains(&None);
        if answers.contains(&Some(decisive)) { Some(decisive) } else { (!is_open).then_some(!decisive) }
    }

    /// What a value comes to, if it names nothing but what loops and calls give.
    fn given(&mut self, value: &Value) -> Option<Rc<Value>> {
        if !self.is_given(value) {
            return None;
        }
        self.argument(value)
    }

    fn is_given(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) | Value::Words(text) => self.resolver.depends(text).1,
            Value::List(items) => items.iter().all(|item| self.is_given(item)),
            Value::Map(pairs) => pairs.iter().all(|(_, item)| self.is_given(item)),
        }
    }
}

impl Condition {
    /// How much there is to look at, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Otherwise | Self::Unknown => 1,
            Self::Same(one, other) | Self::Within(one, other) => one.size() + other.size(),
            Self::Fits(value, patterns) => {
                value.size() * (1 + patterns.iter().map(|pattern| pattern.len() + 1).sum::<usize>())
            }
            Self::Not(condition) => condition.size(),
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().map(Self::size).sum(),
        }
    }
}

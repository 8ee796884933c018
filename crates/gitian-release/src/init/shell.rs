//! A shell script as steps: `for`, `if`, `case`, functions; a loop that only its run can count is read once, as if it were
//! none.

use std::collections::HashSet;

use gitian_process::{Failure, interrupt};

use super::steps::{CLOSE, Call, Condition, Each, Function, Leave, Line, NESTED, OPEN, Part, Step, Value};
use super::steps::{default, is_name, is_separator, mark, split};

/// The longest list between brackets, in words.
const LIST: usize = 200;
/// The longest word that stands for what a variable does not hold, in bytes.
const DEFAULT: usize = 1000;

/// Reads a script.
///
/// # Errors
/// We were asked to stop.
pub(super) fn read(text: &str) -> Result<Vec<Step>, Failure> {
    let mut tokens = Vec::new();
    let mut defaults = Vec::new();
    let statements = statements(text);
    let all: HashSet<&String> = statements.iter().collect();
    let mut lines = statements.iter();
    while let Some(line) = lines.next() {
        interrupt::check()?;
        tokens.extend(split(&marked(line, &mut defaults, NESTED)).into_iter().map(Token::Word));
        tokens.push(Token::Word(";".to_owned()));
        if let Some(end) = here_document(line).filter(|end| all.contains(end)) {
            // Its text is none of the script's, but may hold commands for another shell.
            let text = lines.by_ref().take_while(|line| **line != end);
            tokens.extend(text.map(|line| Token::Text(split(&marked(line, &mut Vec::new(), 0)))));
        }
    }
    let mut parser = Parser { tokens, at: 0, open: Vec::new() };
    let mut steps = parser.steps();
    // At the end, since what is assigned anywhere else counts more.
    steps.extend(
        defaults.into_iter().map(|(name, value)| {
            Step::Line(Line { assigned: vec![(vec![name], Value::Text(value))], ..Line::default() })
        }),
    );
    Ok(steps)
}

/// Returns the lines of a script, continued ones joined, without comments.
fn statements(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut held = String::new();
    for line in text.lines() {
        let line = line.trim().replace("(){", "() {");
        match line.strip_suffix('\\') {
            Some(part) => held = held + part + " ",
            None => lines.push(std::mem::take(&mut held) + &line),
        }
    }
    lines.push(held);
    lines.retain(|line| !line.is_empty() && !line.starts_with('#'));
    lines
}

/// The line that ends the text that follows a line, as in `cat <<-'END'`.
fn here_document(line: &str) -> Option<String> {
    let (_, word) = line.split_once("<<").filter(|(_, word)| !word.starts_with('<'))?;
    let word = word.trim_start_matches('-').split_whitespace().next()?;
    let end = word.replace(['\'', '"', '\\'], "");
    is_name(&end).then_some(end)
}

/// Marks the variables of a line: `$NAME`, `${NAME}`, `${NAME[@]}`, `$1`, `$@`, `${NAME:-word}`, whose words go to
/// `defaults` with what stands for them, so deep in one another.
fn marked(line: &str, defaults: &mut Vec<(String, String)>, depth: usize) -> String {
    let mut text = String::new();
    let mut rest = line;
    // Behind the last brace none is looked for.
    let closed = line.rfind('}').map_or(0, |at| line.len() - at);
    while let Some((before, behind)) = rest.split_once('$') {
        text += before;
        let inner = behind.strip_prefix('{').filter(|inner| closed > 0 && inner.len() >= closed);
        let braced = inner.and_then(|inner| with_default(inner).or_else(|| inner.split_once('}')));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
            behind.split_at(if behind.starts_with(['@', '*']) { 1 } else { end })
        });
        let name = name.strip_suffix("[@]").or_else(|| name.strip_suffix("[*]")).unwrap_or(name);
        text += &match name {
            name if is_name(name) || name == "@" => mark(name),
            "*" => mark("@"),
            "" => "$".to_owned(),
            name if name.chars().all(|c| c.is_ascii_digit()) => mark(name),
            name => match default(name).filter(|_| braced.is_some() && depth > 0 && !name.contains([OPEN, CLOSE])) {
                Some((base, word, is_kept)) => {
                    let word = marked(&word.replace(['"', '\''], ""), defaults, depth - 1);
                    defaults.push((name.to_owned(), word));
                    if is_kept {
                        defaults.push((base.to_owned(), mark(name)));
                    }
                    mark(name)
                }
                None => format!("${{{name}}}"),
            },
        };
        rest = after;
    }
    text + rest
}

/// Splits behind the brace that ends `NAME:-word}`, where the word may have braces of its own.
fn with_default(inner: &str) -> Option<(&str, &str)> {
    default(inner)?;
    let mut open = 0_usize;
    for (at, byte) in inner.bytes().enumerate().take(DEFAULT) {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some((&inner[..at], &inner[at + 1..])),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

enum Token {
    Word(String),
    /// A line of a text within the script.
    Text(Vec<String>),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// The words that end the blocks that are open.
    open: Vec<&'static [&'static str]>,
}

impl Parser {
    fn word(&self) -> Option<&str> {
        match self.tokens.get(self.at)? {
            Token::Word(word) => Some(word),
            Token::Text(_) => None,
        }
    }

    /// Whether `&&` or `||` is what was last.
    fn is_behind_link(&self) -> bool {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        matches!(last, Some(Token::Word(word)) if word == "&&" || word == "||")
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.word() == Some(word);
        self.at += usize::from(is_next);
        is_next
    }

    /// The words up to the end of a command.
    fn command(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(word) = self.word().filter(|word| !is_separator(word)) {
            words.push(word.to_owned());
            self.at += 1;
        }
        words
    }

    /// A block that one of some words ends. A word that ends a block further out ends this one too.
    fn block(&mut self, ends: &'static [&'static str]) -> Vec<Step> {
        self.open.push(ends);
        let steps = self.steps();
        self.open.pop();
        steps
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        // What the next command depends on, behind `&&` or `||`.
        let mut asked: Option<(Condition, &str)> = None;
        loop {
            if let Some(Token::Text(words)) = self.tokens.get_mut(self.at) {
                steps.push(Step::Line(Line { words: std::mem::take(words), ..Line::default() }));
                self.at += 1;
                continue;
            }
            let Some(word) = self.word().map(str::to_owned) else { return steps };
            if self.open.iter().any(|ends| ends.contains(&word.as_str())) {
                return steps;
            }
            let is_too_deep = self.open.len() >= NESTED;
            match word.as_str() {
                word if is_separator(word) => {
                    let last = || steps.last().map_or(Condition::Unknown, test);
                    asked = match (word, asked.take()) {
                        // A line may end behind `&&`.
                        (";", asked) if self.is_behind_link() => asked,
                        ("&&", None) => Some((last(), "&&")),
                        ("||", None) => Some((last().otherwise(), "||")),
                        // `[ … ] && x=1 || x=2`.
                        ("||", Some((asked, "&&"))) => Some((asked.otherwise(), "||")),
                        ("&&" | "||", Some(_)) => Some((Condition::Unknown, "||")),
                        _ => None,
                    };
                    self.at += 1;
                }
                "do" | "done" | "then" | "elif" | "else" | "fi" | "esac" | "}" => self.at += 1,
                "for" | "while" | "until" | "if" | "case" | "function" | "{" if is_too_deep => self.at += 1,
                "for" => self.each(&mut steps),
                "while" | "until" => {
                    self.at += 1;
                    steps.extend(self.block(&["do"]));
                    self.takes("do");
                    steps.push(Step::Block(self.block(&["done"])));
                    self.takes("done");
                }
                "{" => {
                    self.at += 1;
                    let block = self.block(&["}"]);
                    self.takes("}");
                    match asked.clone() {
                        Some((asked, _)) => steps.push(Step::Choice(vec![(asked, block)])),
                        None => steps.extend(block),
                    }
                }
                "if" => self.choice(&mut steps),
                "case" => self.case(&mut steps),
                _ if self.is_function() && !is_too_deep => self.function(&mut steps),
                _ => match asked.clone() {
                    None => self.line(&mut steps, is_too_deep),
                    Some((asked, _)) => {
                        let mut line = Vec::new();
                        self.line(&mut line, is_too_deep);
                        match asked {
                            Condition::Unknown => {
                                line.retain(|step| !matches!(step, Step::Leave(_)));
                                steps.extend(line);
                            }
                            asked => steps.push(Step::Choice(vec![(asked, line)])),
                        }
                    }
                },
            }
        }
    }

    /// `for NAME in WORDS; do …; done`.
    fn each(&mut self, steps: &mut Vec<Step>) {
        self.at += 1;
        let head = self.command();
        let [name, is_in, words @ ..] = head.as_slice() else { return };
        if is_in != "in" {
            return;
        }
        while self.takes(";") {}
        if !self.takes("do") {
            return;
        }
        let body = self.block(&["done"]);
        self.takes("done");
        let (names, over) = (vec![name.clone()], Value::Words(words.join(" ")));
        steps.push(Step::Each(Each { names, over, part: Part::Elements, body }));
    }

    /// `if …; then …; elif …; then …; else …; fi`.
    fn choice(&mut self, steps: &mut Vec<Step>) {
        const ENDS: &[&str] = &["elif", "else", "fi"];
        let mut cases = Vec::new();
        while self.takes("if") || self.takes("elif") {
            let asked = self.block(&["then"]);
            self.takes("then");
            let condition = condition(&asked);
            // What is asked may be whether a command does well.
            steps.extend(asked);
            cases.push((condition, self.block(ENDS)));
        }
        if self.takes("else") {
            cases.push((Condition::Otherwise, self.block(&["fi"])));
        }
        self.takes("fi");
        steps.push(Step::Choice(cases));
    }

    /// `case WORD in a|b) …;; *) …;; esac`.
    fn case(&mut self, steps: &mut Vec<Step>) {
        self.at += 1;
        let mut head = self.command();
        let Some(at) = head.iter().position(|word| word == "in") else { return };
        // The first pattern may stand on the same line.
        self.at -= head.len() - at - 1;
        head.truncate(at);
        let subject = head.join(" ");
        let mut cases = Vec::new();
        while !self.takes("esac") {
            if self.takes(";") || self.takes(";;") {
                continue;
            }
            let mut patterns = Vec::new();
            while let Some(word) = self.word().filter(|word| *word != ";") {
                let word = word.to_owned();
                self.at += 1;
                patterns.extend(
                    Some(word.trim_matches(['(', ')']))
                        .filter(|word| !word.is_empty() && *word != "|")
                        .map(str::to_owned),
                );
                if word.ends_with(')') {
                    break;
                }
            }
            if patterns.is_empty() {
                break;
            }
            let fits = Condition::Fits(Value::Text(subject.clone()), patterns);
            cases.push((fits, self.block(&[";;", "esac"])));
        }
        steps.push(Step::Choice(cases));
    }

    /// Whether `NAME() {` or `function NAME {` is next.
    fn is_function(&self) -> bool {
        let behind = |at| matches!(self.tokens.get(self.at + at), Some(Token::Word(word)) if word == "()");
        self.word().is_some_and(|word| word == "function" || word.ends_with("()") || is_name(word) && behind(1))
    }

    fn function(&mut self, steps: &mut Vec<Step>) {
        self.takes("function");
        let name = self.word().unwrap_or_default().trim_end_matches("()").to_owned();
        self.at += 1;
        self.takes("()");
        while self.takes(";") {}
        if !self.takes("{") {
            return;
        }
        let body = self.block(&["}"]);
        self.takes("}");
        let parameters = (1..10).map(|place| (place.to_string(), None)).collect();
        steps.push(Step::Function(Function { name, parameters, body }));
    }

    /// A command. `continue` and the like count only where it is plain what they leave.
    fn line(&mut self, steps: &mut Vec<Step>, is_too_deep: bool) {
        let words = self.command();
        if words.is_empty() {
            self.at += 1;
            return;
        }
        let leave = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["continue"] => Some(Leave::Round),
            ["break"] => Some(Leave::Loop),
            ["return", ..] => Some(Leave::Function),
            _ => None,
        };
        if let Some(leave) = leave.filter(|_| !is_too_deep) {
            return steps.push(Step::Leave(leave));
        }
        let mut assigned = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if ["local", "export", "declare", "readonly", "-a", "-r"].contains(&word.as_str()) {
                continue;
            }
            let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else { break };
            let list = value.strip_prefix('(').map(|first| {
                let rest = words[at + 1..].iter().cloned();
                self.list(std::iter::once(first.to_owned()).chain(rest).collect())
            });
            let is_list = list.is_some();
            let value = list.unwrap_or_else(|| value.to_owned());
            // It may be a command for later.
            if value.contains(' ') {
                steps.push(Step::Line(Line { words: split(&value), ..Line::default() }));
            }
            assigned.push((vec![name.to_owned()], Value::Text(value)));
            if is_list {
                break;
            }
        }
        let call = words.split_first().map(|(name, arguments)| Call {
            name: name.clone(),
            arguments: arguments.iter().map(|argument| (None, Value::Text(argument.clone()))).collect(),
        });
        steps.push(Step::Line(Line { words, assigned, call }));
    }

    /// The words of a list that goes on over lines.
    fn list(&mut self, mut words: Vec<String>) -> String {
        let (begin, held) = (self.at, words.len());
        while !words.last().is_some_and(|word| word.ends_with(')')) {
            match self.word() {
                Some(word) if words.len() < held + LIST => {
                    words.extend(Some(word).filter(|word| !is_separator(word)).map(str::to_owned))
                }
                _ => {
                    self.at = begin;
                    words.truncate(held);
                    break;
                }
            }
            self.at += 1;
        }
        words.join(" ").trim().trim_end_matches(')').trim_end().to_owned()
    }
}

/// What a command asks: `[ $a = b ]`, `[[ $a == b* ]]`, `test $a != b`.
fn condition(asked: &[Step]) -> Condition {
    match asked {
        [step] => test(step),
        _ => Condition::Unknown,
    }
}

/// What a command asks, if it is a test.
fn test(step: &Step) -> Condition {
    let Step::Line(line) = step else { return Condition::Unknown };
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let (subject, sign, other) = match words.as_slice() {
        ["[" | "[[", subject, sign, other, "]" | "]]"] | ["test", subject, sign, other] => (subject, *sign, *other),
        _ => return Condition::Unknown,
    };
    let other = match words[0] {
        "[[" if !other.contains([OPEN, CLOSE]) => other.to_owned(),
        // A star is nothing but a star there.
        _ if other.contains(['*', OPEN]) => return Condition::Unknown,
        _ => other.to_owned(),
    };
    let fits = Condition::Fits(Value::Text((*subject).to_owned()), vec![other]);
    match sign {
        "=" | "==" => fits,
        "!=" => Condition::Not(Box::new(fits)),
        _ => Condition::Unknown,
    }
}

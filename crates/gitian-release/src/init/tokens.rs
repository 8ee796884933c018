//! A Python statement as its parts, with strings as `+`, f-strings, `%` and `.format()` make them.

use std::collections::BTreeMap;

use super::steps::{is_name, is_version, mark};

/// The longest value that a variable is given, in bytes.
pub(super) const VALUE_LIMIT: usize = 4096;

/// A part of a Python statement.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// A string, with marks for what is in braces if it is a formatted one.
    Text(String),
    /// A name, perhaps with dots.
    Name(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// How many brackets are open behind it, where so many were before.
    pub(super) fn within(&self, open: usize) -> usize {
        match self {
            Self::Sign('(' | '[' | '{') => open + 1,
            Self::Sign(')' | ']' | '}') => open.saturating_sub(1),
            _ => open,
        }
    }
}

/// Returns the parts of a statement.
pub(super) fn tokens(statement: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = statement;
    let mut is_behind_name = false;
    while let Some(c) = rest.chars().next() {
        let index = if is_behind_name { index(rest) } else { None };
        if let (Some(index), Some(Token::Name(name))) = (index, tokens.last_mut()) {
            name.push_str(index);
            rest = &rest[index.len()..];
            continue;
        }
        is_behind_name = c.is_alphanumeric() || c == '_';
        let length = match c {
            '\'' | '"' => {
                let end = rest[1..].find(c).map_or(rest.len(), |at| at + 2);
                let prefix = match tokens.last() {
                    Some(Token::Name(name)) if ["f", "rf", "fr", "r", "b", "u"].contains(&name.as_str()) => {
                        name.clone()
                    }
                    _ => String::new(),
                };
                if !prefix.is_empty() {
                    tokens.pop();
                }
                let formatted = prefix.contains('f');
                let inner = rest.get(1..end - 1).unwrap_or_default();
                let text = if formatted { format_marks(inner) } else { inner.to_owned() };
                match tokens.last_mut() {
                    Some(Token::Text(before)) => before.push_str(&text),
                    _ => tokens.push(Token::Text(text)),
                }
                end
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    with_formats(tokens)
}

/// The longest index that is read, in bytes.
const INDEX: usize = 100;

/// Returns `['key']`, `[name]` or `[1]` if a text begins with it.
fn index(text: &str) -> Option<&str> {
    let end = text.bytes().take(INDEX).position(|byte| byte == b']')?;
    let inner = text.strip_prefix('[')?.get(..end.checked_sub(1)?)?;
    let is_key = key(inner).is_some_and(|key| !key.contains(['\'', '"', '[']));
    let is_number = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
    (is_key || is_number || is_name(inner)).then(|| &text[..=end])
}

/// What stands in quotes, if a text is nothing else.
pub(super) fn key(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// Puts arguments in their places in strings that are formatted by `%` or `.format()`.
fn with_formats(tokens: Vec<Token>) -> Vec<Token> {
    // From the end, where the next token is the last one here: so what is within arguments is done before.
    let mut done: Vec<Token> = Vec::with_capacity(tokens.len());
    for mut token in tokens.into_iter().rev() {
        if let Token::Text(text) = &mut token {
            match done.as_slice() {
                [.., Token::Sign('%')] => {
                    done.pop();
                    *text = Arguments::take(&mut done).percent(text);
                }
                [.., Token::Sign('('), Token::Name(name), Token::Sign('.')] if name == "format" => {
                    done.truncate(done.len() - 2);
                    *text = Arguments::take(&mut done).braces(text);
                }
                _ => {}
            }
        }
        done.push(token);
    }
    done.reverse();
    done
}

/// What stands in the place of an argument that cannot be told.
const UNKNOWN: &str = "${?}";
/// The most parts that the arguments of one string are read from.
const ARGUMENTS: usize = 1000;

/// The arguments of a string that is formatted, by place and by name.
#[derive(Debug, Default)]
struct Arguments {
    placed: Vec<String>,
    named: BTreeMap<String, String>,
    /// How many of the placed ones were asked for.
    used: usize,
}

impl Arguments {
    /// Takes them from the end of tokens that are in the reverse order: a single one, or what is in brackets.
    fn take(behind: &mut Vec<Token>) -> Self {
        let mut arguments = Self::default();
        if matches!(behind.last(), Some(Token::Text(_) | Token::Name(_))) {
            arguments.placed.extend(behind.pop().map(|token| text(&[token])));
            return arguments;
        }
        let mut open = 0_usize;
        let mut is_end = |token: &Token| {
            open = token.within(open);
            open == 0
        };
        let Some(length @ 1..) = behind.iter().rev().take(ARGUMENTS).position(&mut is_end) else { return arguments };
        let mut inner = behind.split_off(behind.len() - length - 1);
        inner.reverse();
        // A dictionary tells nothing by place.
        if let [Token::Sign('('), inner @ .., _] = inner.as_slice() {
            let mut open = 0_usize;
            let is_comma = |token: &Token| {
                open = token.within(open);
                open == 0 && matches!(token, Token::Sign(','))
            };
            inner.split(is_comma).for_each(|part| arguments.add(part));
        }
        arguments
    }

    fn add(&mut self, part: &[Token]) {
        match part {
            [] => {}
            [Token::Name(name), Token::Sign('='), rest @ ..] => _ = self.named.insert(name.clone(), text(rest)),
            _ => self.placed.push(text(part)),
        }
    }

    fn next(&mut self) -> &str {
        self.used += 1;
        self.at(self.used - 1)
    }

    fn at(&self, place: usize) -> &str {
        self.placed.get(place).map_or(UNKNOWN, String::as_str)
    }

    fn by_name(&self, name: &str) -> String {
        let known = self.named.get(name).cloned();
        known.unwrap_or_else(|| if is_version(name) { mark(name) } else { format!("${{{name}}}") })
    }

    /// `'%s-%(name)s' % …`.
    fn percent(mut self, format: &str) -> String {
        let mut text = String::new();
        let mut rest = format;
        while let Some((before, behind)) = rest.split_once('%') {
            text += before;
            let named = behind.strip_prefix('(').and_then(|named| named.split_once(')'));
            let behind = named.map_or(behind, |(_, behind)| behind);
            let conversion = behind.trim_start_matches(|c: char| c.is_ascii_digit() || "-+ #.*".contains(c));
            let mut chars = conversion.chars();
            match (chars.next(), named) {
                (Some('%'), _) => text.push('%'),
                (_, Some((name, _))) => text += &self.by_name(name),
                (_, None) => text += self.next(),
            }
            rest = chars.as_str();
            if text.len() > VALUE_LIMIT {
                return UNKNOWN.to_owned();
            }
        }
        text + rest
    }

    /// `'{}-{1}-{name}'.format(…)`.
    fn braces(mut self, format: &str) -> String {
        let mut text = String::new();
        let mut rest = format;
        while let Some((before, behind)) = rest.split_once(['{', '}']) {
            text += before;
            let brace = if rest[before.len()..].starts_with('{') { '{' } else { '}' };
            rest = match (behind.strip_prefix(brace), behind.split_once('}')) {
                (None, Some((field, behind))) if brace == '{' => {
                    let name = field.split(['!', ':']).next().unwrap_or_default();
                    match name.parse() {
                        _ if name.is_empty() => text += self.next(),
                        Ok(place) => text += self.at(place),
                        Err(_) => text += &self.by_name(name),
                    }
                    behind
                }
                (twice, _) => {
                    text.push(brace);
                    twice.unwrap_or(behind)
                }
            };
            if text.len() > VALUE_LIMIT {
                return UNKNOWN.to_owned();
            }
        }
        text + rest
    }
}

/// Marks what is in braces: `{args.version}-linux`.
fn format_marks(text: &str) -> String {
    let mut marked = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else { break };
        marked += before;
        marked += &mark(name.trim());
        rest = after;
    }
    marked + rest
}

/// Returns the value of an expression: its strings and its names joined. Of a choice (`'' if … else 'v'`) all strings
/// count, and of names only the version; what is chosen by comparing with a string cannot be told.
pub(super) fn text(tokens: &[Token]) -> String {
    let place = |word: &str| tokens.iter().position(|token| matches!(token, Token::Name(name) if name == word));
    let otherwise = place("else");
    let asked = place("if").and_then(|at| tokens.get(at..otherwise?)).unwrap_or_default();
    if asked.iter().any(|token| matches!(token, Token::Text(_))) {
        return UNKNOWN.to_owned();
    }
    let part = |token: &Token| match token {
        Token::Text(text) => text.clone(),
        Token::Name(name) if otherwise.is_some() && !is_version(name) => String::new(),
        Token::Name(name) => mark(name),
        Token::Sign(_) => String::new(),
    };
    tokens.iter().map(part).collect()
}

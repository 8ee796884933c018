//! A driver script as the words of its commands, read as text: nothing of it is run.
//!
//! Two languages are known as far as driver scripts use them: shell, and Python that starts programs by a list or a line.
//! Variables become what the script assigns to them, and the version becomes `{version}`.

use std::collections::BTreeMap;

use gitian_process::{Failure, interrupt};

/// One command: its words, in order.
pub(crate) type Command = Vec<String>;

/// Before and behind the name of a variable whose value is not looked up yet.
const OPEN: char = '\u{1}';
const CLOSE: char = '\u{2}';
/// Before the name of an argument that is given by name, whose value is the next word.
const KEYWORD: char = '\u{3}';
/// How often a value may name a variable that names a variable.
const DEPTH: usize = 64;
/// The longest value that a variable is given, in bytes.
const VALUE_LIMIT: usize = 4096;
/// How much all values that are put into commands may come to, in bytes.
const TOTAL_LIMIT: usize = 16 << 20;
/// How many values are looked at for variables that nobody knows, which a circle may ask for over and over.
const LOOKS: usize = 100_000;

/// What was read from a script.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The commands, in the order of the text. A variable that nobody assigns stays as `${name}`.
    pub commands: Vec<Command>,
}

/// The language of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Shell,
    Python,
}

impl Words {
    /// Reads a script.
    ///
    /// # Errors
    /// We were asked to stop.
    pub fn read(text: &str, language: Language) -> Result<Self, Failure> {
        let mut values = Values::default();
        let mut lines = Vec::new();
        match language {
            Language::Shell => {
                for line in shell_statements(text) {
                    interrupt::check()?;
                    let words = split(&shell_marks(&line));
                    for word in &words {
                        if let Some(value) = values.assign_shell(word).filter(|value| value.contains(' ')) {
                            lines.push(split(value));
                        }
                    }
                    lines.push(words);
                }
            }
            Language::Python => {
                for statement in python_statements(text) {
                    interrupt::check()?;
                    values.assign_python(&statement);
                    lines.push(without_keywords(python_words(&statement)));
                }
            }
        }
        let mut resolver = Resolver { values: &values, known: BTreeMap::new(), left: TOTAL_LIMIT, looks: LOOKS };
        let mut read = Self::default();
        for line in lines {
            interrupt::check()?;
            let resolved: Vec<String> = line.iter().map(|word| resolver.resolve(word)).collect();
            read.commands.extend(commands(&resolved));
        }
        Ok(read)
    }
}

/// Cuts a line's words into commands at what separates these.
fn commands(words: &[String]) -> Vec<Command> {
    let ends = |word: &String| ["|", "||", "&&", ";", "&", "then", "do", "else", "if"].contains(&word.as_str());
    words.split(ends).filter(|words| !words.is_empty()).map(<[String]>::to_vec).collect()
}

/// Whether nothing in a value is left to be looked up, or to be run.
pub(crate) fn is_known(value: &str) -> bool {
    !value.contains(['$', '`'])
}

/// Whether a variable, by the last part of its name, holds the version.
fn is_version(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("version"))
}

/// What variables may hold: everything that is assigned to them somewhere.
#[derive(Debug, Default)]
struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    fn add(&mut self, name: &str, value: String) {
        self.0.entry(name.to_owned()).or_default().push(value);
    }

    /// `NAME=value`. Returns the value, which may be a command for later.
    fn assign_shell<'w>(&mut self, word: &'w str) -> Option<&'w str> {
        let (name, value) = word.split_once('=').filter(|(name, _)| is_name(name))?;
        self.add(name, value.to_owned());
        Some(value)
    }

    /// `name = expression`, and options with a default.
    fn assign_python(&mut self, statement: &str) {
        if let Some((name, value)) = statement.split_once('=')
            && is_name(name.trim())
            && !value.starts_with('=')
        {
            self.add(name.trim(), python_value(value));
        }
        if statement.contains("add_argument(") {
            let words = python_words(statement);
            let after = |key: &str| {
                words.iter().position(|word| *word == format!("{KEYWORD}{key}")).and_then(|at| words.get(at + 1))
            };
            let dest = after("dest").cloned().or_else(|| {
                let long = words.iter().find_map(|word| word.strip_prefix("--"));
                long.map(|name| name.replace('-', "_"))
            });
            if let (Some(dest), Some(default)) = (dest, after("default")) {
                self.add(&format!("args.{dest}"), default.clone());
            }
        }
    }
}

/// Puts the values of variables in their places. A script may be made to have values without end: what a variable comes to
/// is kept, and what is too long counts as not known.
struct Resolver<'a> {
    values: &'a Values,
    /// What variables came to; nothing for those that nobody knows, and while a variable is looked into.
    known: BTreeMap<String, Option<String>>,
    /// How many bytes of values may still be put into commands.
    left: usize,
    /// How many values may still be looked at for what has to be looked at again.
    looks: usize,
}

impl Resolver<'_> {
    fn resolve(&mut self, word: &str) -> String {
        self.resolve_within(word, DEPTH, usize::MAX).unwrap_or_default()
    }

    /// Returns nothing if it comes to more than `limit` bytes.
    fn resolve_within(&mut self, word: &str, depth: usize, limit: usize) -> Option<String> {
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let Some((name, after)) = behind.split_once(CLOSE) else { break };
            text += before;
            match self.value(name, depth).filter(|value| depth < DEPTH || value.len() <= self.left) {
                Some(value) => {
                    self.left = self.left.saturating_sub(if depth < DEPTH { 0 } else { value.len() });
                    text += &value;
                }
                None => text += &format!("${{{name}}}"),
            }
            if text.len() > limit {
                return None;
            }
            rest = after;
        }
        text += rest;
        (text.len() <= limit).then_some(text)
    }

    fn value(&mut self, name: &str, depth: usize) -> Option<String> {
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
        let values = self.values.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let plain = |value: &&String| !["", "false", "true", "None", "False", "True"].contains(&value.as_str());
        let resolved: Vec<String> = values
            .iter()
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

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
}

fn mark(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// Returns the lines of a shell script, continued ones joined, without comments.
fn shell_statements(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut held = String::new();
    for line in text.lines() {
        let line = line.trim();
        match line.strip_suffix('\\') {
            Some(part) => held = held + part + " ",
            None => lines.push(std::mem::take(&mut held) + line),
        }
    }
    lines.push(held);
    lines.retain(|line| !line.is_empty() && !line.starts_with('#'));
    lines
}

/// Marks the variables of a line of shell: `$NAME`, `${NAME}`.
fn shell_marks(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    // Behind the last brace none is looked for.
    let closed = line.rfind('}').map_or(0, |at| line.len() - at);
    while let Some((before, behind)) = rest.split_once('$') {
        text += before;
        let inner = behind.strip_prefix('{').filter(|inner| closed > 0 && inner.len() >= closed);
        let braced = inner.and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
            behind.split_at(end)
        });
        text += &match name {
            name if is_name(name) => mark(name),
            "" => "$".to_owned(),
            // `$1` is as little known as `${1}`.
            name => format!("${{{name}}}"),
        };
        rest = after;
    }
    text + rest
}

/// Splits a line into words at blanks outside of quotes, which are taken away; what separates commands is a word.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
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

/// Returns the statements of a Python script: lines, joined while a bracket is open.
fn python_statements(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut held = String::new();
    let mut open = 0_usize;
    for line in text.lines() {
        let mut quote = None;
        let mut kept = String::new();
        for c in line.trim().chars() {
            match (c, quote) {
                (c, Some(end)) if c == end => quote = None,
                ('\'' | '"', None) => quote = Some(c),
                ('#', None) => break,
                ('(' | '[' | '{', None) => open += 1,
                (')' | ']' | '}', None) => open = open.saturating_sub(1),
                _ => {}
            }
            kept.push(c);
        }
        held = held + &kept + " ";
        if open == 0 {
            statements.push(std::mem::take(&mut held).trim().to_owned());
        }
    }
    statements.push(held);
    statements.retain(|statement| !statement.is_empty());
    statements
}

/// A part of a Python statement.
#[derive(Clone, Debug)]
enum Token {
    /// A string, with marks for what is in braces if it is a formatted one.
    Text(String),
    /// A name, perhaps with dots.
    Name(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// How many brackets are open behind it, where so many were before.
    fn within(&self, open: usize) -> usize {
        match self {
            Self::Sign('(' | '[' | '{') => open + 1,
            Self::Sign(')' | ']' | '}') => open.saturating_sub(1),
            _ => open,
        }
    }
}

fn python_tokens(statement: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
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
            arguments.placed.extend(behind.pop().map(|token| value(&[token])));
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
            [Token::Name(name), Token::Sign('='), rest @ ..] => _ = self.named.insert(name.clone(), value(rest)),
            _ => self.placed.push(value(part)),
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

/// Returns the words of a Python statement: the elements of its lists and calls, in order; those of a line for a shell are
/// split as that does.
fn python_words(statement: &str) -> Vec<String> {
    let for_shell = statement.replace(' ', "").contains("shell=True");
    let mut words = Vec::new();
    let mut element: Option<String> = None;
    let mut depth = 0_usize;
    let mut flush = |element: &mut Option<String>, depth: usize| {
        let Some(text) = element.take() else { return };
        match for_shell || depth == 0 {
            true => words.extend(split(&text)),
            false => words.push(text),
        }
    };
    let (mut open, mut is_assigned, mut has_list) = (0_usize, false, false);
    let mut tokens = python_tokens(statement).into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) => element.get_or_insert_default().push_str(&text),
            Token::Name(name) => element.get_or_insert_default().push_str(&mark(&name)),
            Token::Sign('+') => {}
            // A variable, or a list by name: it may be a command for later.
            Token::Sign('=') if open == 0 || matches!(tokens.peek(), Some(Token::Sign('['))) => {
                element = None;
                is_assigned |= open == 0;
            }
            Token::Sign('=') => {
                let name = element.take().unwrap_or_default();
                let name = name.strip_prefix(OPEN).and_then(|name| name.strip_suffix(CLOSE)).unwrap_or_default();
                element = Some(format!("{KEYWORD}{name}"));
                flush(&mut element, depth);
            }
            Token::Sign(sign) => {
                flush(&mut element, depth);
                has_list |= sign == '[';
                match sign {
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                open = Token::Sign(sign).within(open);
            }
        }
    }
    flush(&mut element, depth);
    // A name of a program is no call of it yet.
    if is_assigned && !has_list && words.len() == 1 {
        words.clear();
    }
    words
}

/// Takes out what is given by name, such as `shell=True`: it is for Python, not for the program.
fn without_keywords(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.starts_with(KEYWORD) {
            true => drop(words.next()),
            false => kept.push(word),
        }
    }
    kept
}

/// Returns the value of an expression.
fn python_value(expression: &str) -> String {
    value(&python_tokens(expression))
}

/// Returns the value of an expression: its strings and its names joined. Of a choice (`'' if … else 'v'`) all strings
/// count, and of names only the version.
fn value(tokens: &[Token]) -> String {
    let choice = tokens.iter().any(|token| matches!(token, Token::Name(name) if name == "else"));
    let part = |token: &Token| match token {
        Token::Text(text) => text.clone(),
        Token::Name(name) if choice && !is_version(name) => String::new(),
        Token::Name(name) => mark(name),
        Token::Sign(_) => String::new(),
    };
    tokens.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, language: Language) -> Vec<String> {
        Words::read(text, language).unwrap().commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn a_shell_script_becomes_its_commands_with_the_values_of_its_variables() {
        let script = "#!/bin/bash\nproc=2\nCOMMIT=$VERSION\nif x; then\n COMMIT=\"v${VERSION}\"; fi\nurl=https://example.org/coin\n\
                      ./bin/gbuild -j ${proc} --commit coin=${COMMIT} \\\n  --url coin=${url} ../coin/x.yml  # comment\n\
                      echo \"abc  inputs/x\" | sha256sum -c\nfor x in $(ls); do gsign -p $signProg; done\n";
        let found = words(script, Language::Shell);
        for expected in [
            "./bin/gbuild -j 2 --commit coin=v{version} --url coin=https://example.org/coin ../coin/x.yml",
            "echo abc  inputs/x",
            "sha256sum -c",
            "gsign -p ${signProg}",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
        }
    }

    #[test]
    fn a_python_script_becomes_its_commands_with_the_values_of_its_variables() {
        let script = "parser.add_argument('-u', '--url', dest='url', default='https://example.org/coin', help='a, b')\n\
                      parser.add_argument('-j', '--jobs', default='2')\n\
                      args.commit = ('' if args.commit else 'v') + args.version\n\
                      subprocess.check_call(['bin/gbuild', '-j', args.jobs, '--commit', 'coin='+args.commit,\n   '--url', 'coin='+args.url, f'../{x}/x.yml'])  # why\n\
                      subprocess.check_call(\"mv build/out/coin-*.zip ../coin-binaries/\"+args.version, shell=True)\n\
                      subprocess.check_call([\"echo 'abc inputs/x' | sha256sum -c\"], shell=True)\n\
                      subprocess.check_call(['bin/gsign', '--release', f\"{args.version}-linux\", 'two words'])\n";
        let found = words(script, Language::Python);
        for expected in [
            "bin/gbuild -j 2 --commit coin=v{version} --url coin=https://example.org/coin ../${x}/x.yml",
            "mv build/out/coin-*.zip ../coin-binaries/{version}",
            "echo abc inputs/x",
            "bin/gsign --release {version}-linux two words",
        ] {
            assert!(found.iter().any(|line| line.ends_with(expected)), "{expected}: {found:#?}");
        }
    }

    #[test]
    fn strings_that_are_formatted_hold_their_arguments() {
        let before = "args.commit = ('' if args.commit else 'v') + args.version\nurl = 'https://example.org/coin'\n";
        for (argument, expected) in [
            ("'coin=%s' % args.commit", "coin=v{version}"),
            ("'coin=%s' % (args.commit)", "coin=v{version}"),
            ("'%s=%-4s%%' % ('coin', args.commit,)", "coin=v{version}%"),
            ("'co' 'in=%s' % args.commit", "coin=v{version}"),
            ("'coin=' + '%s' % args.commit", "coin=v{version}"),
            ("'coin=%s' % ('v%s' % args.version)", "coin=v{version}"),
            ("'coin=%s' % ('v' + args.version)", "coin=v{version}"),
            ("'coin=v%(version)s' % vars(args)", "coin=v{version}"),
            ("'coin=%(commit)s' % {'commit': args.commit}", "coin=${commit}"),
            ("'coin=%s-%s' % args.commit", "coin=v{version}-${?}"),
            ("'coin=%s' % get_commit()", "coin=${get_commit}"),
            ("'coin={}'.format(args.commit)", "coin=v{version}"),
            ("'{1}={0:>4}'.format(args.commit, 'coin')", "coin=v{version}"),
            ("'{dir}={at!s}{{}}'.format(dir='coin', at=args.commit)", "coin=v{version}{}"),
            ("'coin={}'.format('v{}'.format(args.version))", "coin=v{version}"),
            ("'coin=v{version}'.format(**vars(args))", "coin=v{version}"),
            ("'coin={}'.format(*commits)", "coin=${commits}"),
            ("'coin={commit}'.format(**known)", "coin=${commit}"),
            ("'coin={}{}'.format(url)", "coin=https://example.org/coin${?}"),
            ("'coin={'.format(url)", "coin={"),
            ("'100%'", "100%"),
        ] {
            let script = format!("{before}check_call(['bin/gbuild', '--commit', {argument}, 'x.yml'])\n");
            let found = words(&script, Language::Python);
            let call = found.last().unwrap().split_once("bin/gbuild --commit ").unwrap().1;
            assert!(call.starts_with(&format!("{expected} ")) && call.ends_with("x.yml"), "{argument}: {call}");
        }
    }

    #[test]
    fn a_command_in_a_variable_is_a_command() {
        for (script, language, expected) in [
            ("cmd = ['bin/gbuild', '-j', '2', 'x.yml']\ncheck_call(cmd)", Language::Python, "bin/gbuild -j 2 x.yml"),
            ("cmd = 'bin/gbuild -j 2 x.yml'\nos.system(cmd)", Language::Python, "bin/gbuild -j 2 x.yml"),
            ("cmd = ['bin/gbuild']\ncmd.append('x')", Language::Python, "bin/gbuild"),
            ("run(args=['bin/gbuild', 'x.yml'], check=True)", Language::Python, "${run} bin/gbuild x.yml"),
            ("CMD=\"bin/gbuild -j 2 x.yml\"\n$CMD", Language::Shell, "bin/gbuild -j 2 x.yml"),
        ] {
            let found = words(script, language);
            assert!(found.iter().any(|line| line == expected), "{script}: {found:#?}");
        }
        // The name of a program is no call.
        for (script, language) in
            [("gbuild = 'bin/gbuild'", Language::Python), ("if x == 'bin/gbuild':", Language::Python)]
        {
            assert_eq!(words(script, language), [""; 0], "{script}");
        }
    }

    #[test]
    fn values_that_grow_without_end_are_read_in_a_moment() {
        let chain: String = (0..40).map(|at| format!("a{at}=$a{}$a{}\n", at + 1, at + 1)).collect();
        let began = std::time::Instant::now();
        for (script, expected) in [
            // An option is added, over and over.
            (
                (0..40).map(|at| format!("OPTS=\"$OPTS --x{at}\"\n")).collect::<String>() + "gbuild $OPTS x.yml",
                "gbuild ${OPTS} x.yml",
            ),
            ("OPTS=-q\n".to_owned() + &"OPTS=\"$OPTS --x\"\n".repeat(40) + "gbuild $OPTS x.yml", "gbuild -q x.yml"),
            ("a=$b\nb=$a\nb=v$VERSION\ngbuild $a $b".to_owned(), "gbuild v{version} v{version}"),
            // Each is twice the next.
            (format!("{chain}a40=x\ngbuild $a0 $a39"), "gbuild ${a0} xx"),
            (format!("a={}\nb=$VERSION\ngbuild $b $a", "x".repeat(5000)), "gbuild {version} ${a}"),
        ] {
            let found = words(&script, Language::Shell);
            assert_eq!(found.last().map(String::as_str), Some(expected));
        }
        // Everything depends on everything, and nobody knows anything.
        let all: String = (0..60).flat_map(|one| (0..60).map(move |other| format!("a{one}=$a{other}\n"))).collect();
        assert_eq!(words(&(all + "gbuild $a0"), Language::Shell).last().map(String::as_str), Some("gbuild ${a0}"));
        // A word for every few bytes of the script: what they come to has an end too.
        let many = format!("a={}\n{}", "x".repeat(4000), "$a ".repeat(100_000));
        let size: usize = words(&many, Language::Shell).iter().map(String::len).sum();
        assert!(size < 2 * TOTAL_LIMIT, "{size}");
        assert!(words(&"${".repeat(300_000), Language::Shell).len() == 1);
        // Arguments within arguments, of which each is there twice, and such that never end.
        let nested = format!("x({}'a'{})", "'{0}{0}'.format(".repeat(20_000), ")".repeat(20_000));
        let found = words(&nested, Language::Python);
        assert!(found.len() == 1 && found[0].len() < 2 * VALUE_LIMIT, "{}", found.len());
        for unended in ["'%s' % (", "'{}'.format(", "'%s' % (1, "] {
            words(&unended.repeat(50_000), Language::Python);
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn whatever_the_text_is_it_is_read_to_its_end() {
        for text in [
            "'",
            "\"",
            "f'{",
            "x = '",
            "[[[",
            "$",
            "${",
            "${}",
            "$$",
            "a=$a",
            "é'é",
            "'é",
            "\\",
            "x=\u{1}y",
            "'%' % x",
            "'%é(' %",
            "'{é'.format(",
            "'}'.format()",
            "=",
            "= [",
        ] {
            for language in [Language::Shell, Language::Python] {
                Words::read(text, language).unwrap();
            }
        }
    }
}

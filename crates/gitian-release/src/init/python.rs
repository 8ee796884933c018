//! A Python script as steps: `for`, `if`, `def`; everything else that is indented is read as if it were not.

use std::rc::Rc;

use gitian_process::{Failure, interrupt};

use super::steps::{CLOSE, Call, Condition, Each, Function, Line, NESTED, OPEN, Part, Step, Value};
use super::steps::{is_name, mark, only_name, split};
use super::tokens::{Token, text, tokens};

/// Before the name of an argument that is given by name, whose value is the next word.
const KEYWORD: char = '\u{3}';
/// The most entries that a map is read with.
const ENTRIES: usize = 1000;

/// Reads a script.
///
/// # Errors
/// We were asked to stop.
pub(super) fn read(text: &str) -> Result<Vec<Step>, Failure> {
    Parser { statements: statements(text), at: 0, depth: 0 }.block(0)
}

struct Parser {
    statements: Vec<Statement>,
    at: usize,
    depth: usize,
}

impl Parser {
    /// What is indented at least so far.
    fn block(&mut self, indent: usize) -> Result<Vec<Step>, Failure> {
        let mut steps = Vec::new();
        while let Some(statement) = self.statements.get_mut(self.at).filter(|statement| statement.indent >= indent) {
            interrupt::check()?;
            let (text, indent) = (std::mem::take(&mut statement.text), statement.indent);
            self.at += 1;
            let (head, rest) = match head_end(&text) {
                Some(end) if self.depth < NESTED => (&text[..end], text[end + 1..].trim()),
                _ => ("", ""),
            };
            self.depth += 1;
            match head.split([' ', '(']).next().unwrap_or_default() {
                "for" => {
                    let body = self.body(rest, indent)?;
                    steps.extend(match each(tokens(head)) {
                        Some((names, over, part)) => vec![Step::Each(Each { names, over, part, body })],
                        None => body,
                    });
                }
                "if" => {
                    let mut cases = vec![(condition(&tokens(head)[1..], NESTED), self.body(rest, indent)?)];
                    while let Some((head, rest)) = self.other_case(indent) {
                        let condition = match head.strip_prefix("elif") {
                            Some(asked) => condition(&tokens(asked), NESTED),
                            None => Condition::Otherwise,
                        };
                        cases.push((condition, self.body(&rest, indent)?));
                    }
                    // What is asked may be whether a command does well.
                    steps.push(Step::Line(line(head)));
                    steps.push(Step::Choice(cases));
                }
                "def" => {
                    let body = self.body(rest, indent)?;
                    steps.extend(match function(&tokens(head)) {
                        Some(function) => vec![Step::Function(Function { body, ..function })],
                        None => body,
                    });
                }
                _ => steps.push(Step::Line(line(&text))),
            }
            self.depth -= 1;
        }
        Ok(steps)
    }

    /// What belongs to a head: behind its colon, or further indented.
    fn body(&mut self, rest: &str, indent: usize) -> Result<Vec<Step>, Failure> {
        if rest.is_empty() { self.block(indent + 1) } else { Ok(vec![Step::Line(line(rest))]) }
    }

    /// The `elif` or `else` that is next.
    fn other_case(&mut self, indent: usize) -> Option<(String, String)> {
        let next = self.statements.get(self.at).filter(|next| next.indent == indent)?;
        let is_one = next.text.starts_with("elif ") || next.text.starts_with("elif(") || next.text.starts_with("else");
        let end = head_end(&next.text).filter(|_| is_one)?;
        let (head, rest) = (next.text[..end].to_owned(), next.text[end + 1..].trim().to_owned());
        self.at += 1;
        Some((head, rest))
    }
}

/// Where the colon of a head stands: outside of quotes and brackets.
fn head_end(text: &str) -> Option<usize> {
    if !["for", "if", "elif", "else", "def"].iter().any(|word| text.starts_with(word)) {
        return None;
    }
    let (mut quote, mut open) = (None, 0_usize);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(end)) if c == end => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('(' | '[' | '{', None) => open += 1,
            (')' | ']' | '}', None) => open = open.saturating_sub(1),
            (':', None) if open == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Reads a statement that is no head.
fn line(statement: &str) -> Line {
    let tokens = tokens(statement);
    let mut assigned = Vec::new();
    let mut value = tokens.as_slice();
    let sign = tokens.iter().position(|token| matches!(token, Token::Sign('=')));
    if let Some((names, behind)) = sign.and_then(|at| Some((names(&tokens[..at])?, &tokens[at + 1..])))
        && !matches!(behind.first(), Some(Token::Sign('=')))
    {
        assigned.push((names, expression(behind, NESTED)));
        value = behind;
    }
    let call = call(value);
    assigned.extend(call.as_ref().and_then(option));
    Line { words: without_keywords(words(statement, tokens)), assigned, call }
}

/// The names that are assigned to: `a`, or `a, (b, c)`.
fn names(tokens: &[Token]) -> Option<Vec<String>> {
    let count =
        |sign: char| tokens.iter().filter(|token| matches!(token, Token::Sign(known) if *known == sign)).count();
    if count('(') != count(')') {
        return None;
    }
    let names = tokens.iter().filter(|token| !matches!(token, Token::Sign(',' | '(' | ')')));
    let names: Option<Vec<String>> = names
        .map(|token| match token {
            Token::Name(name) if is_name(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.filter(|names| !names.is_empty())
}

/// The default of an option: `parser.add_argument('-u', '--url', dest='url', default='x')`.
fn option(call: &Call) -> Option<(Vec<String>, Value)> {
    let named = |wanted: &str| {
        let is_it = |name: &Option<String>| name.as_deref() == Some(wanted);
        call.arguments.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
    };
    if !call.name.ends_with("add_argument") {
        return None;
    }
    let dest = named("dest").and_then(Value::text).map(str::to_owned).or_else(|| {
        let placed = call.arguments.iter().filter(|(name, _)| name.is_none());
        let flags: Vec<&str> = placed.filter_map(|(_, value)| value.text()).collect();
        let long = flags.iter().find_map(|flag| flag.strip_prefix("--"));
        long.or_else(|| flags.first().copied()).map(|name| name.replace('-', "_"))
    })?;
    Some((vec![format!("args.{dest}")], named("default")?.clone()))
}

/// `f(x, name=y)`, also behind `return`.
fn call(tokens: &[Token]) -> Option<Call> {
    let tokens = match tokens {
        [Token::Name(word), rest @ ..] if word == "return" => rest,
        all => all,
    };
    let [Token::Name(name), arguments @ ..] = tokens else { return None };
    let argument = |part: &[Token]| match part {
        [Token::Name(name), Token::Sign('='), value @ ..] => (Some(name.clone()), expression(value, NESTED)),
        value => (None, expression(value, NESTED)),
    };
    let arguments = elements(arguments, '(')?.into_iter().map(argument).collect();
    Some(Call { name: name.clone(), arguments })
}

/// `def f(x, y='z')`, without its body.
fn function(tokens: &[Token]) -> Option<Function> {
    let call = call(tokens.get(1..)?)?;
    let parameter = |(name, value): (Option<String>, Value)| match name {
        Some(name) => Some((name, Some(value))),
        None => Some((only_name(value.text()?)?.to_owned(), None)),
    };
    let parameters = call.arguments.into_iter().filter_map(parameter).collect();
    Some(Function { name: call.name, parameters, body: Vec::new() })
}

/// `for NAMES in EXPRESSION`: the names, what is gone over, and what of it.
fn each(tokens: Vec<Token>) -> Option<(Vec<String>, Value, Part)> {
    let at = tokens.iter().position(|token| matches!(token, Token::Name(name) if name == "in"))?;
    let names = names(tokens.get(1..at)?)?;
    let mut over = &tokens[at + 1..];
    if let [Token::Name(name), rest @ ..] = over
        && ["list", "tuple", "sorted"].contains(&name.as_str())
        && let Some(inner) = elements(rest, '(')
        && let [inner] = inner.as_slice()
    {
        over = inner;
    }
    let (of, method, arguments) = match over {
        [Token::Name(name), rest @ ..] => match name.rsplit_once('.') {
            Some((of, method)) => (Value::Text(mark(of)), method, rest),
            None => (Value::Text(String::new()), "", rest),
        },
        [Token::Text(text), Token::Sign('.'), Token::Name(method), rest @ ..] => {
            (Value::Text(text.clone()), method.as_str(), rest)
        }
        _ => (Value::Text(String::new()), "", &[][..]),
    };
    let arguments = elements(arguments, '(').map(|arguments| arguments.concat());
    let part = match (method, arguments.as_deref()) {
        ("keys", Some([])) => Part::Elements,
        ("values", Some([])) => Part::Values,
        ("items", Some([])) => Part::Pairs,
        ("split", Some([])) => Part::Between(String::new()),
        ("split", Some([Token::Text(separator)])) => Part::Between(separator.clone()),
        (_, Some(_)) => return None,
        (_, None) if is_composed(over) => return None,
        (_, None) => {
            let over = match at_commas(over).as_deref() {
                Some([]) | Some([_]) | None => expression(over, NESTED),
                Some(elements) => {
                    Value::List(elements.iter().map(|element| Rc::new(expression(element, NESTED))).collect())
                }
            };
            return Some((names, over, Part::Elements));
        }
    };
    Some((names, of, part))
}

/// Whether brackets are in an expression that is not written out as a whole: lists that are joined, and the like.
fn is_composed(tokens: &[Token]) -> bool {
    let is_open = |token: &Token| matches!(token, Token::Sign('(' | '[' | '{'));
    let is_list = at_commas(tokens).is_some_and(|elements| elements.len() > 1);
    !is_list && tokens.iter().any(is_open) && expression(tokens, NESTED).text().is_some()
}

/// What stands between brackets, at its commas; nothing if that is not all.
fn elements(tokens: &[Token], bracket: char) -> Option<Vec<&[Token]>> {
    let [Token::Sign(open), inner @ .., Token::Sign(_)] = tokens else { return None };
    if *open != bracket {
        return None;
    }
    at_commas(inner)
}

/// What stands between commas, outside of brackets; nothing if more brackets are closed than were opened.
fn at_commas(tokens: &[Token]) -> Option<Vec<&[Token]>> {
    let (mut open, mut is_over) = (0_usize, false);
    let is_comma = |token: &Token| {
        is_over |= open == 0 && matches!(token, Token::Sign(')' | ']' | '}'));
        open = token.within(open);
        open == 0 && matches!(token, Token::Sign(','))
    };
    let elements: Vec<&[Token]> = tokens.split(is_comma).filter(|element| !element.is_empty()).collect();
    (!is_over).then_some(elements)
}

/// Returns what an expression is, as far as it is written out.
fn expression(tokens: &[Token], depth: usize) -> Value {
    let plain = || Value::Text(text(tokens));
    let Some(depth) = depth.checked_sub(1) else { return plain() };
    let list = |elements: Vec<&[Token]>| {
        Value::List(elements.into_iter().map(|element| Rc::new(expression(element, depth))).collect())
    };
    let has_comma = matches!(tokens, [.., Token::Sign(','), Token::Sign(')')]);
    if let Some(elements) = elements(tokens, '[') {
        return list(elements);
    }
    if let Some(elements) = elements(tokens, '(') {
        return match elements.as_slice() {
            [one] if !has_comma => expression(one, depth),
            _ => list(elements),
        };
    }
    let Some(elements) = elements(tokens, '{') else { return plain() };
    let pair = |element: &&[Token]| match element {
        [Token::Text(key), Token::Sign(':'), value @ ..] => Some((key.clone(), Rc::new(expression(value, depth)))),
        _ => None,
    };
    let pairs: Option<Vec<_>> = elements.iter().map(pair).collect();
    match pairs {
        Some(pairs) if pairs.len() <= ENTRIES => Value::Map(pairs),
        Some(_) => plain(),
        None => list(elements),
    }
}

/// Reads what an `if` asks.
fn condition(tokens: &[Token], depth: usize) -> Condition {
    let Some(depth) = depth.checked_sub(1) else { return Condition::Unknown };
    let word = |token: Option<&Token>, word: &str| matches!(token, Some(Token::Name(name)) if name == word);
    let parts = |wanted: &str| -> Vec<Condition> {
        let mut open = 0_usize;
        let is_it = |token: &Token| {
            open = token.within(open);
            open == 0 && word(Some(token), wanted)
        };
        let parts: Vec<&[Token]> = tokens.split(is_it).collect();
        if parts.len() > 1 { parts.into_iter().map(|part| condition(part, depth)).collect() } else { Vec::new() }
    };
    let any = parts("or");
    if !any.is_empty() {
        return Condition::Any(any);
    }
    let all = parts("and");
    if !all.is_empty() {
        return Condition::All(all);
    }
    if let [Token::Name(not), rest @ ..] = tokens
        && not == "not"
    {
        return Condition::Not(Box::new(condition(rest, depth)));
    }
    if let Some([inner]) = elements(tokens, '(').as_deref() {
        return condition(inner, depth);
    }
    let side = |tokens: &[Token]| expression(tokens, NESTED);
    for at in 1..tokens.len() {
        match (&tokens[at], tokens.get(at + 1)) {
            (Token::Sign('='), Some(Token::Sign('='))) => {
                return Condition::Same(side(&tokens[..at]), side(&tokens[at + 2..]));
            }
            (Token::Sign('!'), Some(Token::Sign('='))) => {
                return Condition::Not(Box::new(Condition::Same(side(&tokens[..at]), side(&tokens[at + 2..]))));
            }
            (token, next) if word(Some(token), "not") && word(next, "in") => {
                return Condition::Not(Box::new(Condition::Within(side(&tokens[..at]), side(&tokens[at + 2..]))));
            }
            (token, _) if word(Some(token), "in") => {
                return Condition::Within(side(&tokens[..at]), side(&tokens[at + 1..]));
            }
            _ => {}
        }
    }
    Condition::Unknown
}

/// A statement, and how far it is indented.
struct Statement {
    indent: usize,
    text: String,
}

/// Returns the statements of a script: lines, joined while a bracket is open.
fn statements(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut held = String::new();
    let (mut open, mut indent) = (0_usize, 0);
    for line in text.lines() {
        if held.is_empty() {
            indent = line.len() - line.trim_start().len();
        }
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
            statements.push(Statement { indent, text: std::mem::take(&mut held).trim().to_owned() });
        }
    }
    statements.push(Statement { indent, text: held });
    statements.retain(|statement| !statement.text.is_empty());
    statements
}

/// Returns the words of a Python statement: the elements of its lists and calls, in order; those of a line for a shell are
/// split as that does.
fn words(statement: &str, tokens: Vec<Token>) -> Vec<String> {
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
    let mut tokens = tokens.into_iter().peekable();
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

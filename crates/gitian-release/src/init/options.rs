//! The words of a call as its program takes them: `--long=x`, `--long x`, `-lx`, `-l x`, and what is no option.

/// The options of gbuild that take a value, short and long.
pub(super) const GBUILD: &[(char, &str)] = &[('c', "commit"), ('u', "url"), ('j', "num-make"), ('m', "memory")];
/// Those of gsign and gverify.
pub(super) const SIGNS: &[(char, &str)] =
    &[('r', "release"), ('s', "signer"), ('d', "destination"), ('p', "signing-program")];
/// The shortest beginning of a long option that is taken for it.
const BEGINNING: usize = 3;

/// A word of a call, with the value that it takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// An option with its value, by its long name.
    Valued(&'static str, String),
    /// Any other option.
    Flag(String),
    /// No option.
    Plain(String),
}

/// Reads the words of a call.
pub(super) fn arguments(words: &[String], valued: &[(char, &'static str)]) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let mut words = whole(words).into_iter();
    while let Some(word) = words.next() {
        let found = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => {
                let (name, attached) = long.split_once('=').map_or((long, None), |(name, of)| (name, Some(of)));
                let is_it = |known: &str| known == name || name.len() >= BEGINNING && known.starts_with(name);
                valued.iter().find(|(_, known)| is_it(known)).map(|(_, known)| (*known, attached.map(str::to_owned)))
            }
            // Some without a value may stand before: `-ij3`.
            (None, Some(short)) => short.char_indices().find_map(|(at, c)| {
                let (_, known) = valued.iter().find(|(known, _)| *known == c)?;
                let rest = short[at + c.len_utf8()..].trim_start();
                Some((*known, (!rest.is_empty()).then(|| rest.to_owned())))
            }),
            (None, None) => {
                arguments.push(Argument::Plain(word));
                continue;
            }
        };
        match found {
            Some((name, attached)) => {
                arguments.extend(attached.or_else(|| words.next()).map(|value| Argument::Valued(name, value)))
            }
            None => arguments.push(Argument::Flag(word)),
        }
    }
    arguments
}

/// Returns the words with each command whose output is one as one: `$(nproc --all)`. Options that a variable holds together
/// are several.
fn whole(words: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let (mut open, mut is_quoted) = (0_usize, false);
    for word in words {
        let goes_on = open > 0 || is_quoted;
        open = (open + word.matches("$(").count()).saturating_sub(word.matches(')').count());
        is_quoted ^= word.matches('`').count() % 2 == 1;
        match joined.last_mut() {
            Some(last) if goes_on => *last = std::mem::take(last) + " " + word,
            _ if word.starts_with('-') && is_plain(word) => {
                joined.extend(word.split_whitespace().map(str::to_owned));
            }
            _ => joined.push(word.clone()),
        }
    }
    joined
}

fn is_plain(word: &str) -> bool {
    !word.contains(['(', '`'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_programs_read_them() {
        let valued = |name, value: &str| Argument::Valued(name, value.to_owned());
        let flag = |word: &str| Argument::Flag(word.to_owned());
        for (call, expected) in [
            ("-j 3 -m 4000", vec![valued("num-make", "3"), valued("memory", "4000")]),
            ("-j3 -m4000", vec![valued("num-make", "3"), valued("memory", "4000")]),
            ("-ij3", vec![valued("num-make", "3")]),
            ("--num-make=3 --mem 4000", vec![valued("num-make", "3"), valued("memory", "4000")]),
            ("--commit=a=b -ua=c", vec![valued("commit", "a=b"), valued("url", "a=c")]),
            ("-i --skip-image --me=x", vec![flag("-i"), flag("--skip-image"), flag("--me=x")]),
            (
                "-j $(nproc --all) -m `expr 2 + 2`",
                vec![valued("num-make", "$(nproc --all)"), valued("memory", "`expr 2 + 2`")],
            ),
            ("-é -j", vec![flag("-é")]),
        ] {
            let words: Vec<String> = call.split(' ').map(str::to_owned).collect();
            assert_eq!(arguments(&words, GBUILD), expected, "{call}");
        }
        let of_a_variable = ["-j 3 -m 4000".to_owned(), "x y.yml".to_owned()];
        let expected = [valued("num-make", "3"), valued("memory", "4000"), Argument::Plain("x y.yml".to_owned())];
        assert_eq!(arguments(&of_a_variable, GBUILD), expected);
    }
}

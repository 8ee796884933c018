//! A driver script as the words of its commands, read as text: nothing of it is run.
//!
//! Two languages are known as far as driver scripts use them: shell, and Python that starts programs by a list or a line.
//! Variables become what the script assigns to them, and the version becomes `{version}`; loops and calls of functions are
//! gone through where the text says what they are given.

/// One command: its words, in order.
pub(crate) type Command = Vec<String>;

/// What was read from a script.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The commands, in their order. A variable that nobody assigns stays as `${name}`.
    pub commands: Vec<Command>,
    /// Whether there are more in loops or calls than are followed.
    pub is_cut: bool,
}

/// The language of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Shell,
    Python,
}

#[cfg(test)]
mod tests {
    use super::super::tokens::VALUE_LIMIT;
    use super::super::values::TOTAL_LIMIT;
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

    /// The calls of gbuild in a script.
    fn calls(text: &str, language: Language) -> Vec<String> {
        let all = words(text, language).into_iter();
        all.filter_map(|line| Some(line.split_once("gbuild ")?.1.to_owned())).collect()
    }

    #[test]
    fn a_loop_is_gone_through_as_often_as_the_text_says() {
        let python = |text: &str| (text.to_owned(), Language::Python);
        let shell = |text: &str| (text.to_owned(), Language::Shell);
        for ((script, language), expected) in [
            (
                python("for os in ['linux', 'win']:\n  call(['gbuild', 'a-' + os + '.yml'])"),
                &["a-linux.yml", "a-win.yml"][..],
            ),
            (python("for os in 'linux', 'win': call(['gbuild', f'a-{os}.yml'])"), &["a-linux.yml", "a-win.yml"]),
            (python("for i in 'lw':\n  call(['gbuild', i])"), &["l", "w"]),
            (python("for i in 'linux win'.split():\n  call(['gbuild', i])"), &["linux", "win"]),
            (
                python(
                    "for os, (end, n) in (('linux', ('gz', '2')), ('win', ('zip', '3'))):\n  call(['gbuild', os, end, n])",
                ),
                &["linux gz 2", "win zip 3"],
            ),
            (
                python("all = {'l': ['a', 'b'], 'w': ['c', 'd']}\nfor i in all:\n  call(['gbuild', i, all[i][1]])"),
                &["l b", "w d"],
            ),
            (
                python("all = {'l': 'a', 'w': 'c'}\nfor i, x in sorted(all.items()):\n  call(['gbuild', i, x])"),
                &["l a", "w c"],
            ),
            (
                python("all = {'l': {'n': 'a'}}\nfor x in all.values():\n  call(['gbuild', '%s.yml' % x['n']])"),
                &["a.yml"],
            ),
            (
                python(
                    "p.add_argument('-o', '--os', default='lw')\nfor i in args.os:\n  call(['gbuild', i])\ncall(['gbuild', 'x'])",
                ),
                &["l", "w", "x"],
            ),
            (
                python(
                    "for i in 'lwm':\n  if i == 'l' or i in ('m', 'x'):\n    d = 'one-' + i\n  elif not i != 'w':\n    d = 'two'\n  else:\n    d = 'three'\n  call(['gbuild', d])",
                ),
                &["one-l", "two", "one-m"],
            ),
            (
                python(
                    "def build(os, end='gz', n='1'):\n  call(['gbuild', os, end, n])\nbuild('linux')\nfor os in ['win']:\n  build(os, n='2')",
                ),
                &["linux gz 1", "win gz 2"],
            ),
            (python("for x in [{'n': 'a'}]:\n  call(f\"gbuild {x['n']} y\", shell=True)"), &["a y"]),
            // What only the run knows stays as it stands.
            (python("for x in 'ab':\n  d = x + ('1' if x == 'a' else '2')\n  call(['gbuild', d])"), &["${?}", "${?}"]),
            (python("for x in ['a'] + ['b']:\n  call(['gbuild', x])"), &["${x}"]),
            (python("for os in os.listdir('x'):\n  call(['gbuild', os])"), &["${os}"]),
            (
                python(
                    "for os in ['linux']:\n  if args.x:\n    call(['gbuild', os])\n  else:\n    call(['gbuild', 'x'])",
                ),
                &["linux", "x"],
            ),
            (shell("for os in linux win; do\n  ./bin/gbuild a-${os}.yml\ndone"), &["a-linux.yml", "a-win.yml"]),
            (shell("for os in linux win; do ./bin/gbuild $os; done; gbuild x"), &["linux", "win", "x"]),
            (shell("ALL=\"linux win\"\nfor os in $ALL osx\ndo\ngbuild $os\ndone"), &["linux", "win", "osx"]),
            (shell("ALL=(\n linux\n win # why\n)\nfor os in \"${ALL[@]}\"; do gbuild $os; done"), &["linux", "win"]),
            (
                shell(
                    "for os in l w m; do\n case $os in\n l|m) end=gz ;;\n *) end=zip; while x; do y; done ;;\n esac\n gbuild $os $end\ndone",
                ),
                &["l gz", "w zip", "m gz"],
            ),
            (
                shell(
                    "for os in linux win win64; do\n if [ \"$os\" = linux ]; then end=gz; elif [[ $os == win* ]]; then end=zip; fi\n gbuild $os $end\ndone",
                ),
                &["linux gz", "win zip", "win64 zip"],
            ),
            (
                shell("build() {\n local os=$1; shift\n gbuild $os $1 $2\n}\nbuild linux gz\nbuild win zip"),
                &["linux gz ${3}", "win zip ${3}"],
            ),
            (shell("function build { gbuild $os; }\nfor os in linux win; do build; done"), &["linux", "win"]),
            (
                shell("build() { gbuild $1 $2; }\nall() { for x in \"$@\"; do build $x y; done; }\nall a b"),
                &["a y", "b y"],
            ),
            (shell("main() { gbuild x; }\nmain \"$@\""), &["x"]),
            (shell("for x in $(ls); do gbuild $x; done"), &["${x}"]),
            (shell("cat <<END\nfor help, if you want\nEND\nfor x in a b; do gbuild $x; done"), &["a", "b"]),
            // What a round leaves out, where it is plain that it does.
            (shell("for p in a b c; do [ $p = b ] && continue; gbuild $p; done"), &["a", "c"]),
            (shell("for p in a b c; do [ $p != b ] ||\n continue; gbuild $p; done"), &["a", "c"]),
            (shell("for p in a b c; do if [[ $p == b ]]; then break; fi; gbuild $p; done; gbuild x"), &["a", "x"]),
            (shell("for p in a b; do [ $p = a ] && { echo $p; continue; }; gbuild $p; done"), &["b"]),
            (shell("f() { [ $1 = b ] && return; gbuild $1; }\nfor p in a b c; do f $p; done"), &["a", "c"]),
            (shell("for p in a b; do gbuild $p || continue; gbuild x; done"), &["a", "x", "b", "x"]),
            (shell("for p in a b; do gbuild $p || { echo; continue; }; gbuild x; done"), &["a", "x", "b", "x"]),
            (shell("for p in a b; do [ -e $p ] &&\n continue\n gbuild $p; done"), &["a", "b"]),
            (shell("for p in a b; do while read x; do [ $p = a ] && break; done; gbuild $p; done"), &["a", "b"]),
            (shell("for p in a b; do [ $p = a ] || x || continue; gbuild $p; done"), &["a", "b"]),
            (shell("for p in a b; do [ $p = b ] && e=zip || e=gz; gbuild $p.$e; done"), &["a.gz", "b.zip"]),
            // What stands for a variable that holds nothing.
            (shell("gbuild ${J:-3} ${M-4}"), &["3 4"]),
            (shell(": ${J:=3}\ngbuild $J"), &["3"]),
            (shell("J=5\n: ${J:=3}\ngbuild $J ${J:-4}"), &["5 5"]),
            (shell("J=${J:-3}\ngbuild $J"), &["3"]),
            (shell("gbuild \"${A:-${B:-v$VERSION}}\" ${C:-\"d\"}${E:-}"), &["v{version} d"]),
            (shell("f() { local j=${2:-3}; gbuild $1 $j; }\nf a\nf b 4"), &["a 3", "b 4"]),
            (
                shell("for p in ${ALL:-a b}; do case $p in\n a) gbuild ${X:-y$p} ;;\n *) gbuild ${p:-x} ;; esac; done"),
                &["ya", "b"],
            ),
            (shell("J=$(nproc)\ngbuild ${J:-3} ${K:-$2}"), &["${J:-3} ${2}"]),
            (shell("gbuild ${S[$p]} ${p%%:*} ${J:-3"), &["${S[$p]} ${p%%:*} ${J:-3"]),
            // Whatever is open is closed where the block that it stands in ends.
            (shell("for x in a b; do if y; then gbuild $x; done; gbuild z"), &["a", "b", "z"]),
        ] {
            assert_eq!(calls(&script, language), expected, "{script}");
        }
    }

    #[test]
    fn loops_and_calls_without_end_are_left_in_a_moment() {
        let began = std::time::Instant::now();
        let shell = "for x in 1 2 3 4 5 6 7 8; do ".repeat(15) + "gbuild $x; " + &"done; ".repeat(15);
        let python: String = (0..15).map(|at| format!("{}for x in 'abcdefgh':\n", " ".repeat(at))).collect();
        let python = python + &" ".repeat(15) + "call(['gbuild', x])\n";
        let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let calls: String =
            (0..15).map(|n| format!("f{n}() {{ {} }}\n", format!("f{} a; ", n + 1).repeat(8))).collect();
        for (script, language, is_cut) in [
            (shell.as_str(), Language::Shell, true),
            (python.as_str(), Language::Python, true),
            ("f() { gbuild $1; f $1; f $1; }\nf x", Language::Shell, true),
            ("def f(x):\n call(['gbuild', x])\n f(x)\nf('a')", Language::Python, true),
            (&format!("{calls}f15() {{ gbuild $1; }}\nf0 a"), Language::Shell, true),
            (&"for x in a; do ".repeat(5000), Language::Shell, false),
            (&"if a; then case b in c) ".repeat(5000), Language::Shell, false),
            (&"f() { ".repeat(5000), Language::Shell, false),
            (&"a=(".repeat(200_000), Language::Shell, false),
            (&"a=(\n".repeat(50_000), Language::Shell, false),
            (&"cat <<a\n".repeat(50_000), Language::Shell, false),
            (&format!("x = {}", "[".repeat(100_000)), Language::Python, false),
            (&format!("if {}:", "not (a or ".repeat(20_000)), Language::Python, false),
            (&"a[a".repeat(100_000), Language::Python, false),
            (&format!("x = {}{}", "(a, ".repeat(20_000), ")".repeat(20_000)), Language::Python, false),
        ] {
            let read = Words::read(script, language).unwrap();
            assert_eq!(read.is_cut, is_cut, "{}", &script[..script.len().min(80)]);
        }
        // A loop that is too long is none, and its call is one that cannot be told.
        let long = format!("for x in {}; do gbuild $x; done", numbers.join(" "));
        assert_eq!(self::calls(&long, Language::Shell), ["${x}"]);
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
    }

    #[test]
    fn words_for_what_is_not_held_and_what_is_left_end_in_a_moment() {
        let began = std::time::Instant::now();
        for script in [
            "${a:-".repeat(20_000),
            "${a:-".repeat(20_000) + &"}".repeat(20_000),
            "${a:-${b:-${c:-${d:=x}}}}".repeat(4000),
            "for x in a; do ${a:=$b} ${b:=$a} && continue; ".repeat(1000),
            "a && { b || ".repeat(5000),
        ] {
            let read = Words::read(&script, Language::Shell).unwrap();
            assert!(!read.is_cut, "{}", &script[..30]);
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
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
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
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

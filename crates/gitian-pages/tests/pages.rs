//! Every program has a manual page that can be read and completions that shells take.

#![expect(clippy::disallowed_methods, reason = "a test runs what a user would")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gitian_cli::programs::PROGRAMS;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Writes everything into a folder that is removed afterwards.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitian-pages"));
    let output = command.arg(checkout().join("share/man")).arg(folder.path()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{}", told(&output));
    folder
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs a tool that has to be there to look at a file; `None` where it is not, unless it is required.
fn tool(name: &str, args: &[&str], file: &Path) -> Option<Output> {
    match Command::new(name).args(args).arg(file).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").output() {
        Ok(output) => Some(output),
        Err(cause) => {
            let required = std::env::var("GITIAN_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|what| what == "pages"), "{name}: {cause}");
            eprintln!("skipped: {name}: {cause}");
            None
        }
    }
}

#[test]
fn the_list_of_programs_is_what_a_checkout_has_and_an_installation_gets() {
    let listed: BTreeSet<String> = PROGRAMS.iter().map(|program| program.name.to_owned()).collect();
    let sources = names(&checkout().join("crates/gitian-cli/src/bin"));
    assert_eq!(listed, sources.iter().map(|file| file.replace(".rs", "")).collect(), "crates/gitian-cli/src/bin");
    let mut stubs = names(&checkout().join("bin"));
    stubs.extend(names(&checkout().join("libexec")));
    assert!(listed.is_subset(&stubs), "{listed:?} is not all in bin/ and libexec/: {stubs:?}");

    let makefile = fs::read_to_string(checkout().join("Makefile")).unwrap();
    let variable = |name: &str| makefile.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace();
    let installed = variable("PROGRAMS := ").chain(variable("LIBEXEC := ")).map(str::to_owned).collect();
    assert_eq!(listed, installed, "PROGRAMS and LIBEXEC of the Makefile");
}

#[test]
fn every_program_has_a_page_with_all_its_options_that_renders_without_a_warning() {
    let folder = written();
    let mut expected = BTreeSet::new();
    for program in PROGRAMS {
        let mut command = (program.command)();
        command.build();
        let parts = command.get_subcommands().filter(|part| part.get_name() != "help");
        let parts = parts.map(|part| (format!("{}-{}", program.name, part.get_name()), part));
        let own = |(name, _): &(String, _)| !PROGRAMS.iter().any(|program| program.name == name);
        for (name, command) in [(program.name.to_owned(), &command)].into_iter().chain(parts.filter(own)) {
            let page = folder.path().join("man").join(format!("{name}.1"));
            expected.insert(format!("{name}.1"));
            let source = fs::read_to_string(&page).unwrap_or_else(|cause| panic!("{name}: {cause}"));
            for section in ["EXAMPLES", "SEE ALSO"] {
                let heading = source.lines().any(|line| line.replace('"', "") == format!(".SH {section}"));
                assert!(heading, "{name} has no {section}: write share/man/{name}.roff");
            }
            assert!(!source.contains("gitian\\-help"), "{name} names a page that is not there");
            let args = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8"];
            let Some(rendered) = tool("man", &args, &page) else { continue };
            assert!(rendered.status.success() && rendered.stderr.is_empty(), "{name}: {}", told(&rendered));
            let odd = source.chars().find(|c| !c.is_ascii());
            assert_eq!(odd, None, "{name}: a terminal without Unicode shows nothing for it");
            let text = String::from_utf8(rendered.stdout).unwrap();
            // Bold and underlined text, as a terminal is told.
            let plain = plain(&text);
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                for spelling in arg.get_long().map(|long| format!("--{long}")).iter().chain(&short(arg)) {
                    assert!(plain.contains(spelling.as_str()), "{name}: {spelling} is not in\n{plain}");
                }
            }
        }
    }
    assert_eq!(names(&folder.path().join("man")), expected);
}

fn short(arg: &clap::Arg) -> Option<String> {
    arg.get_short().map(|short| format!("-{short}"))
}

/// Takes out what makes text bold or underlined: escape sequences, or a character over another.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => drop(rest.by_ref().find(char::is_ascii_alphabetic)),
            '\u{8}' => drop(plain.pop()),
            // A hyphen at which a line could have been broken.
            '\u{2010}' => plain.push('-'),
            _ => plain.push(c),
        }
    }
    plain
}

#[test]
fn a_program_says_the_same_of_itself_under_both_names() {
    let mut gitian = (PROGRAMS.iter().find(|program| program.name == "gitian").unwrap().command)();
    gitian.build();
    let text = |part: &str| gitian.find_subcommand(part).unwrap().clone().render_long_help().to_string();
    assert!(text("release").contains("Exit status: 0 if all is done"), "{}", text("release"));
    for (part, program) in [("build", "gbuild"), ("verify", "gverify"), ("updater", "gitian-updater")] {
        let mut own = (PROGRAMS.iter().find(|other| other.name == program).unwrap().command)();
        own.build();
        let about = own.render_long_help().to_string();
        let about = about.split("Usage:").next().unwrap();
        assert!(text(part).starts_with(about), "{program}: {about}\n{}", text(part));
    }
}

#[test]
fn each_shell_takes_the_completions() {
    let folder = written();
    for (shell, args, name) in
        [("bash", &["-n"][..], "NAME"), ("zsh", &["-n"][..], "_NAME"), ("fish", &["--no-execute"][..], "NAME.fish")]
    {
        let expected: BTreeSet<String> = PROGRAMS.iter().map(|program| name.replace("NAME", program.name)).collect();
        assert_eq!(names(&folder.path().join(shell)), expected, "{shell}");
        for file in expected {
            let Some(read) = tool(shell, args, &folder.path().join(shell).join(&file)) else { continue };
            assert!(read.status.success() && told(&read).is_empty(), "{file}: {}", told(&read));
        }
    }
}

#[test]
fn wrong_usage_and_a_folder_that_cannot_be_written_end_with_a_reason() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_gitian-pages")).args(args).output().unwrap();
    for (args, reason) in
        [(&[][..], "usage: gitian-pages"), (&["share/man", "/dev/null/pages"][..], "manual of gitian")]
    {
        let output = run(args);
        assert!(!output.status.success() && told(&output).contains(reason), "{args:?}: {}", told(&output));
    }
}

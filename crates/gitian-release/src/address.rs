//! Where the repositories are that gitian.toml names: an address, or a path from that file.

use std::path::{Component, Path, PathBuf};

/// Returns an address with a path that begins with `.` made whole; `here` is the folder of `gitian.toml`, as a whole path.
pub fn absolute(url: &str, here: &Path) -> String {
    if url == "." || url.starts_with("./") || url == ".." || url.starts_with("../") {
        return lexical(&here.join(url)).display().to_string();
    }
    url.to_owned()
}

/// Takes `.` and `..` out of a path without asking the system.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_begin_with_a_dot_are_of_the_project() {
        let here = Path::new("/work/coin");
        for (url, expected) in [
            (".", "/work/coin"),
            ("./sigs", "/work/coin/sigs"),
            ("../coin.git", "/work/coin.git"),
            ("https://example.org/coin", "https://example.org/coin"),
            ("host:coin", "host:coin"),
            ("/srv/coin", "/srv/coin"),
            (".hidden:x", ".hidden:x"),
        ] {
            assert_eq!(absolute(url, here), expected);
        }
    }
}

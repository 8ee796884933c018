//! The keys that others' signatures are checked against: those that gverify would use.

use anyhow::Result;
use gitian_manifest::SigsTree;
use gitian_verify::{Keyring, Source};

use crate::args::gsign::Args;
use crate::printable::printable;
use crate::printed::tell;

/// The keys for the tree that was asked about last.
pub struct Keys<'a> {
    args: &'a Args,
    known: Option<(SigsTree, Keyring)>,
}

impl<'a> Keys<'a> {
    /// Knows none yet.
    pub fn new(args: &'a Args) -> Self {
        Self { args, known: None }
    }

    /// Returns the keys for a tree. Without any, nobody's signature is good: that is said, and no reason not to sign.
    pub fn of(&mut self, tree: &SigsTree) -> Result<&Keyring> {
        let known = match self.known.take() {
            Some((of, keys)) if of == *tree => (of, keys),
            _ => (tree.clone(), load(self.args, tree)?),
        };
        Ok(&self.known.insert(known).1)
    }
}

fn load(args: &Args, tree: &SigsTree) -> Result<Keyring> {
    match Source::choose(&args.keys, &tree.root).load() {
        Err(cause) if args.keys.is_empty() => {
            tell(&printable(&format!("gsign: note: signatures cannot be checked: {cause:#}")));
            Ok(Keyring::default())
        }
        loaded => loaded,
    }
}

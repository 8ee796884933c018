//! YAML text → [`Descriptor`]: every key and rule, all refusals at once.

use std::path::Path;

use crate::{Descriptor, Finding, Loaded, Refusals};

impl Descriptor {
    /// Checks the text of a descriptor. The path is only named in messages; nothing is read.
    pub fn parse(path: &Path, source: String) -> Result<Loaded, Refusals> {
        let finding = Finding { span: 0..0, line: 1, column: 1, message: "not yet".to_owned(), hint: None };
        Err(Refusals { path: path.to_owned(), source, findings: vec![finding], warnings: Vec::new() })
    }
}

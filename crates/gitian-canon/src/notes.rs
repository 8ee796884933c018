//! What was in an archive and is not in its canonical form.

use std::collections::BTreeMap;

/// What was left out, with how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(pub BTreeMap<String, u64>);

impl Notes {
    pub(crate) fn left_out(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }
}

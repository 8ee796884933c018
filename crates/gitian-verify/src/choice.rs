//! Several good signatures in one file: which of them speaks for the signer. The one that a policy has least against, so
//! that neither a stranger's nor a weak one hides it, wherever in the file they are.

use std::collections::{BTreeSet, HashMap};
use std::mem;

use crate::decide::{strict_refusals, wrong_key};
use crate::facts::{Facts, Good, Naming, Signature};
use crate::policy::Policy;

/// Puts the good signatures of each file in the order in which they may be the signer's own, where no policy and no key file
/// says whose they are: a key that signs in other folders too is rather somebody else's, who added to a file that is not his.
/// `about_it` are all signers of one release and package.
pub(crate) fn own_first(about_it: &mut [&mut Facts]) {
    if about_it.iter().all(|facts| facts.others.is_empty()) {
        return;
    }
    let mut folders: HashMap<String, usize> = HashMap::new();
    for facts in &*about_it {
        let keys: BTreeSet<&String> = facts.goods().map(|(good, _)| &good.primary_key).collect();
        keys.into_iter().for_each(|key| *folders.entry(key.clone()).or_default() += 1);
    }
    for facts in about_it.iter_mut().filter(|facts| !facts.others.is_empty()) {
        let mut goods: Vec<(Good, Naming)> =
            facts.goods().map(|(good, naming)| (good.clone(), naming.clone())).collect();
        goods.sort_by_key(|(good, _)| folders.get(&good.primary_key).copied());
        let mut goods = goods.into_iter();
        if let Some((first, naming)) = goods.next() {
            facts.signature = Signature::Good(Box::new(first));
            facts.naming = naming;
            facts.others = goods.collect();
        }
    }
}

impl Facts {
    /// Returns every good signature of the file with what the signer's name rests on by it, the newest first.
    pub(crate) fn goods(&self) -> impl Iterator<Item = (&Good, &Naming)> {
        let first = match &self.signature {
            Signature::Good(good) => Some((&**good, &self.naming)),
            _ => None,
        };
        first.into_iter().chain(self.others.iter().map(|(good, naming)| (good, naming)))
    }

    /// Returns the good signature that speaks for the signer by a policy: the newest of those against which there is least.
    pub(crate) fn chosen(&self, policy: &Policy) -> Option<(&Good, &Naming)> {
        self.goods().nth(self.choice(policy))
    }

    /// Puts the signature that speaks for the signer by a policy in the place of the first, to be shown. What is decided by
    /// that policy is the same before and after.
    pub fn settle(&mut self, policy: &Policy) {
        let choice = self.choice(policy);
        let Some((good, naming)) = choice.checked_sub(1).and_then(|at| self.others.get_mut(at)) else { return };
        if let Signature::Good(first) = &mut self.signature {
            mem::swap(&mut **first, good);
            mem::swap(&mut self.naming, naming);
        }
    }

    fn choice(&self, policy: &Policy) -> usize {
        if self.others.is_empty() {
            return 0;
        }
        let against = |(good, naming): (&Good, &Naming)| {
            let does_not_count = !good.standing.counts();
            let is_of_another = wrong_key(&self.signer, Some((good, naming)), policy).is_some();
            (does_not_count, is_of_another, policy.strict && !strict_refusals(good).is_empty())
        };
        self.goods().map(against).enumerate().min_by_key(|(_, against)| *against).map_or(0, |(at, _)| at)
    }
}

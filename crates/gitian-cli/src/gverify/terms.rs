//! What a verdict rests on: a tree that is one, and the policy.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use gitian_manifest::SigsTree;
use gitian_verify::Policy;

use crate::args::gverify::Args;
use crate::printable::printable;
use crate::printed::tell;

/// Checks that a tree is one, before anything is looked for in it.
pub fn check_tree(tree: &SigsTree) -> Result<()> {
    let root = tree.root.display();
    match tree.root.metadata() {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => bail!("{root} is a file; --destination takes the folder that holds the releases"),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            bail!("{root} does not exist; --destination takes the folder that holds the releases")
        }
        Err(cause) => Err(anyhow::Error::new(cause).context(root.to_string())),
    }
}

/// Returns the policy of the command line, of a file, or of the tree if there is one; options come on top of what a file
/// says.
pub fn policy(args: &Args, root: Option<&Path>) -> Result<Policy> {
    let of_tree = |root: &Path| match Policy::of_tree(root)? {
        Some(policy) => {
            let path = root.join(Policy::FILE).display().to_string();
            tell(&format!("gverify: policy {}; --no-policy decides without it", printable(&path)));
            Ok(policy)
        }
        None => anyhow::Ok(Policy::default()),
    };
    let mut policy = match (&args.policy, root.filter(|_| !args.no_policy)) {
        (Some(path), _) => Policy::of_file(path)?,
        (None, Some(root)) => of_tree(root)?,
        (None, None) => Policy::default(),
    };
    policy.min_good = args.min_good.or(policy.min_good);
    policy.require.extend(args.require.iter().cloned());
    policy.strict |= args.strict;
    policy.max_age = args.max_age.map(|days| Duration::from_secs(u64::from(days) * 86_400)).or(policy.max_age);
    Ok(policy)
}

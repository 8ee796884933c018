//! What a program finds around it: environment, working directory, terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_vm::Settings;

use crate::calls::{Calls, prefix};

/// What a program finds around it; tests make their own.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The environment, as far as we look at it.
    pub settings: Settings,
    /// The working directory.
    pub workdir: PathBuf,
    /// Standard error is a terminal: a live line may be drawn there.
    pub live: bool,
    /// How hints call our programs.
    pub calls: Calls,
}

impl Surroundings {
    /// Reads them from this process.
    pub fn of_process() -> Result<Self> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let workdir = std::env::current_dir().context("the working directory")?;
        let mut settings = Settings::from_env(&env);
        // Between the lines of GITIAN_DEBUG it would only be in the way.
        let live = io::stderr().is_terminal() && env.get("TERM").is_none_or(|term| term != "dumb") && !settings.debug;
        // Without it, a hint may name a path less well.
        let running = std::env::current_exe().ok();
        if let Some(prefix) = running.as_deref().and_then(prefix).filter(|_| !env.contains_key("GITIAN_BASE")) {
            settings.etc = etc(prefix);
        }
        let path = env.get("PATH").map_or("", String::as_str);
        let calls = Calls::new(path, &workdir, &settings.installation, running.as_deref());
        let calls = calls.seen_as(settings.folder.take());
        Ok(Self { settings, workdir, live, calls })
    }
}

/// Returns where the settings of an installation are; those of `/usr` are in `/etc`, which a new version leaves alone.
fn etc(prefix: &Path) -> PathBuf {
    let below = if prefix == Path::new("/usr") { Path::new("/") } else { prefix };
    below.join("etc/gitian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_prefix_are_below_it_and_those_of_a_system_in_etc() {
        for (prefix, expected) in
            [("/usr", "/etc/gitian"), ("/usr/local", "/usr/local/etc/gitian"), ("/opt/usr", "/opt/usr/etc/gitian")]
        {
            assert_eq!(etc(Path::new(prefix)), Path::new(expected));
        }
    }
}

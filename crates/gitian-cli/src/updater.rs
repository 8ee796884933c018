//! gitian-updater: a release from elsewhere, checked by the weight of its signers, installed.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use gitian_process::{Output, Streams, interrupt};
use gitian_updater::{Config, ConfigRefused, Done, Offer, Order, Proxy, Stopped, update};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::updater::Args;
use crate::carried;
use crate::place::is_same_file;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;
use crate::utc;

/// The largest config, in bytes.
const CONFIG_LIMIT: u64 = 1 << 20;

/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs gitian-updater. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let program = std::env::current_exe().context("this program")?;
    let text = match &args.config {
        Some(path) => {
            gitian_manifest::read_file(path, CONFIG_LIMIT).with_context(|| format!("config {}", path.display()))?
        }
        None => carried::read(&program)?.ok_or_else(|| ConfigRefused("none is given".into()))?,
    };
    let mut config = Config::parse(&text)?;
    for key in &config.unknown {
        tell(&printable(&format!(
            "gitian-updater: warning: config: {key} is no key that is known, and says nothing; updater.md in share/doc has every key"
        )));
    }
    if let Some(output) = &args.customize {
        if args.config.as_ref().is_some_and(|config| is_same_file(config, output)) {
            bail!(ConfigRefused(format!("{} would be replaced; -m takes another name", output.display())));
        }
        carried::write(&program, &text, output)?;
        return Ok(0);
    }
    let Some(destination) = &args.dest else {
        bail!(Stopped::Destination("destination: none is given".into()));
    };
    if !args.url.is_empty() {
        config.offers = args.url.iter().map(|url| Offer::Package { url: url.clone(), version_url: None }).collect();
    }
    if config.offers.is_empty() {
        bail!(ConfigRefused("has neither urls nor rss, and no -u is given".into()));
    }
    let bar = if around.live && args.quiet == 0 { bar() } else { ProgressBar::hidden() };
    let says = |text: &str| {
        if args.quiet < 2 {
            bar.suspend(|| tell(&printable(&format!("gitian-updater: note: {text}"))));
        }
    };
    let proxy = around.settings.proxy.clone().map(|url| Proxy { url, except: around.settings.no_proxy.clone() });
    let out = RefCell::new(out);
    let done = update(&Order {
        config: &config,
        destination,
        force: args.force,
        dry_run: args.dry_run,
        waiting: args.wait.map_or(config.waiting, |hours| Duration::from_secs(u64::from(hours) * 3600)),
        now: SystemTime::now(),
        patience: PATIENCE,
        proxy: proxy.as_ref(),
        on_bytes: &|arrived, total| {
            bar.set_length(total.unwrap_or(arrived));
            bar.set_position(arrived);
        },
        tell: &says,
        warn: &|text| bar.suspend(|| tell(&printable(&format!("gitian-updater: warning: {text}")))),
        then: &|done| {
            bar.finish_and_clear();
            let said = say(done, &args, &mut **out.borrow_mut());
            // Also where nobody reads what is said.
            if let Some(command) = &args.post {
                interrupt::check()?;
                let streams = Streams { stdout: Output::Inherit, stderr: Output::Inherit, ..Streams::default() };
                command.run_ok(streams).with_context(|| format!("release {} is installed; after it", done.release))?;
            }
            said
        },
    });
    bar.finish_and_clear();
    match done {
        Ok(done) if done.installed => Ok(0),
        Ok(done) => say(&done, &args, &mut **out.borrow_mut()).map(|()| 0),
        Err(error) => stopped(error, &args),
    }
}

/// Tells what was done.
fn say(done: &Done, args: &Args, out: &mut dyn Write) -> Result<()> {
    if args.quiet < 2 {
        let what = if done.installed { "is installed" } else { "would be installed" };
        let mut line = format!("release {} {what}", done.release);
        if !done.signers.is_empty() {
            line += &format!("; signed by {} (weight {})", done.signers.join(", "), done.weight);
        }
        writeln!(out, "{}", printable(&line))?;
        out.flush()?;
    }
    Ok(())
}

/// Tells why a run stopped. Nothing new and waiting are no errors.
fn stopped(error: anyhow::Error, args: &Args) -> Result<u8> {
    let Some(stopped) = error.chain().find_map(|cause| cause.downcast_ref::<Stopped>()) else { return Err(error) };
    let line = match stopped {
        Stopped::Waiting { until, .. } => format!("gitian-updater: {error:#} until {}", utc::second(*until)),
        Stopped::SameRelease(_) => format!("gitian-updater: {error:#}"),
        _ => format!("gitian-updater: error: {error:#}"),
    };
    let is_error = !matches!(stopped, Stopped::Waiting { .. } | Stopped::SameRelease(_));
    if is_error || args.quiet < 2 {
        tell(&printable(&line));
    }
    if let Some(hint) = hint(stopped) {
        tell(&format!("hint: {hint}"));
    }
    Ok(stopped.exit_code())
}

fn hint(stopped: &Stopped) -> Option<&'static str> {
    Some(match stopped {
        Stopped::Destination(_) => "-d takes a folder that is empty, not there yet, or was installed into before",
        Stopped::NothingToDownload(_) => "is the network there, and are the addresses in the config right?",
        Stopped::OtherPackage { .. } => {
            "-d names another folder; the config's name and urls may belong to another package"
        }
        Stopped::Downgrade { .. } => "if an older release is wanted: --force",
        Stopped::NotTrusted(_) => "do not use the download; another mirror may have the right one: -u URL",
        Stopped::Frozen(_) => "ask for the newest release elsewhere; if this is it: --force",
        Stopped::SameRelease(_) | Stopped::Waiting { .. } => return None,
    })
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

//! Downloads a release, checks by the weight of its signers that it is what they built, and installs it whole or not at all.
//!
//! [`update`] is the run: `config` says whom to believe and where to look, `offer` what is offered there, `fetch` gets it,
//! `package` decides whether it can be trusted, `destination` knows what is installed, `install` replaces it. Why a run stopped
//! is a [`Stopped`], which has an exit code.
//!
//! Everything that comes from elsewhere is hostile: pages, feeds, packages, and what lies in the destination between two runs.
//! Source: gitian-builder 11f91fb, share/gitian-updater, for options, files and exit codes.

mod config;
mod destination;
mod feed;
mod fetch;
mod install;
mod installed;
mod offer;
mod order;
mod package;
mod passed;
mod patience;
mod stopped;

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use destination::{Destination, Waiting, Waits};
use fetch::Fetch;
use installed::Installed;
use order::in_order;
use package::Package;
use passed::Passed;

pub use config::{Config, ConfigRefused, Feed, Offer, Signer};
pub use stopped::Stopped;

/// What is to be done.
pub struct Order<'a> {
    /// Whom to believe, where to look.
    pub config: &'a Config,
    /// Where to install.
    pub destination: &'a Path,
    /// An older release, or old signatures, are taken too.
    pub force: bool,
    /// Nothing is changed.
    pub dry_run: bool,
    /// How long a release waits between its download and its installation.
    pub waiting: Duration,
    /// The time.
    pub now: SystemTime,
    /// How long a server may say nothing; then it is tried again, or the next one.
    pub patience: Duration,
    /// Through what pages and packages are fetched, if not directly.
    pub proxy: Option<&'a Proxy>,
    /// Is told how many bytes of how many have arrived.
    pub on_bytes: &'a dyn Fn(u64, Option<u64>),
    /// Is told what is worth knowing.
    pub tell: &'a dyn Fn(&str),
    /// Is told what may be an attack, although the run goes on.
    pub warn: &'a dyn Fn(&str),
    /// What follows an installation. If it is interrupted, it is done again by the next run.
    pub then: &'a dyn Fn(&Done) -> Result<()>,
}

/// A proxy for http and https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its address: `http://host:3128`.
    pub url: String,
    /// Hosts that are spoken to directly: `host`, `.domain`, or `*` for all.
    pub except: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The release.
    pub release: String,
    /// Who signed it, by the names of the config; empty if all that was done is to finish what an earlier run began.
    pub signers: Vec<String>,
    /// Their weight together.
    pub weight: u64,
    /// Whether it is installed; else this was a dry run.
    pub installed: bool,
}

/// Looks for a newer release and installs it.
///
/// # Errors
///
/// [`Stopped`] for whatever has an exit code of its own.
pub fn update(order: &Order<'_>) -> Result<Done> {
    let destination = Destination::open(order.destination, order.dry_run)?;
    let finished = if destination.recover()? { finish(order, &destination)? } else { None };
    let done = look(order, &destination);
    let why = done.as_ref().err().and_then(|error| error.downcast_ref::<Stopped>());
    match (why, finished) {
        // This run did install something.
        (Some(Stopped::SameRelease(_)), Some(finished)) => Ok(finished),
        (Some(why @ Stopped::NothingToDownload(_)), Some(finished)) => {
            (order.tell)(&why.to_string());
            Ok(finished)
        }
        _ => done,
    }
}

/// Does what follows an installation that another run began.
fn finish(order: &Order<'_>, destination: &Destination) -> Result<Option<Done>> {
    let Some(Installed { release, .. }) = destination.installed()? else {
        destination.forget_finished()?;
        return Ok(None);
    };
    (order.tell)("an installation that was interrupted is finished");
    let done = Done { release, signers: Vec::new(), weight: 0, installed: true };
    follow(order, destination, &done)?;
    Ok(Some(done))
}

/// Does what follows an installation, and again in the next run if it is interrupted.
fn follow(order: &Order<'_>, destination: &Destination, done: &Done) -> Result<()> {
    let followed = (order.then)(done);
    if gitian_process::interrupt::received().is_none() {
        destination.forget_finished()?;
    }
    followed
}

/// Looks for a newer release where nothing is half done: at one place after the other, since none of them is believed.
fn look(order: &Order<'_>, destination: &Destination) -> Result<Done> {
    if let Some(done) = from_waiting(order, destination)? {
        return Ok(done);
    }
    let fetch = Fetch::new(order)?;
    let mut passed = Passed::default();
    for offer in &order.config.offers {
        let done = look_at(offer, order, destination, &fetch, &mut passed);
        let Err(error) = done else {
            passed.tell(order);
            return done;
        };
        if gitian_process::interrupt::received().is_some() {
            return Err(error);
        }
        if let Some(error) = passed.over(offer.name(), error) {
            passed.tell(order);
            return Err(error);
        }
    }
    Err(passed.reason(order))
}

/// Looks for a newer release at a place.
fn look_at(
    offer: &Offer,
    order: &Order<'_>,
    destination: &Destination,
    fetch: &Fetch,
    passed: &mut Passed,
) -> Result<Done> {
    let found = offer::find(offer, fetch).map_err(passed::unreachable)?;
    if let (Some(release), Some(installed), false) = (&found.release, destination.installed()?, order.force) {
        installed.against_page(release, &offer.name(), order)?;
    }
    let place = fetch.download(&found.url, destination, order);
    // A package that did not come says nothing about what is promised, one that is refused does.
    let place = place.map_err(|error| if error.is::<Stopped>() { error } else { passed::unreachable(error) });
    if place.as_ref().err().is_none_or(|error| error.is::<Stopped>()) {
        passed.promise(found.release);
    }
    take(order, destination, &place?, passed.promised())
}

/// Goes on with a package that has waited.
fn from_waiting(order: &Order<'_>, destination: &Destination) -> Result<Option<Done>> {
    let waiting = match destination.waiting()? {
        Waits::Nothing => return Ok(None),
        Waits::Changed => {
            (order.tell)("the package that was waiting is not the one that was put there; starting anew");
            destination.forget_waiting()?;
            return Ok(None);
        }
        Waits::Package(waiting) => waiting,
    };
    // Whoever could write there may have written any time.
    if waiting.since > order.now {
        (order.tell)("the package that was waiting is from the future; starting anew");
        destination.forget_waiting()?;
        return Ok(None);
    }
    let until = until(waiting.since, order.waiting)?;
    if order.now < until {
        return Err(Stopped::Waiting { release: waiting.release, until }.into());
    }
    // The same goes for the package: it is checked again from the first byte.
    let done =
        accept(order, destination, &waiting.package, None).and_then(|package| install(order, destination, &package));
    match done {
        Err(error) if is_refusal(&error) => {
            (order.tell)(&format!("the package that was waiting is no longer taken: {error:#}"));
            destination.forget_waiting()?;
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// Returns when a time of waiting is over.
fn until(since: SystemTime, waiting: Duration) -> Result<SystemTime> {
    since.checked_add(waiting).context("the waiting period is too long")
}

/// Takes a package that has arrived.
fn take(order: &Order<'_>, destination: &Destination, place: &Path, page: Option<&str>) -> Result<Done> {
    let done = accept(order, destination, place, page).and_then(|package| {
        if order.waiting.is_zero() || order.dry_run || destination.installed()?.is_none() {
            return install(order, destination, &package);
        }
        package.check_contents()?;
        let release = package.release.clone();
        destination.keep_waiting(&Waiting { release: release.clone(), since: order.now, package: place.to_owned() })?;
        Err(Stopped::Waiting { release, until: until(order.now, order.waiting)? }.into())
    });
    if done.as_ref().is_err_and(is_refusal) {
        // What is wrong stays wrong: it would only be gone on with.
        destination.forget_download()?;
    }
    done
}

/// Whether a package itself is the reason why a run stopped.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(Stopped::is_refusal)
}

/// Decides whether a package may be installed here.
fn accept(order: &Order<'_>, destination: &Destination, place: &Path, page: Option<&str>) -> Result<Package> {
    let package = Package::open(place, order.config, order.now)?;
    let installed = destination.installed()?;
    let wanted = installed.as_ref().map(|installed| &installed.name).or(order.config.name.as_ref());
    if let Some(wanted) = wanted.filter(|wanted| **wanted != package.name) {
        return Err(Stopped::OtherPackage { wanted: wanted.clone(), found: package.name }.into());
    }
    if let Some(other) = order.config.name.as_ref().filter(|name| **name != package.name) {
        return Err(Stopped::OtherPackage { wanted: other.clone(), found: package.name }.into());
    }
    if order.force {
        return Ok(package);
    }
    let compared = installed.map_or(Ok(()), |installed| installed.against(&package.release, order, package.signed));
    let is_same = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Stopped::SameRelease(_)));
    match page.filter(|page| in_order(page, &package.release).is_gt()) {
        // What is installed already is not the newest, either.
        Some(page) if compared.as_ref().err().is_none_or(is_same) => {
            let held_back = format!("release {page} is promised, and {} is what comes", package.release);
            return Err(Stopped::Frozen(held_back).into());
        }
        _ => compared?,
    }
    order.config.fresh(package.signed, order.now)?;
    Ok(package)
}

fn install(order: &Order<'_>, destination: &Destination, package: &Package) -> Result<Done> {
    if order.dry_run {
        package.check_contents()?;
        return Ok(package.done(false));
    }
    let journal = destination.journal(&package.manifest())?;
    destination.stage(package)?;
    destination.install(&journal)?;
    let done = package.done(true);
    follow(order, destination, &done)?;
    Ok(done)
}

//! Places that were passed over: why, and what they promised. One that is stale, or lies, must not decide for all.

use crate::order::in_order;
use crate::{Order, Stopped};

/// Why a place had nothing: it may have something tomorrow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreachable(String);

/// Marks an error as one of a place that had nothing; one of being asked to stop stays what it is.
pub(crate) fn unreachable(error: anyhow::Error) -> anyhow::Error {
    if gitian_process::interrupt::received().is_some() {
        return error;
    }
    Unreachable(format!("{error:#}")).into()
}

/// The places that were passed over, in their order.
#[derive(Default)]
pub(crate) struct Passed {
    unreachable: Vec<String>,
    /// With the name of the place.
    refused: Vec<(String, Stopped)>,
    promised: Option<String>,
}

impl Passed {
    /// Passes over a place; returns the error if it is none of the place's.
    pub fn over(&mut self, place: String, error: anyhow::Error) -> Option<anyhow::Error> {
        if let Some(Unreachable(why)) = error.downcast_ref() {
            self.unreachable.push(why.clone());
            return None;
        }
        match error.downcast_ref::<Stopped>() {
            Some(stopped) if stopped.is_refusal() => self.refused.push((place, stopped.clone())),
            _ => return Some(error),
        }
        None
    }

    /// Remembers what a page promises: a place whose package is refused is not made good by an older one from another place.
    pub fn promise(&mut self, release: Option<String>) {
        let promised = self.promised.take();
        self.promised = promised.into_iter().chain(release).max_by(|a, b| in_order(a, b));
    }

    /// Returns the newest release that is promised.
    pub fn promised(&self) -> Option<&str> {
        self.promised.as_deref()
    }

    /// Tells why each place was passed over. What is installed already is no news.
    pub fn tell(&self, order: &Order<'_>) {
        for why in &self.unreachable {
            (order.tell)(&format!("passed over: {why}"));
        }
        for (place, why) in self.refused.iter().filter(|(_, why)| !matches!(why, Stopped::SameRelease(_))) {
            (order.warn)(&format!("{place} is passed over: {why}"));
        }
    }

    /// Returns the gravest reason, the first of several, and tells the others.
    pub fn reason(mut self, order: &Order<'_>) -> anyhow::Error {
        let all = self.refused.len() + self.unreachable.len();
        // The last of the greatest is found, and the first is wanted.
        let gravest = (0..self.refused.len()).rev().max_by_key(|index| self.refused[*index].1.gravity());
        let Some(gravest) = gravest else { return Stopped::NothingToDownload(self.unreachable).into() };
        let (place, why) = self.refused.remove(gravest);
        self.tell(order);
        match why {
            why @ Stopped::SameRelease(_) => why.into(),
            why if all == 1 => why.into(),
            why => anyhow::Error::from(why).context(place),
        }
    }
}

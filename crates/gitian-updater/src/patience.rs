//! A connection that is not waited for for ever: after some time without a byte it is given up, and at once when we are asked
//! to stop. Below TLS, so that what breaks off is a wait and never half a record.

use std::io;
use std::time::{Duration, Instant};

use gitian_process::{Failure, interrupt};
use ureq::Error;
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// How often we look whether we are asked to stop.
const STEP: Duration = Duration::from_millis(100);

/// Gives connections their bound.
#[derive(Debug)]
pub(crate) struct Patience(pub Duration);

impl<In: Transport> Connector<In> for Patience {
    type Out = Patient<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Patient { inner, patience: self.0 }))
    }
}

/// A connection with a bound.
#[derive(Debug)]
pub(crate) struct Patient<T> {
    inner: T,
    patience: Duration,
}

impl<T: Transport> Transport for Patient<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, NextTimeout { per_write: Some(Limit::Exact(self.patience)), ..timeout })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            if interrupt::check().is_err() {
                return Err(Error::Io(io::Error::other(Failure::Interrupted)));
            }
            let waited = began.elapsed();
            if waited >= *timeout.after {
                return Err(Error::Timeout(timeout.reason));
            }
            let Some(left) = self.patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                let why = format!("nothing came for {} seconds", self.patience.as_secs_f32());
                return Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, why)));
            };
            let step = STEP.min(left).min(timeout.after.saturating_sub(waited));
            match self.inner.await_input(NextTimeout { after: Limit::Exact(step), per_read: None, ..timeout }) {
                Err(Error::Timeout(_)) => {}
                done => return done,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

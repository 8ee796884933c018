//! One gbuild run: descriptor and inputs to report.

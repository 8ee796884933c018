//! Report to signed assertion.

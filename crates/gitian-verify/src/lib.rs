//! Sigs tree to one verdict per signer.

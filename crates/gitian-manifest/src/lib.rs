//! Hashes, and the documents that carry them.

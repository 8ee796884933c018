//! Who signed what, and who agrees with whom: gsign and gverify.

mod gsign;
mod gsign_agreement;
mod gsign_keys;
mod gsign_request;
mod gsign_statements;
mod gverify;
mod gverify_files;
mod gverify_keys;
mod gverify_lint;
mod gverify_report;
mod support;

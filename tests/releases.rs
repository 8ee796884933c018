//! What is around builds: releases of a project, installations, archives, documents.

mod adopt;
mod canon;
mod doctor;
mod documents;
mod init;
mod package;
mod release;
mod support;
mod updater;

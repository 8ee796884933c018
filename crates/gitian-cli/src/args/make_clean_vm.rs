//! `make-clean-vm --suite S --arch A`. Source: gitian-builder 11f91fb, libexec/make-clean-vm.

use clap::Parser;
use gitian_descriptor::{Architecture, Suite};

use super::architecture;

/// Make a pristine target from the base image, in place of the one in var/.
///
/// A target that runs is stopped. The backend is chosen by GITIAN_BACKEND or USE_LXC, USE_DOCKER, USE_VBOX, as with gbuild.
#[derive(Debug, Parser)]
#[command(name = "make-clean-vm", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The suite, such as bookworm or jammy
    #[arg(short, long, default_value = "xenial")]
    pub suite: Suite,

    /// The architecture: amd64, i386 or linux64
    #[arg(short, long, default_value = "amd64", value_parser = architecture)]
    pub arch: Architecture,
}

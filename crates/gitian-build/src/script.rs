//! Descriptor and options → the text of the build script.
//!
//! Its preamble is a public interface: descriptors rely on every line. Source: gitian-builder 11f91fb, bin/gbuild.

use gitian_descriptor::{Architecture, Descriptor, ReferenceDatetime, RemoteDir};
use gitian_vm::Resources;

/// Returns the build script of one configuration.
pub fn render(
    descriptor: &Descriptor,
    architecture: Architecture,
    resources: Resources,
    reference: &ReferenceDatetime,
) -> String {
    let mut text = String::from(
        "#!/bin/bash\nset -e\nexport LANG='en_US.UTF-8'\nexport LC_ALL='en_US.UTF-8'\numask 002\nexport OUTDIR=$HOME/out\n",
    );
    text += &format!("GBUILD_BITS={}\n", architecture.bits());
    if descriptor.enable_cache {
        text += "GBUILD_CACHE_ENABLED=1\n";
        text += &format!("GBUILD_PACKAGE_CACHE=$HOME/cache/{}\n", descriptor.name);
        text += "GBUILD_COMMON_CACHE=$HOME/cache/common\n";
    }
    text += &format!("MAKEOPTS=(-j{0})\nNUM_PROCS={0}\nNUM_MEM={1}\n\n", resources.processors, resources.memory_mib);
    for remote in &descriptor.remotes {
        text += &reset(&remote.dir);
    }
    text += "\n";
    text += &format!("REFERENCE_DATETIME='{reference}'\n");
    text += &format!("REFERENCE_DATE='{}'\nREFERENCE_TIME='{}'\n", reference.date(), reference.time());
    if descriptor.source_date_epoch {
        text += &format!("export SOURCE_DATE_EPOCH={}\n", reference.epoch_seconds());
    }
    text += "\ncd build\n";
    // Kept: no script is an empty line. No newline is added to a script that ends without one.
    text += if descriptor.script.is_empty() { "\n" } else { &descriptor.script };
    text
}

fn reset(dir: &RemoteDir) -> String {
    format!("(cd build/{dir} && git reset -q --hard && git clean -q -f -d)\n")
}

//! The architectures a descriptor may ask for, and their four spellings.

use std::fmt;

/// An architecture of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    Amd64,
    /// A 64-bit guest whose script runs under the personality `linux64`; its base image is amd64's.
    Linux64,
}

impl Architecture {
    /// All of them, as a descriptor spells them.
    pub const ALL: [Self; 3] = [Self::I386, Self::Amd64, Self::Linux64];

    /// Returns the spelling in descriptors and in file names: `amd64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 => "amd64",
            Self::Linux64 => "linux64",
        }
    }

    /// Returns 32 or 64: `GBUILD_BITS`.
    pub fn bits(self) -> u32 {
        match self {
            Self::I386 => 32,
            Self::Amd64 | Self::Linux64 => 64,
        }
    }

    /// Returns the argument for `setarch`. Source: gitian-builder 11f91fb, bin/gbuild.
    pub fn setarch(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 => "x86_64",
            Self::Linux64 => "linux64",
        }
    }

    /// Returns Debian's name of the guest system's architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Amd64 | Self::Linux64 => "amd64",
        }
    }

    /// Returns the architecture that a descriptor or an option spells so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

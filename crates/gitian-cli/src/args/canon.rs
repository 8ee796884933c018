//! `gitian canon [options] IN OUT`.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use clap::Parser;
use gitian_canon::Format;

use crate::utc;

/// Write an archive again so that all archives of the same tree are the same bytes: entries sorted, one time for all, owners 0,
/// modes 0644 and 0755, nothing of the machine that made it.
///
/// Knows zip and jar, tar, cpio (newc, initial RAM disks), ar, deb, and tars of OCI image layouts and of `docker save`; tar, cpio
/// and images also in gzip, xz and zstd.
#[derive(Debug, Parser)]
#[command(name = "canon", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// The archive
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// Where the canonical one is put, whole or not at all; IN itself only with --in-place
    #[arg(value_name = "OUT", required_unless_present = "in_place")]
    pub output: Option<PathBuf>,

    /// The time of all entries: midnight of a day, or `YYYY-MM-DDTHH:MM:SSZ` (default: 1980-01-01, the first that a zip knows)
    #[arg(long, value_name = "DATE", value_parser = date, conflicts_with = "epoch")]
    pub date: Option<i64>,

    /// The same in seconds since 1970, as in SOURCE_DATE_EPOCH
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=0xffff_ffff))]
    pub epoch: Option<i64>,

    /// Let entries that are older keep their time
    #[arg(long)]
    pub clamp: bool,

    /// What OUT is (default: what IN is): zip, jar, tar, cpio, ar, deb, image, and tar.gz and so on; only the compression may change
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Sort the entries (the default)
    #[arg(long, overrides_with = "keep_order")]
    pub sort: bool,

    /// Leave the entries in their order
    #[arg(long, overrides_with = "sort")]
    pub keep_order: bool,

    /// Leave the owners, as numbers
    #[arg(long)]
    pub keep_owners: bool,

    /// Leave the modes
    #[arg(long)]
    pub keep_modes: bool,

    /// What compressed contents may unpack to, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_size: u64,

    /// How many entries there may be
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub max_entries: u64,

    /// OUT may be IN, and is if it is not given
    #[arg(long)]
    pub in_place: bool,

    /// Do not tell what is not kept
    #[arg(short, long)]
    pub quiet: bool,
}

/// Reads a day, which is its midnight, or a second.
pub fn date(text: &str) -> Result<i64, String> {
    let wrong =
        || "is no day from 1970-01-01 to 2106-02-07, written YYYY-MM-DD, and no YYYY-MM-DDTHH:MM:SSZ".to_owned();
    if text.starts_with('@') {
        return Err(wrong());
    }
    let time = utc::parse(text).ok_or_else(wrong)?;
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = if text.contains('T') { seconds } else { seconds - seconds % 86_400 };
    // What a cpio can hold.
    u32::try_from(seconds).map(i64::from).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_midnight() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2014-05-13", Some(1_399_939_200)),
            ("2014-05-13T16:53:20Z", Some(1_400_000_000)),
            ("2106-02-07", Some(4_294_944_000)),
            ("2106-02-08", None),
            ("2014-02-30", None),
            ("@1400000000", None),
            ("today", None),
        ] {
            assert_eq!(date(text).ok(), expected, "{text}");
        }
    }
}

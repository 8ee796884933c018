//! The document that a signer signs, `<package>-build.assert`: a report with release, name, type and optionals.
//! Where it is kept is known to `sigs_tree`.

use anyhow::{Result, bail};

use crate::report::{BASE, CACHE_COMMON, CACHE_PACKAGE, IN, OUT};
use crate::{OMap, Report, Value};

const RELEASE: &str = "release";
const NAME: &str = "name";
const TYPE: &str = "type";
const OPTIONALS: &str = "optionals";

/// A report that somebody vouches for. Documents of old programs lack some entries: each accessor may have nothing to
/// return. Two are equal if they say the same, in whatever dialect.
#[derive(Clone, Debug)]
pub struct Assertion {
    document: OMap,
    dialect: Dialect,
}

/// How a document says that it is an ordered map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `--- !!omap`, as is written today.
    OrderedMap,
    /// `--- !omap`, as older programs wrote.
    OldOrderedMap,
    /// Not at all: a plain map.
    PlainMap,
}

impl PartialEq for Assertion {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Dialect {
    fn of(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let tag = text.strip_prefix(b"---").unwrap_or(text).trim_ascii_start();
        match tag {
            _ if tag.starts_with(b"!!omap") => Self::OrderedMap,
            _ if tag.starts_with(b"!omap") => Self::OldOrderedMap,
            _ => Self::PlainMap,
        }
    }
}

impl Assertion {
    /// Makes an assertion of a report: release, name, `type: build` and optionals follow its entries.
    ///
    /// Source: gitian-builder 11f91fb, bin/gsign.
    pub fn new(report: Report, release: &str, name: &str, optionals: Option<Vec<String>>) -> Self {
        let mut document = report.into_omap();
        document.set(RELEASE, release);
        document.set(NAME, name);
        document.set(TYPE, "build");
        let list = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::Text).collect());
        document.set(OPTIONALS, optionals.map_or(Value::Null, list));
        Self { document, dialect: Dialect::OrderedMap }
    }

    /// Reads an assertion, or a report that was signed as it is.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let document = OMap::parse(bytes)?;
        for key in [OUT, IN, CACHE_COMMON, CACHE_PACKAGE, RELEASE, NAME, TYPE] {
            if !matches!(document.get(key), None | Some(Value::Null | Value::Text(_) | Value::Literal(_))) {
                bail!("{key} is not text");
            }
        }
        Ok(Self { document, dialect: Dialect::of(bytes) })
    }

    /// Writes the assertion.
    pub fn render(&self) -> Vec<u8> {
        self.document.render()
    }

    /// Returns how the document that was read says that it is an ordered map.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns what was built.
    pub fn out_manifest(&self) -> Option<&str> {
        self.text(OUT)
    }

    /// Returns what went in.
    pub fn in_manifest(&self) -> Option<&str> {
        self.text(IN)
    }

    /// Returns the packages of each guest, by suite and architecture.
    pub fn base_manifests(&self) -> Option<Vec<(&str, &str)>> {
        let (Value::OMap(map) | Value::Map(map)) = self.document.get(BASE)? else { return None };
        map.entries.iter().map(|(guest, value)| Some((guest.as_written()?, value.as_written()?))).collect()
    }

    /// Returns the common cache after the build.
    pub fn cache_common_manifest(&self) -> Option<&str> {
        self.text(CACHE_COMMON)
    }

    /// Returns the package's own cache after the build.
    pub fn cache_package_manifest(&self) -> Option<&str> {
        self.text(CACHE_PACKAGE)
    }

    /// Returns the release that the signer named.
    pub fn release(&self) -> Option<&str> {
        self.text(RELEASE)
    }

    /// Returns the package.
    pub fn name(&self) -> Option<&str> {
        self.text(NAME)
    }

    /// Returns the descriptor's list of optional things.
    pub fn optionals(&self) -> Option<Vec<&str>> {
        let Value::List(list) = self.document.get(OPTIONALS)? else { return None };
        list.iter().map(Value::as_written).collect()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.document.get(key)?.as_written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_what_the_first_line_says() {
        for (text, dialect) in [
            ("--- !!omap\n- out_manifest: ''\n", Dialect::OrderedMap),
            ("--- !omap \n- out_manifest: ''\n", Dialect::OldOrderedMap),
            ("\u{feff}--- !omap\n- out_manifest: ''\n", Dialect::OldOrderedMap),
            ("---\nout_manifest: ''\n", Dialect::PlainMap),
            ("out_manifest: '!!omap'\n", Dialect::PlainMap),
        ] {
            assert_eq!(Assertion::read(text.as_bytes()).unwrap().dialect(), dialect, "{text}");
        }
    }
}

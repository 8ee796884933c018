//! Gets pages and packages: http, https, and files. What arrived of a package is kept, and gone on with later.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gitian_manifest::{OMap, write_atomically};
use gitian_process::interrupt;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NativeTlsConnector, TcpConnector};
use ureq::{Agent, ProxyProtocol};

use crate::destination::Destination;
use crate::patience::Patience;
use crate::{Order, Proxy, Stopped};

/// How often a package is gone on with within one run.
const TRIES: u32 = 5;
const CHUNK: usize = 64 << 10;

/// Gets things from elsewhere.
pub(crate) struct Fetch {
    agent: Agent,
    /// For addresses of https: nothing that they lead to may be less.
    strict: Agent,
}

impl Fetch {
    pub fn new(order: &Order<'_>) -> Result<Self> {
        let proxy = order.proxy.map(through).transpose()?;
        let agent = |https_only| {
            let tls =
                TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
            let config = Agent::config_builder()
                .tls_config(tls)
                .https_only(https_only)
                .http_status_as_error(false)
                .max_redirects(10)
                .user_agent("gitian-updater")
                // Else it would be looked for in the environment.
                .proxy(proxy.clone())
                .timeout_resolve(Some(Duration::from_secs(30)))
                .timeout_connect(Some(Duration::from_secs(30)))
                .timeout_recv_response(Some(order.patience));
            let connector =
                ().chain(ConnectProxyConnector::default())
                    .chain(TcpConnector::default())
                    .chain(Patience(order.patience))
                    .chain(NativeTlsConnector::default());
            Agent::with_parts(config.build(), connector, DefaultResolver::default())
        };
        Ok(Self { agent: agent(false), strict: agent(true) })
    }

    fn get(&self, url: &str, headers: &[(&str, String)]) -> Result<Response<ureq::Body>> {
        let agent = if url.starts_with("https://") { &self.strict } else { &self.agent };
        let mut request = agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.call();
        interrupt::check()?;
        response.with_context(|| url.to_owned())
    }

    /// Reads the beginning of a page, or, if it has to be whole, refuses a longer one.
    pub fn page(&self, url: &str, limit: usize, whole: bool) -> Result<Vec<u8>> {
        let mut reader: Box<dyn Read> = match file(url)? {
            Some(path) => Box::new(open(&path).with_context(|| url.to_owned())?),
            None => {
                let response = self.get(url, &[])?;
                ensure!(response.status() == 200, "{url}: the server answers {}", response.status());
                Box::new(response.into_body().into_reader())
            }
        };
        let mut bytes = Vec::new();
        let some = (limit + usize::from(whole)) as u64;
        let read = reader.by_ref().take(some).read_to_end(&mut bytes);
        interrupt::check()?;
        read.with_context(|| url.to_owned())?;
        ensure!(bytes.len() <= limit, "{url}: is larger than {limit} bytes");
        Ok(bytes)
    }

    /// Downloads a package; returns where it is.
    pub fn download(&self, url: &str, destination: &Destination, order: &Order<'_>) -> Result<PathBuf> {
        let done = self.download_all(url, destination, order);
        if done.as_ref().is_err_and(|error| error.is::<Stopped>()) {
            destination.forget_download()?;
        }
        done
    }

    fn download_all(&self, url: &str, destination: &Destination, order: &Order<'_>) -> Result<PathBuf> {
        let limit = order.config.maximum_size;
        let mut part = Part::open(url, destination)?;
        if let Some(path) = file(url)? {
            let mut from = open(&path).with_context(|| url.to_owned())?;
            let total = from.metadata().with_context(|| url.to_owned())?.len();
            part.restart(None)?;
            let all = part.take(&mut from, Some(total), limit, order).with_context(|| url.to_owned())?;
            ensure!(all, "{url}: is cut off");
            return Ok(part.path);
        }
        let mut reason = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                interrupt::sleep(Duration::from_millis(200 << attempt))?;
            }
            match self.attempt(url, &mut part, limit, order) {
                Ok(true) => return Ok(part.path),
                Ok(false) => {}
                Err(error) if error.is::<Stopped>() || error.is::<Final>() => return Err(error),
                Err(error) if interrupt::received().is_some() => return Err(error),
                Err(error) => reason = Some(error),
            }
        }
        Err(reason.unwrap_or_else(|| anyhow::anyhow!("{url}: is cut off again and again")))
    }

    /// Gets what is missing of a package; returns whether that is all.
    fn attempt(&self, url: &str, part: &mut Part, limit: u64, order: &Order<'_>) -> Result<bool> {
        let mut headers = Vec::new();
        if let (Some(mark), 1..) = (&part.mark, part.len) {
            headers.push(("Range", format!("bytes={}-", part.len)));
            headers.push(("If-Range", mark.clone()));
        }
        let response = self.get(url, &headers)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let total = match response.status().as_u16() {
            200 => {
                // A weak mark says that the meaning is the same, not the bytes.
                let mark = header("etag").filter(|mark| !mark.starts_with("W/")).or_else(|| header("last-modified"));
                part.restart(mark)?;
                length
            }
            206 => {
                let (from, total) =
                    header("content-range").and_then(range).context("the server does not say what it sends")?;
                if from != part.len {
                    part.restart(None)?;
                    bail!("{url}: the server sends another part than was asked for");
                }
                total
            }
            416 => {
                part.restart(None)?;
                bail!("{url}: the server has fewer bytes than have arrived");
            }
            other if other < 500 && other != 408 && other != 429 => {
                bail!(Final(format!("{url}: the server answers {other}")))
            }
            other => bail!("{url}: the server answers {other}"),
        };
        part.take(&mut response.into_body().into_reader(), total, limit, order).with_context(|| url.to_owned())
    }
}

/// Returns a proxy as it is used. Only http is spoken to one: asked for another, what is linked here would panic.
fn through(proxy: &Proxy) -> Result<ureq::Proxy> {
    // Not the address itself: it may have a password.
    let wrong = || "the address of the proxy".to_owned();
    let parsed = ureq::Proxy::new(&proxy.url).with_context(wrong)?;
    let is_http = matches!(parsed.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    ensure!(is_http, "proxy {}: is not spoken to by http", parsed.host());
    let mut builder = ureq::Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    proxy.except.iter().fold(builder, |builder, host| builder.no_proxy(host)).build().with_context(wrong)
}

/// An answer that another try would not change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Final(String);

/// Reads `bytes 5-9/10`.
fn range(text: String) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Returns the path of an address of a file; nothing for http and https.
fn file(url: &str) -> Result<Option<PathBuf>> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(None);
    }
    let path = url.strip_prefix("file://").with_context(|| format!("{url}: is no address of http, https or file"))?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    ensure!(path.starts_with('/'), "{url}: is on another host");
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low)?,
                _ => bail!("{url}: has a % without two digits"),
            },
            byte => byte,
        });
    }
    Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
}

fn open(path: &Path) -> Result<File> {
    // Without waiting: opening a pipe would else wait for its writer.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    ensure!(file.metadata()?.is_file(), "is not a regular file");
    Ok(file)
}

/// What has arrived of a package, with what its server calls these bytes.
struct Part {
    path: PathBuf,
    about: PathBuf,
    url: String,
    file: File,
    len: u64,
    mark: Option<String>,
}

impl Part {
    fn open(url: &str, destination: &Destination) -> Result<Self> {
        let folder = destination.downloads();
        let (path, about) = (folder.join("download.part"), folder.join("download.yml"));
        let known = gitian_manifest::read_file(&about, 64 << 10).ok().and_then(|bytes| OMap::parse(&bytes).ok());
        let told = |key: &str| Some(known.as_ref()?.get(key)?.as_written()?.to_owned());
        let same = told("url").as_deref() == Some(url) && path.symlink_metadata().is_ok_and(|there| there.is_file());
        if !same {
            fs::remove_file(&path).ok();
        }
        let file = File::options().create(true).append(true).read(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let len = file.metadata()?.len();
        let mark = told("mark").filter(|mark| same && !mark.is_empty());
        Ok(Self { mark, path, about, url: url.to_owned(), file, len })
    }

    /// Begins from the first byte.
    fn restart(&mut self, mark: Option<String>) -> Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.len = 0;
        self.mark = mark;
        let mut about = OMap::default();
        about.set("url", self.url.clone());
        about.set("mark", self.mark.clone().unwrap_or_default());
        write_atomically(&self.about, &about.render()).with_context(|| self.about.display().to_string())
    }

    /// Adds what arrives; returns whether it is all.
    fn take(&mut self, from: &mut dyn Read, total: Option<u64>, limit: u64, order: &Order<'_>) -> Result<bool> {
        let too_large = || Stopped::NotTrusted(format!("it has more than {limit} bytes"));
        if total.is_some_and(|total| total > limit) {
            bail!(too_large());
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = from.read(&mut chunk);
            interrupt::check()?;
            let read = read?;
            if read == 0 {
                return Ok(total.is_none_or(|total| self.len == total));
            }
            if self.len + read as u64 > limit {
                bail!(too_large());
            }
            self.file.write_all(&chunk[..read])?;
            self.len += read as u64;
            (order.on_bytes)(self.len, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files_are_paths_of_this_host() {
        for (url, expected) in [
            ("file:///a/b.zip", Some(Some("/a/b.zip"))),
            ("file://localhost/a%20b", Some(Some("/a b"))),
            ("http://x/y", Some(None)),
            ("https://x/y", Some(None)),
            ("file://other/a", None),
            ("file:///a%2", None),
            ("ftp://x/y", None),
            ("/a/b", None),
        ] {
            let found = file(url).ok();
            assert_eq!(found, expected.map(|path| path.map(PathBuf::from)), "{url}");
        }
    }
}

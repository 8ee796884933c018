//! An HTTP server for a folder, on this host only, that can be told to misbehave.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What a registry calls the manifest of an image.
pub const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A running server; it ends with the process.
pub struct Mirror {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
}

/// What is served, and what goes wrong.
#[derive(Default)]
struct Behaviour {
    root: PathBuf,
    /// Where the archive `/debian` really is.
    debian: Option<String>,
    faults: Vec<Fault>,
    turn: Option<(String, PathBuf)>,
    /// How often each path was asked for.
    asked: BTreeMap<String, usize>,
}

/// Paths that have a part in common are answered with an error, so many times.
struct Fault {
    part: String,
    status: u16,
    left: usize,
}

impl Mirror {
    /// Starts serving nothing: on the port in the note if that is free, else on any, which is noted.
    pub fn start(port_note: &Path) -> Self {
        let noted = fs::read_to_string(port_note).ok().and_then(|text| text.trim().parse().ok());
        let listener = noted
            .and_then(|port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
            .unwrap_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        fs::write(port_note, port.to_string()).unwrap();
        let behaviour = Arc::<Mutex<Behaviour>>::default();
        let shared = Arc::clone(&behaviour);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is none of our business.
                thread::spawn(move || answer_all(connection, &shared).ok());
            }
        });
        Self { port, behaviour }
    }

    /// The address of the folder that is served.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/ubuntu", self.port)
    }

    /// The address where images of a registry are, which are files below `v2/` in the folder that is served.
    pub fn registry(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Serves a folder without any fault.
    pub fn serve(&self, root: PathBuf) {
        *lock(&self.behaviour) = Behaviour { root, ..Behaviour::default() };
    }

    /// Sends who asks for what is below [`debian_url`](Self::debian_url) on to an archive elsewhere.
    pub fn forward_debian(&self, archive: &str) {
        lock(&self.behaviour).debian = Some(archive.trim_end_matches('/').to_owned());
    }

    /// The address of the archive that [`forward_debian`](Self::forward_debian) names; there are no other archives
    /// beside it, so none of updates.
    pub fn debian_url(&self) -> String {
        format!("http://127.0.0.1:{}/debian", self.port)
    }

    /// Answers requests for paths that contain `part` with a status, so many times.
    pub fn fail(&self, part: &str, status: u16, times: usize) {
        lock(&self.behaviour).faults.push(Fault { part: part.to_owned(), status, left: times });
    }

    /// Serves another folder from the next request for a path that contains `part` on.
    pub fn turn_at(&self, part: &str, root: PathBuf) {
        lock(&self.behaviour).turn = Some((part.to_owned(), root));
    }

    /// Returns how often paths that contain `part` were asked for since the last [`serve`](Self::serve).
    pub fn asked(&self, part: &str) -> usize {
        lock(&self.behaviour).asked.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
    }
}

fn lock(behaviour: &Mutex<Behaviour>) -> MutexGuard<'_, Behaviour> {
    behaviour.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers every request of a connection, in turn.
fn answer_all(mut connection: TcpStream, behaviour: &Mutex<Behaviour>) -> io::Result<()> {
    let mut requests = BufReader::new(connection.try_clone()?);
    loop {
        let mut request = String::new();
        if requests.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while requests.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = path.split('?').next().unwrap_or_default();
        match decide(&plain(path), behaviour) {
            Ok(Found::Elsewhere(url)) => {
                write!(connection, "HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n")?;
            }
            Ok(Found::File(mut file)) => {
                let length = file.metadata()?.len();
                let kind = if path.contains("/manifests/") { MANIFEST } else { "application/octet-stream" };
                write!(connection, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")?;
                if method != "HEAD" {
                    io::copy(&mut file, &mut connection)?;
                }
            }
            Err(status) => {
                let phrase = match status {
                    404 => "Not Found",
                    429 => "Too Many Requests",
                    503 => "Service Unavailable",
                    _ => "Error",
                };
                write!(connection, "HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
    }
}

/// What is behind a path.
enum Found {
    File(File),
    /// At this address.
    Elsewhere(String),
}

/// Returns what is behind a path, or the status that is the answer.
fn decide(path: &str, behaviour: &Mutex<Behaviour>) -> Result<Found, u16> {
    let mut behaviour = lock(behaviour);
    *behaviour.asked.entry(path.to_owned()).or_default() += 1;
    if let Some((_, root)) = behaviour.turn.take_if(|(part, _)| path.contains(part.as_str())) {
        behaviour.root = root;
    }
    if let Some(fault) = behaviour.faults.iter_mut().find(|fault| fault.left > 0 && path.contains(&fault.part)) {
        fault.left -= 1;
        return Err(fault.status);
    }
    let updates = path.split('/').any(|part| part.ends_with("-updates"));
    if let (Some(archive), Some(below), false) = (&behaviour.debian, path.strip_prefix("/debian/"), updates) {
        // As in the addresses that apt asks for: plus and tilde are what names of packages hold.
        return Ok(Found::Elsewhere(format!("{archive}/{}", below.replace('+', "%2b").replace('~', "%7e"))));
    }
    let below = match path {
        // Asked for whether there is a registry at all.
        "/v2/" => "v2/index",
        _ => path
            .strip_prefix("/ubuntu/")
            .or(path.strip_prefix('/').filter(|below| below.starts_with("v2/")))
            .ok_or(404_u16)?,
    };
    let file = behaviour.root.join(Some(below).filter(|below| !below.contains("..")).ok_or(404_u16)?);
    if file.is_file() { File::open(file).map(Found::File).map_err(|_| 500) } else { Err(404) }
}

/// Returns a path with its `%xx` replaced by what they stand for.
fn plain(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

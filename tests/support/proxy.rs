//! A proxy on this host: it answers whatever it is asked for, so that a guest's apt can be seen to reach it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

/// What everything that is asked for consists of.
pub const ANSWER: &str = "told by the host\n";
/// Where a base image that was made through a proxy has it written.
const FILE: &str = "/etc/apt/apt.conf.d/80proxy";
/// Has apt fetch a file from a host that is nowhere, and shows it.
pub const FETCH: &str = "cd /tmp && /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=0 \
                         download-file http://no.such.host/file fetched >&2 && cat fetched";

/// Answers at a listener until the process ends. Returns its port.
pub fn answer_at(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = BufReader::new(connection.try_clone().unwrap());
            let mut line = String::new();
            // A client that goes away in the middle is none of our business.
            while request.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len()).ok();
        }
    });
    port
}

/// Returns a script that has a guest's root name a proxy on this host's loopback, as `MIRROR_HOST=127.0.0.1` does in base
/// images.
pub fn name_it(port: u16) -> String {
    format!("echo 'Acquire::http::Proxy \"http://127.0.0.1:{port}\";' > {FILE}")
}

/// Returns a script that shows which proxy a guest was told in the end.
pub fn show_it() -> String {
    format!("cut -d'\"' -f2 {FILE}")
}

//! A real nginx in front of a registry: with TLS, with client certificates, below a path of one's own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::authority::{Authority, Certified};

/// A running nginx; dropped, it is stopped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    host: String,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one on `127.0.0.1`, with this certificate, for those whose certificate is of `clients`, or for
    /// all. What is asked for below `path` is passed on to the API of the registry that is at `target`.
    ///
    /// # Panics
    ///
    /// If nginx is not installed, saying so; or does not start, with what it says.
    #[must_use]
    pub fn start(certified: &Certified, clients: Option<&Authority>, path: &str, target: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        let cert = certified.write(at("server.pem"));
        let key = certified.write_key(at("server-key.pem"));
        let clients = clients.map_or_else(String::new, |authority| {
            let path = authority.write(at("clients.pem"));
            format!("ssl_client_certificate {}; ssl_verify_client on;", path.display())
        });
        Self::start_with(&cert, &key, &clients, path, target)
    }

    /// As [`start`](Self::start), with the certificate and key in these files, and more directives for the server.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(cert: &Path, key: &Path, more: &str, path: &str, target: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        let (cert, key) = (cert.display(), key.display());
        let host = free_address();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", at(kind).display()))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {pid}; error_log stderr notice;
             events {{}}
             http {{
                 access_log off; client_max_body_size 0; proxy_max_temp_file_size 0; {temporary}
                 server {{
                     listen {host} ssl;
                     ssl_certificate {cert}; ssl_certificate_key {key}; {more}
                     location {path}/ {{
                         proxy_pass http://{target}/v2/;
                         proxy_set_header Host $http_host;
                         proxy_set_header X-Forwarded-Proto https;
                     }}
                 }}
             }}",
            pid = at("pid").display(),
        );
        std::fs::write(at("nginx.conf"), config).expect("nginx's configuration can be written");
        let mut process = Command::new(program())
            .arg("-c")
            .arg(at("nginx.conf"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx runs; if it is missing: apt-get install nginx-light");
        let log = BufReader::new(process.stderr.take().expect("its log is piped"));
        let mut lines = log.lines().map_while(Result::ok);
        // It says this when it listens.
        let mut said = String::new();
        let is_up = lines.any(|line| {
            said = format!("{said}\n{line}");
            line.contains("event method")
        });
        assert!(is_up, "nginx does not start: {said}");
        // Its log must be read on, or it would stop when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, host, _dir: dir }
    }

    /// Where it is: `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Debian has it where not every user looks.
fn program() -> &'static str {
    let usual = "/usr/sbin/nginx";
    if Path::new(usual).exists() { usual } else { "nginx" }
}

/// An address that nobody listens on. nginx can choose none by itself.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

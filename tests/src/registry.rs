//! A real registry server: Debian's `docker-registry`, on a free port, with a directory of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running `docker-registry`; dropped, it is stopped and its images are gone.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    host: String,
    _dir: TempDir,
}

impl Registry {
    /// Starts one, and returns when it listens.
    ///
    /// # Panics
    ///
    /// If `docker-registry` is not installed, saying so; or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a pull-through mirror of another.
    ///
    /// # Panics
    ///
    /// If `docker-registry` is not installed, saying so; or does not start.
    #[must_use]
    pub fn mirror_of(origin: &Self) -> Self {
        Self::start_with(&format!("proxy: {{remoteurl: 'http://{}'}}", origin.host))
    }

    /// Starts one with more in its configuration: whole keys of the top level, such as `auth`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(settings: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let config = dir.path().join("config.yml");
        let root = dir.path().join("data");
        let yaml = format!(
            "version: 0.1\nlog: {{level: info, formatter: text}}\nhttp: {{addr: '127.0.0.1:0'}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n{settings}\n",
            root.display()
        );
        std::fs::write(&config, yaml).expect("the registry's configuration can be written");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry runs; if it is missing: apt-get install docker-registry");
        let log = BufReader::new(process.stderr.take().expect("its log is piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let listening = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
        let host = listening.expect("docker-registry says where it listens");
        let host = host.split('"').next().unwrap_or_default().to_owned();
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

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

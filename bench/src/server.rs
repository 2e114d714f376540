//! The registry that all pull from: Debian's `docker-registry`, on a free loopback port.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;

use crate::failure::{Doing, Failure, Result};
use crate::process::Group;

/// How often it is looked whether the server listens, and how long between: 10 seconds in all.
const ATTEMPTS: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// A running registry; dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    process: Group,
}

impl Server {
    /// Starts one that keeps its images under `dir`, and returns when it listens.
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        let address = free_address()?;
        let config = dir.join("registry.yml");
        std::fs::write(&config, configuration(address, dir)).doing("writing the registry's configuration")?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let process = Group::start(&mut command).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => {
                Failure::new("docker-registry is missing: apt-get install docker-registry skopeo")
            }
            _ => Failure::new(format!("starting docker-registry: {cause}")),
        })?;
        let mut server = Self { address, process };
        server.listens().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn listens(&mut self) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.child.try_wait() {
                return Err(Failure::new(format!("docker-registry did not start: {status}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Failure::new(format!("docker-registry does not listen on {}", self.address)))
    }
}

/// Without logs: to write a line for each request would be measured too.
fn configuration(address: SocketAddr, dir: &Path) -> String {
    format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: '{address}'}}\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}}}\n",
        dir.join("registry").display()
    )
}

/// A loopback port that nobody has. Another process could take it before the registry does, which then says so.
fn free_address() -> Result<SocketAddr> {
    let doing = "looking for a free port";
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(doing)?.local_addr().doing(doing)
}

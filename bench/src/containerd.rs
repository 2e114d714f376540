//! A containerd for one pull of `ctr`: that only asks, it is the daemon that works.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Command;

use crate::failure::{Doing, Failure, Result};
use crate::measure::Sample;
use crate::process::Group;

/// How often it is looked whether it listens, and how long between: 10 seconds in all.
const ATTEMPTS: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Where the daemon with this directory listens.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.with_extension("sock")
}

/// A running daemon; dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Containerd {
    process: Group,
    /// What it had used when it listened, in seconds.
    cpu: f64,
}

impl Containerd {
    /// Starts one that keeps its content in `dir`, and returns when it listens.
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        let mut command = Command::new("containerd");
        // Without a file it would read this machine's configuration.
        let config = dir.with_extension("toml");
        std::fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")
            .doing("writing containerd's configuration")?;
        command.arg("--config").arg(config).arg("--root").arg(dir);
        command.arg("--state").arg(dir.with_extension("state")).arg("--address").arg(socket(dir));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Group::start(&mut command).doing("starting containerd")?;
        let mut daemon = Self { process, cpu: 0.0 };
        for _ in 0..ATTEMPTS {
            if UnixStream::connect(socket(dir)).await.is_ok() {
                daemon.cpu = daemon.used()?;
                return Ok(daemon);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Failure::new("containerd does not listen; does it run as this user?"))
    }

    /// Adds what the daemon took to what `ctr` took.
    pub(crate) fn add_to(&self, sample: &mut Sample) -> Result<()> {
        sample.cpu += self.used()? - self.cpu;
        sample.memory += self.peak()?;
        Ok(())
    }

    /// Its processor time in seconds: utime and stime, see proc(5).
    fn used(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    fn peak(&self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|n| n.parse().ok());
        Ok(kibibytes.unwrap_or(0u64) << 10)
    }

    fn read(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
            .doing("asking what containerd took")
    }
}

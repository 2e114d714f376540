//! Who is measured: hoist, the clients that people use, and what can be had at best.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::containerd;
use crate::failure::{Doing, Failure, Result};
use crate::measure::this_program;
use crate::networks::Network;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// `hoist pull`, as it is by default: what it returns survives a power cut
    Hoist,
    /// `hoist pull` with `durability = "none"`
    HoistNone,
    /// `skopeo copy` to an OCI layout
    Skopeo,
    /// `crane pull` to an OCI layout
    Crane,
    /// `regctl image copy` to an OCI layout
    Regctl,
    /// `oras copy` to an OCI layout
    Oras,
    /// `ctr content fetch`, with a containerd of its own
    Ctr,
    /// The crate oci-client, one blob after another
    OciClient,
    /// 16 connections, on loopback 4; hashed and written, without names or layout
    Floor,
    /// The same, and synced
    FloorSynced,
}

/// What a client is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Where the registry, or the proxy before it, is: `127.0.0.1:port`.
    pub(crate) host: &'a str,
    /// Repository and tag.
    pub(crate) name: &'a str,
    /// What it is pulled over.
    pub(crate) network: Network,
    /// What the client makes: a directory that is not there yet.
    pub(crate) destination: &'a Path,
}

impl Job<'_> {
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }
}

/// The programs and configurations that the clients need.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) hoist: PathBuf,
    unsynced: PathBuf,
    /// The authority of the registry behind TLS, once there is one.
    pub(crate) authority: PathBuf,
    itself: OsString,
}

impl Tools {
    /// Finds hoist, and writes what it needs to `dir`.
    pub(crate) fn new(hoist: Option<&Path>, dir: &Path) -> Result<Self> {
        let itself = this_program()?;
        let hoist = hoist.map_or_else(|| Path::new(&itself).with_file_name("hoist"), Path::to_owned);
        let hoist = std::path::absolute(hoist).doing("looking for hoist")?;
        if !hoist.exists() {
            let message = format!("{} is missing: cargo build --release -p hoist-cli", hoist.display());
            return Err(Failure::new(message));
        }
        let unsynced = dir.join("unsynced.toml");
        std::fs::write(&unsynced, "durability = \"none\"\n").doing("writing hoist's configuration")?;
        Ok(Self { hoist, unsynced, authority: dir.join("authority.pem"), itself })
    }
}

impl Tools {
    /// The command, told to trust the registry's authority where there is TLS.
    fn trusting(&self, tls: bool, command: &[&dyn AsRef<OsStr>]) -> Vec<OsString> {
        let mut trust = OsString::from("SSL_CERT_FILE=");
        trust.push(&self.authority);
        let trust: [&dyn AsRef<OsStr>; 2] = [&"env", &trust];
        say(&[if tls { &trust[..] } else { &[] }, command].concat())
    }
}

impl Peer {
    /// The programs of others, the fastest of which is what a time is compared with.
    pub(crate) const OTHERS: [Self; 5] = [Self::Skopeo, Self::Crane, Self::Regctl, Self::Oras, Self::Ctr];

    /// Those that were asked for, or all that are here.
    pub(crate) fn select(asked: &[Self]) -> Result<Vec<Self>> {
        if asked.is_empty() {
            return Ok(Self::value_variants()
                .iter()
                .copied()
                .filter(|peer| peer.missing().is_none())
                .collect());
        }
        match asked.iter().find_map(|peer| peer.missing()) {
            Some(program) => Err(Failure::new(format!("{program} is not installed, or not in PATH"))),
            None => Ok(asked.to_vec()),
        }
    }

    /// The programs of others that it needs.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Skopeo => &["skopeo"],
            Self::Crane => &["crane"],
            Self::Regctl => &["regctl"],
            Self::Oras => &["oras"],
            Self::Ctr => &["ctr", "containerd"],
            Self::Hoist | Self::HoistNone | Self::OciClient | Self::Floor | Self::FloorSynced => &[],
        }
    }

    fn missing(self) -> Option<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_here = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
        self.programs().iter().find(|program| !is_here(program)).copied()
    }

    /// What it says of its version, in one line.
    pub(crate) fn version(self, tools: &Tools) -> Option<String> {
        let (program, arguments): (&Path, &[&str]) = match self {
            Self::Hoist | Self::HoistNone => (&tools.hoist, &["--version"]),
            Self::Crane | Self::Oras => (Path::new(self.programs()[0]), &["version"]),
            Self::Regctl => (Path::new("regctl"), &["version", "--format", "{{.VCSTag}}"]),
            Self::Skopeo | Self::Ctr => (Path::new(self.programs()[0]), &["--version"]),
            Self::OciClient => return Some("oci-client 0.18".to_owned()),
            Self::Floor | Self::FloorSynced => return None,
        };
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next().unwrap_or_default().replace('\t', " ");
        let line = line.strip_prefix("Version:").map_or(line.clone(), |version| version.trim().to_owned()); // of oras
        Some(if line.contains(char::is_alphabetic) && line.contains(' ') {
            line
        } else {
            format!("{self} {line}")
        })
    }

    /// Whether it can be measured over this network.
    pub(crate) fn speaks(self, network: Network) -> bool {
        !(network.has_tls() && matches!(self, Self::Floor | Self::FloorSynced))
    }

    /// What to run.
    pub(crate) fn command(self, tools: &Tools, job: Job<'_>) -> Vec<OsString> {
        let (reference, to) = (&job.reference(), &job.destination);
        let connections = &job.network.connections().to_string();
        let tls = job.network.has_tls();
        let place = |prefix: &str| format!("{prefix}{}:v1", to.display());
        match self {
            Self::Hoist => {
                tools.trusting(tls, &[&tools.hoist, &"--quiet", &"--root", to, &"pull", reference])
            }
            Self::HoistNone => {
                let options: [&dyn AsRef<OsStr>; 6] =
                    [&tools.hoist, &"--quiet", &"--root", to, &"--config", &tools.unsynced];
                tools.trusting(tls, &[&options[..], &[&"pull", reference]].concat())
            }
            Self::Skopeo => {
                let from = format!("docker://{reference}");
                let copy = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
                say(&[&"skopeo", &copy[0], &copy[1], &copy[2], &copy[3], &from, &place("oci:")])
            }
            Self::Crane => say(&[&"crane", &"pull", &"--insecure", &"--format=oci", reference, to]),
            Self::Regctl => {
                let host = format!("reg={},tls={}", job.host, if tls { "insecure" } else { "disabled" });
                say(&[&"regctl", &"--host", &host, &"image", &"copy", reference, &place("ocidir://")])
            }
            Self::Oras => {
                let from = if tls { "--from-insecure" } else { "--from-plain-http" };
                say(&[&"oras", &"copy", &from, reference, &"--to-oci-layout", &place("")])
            }
            Self::Ctr => {
                let socket = containerd::socket(to);
                let how = if tls { "--skip-verify" } else { "--plain-http" };
                say(&[&"ctr", &"--address", &socket, &"content", &"fetch", &how, reference])
            }
            Self::OciClient => tools.trusting(tls, &[&tools.itself, &"oci-client", reference, to]),
            Self::Floor => say(&[&tools.itself, &"floor", &"--connections", connections, reference, to]),
            Self::FloorSynced => {
                say(&[&tools.itself, &"floor", &"--synced", &"--connections", connections, reference, to])
            }
        }
    }
}

/// Words of all kinds as a command.
fn say(words: &[&dyn AsRef<OsStr>]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hoist => "hoist",
            Self::HoistNone => "hoist, unsynced",
            Self::Skopeo => "skopeo",
            Self::Crane => "crane",
            Self::Regctl => "regctl",
            Self::Oras => "oras",
            Self::Ctr => "ctr",
            Self::OciClient => "oci-client",
            Self::Floor => "floor",
            Self::FloorSynced => "floor, synced",
        })
    }
}

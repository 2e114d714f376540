//! The course of a measurement: every client in turn, over and over, so that what disturbs this machine
//! disturbs all of them.

use std::collections::HashSet;
use std::fs::{File, Permissions, create_dir_all};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use clap::ValueEnum;
use hoist_tests::{Certified, TlsFront};
use tempfile::TempDir;

use crate::args::Args;
use crate::containerd::Containerd;
use crate::failure::{Doing, Result};
use crate::images::{Kind, Published, publish};
use crate::measure::{Sample, measure};
use crate::networks::Network;
use crate::peers::{Job, Peer, Tools};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::table::{Row, render};
use crate::{machine, warm};

/// What all measurements need. Its fields end in their order: the server before its directory.
#[derive(Debug)]
pub(crate) struct Course {
    server: Server,
    pub(crate) tools: Tools,
    peers: Vec<Peer>,
    pub(crate) runs: usize,
    seed: u64,
    /// Which part of the answers the network `cut` cuts.
    cut: f64,
    dir: TempDir,
}

/// Measures what the arguments ask for, and prints it.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let course = Course::prepare(args).await?;
    println!(
        "{}\n- medians of {} pulls\n",
        machine::describe(course.dir.path(), &course.peers, &course.tools)?,
        course.runs
    );
    let mut images = Vec::new();
    for kind in all_or(&args.image) {
        images.push(publish(kind, course.seed, &course.registry()).await?);
    }
    for network in all_or(&args.network) {
        println!("{}", course.over(network, &images).await?);
    }
    let cached = images.iter().find(|image| image.kind == Kind::Typical).or(images.first());
    if let Some(image) = cached.filter(|_| !args.no_warm) {
        println!("{}", warm::table(&course, image).await?);
    }
    Ok(())
}

fn all_or<T: ValueEnum>(asked: &[T]) -> Vec<T> {
    if asked.is_empty() { T::value_variants().to_vec() } else { asked.to_vec() }
}

impl Course {
    async fn prepare(args: &Args) -> Result<Self> {
        let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        create_dir_all(&parent).doing(format_args!("making {}", parent.display()))?;
        let parent = parent.canonicalize().doing(format_args!("looking for {}", parent.display()))?;
        let dir = tempfile::Builder::new().prefix("hoist-bench-").tempdir_in(parent);
        let dir = dir.doing("making a directory for the destinations")?;
        let tools = Tools::new(args.hoist.as_deref(), dir.path())?;
        let peers = Peer::select(&args.peer)?;
        let server = Server::start(dir.path()).await?;
        Ok(Self { server, tools, peers, runs: args.runs.get(), seed: args.seed, cut: args.cut / 100.0, dir })
    }

    /// Where the registry listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The registry's host, as references have it.
    pub(crate) fn registry(&self) -> String {
        self.address().to_string()
    }

    /// A new directory for one pull; dropped, it is deleted.
    pub(crate) fn place(&self) -> Result<TempDir> {
        let doing = "making a destination";
        let place = TempDir::new_in(self.dir.path()).doing(doing)?;
        // What others wrote before must not be written at the cost of this pull.
        File::open(place.path()).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).doing(doing)?;
        Ok(place)
    }

    /// The table of one network.
    async fn over(&self, network: Network, images: &[Published]) -> Result<String> {
        // The names of loopback are spoken to without TLS.
        let here = if network.has_tls() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let front = if network.has_tls() { Some(self.front(here).await?) } else { None };
        let upstream =
            front.as_ref().map_or(self.address(), |front| (Ipv4Addr::LOCALHOST, front.port()).into());
        let proxy = Proxy::start(here, upstream, network.shape(self.cut)).await?;
        let mut rows = Vec::new();
        for image in images {
            rows.extend(self.pulls(network, &proxy, image).await?);
        }
        Ok(render(network, &rows))
    }

    /// TLS before the registry, with a certificate of the authority that hoist is told to trust.
    async fn front(&self, here: Ipv4Addr) -> Result<TlsFront> {
        let certified = Certified::by_itself(&here.to_string());
        certified.write(&self.tools.authority);
        Ok(TlsFront::start(&certified, None, &self.registry()).await)
    }

    /// All pulls of one image over one network.
    async fn pulls(&self, network: Network, proxy: &Proxy, image: &Published) -> Result<Vec<Row>> {
        let peers = self.peers.iter().filter(|peer| peer.speaks(network));
        let mut rows: Vec<Row> = peers.map(|peer| Row::new(image.kind, *peer)).collect();
        let (direct, proxied) = (self.registry(), proxy.address().to_string());
        if network == Network::Loopback {
            for row in &mut rows {
                proxy.begin(self.seed);
                let sample = self.pull(network, row.peer, &proxied, image).await?;
                report("counted", image, row.peer, &sample);
                row.counts.extend(sample.succeeded.then(|| proxy.counts()));
            }
        }
        for run in 1..=self.runs {
            for row in &mut rows {
                proxy.begin(self.seed + run as u64);
                let host = if network == Network::Loopback { &direct } else { &proxied };
                let sample = self.pull(network, row.peer, host, image).await?;
                report(&format!("{} {run} of {}", network.title(), self.runs), image, row.peer, &sample);
                row.cuts += proxy.counts().cuts;
                if !sample.succeeded {
                    row.failures += 1;
                    continue;
                }
                row.samples.push(sample);
                if network != Network::Loopback {
                    row.counts.push(proxy.counts());
                }
            }
        }
        Ok(rows)
    }

    /// One pull into a new directory. One that did not bring all bytes did not succeed, whatever it says.
    async fn pull(&self, network: Network, peer: Peer, host: &str, image: &Published) -> Result<Sample> {
        let place = self.place()?;
        let destination = place.path().join("destination");
        let job = Job { host, network, name: &image.name, destination: &destination };
        let daemon = if peer == Peer::Ctr { Some(Containerd::start(&destination).await?) } else { None };
        let mut sample = measure(place.path(), &peer.command(&self.tools, job)).await?;
        if let Some(daemon) = daemon {
            daemon.add_to(&mut sample)?;
        }
        let found = size(&destination, &mut HashSet::new());
        if sample.succeeded && found < image.bytes {
            sample.succeeded = false;
            sample.stderr = format!("{found} bytes in place of {}", image.bytes);
        }
        empty(&place.keep()).doing("making room for the next pull")?;
        Ok(sample)
    }
}

fn report(what: &str, image: &Published, peer: Peer, sample: &Sample) {
    let outcome = if sample.succeeded { "" } else { sample.complaint() };
    eprintln!("{what}: {}, {peer}: {:.3} s {outcome}", image.kind, sample.wall);
}

/// Frees the space of all files under a directory, which stay where they are until the end: ext4 looks at each one that was
/// deleted in the last minutes before it makes a new one, so the next pull would pay for what others have deleted.
fn empty(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            empty(&path)?;
        } else if kind.is_file() {
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            File::options().write(true).open(&path)?.set_len(0)?;
        }
    }
    Ok(())
}

/// The bytes of all files under a directory, each once.
fn size(dir: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        if metadata.is_dir() {
            return Some(size(&entry.path(), seen));
        }
        seen.insert((metadata.dev(), metadata.ino())).then_some(metadata.len())
    });
    sizes.sum()
}

//! Pulls that have nothing to fetch, and pulls of the same at once.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hoist::{Config, Hoist, ImageRegistry};
use tokio::task::JoinSet;

use crate::course::Course;
use crate::failure::{Doing, Failure, Result};
use crate::images::Published;
use crate::measure::{Sample, measure, this_program};
use crate::networks::{Network, Shape};
use crate::peers::{Job, Peer};
use crate::proxy::Proxy;
use crate::table::median;

/// How often a cached image is pulled, by a process and in one.
const PROCESSES: usize = 50;
const PULLS: usize = 5000;
/// How many equal pulls there are at once.
const TOGETHER: usize = 64;

/// Measures both with this image, and gives a table.
pub(crate) async fn table(course: &Course, image: &Published) -> Result<String> {
    let (process, library) = cached(course, image).await?;
    let (wall, bytes) = together(course, image).await?;
    Ok(format!(
        "### Cached, and at once ({})\n\n| what | median |\n| --- | ---: |\n\
         | `hoist pull` of a cached image, a process each | {:.1} ms |\n\
         | a pull of a cached image in the library | {library:.0} µs |\n\
         | {TOGETHER} equal pulls at once in one process: bytes, of those of one | {bytes:.2} |\n\
         | {TOGETHER} equal pulls at once in one process: wall, of that of one | {wall:.2} |\n",
        image.kind,
        process * 1e3,
    ))
}

/// The seconds of a process, and the microseconds of a pull in the library.
async fn cached(course: &Course, image: &Published) -> Result<(f64, f64)> {
    eprintln!("pulling a cached image");
    let place = course.place()?;
    let root = place.path().join("store");
    let host = course.registry();
    let job = job(&host, image, &root);
    let command = Peer::Hoist.command(&course.tools, job);
    succeeded(measure(place.path(), &command).await?)?;
    let mut walls = Vec::new();
    for _ in 0..PROCESSES {
        walls.push(succeeded(measure(place.path(), &command).await?)?.wall);
    }
    let inside = ["warm".into(), job.reference().into(), root.clone().into()];
    let library = number(place.path(), &inside).await?;
    Ok((median(walls).unwrap_or_default(), library))
}

/// The wall clock and the bytes of many equal pulls, of those of one.
async fn together(course: &Course, image: &Published) -> Result<(f64, f64)> {
    let proxy = Proxy::start(Ipv4Addr::LOCALHOST, course.address(), Shape::default()).await?;
    let host = proxy.address().to_string();
    let (mut walls, mut bytes) = (Vec::new(), Vec::new());
    for run in 1..=course.runs {
        eprintln!("pulling the same at once, {run} of {}", course.runs);
        let mut both = Vec::new();
        for count in [1, TOGETHER] {
            let place = course.place()?;
            let root = place.path().join("store");
            let job = job(&host, image, &root);
            let inside: [OsString; 4] =
                ["together".into(), job.reference().into(), root.clone().into(), count.to_string().into()];
            proxy.begin(0);
            let wall = number(place.path(), &inside).await?;
            both.push((wall, proxy.counts().bytes as f64));
        }
        walls.push(both[1].0 / both[0].0);
        bytes.push(both[1].1 / both[0].1);
    }
    Ok((median(walls).unwrap_or_default(), median(bytes).unwrap_or_default()))
}

/// What this program prints, run so.
async fn number(dir: &Path, arguments: &[OsString]) -> Result<f64> {
    let command: Vec<OsString> = [this_program()?].iter().chain(arguments).cloned().collect();
    let sample = succeeded(measure(dir, &command).await?)?;
    sample.stdout.trim().parse().doing("reading what was measured")
}

/// For hoist, which chooses its connections itself.
fn job<'a>(host: &'a str, image: &'a Published, root: &'a Path) -> Job<'a> {
    Job { host, network: Network::Loopback, name: &image.name, destination: root }
}

fn succeeded(sample: Sample) -> Result<Sample> {
    if sample.succeeded { Ok(sample) } else { Err(Failure::new(sample.complaint())) }
}

/// The other side of [`cached`]: prints the median of the microseconds.
pub(crate) async fn pull_cached(reference: &str, root: &Path) -> Result<()> {
    let hoist = open(root)?;
    let mut microseconds = Vec::new();
    for _ in 0..PULLS {
        let begin = Instant::now();
        hoist.pull(reference).await.doing("pulling")?;
        microseconds.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    println!("{}", median(microseconds).unwrap_or_default());
    Ok(())
}

/// The other side of [`together`]: prints the seconds until all are done.
pub(crate) async fn pull_together(reference: &str, root: &Path, count: usize) -> Result<()> {
    let hoist = Arc::new(open(root)?);
    let mut pulls = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..count {
        let (hoist, reference) = (hoist.clone(), reference.to_owned());
        pulls.spawn(async move { hoist.pull(&reference).await });
    }
    while let Some(pulled) = pulls.join_next().await {
        pulled.doing("pulling")?.doing("pulling")?;
    }
    println!("{}", begin.elapsed().as_secs_f64());
    Ok(())
}

fn open(root: &Path) -> Result<Hoist> {
    hoist::open(&Config::default().with_root(root)).doing("opening the store")
}

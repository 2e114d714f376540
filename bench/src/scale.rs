//! Stores of few and of very many images, made without a network: what it costs to look into them.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use hoist::{Config, Durability, Hoist, ImageRegistry, Platform, Store, StoreOptions};
use hoist_testkit::{Image, Layer, add_to_store};

use crate::failure::{Doing, Failure, Result};
use crate::measure::measure;
use crate::peers::Tools;
use crate::table::median;

/// How many different images are looked up.
const LOOKS: usize = 2000;
/// How many images have the same repository.
const TAGS: usize = 50;
/// Steps through a store so that neighbours are not looked up after each other.
const STRIDE: usize = 7919;
const PLATFORM: &str = "linux/amd64";

/// What a store of so many images costs.
struct Costs {
    open: f64,
    is_cached: f64,
    resolve: f64,
    list: f64,
    gc: f64,
    gc_memory: f64,
}

/// Makes a store of each of these sizes, looks into it, and prints a table.
pub(crate) async fn run(parent: Option<&Path>, sizes: &[usize]) -> Result<()> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    let dir = tempfile::Builder::new().prefix("hoist-bench-").tempdir_in(parent);
    let dir = dir.doing("making a directory for the stores")?;
    let tools = Tools::new(None, dir.path())?;
    println!("{}", table(dir.path(), &tools.hoist, sizes).await?);
    Ok(())
}

async fn table(dir: &Path, hoist: &Path, sizes: &[usize]) -> Result<String> {
    let mut lines = vec![
        "| images | open, µs | is_cached, µs | resolve, µs | list, s | gc, s | gc, peak MiB |".to_owned(),
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    for &images in sizes {
        let root = dir.join(format!("{images}"));
        fill(&root, images).await?;
        let Costs { open, is_cached, resolve, list, gc, gc_memory } =
            Costs::of(dir, &root, hoist, images).await?;
        lines.push(format!(
            "| {images} | {open:.0} | {is_cached:.0} | {resolve:.0} | {list:.3} | {gc:.2} | {gc_memory:.0} |"
        ));
    }
    Ok(lines.join("\n"))
}

impl Costs {
    async fn of(dir: &Path, root: &Path, hoist: &Path, images: usize) -> Result<Self> {
        let config = Config::default().with_root(root).with_platform(platform()?);
        let open = microseconds_of(|| hoist::open(&config).map(drop).doing("opening the store"))?;
        let hoist_here = hoist::open(&config).doing("opening the store")?;
        let (mut cached, mut resolved) = (Vec::new(), Vec::new());
        for look in 0..LOOKS {
            let name = name(look * STRIDE % images);
            let begin = Instant::now();
            let found = hoist_here.is_cached(&name).await;
            cached.push(begin.elapsed().as_secs_f64() * 1e6);
            let begin = Instant::now();
            let image = hoist_here.resolve(&name).await.doing("resolving")?;
            resolved.push(begin.elapsed().as_secs_f64() * 1e6);
            if !found || image.is_none() {
                return Err(Failure::new(format!("{name} is not here")));
            }
        }
        let list = seconds_of_list(&hoist_here, images).await?;
        let command: [OsString; 4] = [hoist.into(), "--root".into(), root.into(), "gc".into()];
        let collected = measure(dir, &command).await?;
        if !collected.succeeded {
            return Err(Failure::new(collected.complaint()));
        }
        #[expect(clippy::cast_precision_loss)]
        let gc_memory = collected.memory as f64 / f64::from(1 << 20);
        Ok(Self {
            open,
            is_cached: median(cached).unwrap_or_default(),
            resolve: median(resolved).unwrap_or_default(),
            list,
            gc: collected.wall,
            gc_memory,
        })
    }
}

async fn seconds_of_list(hoist: &Hoist, images: usize) -> Result<f64> {
    let mut walls = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let listed = hoist.list_cached().await.doing("listing")?;
        walls.push(begin.elapsed().as_secs_f64());
        if listed.len() != images {
            return Err(Failure::new(format!("{} of {images} images are listed", listed.len())));
        }
    }
    Ok(median(walls).unwrap_or_default())
}

/// The median of the microseconds of something that is done again and again.
fn microseconds_of(work: impl Fn() -> Result<()>) -> Result<f64> {
    let mut walls = Vec::new();
    for _ in 0..101 {
        let begin = Instant::now();
        work()?;
        walls.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(walls).unwrap_or_default())
}

/// Makes a store of images that have a manifest and a configuration of their own, and a layer in common.
async fn fill(root: &Path, images: usize) -> Result<()> {
    eprintln!("making {images} images");
    let options = StoreOptions::default().with_durability(Durability::None);
    let store = Store::open(root, options).doing("opening the store")?;
    for number in 0..images {
        let own = Layer::files(&[("number", number.to_string().as_bytes())]);
        let image = Image::builder().platform(PLATFORM).layers([Layer::empty(), own]).build();
        add_to_store(&store, &name(number), &image).await.doing("making an image")?;
        if number > 0 && number.is_multiple_of(10_000) {
            eprintln!("made {number}");
        }
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("registry.example.com/team/app-{}:v{}", number / TAGS, number % TAGS)
}

fn platform() -> Result<Platform> {
    PLATFORM.parse().doing("reading a platform")
}

//! No async anywhere: the blocking front, for a program that has no runtime of its own.

use hoist::{Hoist, Result};
use hoist_testkit::{Image, write_layout};

fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let layout = directory.path().join("images");
    write_layout(&layout, [("docker.io/library/web:v1", Image::sample(1))]).expect("it can be written");

    let hoist = Hoist::builder()
        .store(directory.path().join("store"))
        .platform("linux/amd64".parse()?)
        .local(&layout)
        .without_remote()
        .build_blocking()?;

    // From any thread, and from many at once.
    let pulls = (0..4).map(|_| {
        let hoist = hoist.clone();
        std::thread::spawn(move || hoist.pull("web:v1"))
    });
    for pull in pulls.collect::<Vec<_>>() {
        println!("pulled {}", pull.join().expect("it does not panic")?.reference);
    }

    let (image, lease) = hoist.pull_leased("web:v1")?;
    println!("leased {}", lease.digest());
    println!("removed {}", hoist.remove("web:v1")?);
    println!("still there: {}", image.path.join("index.json").exists());
    Ok(())
}

//! `hoist serve`, pulled from by the clients that people have.
//!
//! Needs `skopeo`, `podman` and `curl`-like hoist itself; `.ci/run test` installs them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hoist_testkit::{Image, ImageIndex, Layer, MockRegistry, PLATFORM};
use hoist_tests::{Output, hoist, hoist_binary, run};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `hoist serve`, over a store that has pulled something.
struct Serving {
    child: Child,
    address: String,
    dir: TempDir,
}

impl Serving {
    async fn of(mock: &MockRegistry, references: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("store");
        for reference in references {
            in_background(&root, &["pull", reference, "--quiet", "--platform=linux/amd64"]).await.ok();
        }
        let mut command = Command::new(hoist_binary());
        command.env_clear().env("HOIST_ROOT", &root).stdout(Stdio::piped());
        command.args(["serve", "--listen", "127.0.0.1:0", "--default-registry", &mock.host()]);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("it says where it listens").to_owned();
        Self { child, address, dir }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

async fn in_background(root: &Path, arguments: &[&str]) -> Output {
    let (root, arguments) = (root.to_owned(), arguments.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
    let run = move || hoist(&root, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn peer(program: &'static str, arguments: &[&str]) -> Output {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>();
    let run = move || run(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The digests that are in a layout's pool of blobs.
fn blobs(layout: &Path) -> Vec<String> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_an_image_and_looks_at_its_index() {
    let (mock, index) = (MockRegistry::start().await, ImageIndex::sample(1));
    let reference = mock.publish("demo", "v1", index.clone());
    let serving = Serving::of(&mock, &[&reference]).await;
    let from = format!("docker://{}/demo:v1", serving.address);
    let raw = peer("skopeo", &["inspect", "--tls-verify=false", "--raw", &from]).await;
    assert_eq!(raw.stdout.trim_end().as_bytes(), &index.document().bytes[..]);
    let to = serving.dir.path().join("copy");
    let into = format!("oci:{}:v1", to.display());
    let copy = ["--override-os=linux", "--override-arch=amd64", "copy", "--quiet", "--preserve-digests"];
    let places = ["--src-tls-verify=false", &from, &into];
    peer("skopeo", &[&copy[..], &places[..]].concat()).await.ok();
    let image = index.image(PLATFORM);
    let mut expected: Vec<_> = image.blobs().map(|blob| blob.digest.hex().to_owned()).collect();
    expected.push(image.digest().hex().to_owned());
    expected.sort();
    assert_eq!(blobs(&to), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_an_image() {
    let (mock, image) =
        (MockRegistry::start().await, Image::builder().layer(Layer::files(&[("a", b"b")])).build());
    let reference = mock.publish("demo", "v1", image.clone());
    let serving = Serving::of(&mock, &[&reference]).await;
    let root = serving.dir.path().join("podman");
    let (graph, run_root) = (root.join("graph"), root.join("run"));
    let (graph, run_root) = (graph.to_str().unwrap(), run_root.to_str().unwrap());
    let storage = ["--root", graph, "--runroot", run_root, "--storage-driver", "vfs"];
    let from = format!("{}/demo:v1", serving.address);
    let pull = ["pull", "--quiet", "--tls-verify=false", &from];
    let pulled = peer("podman", &[&storage[..], &pull[..]].concat()).await;
    assert_eq!(pulled.ok(), image.config().digest.hex());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_pulls_by_its_mirror_setting() {
    let (mock, image) = (MockRegistry::start().await, Image::sample(1));
    let reference = mock.publish("demo", "v1", image.clone());
    let serving = Serving::of(&mock, &[&reference]).await;
    mock.go_down().await;
    let (config, root) = (serving.dir.path().join("hoist.toml"), serving.dir.path().join("other"));
    let mirror = format!("[remote.mirrors]\n{:?} = [\"http://{}\"]\n", mock.host(), serving.address);
    fs::write(&config, mirror).unwrap();
    let config = format!("--config={}", config.display());
    let pulled =
        in_background(&root, &["pull", &reference, &config, "--quiet", "--platform=linux/amd64"]).await;
    assert_eq!(PathBuf::from(pulled.ok()).file_name().unwrap().to_str(), Some(image.digest().hex()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mock = MockRegistry::start().await;
        let mut serving = Serving::of(&mock, &[]).await;
        serving.signal(signal);
        assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn other_hosts_are_not_served_by_accident() {
    let dir = TempDir::new().unwrap();
    let output = hoist(&dir.path().join("store"), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("`serve.share`"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

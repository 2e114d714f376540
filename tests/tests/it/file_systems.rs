//! The machine around a store: network file systems, system calls that are forbidden or missing, and stores of other
//! users.

use std::path::Path;

use hoist_testkit::{Image, MockRegistry, assert_valid_layout};
use hoist_tests::{Output, Strace, hoist, hoist_binary, run};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";
const UNSUPPORTED: i32 = 10;

/// A registry with an image, and a place for a store.
struct Setup {
    _mock: MockRegistry,
    reference: String,
    digest: String,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let (mock, image) = (MockRegistry::start().await, Image::sample(1));
        let digest = image.digest().to_string();
        let reference = mock.publish("library/demo", "v1", image);
        Self { _mock: mock, reference, digest, dir: TempDir::new().unwrap() }
    }

    /// Pulls where `strace` changes what the system answers.
    async fn pull_under(&self, strace: Strace, options: &[&str]) -> Output {
        let root = self.dir.path().join("store");
        let arguments = [&["pull", "-q", PLATFORM, &self.reference], options].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let work = move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            strace.hoist(&root, &arguments).0
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }
}

/// Lets every file system have this magic number: the first field of `struct statfs`.
fn on(magic: u32) -> Strace {
    Strace::of("statfs,fstatfs").always_poking("statfs", 2, &u64::from(magic).to_le_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_network_file_system_is_refused_with_the_reason_and_not_made() {
    for (magic, name) in [
        (0x6969, "NFS"),
        (0xff53_4d42, "SMB"),
        (0xfe53_4d42, "SMB"),
        (0x0102_1997, "9p"),
        (0x00c3_6400, "Ceph"),
    ] {
        let setup = Setup::new().await;
        let refused = setup.pull_under(on(magic), &[]).await;
        assert_eq!(refused.code, UNSUPPORTED, "{name}: {}", refused.stderr);
        for word in [name, "locks do not reach other hosts", "--allow-network-file-system"] {
            assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
        }
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(!setup.dir.path().join("store").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_network_file_system_is_used_where_that_is_allowed() {
    let setup = Setup::new().await;
    let pulled = setup.pull_under(on(0x6969), &["--allow-network-file-system"]).await;
    assert_valid_layout(pulled.ok(), &setup.digest);
    assert_eq!(pulled.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_fuse_or_virtiofs_is_used_with_one_warning() {
    let setup = Setup::new().await;
    let pulled = setup.pull_under(on(0x6573_5546), &[]).await;
    assert_valid_layout(pulled.ok(), &setup.digest);
    assert_eq!(pulled.stderr.matches("FUSE or virtiofs").count(), 1, "{}", pulled.stderr);
    assert_eq!(pulled.stderr.lines().count(), 1, "{}", pulled.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_openat2_is_forbidden_or_missing_one_sentence_says_so() {
    for error in ["EPERM", "ENOSYS", "EACCES"] {
        let setup = Setup::new().await;
        let refused = setup.pull_under(Strace::of("openat2").always_failing("openat2", error), &[]).await;
        assert_eq!(refused.code, UNSUPPORTED, "{error}: {}", refused.stderr);
        for word in ["openat2", "seccomp", "Linux 5.6"] {
            assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
        }
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
}

/// NFS, 9p, and many file systems in user space have no renames that leave the old file alone, or swap two.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_whose_renames_take_no_flags_is_good_enough() {
    let setup = Setup::new().await;
    let plain = || Strace::of("renameat2").always_failing("renameat2", "EINVAL");
    assert_valid_layout(setup.pull_under(plain(), &[]).await.ok(), &setup.digest);
    let root = setup.dir.path().join("store");
    let image = root.join("images/sha256").join(setup.digest.strip_prefix("sha256:").unwrap());
    std::fs::remove_file(image.join("oci-layout")).unwrap();
    assert_valid_layout(setup.pull_under(plain(), &["--force"]).await.ok(), &setup.digest);
    let checked = tokio::task::spawn_blocking(move || hoist(&root, &["fsck"])).await.unwrap();
    checked.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_another_user_hands_out_what_it_has() {
    let setup = Setup::new().await;
    let root = setup.dir.path().join("store");
    let (reference, digest) = (setup.reference.clone(), setup.digest.clone());
    let work = move || {
        hoist(&root, &["pull", "-q", PLATFORM, &reference]).ok();
        run("chmod", &["755", root.to_str().unwrap(), root.parent().unwrap().to_str().unwrap()]).ok();
        // Where the build is may be closed to others. A process of its own copies it: a program that this one had open for
        // writing while another test started one would be "Text file busy".
        let hoist = root.parent().unwrap().join("hoist");
        run("cp", &[hoist_binary().to_str().unwrap(), hoist.to_str().unwrap()]).ok();
        let pinned = format!("{}@{digest}", reference.rsplit_once(':').unwrap().0);
        for arguments in [
            &["pull", PLATFORM, &reference][..],
            &["pull", PLATFORM, &pinned],
            &["list", PLATFORM],
            &["inspect", PLATFORM, &reference],
            &["is-cached", PLATFORM, &pinned],
            &["usage"],
            &["fsck"],
        ] {
            as_nobody(&hoist, &root, &[&["--offline"], arguments].concat()).ok();
        }
        let refused = as_nobody(&hoist, &root, &["remove", PLATFORM, &reference]);
        assert_eq!(refused.code, 12, "{refused:?}");
        assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

/// Runs `hoist` as a user that owns nothing.
fn as_nobody(hoist: &Path, root: &Path, arguments: &[&str]) -> Output {
    let [hoist, root] = [hoist, root].map(|path| path.to_str().expect("plain names"));
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "HOME=/nowhere", hoist];
    run("setpriv", &[&user[..], &["--root", root], arguments].concat())
}

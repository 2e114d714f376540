//! The command, as a user meets it: what it prints where, its exit codes, and what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use hoist_core::Digest;
use hoist_testkit::{Auth, Fault, Image, ImageIndex, Layer, MockRegistry, On, assert_valid_layout};
use hoist_tests::{Output, check_nothing_left, hoist, hoist_binary, hoist_with};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A mocked registry, and a store.
struct Setup {
    mock: MockRegistry,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        Self { mock: MockRegistry::start().await, dir: TempDir::new().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Runs `hoist` for a machine that is the same everywhere.
    async fn hoist(&self, arguments: &[&str]) -> Output {
        let root = self.root();
        let arguments: Vec<String> =
            arguments.iter().copied().chain(["--platform=linux/amd64"]).map(str::to_owned).collect();
        let run = move || hoist(&root, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// A command that must fail: with this code, in one line that has these words, and without a trace in
    /// the store.
    async fn fails(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let before = tree(&self.root());
        let output = self.hoist(&[arguments, &["--quiet"]].concat()).await;
        assert_eq!(output.code, code, "{}", output.stderr);
        assert_eq!(output.stdout, "");
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        for word in words {
            assert!(output.stderr.contains(word), "no {word:?} in {}", output.stderr);
        }
        assert_eq!(tree(&self.root()), before, "the store was left as it was");
    }
}

/// The files below that make an image known, or are on their way to it, with the digests of their content.
/// Verified blobs, and what has come of others, may stay for the next try.
fn tree(root: &Path) -> Vec<(PathBuf, Digest)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_file() {
            files.push((path.clone(), Digest::sha256(&fs::read(path).unwrap())));
        } else if !path.ends_with("store/blobs") && !path.ends_with("store/ingest") {
            files.extend(tree(&path));
        }
    }
    files.sort();
    files
}

fn two_platforms() -> ImageIndex {
    ImageIndex::new(
        ["linux/amd64", "linux/arm64"]
            .map(|p| Image::builder().platform(p).layer(Layer::random(1000, 1)).build()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_list_inspect_and_remove_do_what_they_say() {
    let setup = Setup::new().await;
    let index = two_platforms();
    let image = index.image("linux/amd64").clone();
    let reference = setup.mock.publish("library/demo", "v1", index);

    assert_eq!(setup.hoist(&["is-cached", &reference]).await.code, 1);
    let pulled = setup.hoist(&["pull", &reference]).await;
    assert_valid_layout(pulled.ok(), &image.digest().to_string());
    assert!(pulled.stderr.contains("done"), "progress is on stderr: {}", pulled.stderr);
    assert_eq!(setup.hoist(&["is-cached", &reference]).await.code, 0);
    assert_eq!(setup.hoist(&["list"]).await.ok(), reference);

    let inspected = setup.hoist(&["inspect", &reference]).await;
    for line in
        [&reference, &image.digest().to_string(), "linux/amd64", &image.layers()[0].digest.to_string()]
    {
        assert!(inspected.ok().contains(line), "no {line} in {}", inspected.stdout);
    }
    assert_eq!(setup.hoist(&["remove", &reference]).await.ok(), reference);
    assert_eq!(setup.hoist(&["list"]).await.ok(), "");
    setup.fails(&["remove", &reference], 3, &["is not here", "hoist list"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_into_a_pipe_prints_few_lines_however_many_layers_the_image_has() {
    let setup = Setup::new().await;
    let layers = (0..62).map(|seed| Layer::random(100, seed));
    let image = Image::builder().platform("linux/amd64").layers(layers).build();
    let digest = image.digest().to_string();
    let reference = setup.mock.publish("library/demo", "v1", image);
    let pulled = setup.hoist(&["pull", &reference]).await;
    let lines: Vec<_> = pulled.stderr.lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    assert!(first.starts_with(&format!("{reference}: pulling {digest}: ")), "{first}");
    assert!(last.starts_with(&format!("{reference}: done, ")), "{last}");
    assert!(lines.len() < 10, "{}", pulled.stderr);
    assert_eq!(setup.hoist(&["pull", "--force", "--progress=none", &reference]).await.stderr, "");

    let told = setup.hoist(&["pull", "--force", "--progress", "json", &reference]).await.stderr;
    let told = told.lines().map(|line| serde_json::from_str(line).unwrap());
    let told: Vec<serde_json::Value> = told.collect();
    assert_eq!((&told[0]["status"], &told[told.len() - 1]["status"]), (&"resolving".into(), &"done".into()));
    assert!(
        told.iter().all(|object| object["reference"] == reference && object["platform"] == "linux/amd64")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_an_image_that_is_here_is_printed_byte_for_byte() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    setup.fails(&["inspect", "--image-config", &reference], 3, &["is not here"]).await;
    setup.hoist(&["pull", &reference]).await.ok();
    let report = setup.hoist(&["inspect", "--json", &reference]).await;
    let report: serde_json::Value = serde_json::from_str(report.ok()).unwrap();
    for flags in [&["--image-config"][..], &["--image-config", "--json"]] {
        let config = setup.hoist(&[&["inspect", &reference][..], flags].concat()).await;
        assert_eq!(config.code, 0, "{}", config.stderr);
        let digest = Digest::sha256(config.stdout.as_bytes()).to_string();
        assert_eq!(report["config"]["digest"], digest, "{}", config.stdout);
        let config: serde_json::Value = serde_json::from_str(&config.stdout).unwrap();
        assert_eq!(config["architecture"], "amd64");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_object_a_line() {
    let setup = Setup::new().await;
    let image = Image::sample(1);
    let reference = setup.mock.publish("library/demo", "v1", image.clone());
    let object = |output: &Output| -> serde_json::Value { serde_json::from_str(output.ok()).unwrap() };
    let pulled = object(&setup.hoist(&["pull", "--json", &reference]).await);
    assert_eq!(pulled.as_object().unwrap().keys().collect::<Vec<_>>(), ["digest", "path", "reference"]);
    assert_eq!(pulled["digest"], image.digest().to_string());
    assert_eq!(object(&setup.hoist(&["list", "--json"]).await), pulled);
    assert_eq!(object(&setup.hoist(&["inspect", "--json", &reference]).await)["digest"], pulled["digest"]);
    let removed = object(&setup.hoist(&["remove", "--json", &reference]).await);
    assert_eq!(removed, serde_json::json!({"reference": reference, "removed": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_pull_asks_nobody_and_a_forced_one_heals() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let path = setup.hoist(&["pull", &reference]).await.ok().to_owned();
    setup.mock.go_down().await;
    assert_eq!(setup.hoist(&["pull", &reference]).await.ok(), path);
    setup.fails(&["pull", "--force", &reference], 7, &[&reference]).await;
    setup.mock.go_up().await;
    assert_eq!(setup.hoist(&["pull", "--force", &reference]).await.ok(), path);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_moved_tag_left_is_collected() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let old = setup.hoist(&["pull", &reference]).await.ok().to_owned();
    setup.mock.publish("library/demo", "v1", Image::sample(2));
    let new = setup.hoist(&["pull", "--force", &reference]).await.ok().to_owned();
    assert!(setup.hoist(&["gc", "--dry-run"]).await.ok().starts_with("would delete 1 images"));
    assert!(Path::new(&old).exists());
    let deleted = setup.hoist(&["gc", "--json"]).await;
    let deleted: serde_json::Value = serde_json::from_str(deleted.ok()).unwrap();
    assert_eq!(deleted["images"], serde_json::json!([Image::sample(1).digest().to_string()]));
    assert!(!Path::new(&old).exists() && Path::new(&new).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_takes_a_name_a_digest_in_a_repository_or_a_digest_alone_and_says_which_names_went() {
    let setup = Setup::new().await;
    let image = Image::sample(1);
    let digest = image.digest().to_string();
    let names: Vec<String> = [("library/demo", "v1"), ("library/demo", "v2"), ("library/other", "v1")]
        .map(|(repository, tag)| setup.mock.publish(repository, tag, image.clone()))
        .into();
    let all: Vec<&str> = ["pull"].into_iter().chain(names.iter().map(String::as_str)).collect();
    setup.hoist(&all).await.ok();
    let pinned = format!("{}/library/demo@{digest}", setup.mock.host());
    assert_eq!(setup.hoist(&["remove", &pinned]).await.ok(), format!("{}\n{}", names[0], names[1]));
    assert_eq!(setup.hoist(&["list"]).await.ok(), names[2]);
    setup.hoist(&all).await.ok();
    assert_eq!(setup.hoist(&["remove", &digest]).await.ok(), names.join("\n"));
    assert_eq!(setup.hoist(&["list"]).await.ok(), "");
    setup.fails(&["remove", &digest], 3, &[&digest, "is not here"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_lost_its_name_is_listed_and_removed_by_its_digest() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let old = setup.hoist(&["pull", &reference]).await.ok().to_owned();
    setup.mock.publish("library/demo", "v1", Image::sample(2));
    setup.hoist(&["pull", "--force", &reference]).await.ok();
    let digest = Image::sample(1).digest().to_string();
    assert_eq!(setup.hoist(&["list"]).await.ok(), format!("{reference}\n<none>@{digest}"));
    let json = setup.hoist(&["list", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(json.ok().lines().last().unwrap()).unwrap();
    assert_eq!(json, serde_json::json!({"reference": null, "digest": digest, "path": old}));
    assert_eq!(setup.hoist(&["remove", &digest]).await.ok(), digest);
    assert_eq!(setup.hoist(&["list"]).await.ok(), reference);
    assert!(!Path::new(&old).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_makes_no_store() {
    let setup = Setup::new().await;
    for (arguments, code) in [
        (&["list"][..], 0),
        (&["is-cached", "nginx"], 1),
        (&["inspect", "nginx"], 3),
        (&["remove", "nginx"], 3),
        (&["gc", "--all"], 0),
        (&["usage"], 0),
        (&["fsck", "--repair"], 0),
    ] {
        let output = setup.hoist(arguments).await;
        assert_eq!(output.code, code, "{arguments:?}: {}", output.stderr);
        assert!(!setup.root().exists(), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_measured_and_kept_to_a_size() {
    let setup = Setup::new().await;
    let [old, new] = [1, 2].map(|seed| {
        let image = Image::builder().platform("linux/amd64").layer(Layer::random(1 << 20, seed)).build();
        setup.mock.publish("library/demo", &format!("v{seed}"), image)
    });
    for reference in [&old, &new] {
        setup.hoist(&["pull", reference]).await.ok();
    }
    let usage = setup.hoist(&["usage"]).await;
    for word in [&old, &new, "MiB in all"] {
        assert!(usage.ok().contains(word), "no {word} in {}", usage.stdout);
    }
    let usage: serde_json::Value =
        serde_json::from_str(setup.hoist(&["usage", "--json"]).await.ok()).unwrap();
    assert_eq!(usage["images"][0]["references"], serde_json::json!([new]), "the last used one first");

    let would = setup.hoist(&["gc", "--max-size=1500KiB", "--dry-run"]).await;
    assert!(would.ok().starts_with(&format!("would delete {old}\n")), "{}", would.stdout);
    assert_eq!(setup.hoist(&["list"]).await.ok(), format!("{old}\n{new}"));
    let did = setup.hoist(&["gc", "--max-size", "1.5 MiB", "--json"]).await;
    let did: serde_json::Value = serde_json::from_str(did.ok()).unwrap();
    assert_eq!(did["evicted"][0]["references"], serde_json::json!([old]));
    assert_eq!(setup.hoist(&["list"]).await.ok(), new);
    assert_eq!(setup.hoist(&["gc", "--max-size", "much"]).await.code, 2);

    let config = setup.dir.path().join("hoist.toml");
    fs::write(&config, "max-size = \"1500KiB\"\n").unwrap();
    setup.hoist(&["pull", &old, "--config", config.to_str().unwrap()]).await.ok();
    assert_eq!(setup.hoist(&["list"]).await.ok(), old, "the limit of the configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_keeps_to_the_limit_of_the_configuration_unless_it_is_told_another() {
    let setup = Setup::new().await;
    for seed in [1, 2] {
        let image = Image::builder().platform("linux/amd64").layer(Layer::random(1 << 20, seed)).build();
        setup.hoist(&["pull", &setup.mock.publish("library/demo", &format!("v{seed}"), image)]).await.ok();
    }
    let config = setup.dir.path().join("hoist.toml");
    fs::write(&config, "max-size = \"1500KiB\"\n").unwrap();
    let gc = async |options: &[&str]| {
        let arguments = [&["gc", "--json", "--config", config.to_str().unwrap()], options].concat();
        let collected: serde_json::Value = serde_json::from_str(setup.hoist(&arguments).await.ok()).unwrap();
        collected["evicted"].as_array().unwrap().len()
    };
    assert_eq!(gc(&["--max-size=1GiB"]).await, 0);
    assert_eq!(gc(&["--dry-run"]).await, 1);
    assert_eq!(setup.hoist(&["list"]).await.ok().lines().count(), 2);
    assert_eq!(gc(&[]).await, 1);
    assert!(setup.hoist(&["list"]).await.ok().ends_with("library/demo:v2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_says_what_is_damaged_and_repairs_it() {
    let setup = Setup::new().await;
    let image = Image::sample(1);
    let reference = setup.mock.publish("library/demo", "v1", image.clone());
    let path = PathBuf::from(setup.hoist(&["pull", &reference]).await.ok());
    assert!(setup.hoist(&["fsck"]).await.ok().ends_with("all is well"));
    let layer = path.join("blobs/sha256").join(image.layers()[0].digest.hex());
    fs::remove_file(&layer).unwrap();

    let found = setup.hoist(&["fsck"]).await;
    assert_eq!(found.code, 13, "{}", found.stderr);
    for word in [&image.layers()[0].digest.to_string(), &reference, "hoist fsck --repair"] {
        assert!(found.stdout.contains(word), "no {word} in {}", found.stdout);
    }
    let repaired = setup.hoist(&["fsck", "--repair", "--json"]).await;
    assert_eq!(repaired.code, 13, "{}", repaired.stderr);
    let report: serde_json::Value = serde_json::from_str(&repaired.stdout).unwrap();
    assert_eq!(report["findings"][0]["problem"]["kind"], "lacks-blob");
    assert_eq!(report["findings"][0]["repaired"], true);
    assert_eq!(setup.hoist(&["is-cached", &reference]).await.code, 1);
    setup.hoist(&["pull", &reference]).await.ok();
    assert!(layer.exists());
    assert!(setup.hoist(&["fsck"]).await.ok().ends_with("all is well"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_reference_does_not_keep_the_others_from_being_pulled() {
    let setup = Setup::new().await;
    let good = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let bad = format!("{}/library/demo:nope", setup.mock.host());
    let output = setup.hoist(&["pull", "--quiet", &bad, &good]).await;
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert_eq!(output.stdout.lines().count(), 1);
    assert_eq!(setup.hoist(&["list"]).await.ok(), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_images_are_pulled_at_once_and_printed_in_the_order_that_they_were_asked_for() {
    let setup = Setup::new().await;
    let references = [1, 2, 3, 4].map(|seed| {
        let image = Image::builder().platform("linux/amd64").layer(Layer::random(4096, seed)).build();
        setup.mock.publish("library/demo", &format!("v{seed}"), image)
    });
    let missing = format!("{}/library/demo:nope", setup.mock.host());
    let gate = setup.mock.hold_blobs(0);
    let arguments =
        ["pull", "--json", &references[2], &missing, &references[0], &references[1], &references[3]];
    let watch = async {
        // A layer and a configuration each: two images would have four.
        gate.until_held(5).await;
        let asked = setup.mock.requests();
        let is_asked = |tag: &&str| asked.iter().any(|seen| seen.path.ends_with(*tag));
        gate.release();
        assert_eq!(["/v1", "/v2", "/v3", "/v4"].iter().filter(|tag| is_asked(tag)).count(), 3, "{asked:?}");
    };
    let (output, ()) = tokio::join!(setup.hoist(&arguments), watch);
    assert_eq!(output.code, 3, "{}", output.stderr);
    let printed = output.stdout.lines().map(|line| {
        let image: serde_json::Value = serde_json::from_str(line).unwrap();
        image["reference"].as_str().unwrap().to_owned()
    });
    assert_eq!(printed.collect::<Vec<_>>(), [2, 0, 1, 3].map(|place: usize| references[place].clone()));
    assert_eq!(output.stderr.matches("hoist: ").count(), 1, "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_one_clear_line_and_its_exit_code() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", two_platforms());
    setup.hoist(&["pull", &reference]).await.ok();
    let host = setup.mock.host();

    setup
        .fails(&["pull", &format!("{host}/library/demo:nope")], 3, &["404", "check the name and the tag"])
        .await;
    setup.fails(&["pull", "not a reference"], 2, &["invalid reference", "[registry/]repository"]).await;
    setup
        .fails(&["pull", "127.0.0.1:1/library/demo:v1"], 7, &["127.0.0.1:1", "refused", "registry runs"])
        .await;
    let s390x = hoist(&setup.root(), &["pull", "--quiet", "--platform=linux/s390x", &reference]);
    assert_eq!(s390x.code, 4, "{}", s390x.stderr);
    assert!(
        s390x.stderr.contains("linux/amd64, linux/arm64") && s390x.stderr.contains("--platform"),
        "{}",
        s390x.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lies_or_fails_gets_nothing_into_the_store() {
    let setup = Setup::new().await;
    let layer = Image::sample(1).layers()[0].digest.clone();
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    // What was good of the image stays, for the next try to go on from: here all but the layer.
    setup.mock.fail(On::Digest(layer.clone()), Fault::FlippedBit);
    setup.hoist(&["pull", &reference]).await;
    setup.fails(&["pull", &reference], 9, &[&layer.to_string(), "it was not kept"]).await;
    setup.mock.repair();
    setup.mock.fail(On::Manifests, Fault::Status(500));
    setup.fails(&["pull", &reference], 7, &["500", "try again later"]).await;
    setup.mock.repair();
    setup.mock.require(Auth::basic("me", "secret"));
    setup.fails(&["pull", &reference], 5, &["401", "credentials"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_configuration_and_are_never_shown() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let config = setup.dir.path().join("hoist.toml");
    let host = setup.mock.host();
    for (auth, password, code) in [
        (Auth::basic("me", "canary"), "canary", 0),
        (Auth::token("me", "canary"), "canary", 0),
        (Auth::token("me", "other"), "canary", 5),
    ] {
        setup.mock.require(auth);
        let toml = format!("[remote.credentials.\"{host}\"]\nusername = \"me\"\npassword = \"{password}\"\n");
        fs::write(&config, toml).unwrap();
        let output =
            setup.hoist(&["pull", "--force", "-vvv", "--config", config.to_str().unwrap(), &reference]).await;
        assert_eq!(output.code, code, "{}", output.stderr);
        assert!(
            !output.stderr.contains("canary") && !output.stderr.contains("bWU6Y2FuYXJ5"),
            "{}",
            output.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_mirror_was_passed_over_is_logged() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let (config, host) = (setup.dir.path().join("hoist.toml"), setup.mock.host());
    for (fault, reason) in [
        (Fault::Status(503), "503"),
        (Fault::Status(404), "404"),
        (Fault::login_page(), "neither a manifest nor an index"),
        (Fault::FlippedBit, "is not what it should be"),
    ] {
        let mirror = MockRegistry::start().await;
        mirror.publish("library/demo", "v1", Image::sample(1));
        mirror.fail(On::Manifests, fault);
        let mirrors = format!("[remote.mirrors]\n'{host}' = ['{}']\n", mirror.url());
        fs::write(&config, mirrors).unwrap();
        let pull =
            |verbose| ["pull", "-q", verbose, "--force", "--config", config.to_str().unwrap(), &reference];
        let output = setup.hoist(&pull("-vv")).await;
        output.ok();
        let line = output.stderr.lines().find(|line| line.contains("passing over a mirror"));
        let line = line.unwrap_or_else(|| panic!("it is not told: {}", output.stderr));
        for word in [&*host, &mirror.host(), reason] {
            assert!(line.contains(word), "no {word:?} in {line}");
        }
        let output = setup.hoist(&pull("-v")).await;
        output.ok();
        assert!(!output.stderr.contains("passing over"), "only where that is wanted: {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_nobody_is_asked_and_what_is_here_is_had() {
    let setup = Setup::new().await;
    let [here, missing] =
        ["here", "missing"].map(|tag| setup.mock.publish("library/demo", tag, Image::sample(1)));
    let pulled = setup.hoist(&["pull", &here]).await;
    setup.mock.forget_requests();
    assert_eq!(setup.hoist(&["--offline", "pull", &here]).await.ok(), pulled.ok());
    setup.fails(&["--offline", "pull", &missing], 7, &["`offline`"]).await;
    setup.fails(&["--offline", "pull", "--force", &here], 7, &["`offline`"]).await;
    assert_eq!(setup.mock.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_when_the_registry_is_asked() {
    let setup = Setup::new().await;
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let old = setup.hoist(&["pull", &reference]).await;
    setup.mock.publish("library/demo", "v1", Image::sample(2));
    for policy in ["missing", "newer-than 1h", "never"] {
        assert_eq!(setup.hoist(&["pull", "--policy", policy, &reference]).await.ok(), old.ok(), "{policy}");
    }
    assert_ne!(setup.hoist(&["pull", "--policy", "always", &reference]).await.ok(), old.ok());
    let unknown = setup.hoist(&["pull", "--policy", "sometimes", &reference]).await;
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("newer-than 1h"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_goes_before_a_file_that_does_not_let_the_store_answer() {
    let setup = Setup::new().await;
    let config = setup.dir.path().join("hoist.toml");
    fs::write(&config, "[cache]\nenabled = false\n").unwrap();
    let reference = setup.mock.publish("library/demo", "v1", Image::sample(1));
    let pull = async |flags: &[&str]| {
        let arguments = [&["pull", "-q", "--config", config.to_str().unwrap(), &reference], flags].concat();
        setup.hoist(&arguments).await
    };
    let old = pull(&[]).await;
    setup.mock.publish("library/demo", "v1", Image::sample(2));
    setup.mock.forget_requests();
    for flags in [&["--offline"][..], &["--policy=missing"], &["--policy=never", "--offline"]] {
        assert_eq!(pull(flags).await.ok(), old.ok(), "{flags:?}");
    }
    assert_eq!(setup.mock.requests(), []);
    assert_ne!(pull(&["--policy=always"]).await.ok(), old.ok());
}

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
    let dir = TempDir::new().unwrap();
    let [file, environment, flag] = ["file", "environment", "flag"].map(|name| dir.path().join(name));
    let config = dir.path().join("hoist.toml");
    fs::write(&config, format!("root = {file:?}\n")).unwrap();
    // Each of them is a file, where a store cannot be: what is said of it is which one was used.
    for path in [&file, &environment, &flag] {
        fs::write(path, "").unwrap();
    }
    let config = ("HOIST_CONFIG", config.as_path());
    let used = |variables: &[(&str, &Path)], root: &Path, arguments: &[&str]| {
        let output = hoist_with(variables, root, arguments);
        assert_eq!(output.code, 12, "{}", output.stderr);
        output.stderr
    };
    let flagged = ["--root", flag.to_str().unwrap(), "list"];
    assert!(used(&[config], &environment, &flagged).contains(flag.to_str().unwrap()));
    assert!(used(&[config], &environment, &["list"]).contains(environment.to_str().unwrap()));
    assert!(used(&[config], Path::new(""), &["list"]).contains(file.to_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_written_is_named_with_what_to_do() {
    let setup = Setup::new().await;
    let file = setup.dir.path().join("file");
    fs::write(&file, "").unwrap();
    let output = hoist(&file.join("store"), &["pull", "nginx"]);
    assert_eq!((output.code, output.stdout.as_str()), (12, ""), "{}", output.stderr);
    assert!(output.stderr.starts_with("hoist: cannot create"), "{}", output.stderr);
    fs::create_dir(setup.dir.path().join("home")).unwrap();
    fs::write(setup.dir.path().join("home/letter"), "dear").unwrap();
    let output = hoist(&setup.dir.path().join("home"), &["pull", "nginx"]);
    assert_eq!(output.code, 12, "{}", output.stderr);
    assert!(
        output.stderr.contains("neither empty nor a store") && output.stderr.contains("--root"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_names_every_exit_code() {
    let setup = Setup::new().await;
    let help = setup.hoist(&["--help"]).await;
    for code in 0..=14 {
        assert!(help.ok().contains(&format!("  {code}  ")), "{code}");
    }
    assert_eq!(setup.hoist(&["--nonsense"]).await.code, 2);
}

#[tokio::test]
async fn an_interrupted_pull_is_put_in_order_before_the_command_ends() {
    let setup = Setup::new().await;
    let layers = [1, 2].map(|seed| Layer::random(100_000, seed));
    let reference = setup.mock.publish("demo", "v1", Image::builder().layers(layers).build());
    let gate = setup.mock.hold_blobs(1000);
    let mut command = std::process::Command::new(hoist_binary());
    command.env_clear().env("HOIST_ROOT", setup.root()).stderr(std::process::Stdio::piped());
    let child = command.args(["pull", "--platform=linux/amd64", &reference]).spawn().unwrap();
    gate.until_held(2).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(told.ends_with("kept, and the next pull continues from there\n"), "{told}");
    assert!(tree(&setup.root().join("staging")).is_empty() && tree(&setup.root().join("refs")).is_empty());
    gate.release();
    setup.hoist(&["gc", "--all"]).await.ok();
    check_nothing_left(&setup.root()).unwrap();
    let listed = setup.hoist(&["pull", "--quiet", &reference]).await;
    assert!(!listed.ok().is_empty());
}

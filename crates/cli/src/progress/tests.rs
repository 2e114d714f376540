//! What is shown of pulls, on a terminal of a given size and by a clock that the test turns.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hoist::{Digest, Document, ErrorKind, Event, Events, Manifest, Platform, PullEvents, Reference, Source};
use serde_json::{Value, json};

use super::report::Report;
use super::state::State;
use super::{frame, json, plain};
use crate::output::screen::Size;

const MIB: u64 = 1 << 20;

/// A state with a clock, and what it has reported.
#[derive(Clone)]
struct Fake(Arc<Mutex<(State, Instant, Vec<Report>)>>);

impl Fake {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((State::default(), Instant::now(), Vec::new()))))
    }

    fn send(&self, event: Event) {
        let mut inner = self.0.lock().unwrap();
        let now = inner.1;
        let report = inner.0.apply(event, now);
        inner.2.extend(report);
    }

    fn pull(&self, reference: &str) -> PullEvents {
        let this = self.clone();
        let reference: Reference = reference.parse().unwrap();
        let pull =
            Events::to(move |event| this.send(event)).for_pull(&reference, &"linux/amd64".parse().unwrap());
        pull.started();
        pull
    }

    /// Lets time pass, with a look now and then, as the terminal is drawn.
    fn pass(&self, millis: u64) {
        for _ in 0..millis / 100 {
            let mut inner = self.0.lock().unwrap();
            inner.1 += Duration::from_millis(100);
            let now = inner.1;
            inner.0.reports(now);
        }
    }

    fn begin(&self, layer: &(Digest, u64)) {
        self.send(Event::blob_started(layer.0.clone(), layer.1));
    }

    fn arrive(&self, layer: &(Digest, u64), bytes: u64) {
        self.send(Event::blob_progress(layer.0.clone(), bytes, Source::Registry("ghcr.io".into())));
    }

    fn reports(&self) -> Vec<Report> {
        let mut inner = self.0.lock().unwrap();
        let now = inner.1;
        inner.0.reports(now)
    }

    /// What a terminal of this size shows.
    fn screen(&self, columns: u16, rows: u16) -> String {
        let mut terminal = vt100::Parser::new(rows, columns, 0);
        for line in frame::frame(&self.reports(), Size { columns: columns.into(), rows: rows.into() }, true) {
            terminal.process(format!("{}\r\n", line.text).as_bytes());
        }
        terminal.screen().contents()
    }

    /// The lines of a log since the last call.
    fn log(&self) -> Vec<String> {
        let reports = std::mem::take(&mut self.0.lock().unwrap().2);
        reports.iter().filter_map(plain::line).collect()
    }
}

/// Layers of these sizes, and the manifest that lists them.
fn image(sizes: &[u64]) -> (Manifest, Vec<(Digest, u64)>) {
    let layers: Vec<_> =
        (0..).zip(sizes).map(|(n, size)| (Digest::sha256(format!("{n} {size}").as_bytes()), *size)).collect();
    let describe = |(digest, size): &(Digest, u64)| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe(&layers[0]),
        "layers": layers[1..].iter().map(describe).collect::<Vec<_>>(),
    });
    match Document::parse(manifest.to_string().as_bytes(), None).unwrap() {
        Document::Manifest(manifest) => (manifest, layers),
        other => panic!("{other:?}"),
    }
}

/// An image of which one layer was here, one is whole, and two are on their way at 2 MiB/s together.
fn halfway() -> Fake {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[MIB, 20 * MIB, 8 * MIB, 3 * MIB, 30 * MIB]));
    let pull = fake.pull("nginx:1.27");
    pull.resolved(&layers[0].0);
    pull.manifest(&manifest);
    fake.send(Event::blob_found(layers[1].0.clone(), layers[1].1));
    layers[2..4].iter().chain(&layers[..1]).for_each(|layer| fake.begin(layer));
    fake.arrive(&layers[0], MIB);
    fake.send(Event::blob_verified(layers[0].0.clone()));
    for _ in 0..2 {
        fake.pass(1000);
        fake.arrive(&layers[2], 3 * MIB / 2);
        fake.arrive(&layers[3], MIB / 2);
    }
    fake.pass(400);
    fake
}

#[test]
fn an_image_has_a_line_with_bytes_rate_and_time_left_and_its_moving_layers_below() {
    assert_eq!(
        halfway().screen(100, 24),
        "nginx:1.27      [===========>                ]    25.0/62.0 MiB     2.1 MiB/s     18s      2/5
  d19d3a3867ae  [==========>                 ]      3.0/8.0 MiB
  0f57de684e68  [=========>                  ]      1.0/3.0 MiB"
    );
}

#[test]
fn a_narrow_terminal_shows_what_matters_most() {
    assert_eq!(
        halfway().screen(60, 24),
        "nginx:1.27        25.0/62.0 MiB     2.1 MiB/s     18s
  d19d3a3867ae      3.0/8.0 MiB
  0f57de684e68      1.0/3.0 MiB"
    );
    assert_eq!(
        halfway().screen(40, 24),
        "nginx:1.27        25.0/62.0 MiB     18s
  d19d3a3867ae      3.0/8.0 MiB
  0f57de684e68      1.0/3.0 MiB"
    );
    assert_eq!(halfway().screen(20, 24), "nginx:1.27      40%\n  d19d3a3867a   37%\n  0f57de684e6   33%");
}

#[test]
fn no_line_is_as_wide_as_the_terminal_and_the_lines_are_fewer_than_its_rows() {
    let fake = Fake::new();
    for name in ["a", "ghcr.io/a-rather-long-organisation/with/a/deep/path:and-a-long-tag", "library/b:v1"] {
        let (manifest, layers) = image(&[7; 62].map(|size| size * MIB * name.len() as u64));
        fake.pull(name).manifest(&manifest);
        for layer in &layers {
            fake.begin(layer);
            fake.arrive(layer, layer.1 / 3);
        }
    }
    fake.pass(3000);
    for columns in 1..130 {
        for rows in [1, 2, 3, 4, 5, 8, 24] {
            let lines = frame::frame(&fake.reports(), Size { columns, rows }, false);
            assert!(lines.len() < rows.max(2), "{} lines in {rows} rows", lines.len());
            for line in lines {
                assert!(line.width < columns, "{line:?} in {columns} columns");
                assert_eq!(line.text.chars().count(), line.width);
            }
        }
    }
}

#[test]
fn several_images_share_the_rows_and_the_rest_of_their_layers_is_counted() {
    let fake = Fake::new();
    for name in ["one", "two"] {
        let (manifest, layers) = image(&[5 * MIB, 6 * MIB, 7 * MIB, name.len() as u64 + 8 * MIB]);
        fake.pull(name).manifest(&manifest);
        for layer in &layers {
            fake.begin(layer);
            fake.arrive(layer, MIB);
        }
    }
    fake.pass(300);
    let screen = fake.screen(60, 7);
    let heads: Vec<_> = screen.lines().map(|line| line.split("  ").find(|cell| !cell.is_empty())).collect();
    assert_eq!(heads.len(), 6, "{screen}");
    assert_eq!(heads[0], Some("one:latest"));
    assert_eq!((heads[2], heads[3]), (Some("and 3 more"), Some("two:latest")), "{screen}");
}

#[test]
fn more_images_than_rows_are_counted() {
    let fake = Fake::new();
    for name in ["one", "two", "three", "four"] {
        fake.pull(name);
    }
    let expected = "one:latest      asking the registry\nand 3 more images";
    assert_eq!(fake.screen(60, 3), expected);
}

#[test]
fn what_is_here_is_counted_and_does_not_make_the_rate() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB, 10 * MIB]));
    let pull = fake.pull("demo");
    pull.manifest(&manifest);
    fake.send(Event::blob_found(layers[0].0.clone(), layers[0].1));
    fake.begin(&layers[1]);
    fake.send(Event::blob_progress(layers[1].0.clone(), 15 * MIB, Source::Store));
    fake.pass(1000);
    let report = &fake.reports()[0];
    assert_eq!((report.sum.done, report.sum.here, report.fetched()), (25 * MIB, 25 * MIB, 0));
    assert_eq!((report.rate, report.left()), (Some(0), None));
    fake.arrive(&layers[1], 5 * MIB);
    fake.send(Event::blob_verified(layers[1].0.clone()));
    fake.begin(&layers[2]);
    fake.arrive(&layers[2], 10 * MIB);
    fake.send(Event::blob_verified(layers[2].0.clone()));
    fake.pass(1000);
    fake.log();
    pull.committed(&layers[0].0);
    assert_eq!(fake.log(), ["demo:latest: done, 40.0 MiB (25.0 MiB were here) in 2.0s, 7.5 MiB/s"]);
}

#[test]
fn a_blob_that_is_fetched_again_is_counted_once() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB]));
    fake.pull("demo").manifest(&manifest);
    for _ in 0..2 {
        fake.begin(&layers[1]);
        fake.arrive(&layers[1], 20 * MIB);
    }
    fake.arrive(&layers[1], 20 * MIB);
    assert_eq!(fake.reports()[0].sum.done, 20 * MIB);
}

#[test]
fn a_log_has_a_line_at_the_beginning_every_few_seconds_and_at_the_end() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB + 1, 10 * MIB + 2, 10 * MIB + 3]));
    let pull = fake.pull("ghcr.io/a/b:v1");
    let digest = &layers[0].0;
    pull.resolved(digest);
    pull.manifest(&manifest);
    assert_eq!(fake.log(), [format!("ghcr.io/a/b:v1: pulling {digest}: 30.0 MiB in 2 layers")]);
    fake.begin(&layers[0]);
    fake.pass(1000);
    fake.arrive(&layers[0], 2 * MIB);
    fake.pass(4000);
    let running: Vec<_> = fake.reports().iter().filter_map(plain::line).collect();
    assert_eq!(running, ["ghcr.io/a/b:v1: 2.0/30.0 MiB, 426.7 KiB/s, 1m08s left"]);
    for layer in &layers {
        fake.begin(layer);
        fake.arrive(layer, layer.1);
        fake.send(Event::blob_verified(layer.0.clone()));
    }
    assert_eq!(fake.log(), Vec::<String>::new());
    pull.committed(digest);
    assert_eq!(fake.log(), ["ghcr.io/a/b:v1: done, 30.0 MiB in 5.0s, 6.0 MiB/s"]);
}

#[test]
fn a_log_says_nothing_of_a_hit_and_leaves_errors_to_the_command() {
    let fake = Fake::new();
    let digest = Digest::sha256(b"");
    let hit = fake.pull("one");
    hit.hit(&digest);
    hit.committed(&digest);
    fake.pull("two").failed(&hoist::Error::new(ErrorKind::NotFound, "lost"));
    assert_eq!(fake.log(), Vec::<String>::new());
    assert!(fake.reports().is_empty());
}

#[test]
fn an_image_that_was_here_under_another_name_has_nothing_to_fetch() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB]));
    let pull = fake.pull("demo");
    pull.manifest(&manifest);
    fake.log();
    pull.committed(&layers[0].0);
    assert_eq!(fake.log(), ["demo:latest: done, all 30.0 MiB were here"]);
}

#[test]
fn equal_pulls_are_one() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB]));
    let [first, second] = [fake.pull("demo"), fake.pull("docker.io/library/demo:latest")];
    first.manifest(&manifest);
    fake.log();
    assert_eq!(fake.reports().len(), 1);
    first.committed(&layers[0].0);
    assert_eq!((fake.log().len(), fake.reports().len()), (0, 1));
    second.committed(&layers[0].0);
    assert_eq!((fake.log().len(), fake.reports().len()), (1, 0));
}

#[test]
fn blobs_that_no_manifest_lists_belong_to_the_only_image() {
    let (fake, (_, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB]));
    fake.pull("demo");
    fake.begin(&layers[0]);
    fake.begin(&layers[1]);
    fake.arrive(&layers[1], 5 * MIB);
    let sum = fake.reports()[0].sum;
    assert_eq!((sum.done, sum.total, sum.blobs), (5 * MIB, 30 * MIB, 2));
}

#[test]
fn json_has_an_object_for_each_step() {
    let (fake, (manifest, layers)) = (Fake::new(), image(&[10 * MIB, 20 * MIB]));
    let pull = fake.pull("demo");
    pull.manifest(&manifest);
    fake.begin(&layers[0]);
    fake.arrive(&layers[0], 5 * MIB);
    let running = fake.reports();
    pull.failed(&hoist::Error::new(ErrorKind::Unavailable, "gone"));
    let told = std::mem::take(&mut fake.0.lock().unwrap().2);
    let objects: Vec<Value> = told
        .iter()
        .chain(&running)
        .map(|report| serde_json::from_str(&json::line(report)).unwrap())
        .collect();
    let statuses: Vec<_> = objects.iter().map(|object| object["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["resolving", "resolved", "failed", "fetching"]);
    assert_eq!((&objects[2]["error"], &objects[3]["error"]), (&json!("unavailable"), &Value::Null));
    assert_eq!((&objects[3]["bytes"], &objects[3]["totalBytes"]), (&json!(5 * MIB), &json!(30 * MIB)));
    assert_eq!(objects[3]["reference"], "docker.io/library/demo:latest");
    assert_eq!(objects[3]["platform"], Platform::to_string(&"linux/amd64".parse().unwrap()));
}

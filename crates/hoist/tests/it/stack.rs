//! What is stacked on what, and what is said where it is not compiled in.

use crate::layout::Layout;
use hoist::ErrorKind;

/// What is stacked, or the error's kind, with the images' directory called `IMAGES`.
#[cfg(feature = "local")]
fn shown(dir: &Layout, opened: hoist::Result<hoist::Hoist>) -> Result<String, ErrorKind> {
    let images = dir.images().display().to_string();
    opened.map(|hoist| hoist.to_string().replace(&images, "IMAGES")).map_err(|error| error.kind().clone())
}

#[test]
fn no_source_at_all_is_a_mistake() {
    let dir = Layout::empty();
    let config = dir.store_only();
    let error = hoist::open(&config.without_remote()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidConfig);
    let help = error.help().unwrap();
    assert!(help.contains("remote.enabled") && help.contains("local.path"), "{help}");
}

#[test]
fn what_is_not_compiled_in_is_named_when_it_is_asked_for() {
    let dir = Layout::empty();
    let config = dir.store_only();
    let local = || config.clone().without_remote().without_cache().with_local(dir.images());
    for (feature, compiled_in, config) in [
        ("remote", cfg!(feature = "remote"), config.clone().with_remote().without_cache()),
        ("local", cfg!(feature = "local"), local()),
        ("cache", cfg!(all(feature = "cache", feature = "local")), local().with_cache()),
    ] {
        match hoist::open(&config) {
            Ok(_) => assert!(compiled_in, "{feature}"),
            Err(error) => {
                assert!(!compiled_in, "{}", error.report());
                assert_eq!(*error.kind(), ErrorKind::Unsupported);
                let first = if cfg!(feature = "local") || feature == "remote" { feature } else { "local" };
                let message = format!("the feature `{first}` of the crate hoist is not compiled in");
                assert!(error.to_string().contains(&message), "{error}");
                assert!(error.help().unwrap().contains(&format!("--features {first}")));
            }
        }
    }
}

#[test]
fn the_other_client_is_one_that_only_pulls() {
    let dir = Layout::empty();
    let opened =
        hoist::Hoist::builder().config(dir.store_only()).client(hoist::RemoteClient::OciClient).build();
    if !cfg!(feature = "distribution") {
        let error = opened.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("the feature `distribution` of the crate hoist"), "{error}");
        assert!(error.help().unwrap().contains("--features distribution"));
        return;
    }
    let hoist = opened.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for error in [
        runtime.block_on(hoist.tags("registry.example/demo")).unwrap_err(),
        runtime.block_on(hoist.resolve_remote("registry.example/demo:v1")).unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("`remote.client`"), "{error}");
    }
    assert!(hoist.to_string().contains("distribution"), "{hoist}");
}

#[test]
fn who_says_how_the_store_answers_is_told_where_it_cannot() {
    use hoist::CachePolicy;

    let dir = Layout::empty();
    for config in [
        dir.store_only().with_policy(CachePolicy::Never),
        dir.store_only().with_stale(),
        dir.store_only().with_not_found_kept_for(std::time::Duration::from_secs(5)),
    ] {
        let opened = hoist::Hoist::builder().config(config).without_remote();
        let opened = opened.source(|context| crate::mine::Mine(context.platform.clone())).build();
        assert_eq!(opened.is_ok(), cfg!(feature = "cache"));
    }
}

#[test]
fn offline_there_has_to_be_something_that_answers() {
    let dir = Layout::empty();
    let error = hoist::open(&dir.store_only().with_offline().without_cache()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidConfig);
    let message = error.to_string();
    assert!(message.contains("`offline`") && message.contains("`cache.enabled`"), "{message}");
    let own = hoist::Hoist::builder().store(dir.store()).offline().without_cache();
    own.source(|context| crate::mine::Mine(context.platform.clone())).build().unwrap();
}

#[cfg(feature = "local")]
#[tokio::test]
async fn a_limit_is_kept_to_where_images_have_no_names_in_the_store() {
    use hoist::LocalRegistry;

    let dir = Layout::with_images(&["v1", "v2", "v3"]);
    let images = dir.images();
    let other = dir.store().with_file_name("other");
    let builder = hoist::Hoist::builder().store(dir.store()).max_size(1).without_remote().without_cache();
    let hoist = builder
        .source(move |_| {
            let store = hoist::Store::open(&other, hoist::StoreOptions::default()).unwrap();
            LocalRegistry::open(&images, store).unwrap()
        })
        .build()
        .unwrap();
    let held = || hoist.store().usage().unwrap().images.len();
    let (first, lease) = hoist.pull_leased("images:v1").await.unwrap();
    drop(hoist.pull_leased("images:v2").await.unwrap());
    assert_eq!(held(), 2, "both were leased");
    drop(lease);
    let (_, _lease) = hoist.pull_leased("images:v3").await.unwrap();
    assert_eq!(held(), 1);
    assert!(!first.path.exists());
}

#[cfg(all(feature = "local", feature = "cache"))]
#[tokio::test]
async fn all_names_that_an_image_loses_are_told() {
    let dir = Layout::with_image();
    let hoist = hoist::open(&dir.config()).unwrap();
    let (image, lease) = hoist.pull_leased("images:v1").await.unwrap();
    let pinned = format!("docker.io/library/images:v0@{}", image.digest);
    for name in [&pinned, "docker.io/library/images:v2", "example.com/images:v3"] {
        hoist.store().name(&name.parse().unwrap(), hoist.platform(), &lease, None).unwrap();
    }
    drop(lease);
    let removed = hoist.remove_all(&image.digest).await.unwrap();
    let names = ["docker.io/library/images:v1", "docker.io/library/images:v2", "example.com/images:v3"];
    assert!(names.iter().all(|name| removed.iter().any(|one| one == name)), "{removed:?}");
    assert_eq!(hoist.store().usage().unwrap().images, []);
}

#[cfg(feature = "local")]
#[test]
fn a_lone_directory_is_all_there_is() {
    let dir = Layout::empty();
    let config = dir.store_only();
    let config = config.without_remote().without_cache().with_local(dir.images());
    assert_eq!(shown(&dir, hoist::open(&config)), Ok("local(IMAGES)".to_owned()));
}

#[cfg(all(feature = "local", feature = "cache"))]
#[test]
fn the_cache_is_in_front() {
    let dir = Layout::empty();
    let config = dir.store_only();
    let config = config.without_remote().with_local(dir.images());
    assert_eq!(shown(&dir, hoist::open(&config)), Ok("cached(local(IMAGES))".to_owned()));
}

#[cfg(all(feature = "local", feature = "cache"))]
#[test]
fn pulls_are_bounded_behind_the_cache_and_seen_in_front_of_it() {
    let dir = Layout::empty();
    let config = dir.config().with_max_pulls(4.try_into().unwrap()).with_observe();
    let all = "observed(cached(limited(4, local(IMAGES))))";
    let hoist = hoist::open(&config).unwrap();
    assert_eq!(shown(&dir, Ok(hoist.for_platform("linux/s390x".parse().unwrap()))), Ok(all.to_owned()));
    assert_eq!(shown(&dir, Ok(hoist)), Ok(all.to_owned()));
}

#[cfg(all(feature = "local", feature = "cache"))]
#[tokio::test]
async fn a_pull_begins_once_and_ends_once_however_many_are_asked() {
    use std::sync::{Arc, Mutex};

    use hoist::{Event, Events, ImageRegistry};

    let dir = Layout::with_image();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let events = Events::to(move |event| {
        let word = match event {
            Event::Started { .. } => "started",
            Event::Committed { .. } => "committed",
            Event::Failed { .. } => "failed",
            _ => return,
        };
        sink.lock().unwrap().push(word);
    });
    let config = dir.store_only().with_local(dir.images()).with_offline();
    let hoist = hoist::open_with_events(&config, events).unwrap();
    hoist.pull("images:v1").await.unwrap();
    hoist.pull("images:v1").await.unwrap();
    hoist.pull("images:v0").await.unwrap_err();
    drop(hoist.pull_leased("images:v1").await.unwrap());
    let once = ["started", "committed"];
    let expected = [once, once, ["started", "failed"], once].concat();
    assert_eq!(*told.lock().unwrap(), expected);
}

#[cfg(all(feature = "local", feature = "cache"))]
#[tokio::test]
async fn all_events_of_a_pull_have_its_id_and_platform() {
    use std::num::NonZeroUsize;

    use hoist::{Event, Events, ImageRegistry};

    let dir = Layout::with_image();
    let (events, mut received) = Events::channel(100);
    let config = dir.store_only().with_local(dir.images()).with_offline().with_observe();
    let config = config.with_max_pulls(NonZeroUsize::MIN); // so that backends pull in tasks
    let hoist = hoist::open_with_events(&config, events).unwrap();
    for steps in
        [&["Started", "Resolved", "Manifest", "Committed"][..], &["Started", "Resolved", "Hit", "Committed"]]
    {
        hoist.pull("images:v1").await.unwrap();
        let of_pulls = std::iter::from_fn(|| received.try_next()).filter(|event| event.pull().is_some());
        let told: Vec<_> = of_pulls.collect();
        assert!(told.iter().all(|event| event.pull() == told[0].pull()), "{told:?}");
        let names = told.iter().map(|event| match event {
            Event::Started { platform, .. } if platform == hoist.platform() => "Started",
            Event::Resolved { platform, .. } if platform == hoist.platform() => "Resolved",
            Event::Manifest { platform, .. } if platform == hoist.platform() => "Manifest",
            Event::Hit { platform, .. } if platform == hoist.platform() => "Hit",
            Event::Committed { platform, .. } if platform == hoist.platform() => "Committed",
            _ => "another",
        });
        assert_eq!(names.collect::<Vec<_>>(), steps, "{told:?}");
    }
}

#[cfg(all(feature = "local", feature = "cache", feature = "remote"))]
#[test]
fn the_directory_is_asked_before_the_registries() {
    let dir = Layout::empty();
    let config = dir.store_only();
    let config = config.with_local(dir.images());
    let all = "cached(fallback(local(IMAGES), remote))";
    assert_eq!(shown(&dir, hoist::open(&config)), Ok(all.to_owned()));
    let uncached = hoist::open(&config.without_cache());
    assert_eq!(shown(&dir, uncached), Ok("fallback(local(IMAGES), remote)".to_owned()));
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn offline_nothing_is_asked_and_nothing_is_called_missing() {
    use hoist::ImageRegistry;

    let dir = Layout::empty();
    let config = dir.store_only();
    let hoist = hoist::open(&config.clone().with_offline()).unwrap();
    assert_eq!(hoist.to_string(), "cached(offline)");
    let error = hoist.pull("registry.invalid/demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("`offline`"), "{}", error.report());
    assert!(!hoist.is_cached("demo:v1").await && !hoist.remove("demo:v1").await.unwrap());
    #[cfg(feature = "local")]
    {
        let dir = Layout::with_image();
        let hoist = hoist::open(&config.with_offline().with_local(dir.images())).unwrap();
        assert_eq!(*hoist.pull("images:v0").await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(hoist.pull("images:v1").await.unwrap().reference, "docker.io/library/images:v1");
    }
}

#[cfg(feature = "local")]
#[tokio::test]
async fn another_platform_is_another_view_of_the_same_store() {
    use hoist::ImageRegistry;

    let dir = Layout::with_image();
    let config = dir.store_only();
    let hoist = hoist::open(&config.without_remote().with_local(dir.images())).unwrap();
    let windows = hoist.for_platform("windows/amd64".parse().unwrap());
    assert_eq!(windows.platform().to_string(), "windows/amd64");
    assert_eq!(windows.store().root(), hoist.store().root());
    assert_eq!(windows.to_string(), hoist.to_string());
    hoist.pull("images:v1").await.unwrap();
    assert!(hoist.is_cached("images:v1").await);
    let back = windows.for_platform(hoist.platform().clone());
    assert!(back.is_cached("images:v1").await);
}

#[tokio::test]
async fn a_registry_of_ones_own_is_a_source_like_any_other() {
    use crate::mine::Mine;
    use hoist::Hoist;

    let dir = Layout::empty();
    let config = dir.store_only();
    let builder = Hoist::builder().config(config).without_remote();
    let hoist = builder.source(|context| Mine(context.platform.clone())).build().unwrap();
    assert_eq!(hoist.to_string(), if cfg!(feature = "cache") { "cached(mine)" } else { "mine" });
    for platform in ["linux/riscv64", "linux/s390x"] {
        let view = hoist.for_platform(platform.parse().unwrap());
        let error = view.pull_leased("demo").await.unwrap_err();
        assert!(error.report().contains(platform), "{}", error.report());
        assert_eq!(view.resolve("demo").await.unwrap().map(|image| image.digest), None);
    }
}

#[cfg(feature = "local")]
#[tokio::test]
async fn an_image_is_leased_before_anybody_could_remove_it() {
    use hoist::ImageRegistry;

    let dir = Layout::with_image();
    let config = dir.store_only();
    let hoist = hoist::open(&config.without_remote().with_local(dir.images())).unwrap();
    assert_eq!(hoist.resolve("images:v0").await.unwrap().map(|image| image.reference), None);
    let (image, lease) = hoist.pull_leased("images:v1").await.unwrap();
    assert_eq!(lease.digest().to_string(), image.digest);
    assert!(image.path.starts_with(hoist.store().root()));
    let reference = image.reference.parse().unwrap();
    assert!(hoist.store().remove(&reference, hoist.platform()).unwrap());
    assert!(image.path.join("index.json").exists());
    drop(lease);
    let again = hoist.pull("images:v1").await.unwrap();
    assert_eq!(hoist.resolve("images:v1").await.unwrap().unwrap().path, again.path);
    assert_eq!(hoist.list_cached().await.unwrap(), [again.reference]);
}

#[cfg(feature = "local")]
#[tokio::test]
async fn to_resolve_a_digest_gives_it_no_name_and_evicts_nothing() {
    use hoist::ImageRegistry;

    let dir = Layout::with_images(&["v1", "v2"]);
    let hoist = hoist::open(&dir.config()).unwrap();
    for name in ["images:v1", "images:v2"] {
        hoist.pull(name).await.unwrap();
    }
    let image = hoist.resolve("images:v1").await.unwrap().unwrap();
    let names = hoist.store().list(hoist.platform()).unwrap();
    hoist.store().limit_to(Some(1));
    let pinned = format!("images@{}", image.digest);
    assert_eq!(hoist.resolve(&pinned).await.unwrap().unwrap().path, image.path);
    assert_eq!(hoist.store().list(hoist.platform()).unwrap(), names);
}

//! Which images a stack hands out, as its configuration has it.

use crate::layout::Layout;
use hoist::{Config, ErrorKind, Hoist, ImageRegistry, NamePattern};

/// Whether a stack of this configuration, in which nobody has any image, refuses this name.
async fn refuses(layout: &Layout, admission: &str, name: &str) -> bool {
    let config = Config::from_toml(&format!("[admission]\n{admission}")).unwrap();
    let directory = layout.config();
    let config = config.with_root(directory.root).with_local(layout.images()).without_remote();
    let error = hoist::open(&config).unwrap().pull(name).await.unwrap_err();
    match error.kind() {
        ErrorKind::NotFound => false,
        ErrorKind::Refused => true,
        other => panic!("{other:?}: {}", error.report()),
    }
}

#[tokio::test]
async fn the_longest_scope_decides_and_without_one_what_is_not_allowed_is_refused() {
    let layout = Layout::empty();
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let pinned = &*format!("nginx@{digest}");
    for (admission, name, is_refused) in [
        ("", "nginx", false),
        ("allow = []", "nginx", true),
        ("allow = ['*']", "nginx", false),
        ("allow = ['docker.io']", "ghcr.io/a/b", true),
        ("deny = ['docker.io']", "ghcr.io/a/b", false),
        ("deny = ['docker.io']", "nginx", true),
        ("deny = ['*']", "nginx", true),
        ("allow = ['docker.io/library']\ndeny = ['docker.io']", "nginx", false),
        ("allow = ['docker.io/library']\ndeny = ['docker.io']", "a/b", true),
        ("allow = ['docker.io']\ndeny = ['docker.io/library']", "nginx", true),
        ("allow = ['docker.io']\ndeny = ['docker.io/library']", "a/b", false),
        ("allow = ['docker.io', 'docker.io/library/nginx']\ndeny = ['docker.io/library']", "nginx", false),
        ("require-digest = ['docker.io/library']", "nginx", true),
        ("require-digest = ['docker.io/library']", pinned, false),
        ("require-digest = ['docker.io/library']", &format!("nginx:latest@{digest}"), false),
        ("require-digest = ['docker.io/library']", "ghcr.io/a/b", false),
        ("deny = ['docker.io']\nrequire-digest = ['*']", pinned, true),
    ] {
        assert_eq!(refuses(&layout, admission, name).await, is_refused, "{name} with {admission}");
    }
}

#[tokio::test]
async fn an_image_of_a_directory_has_to_be_admitted_by_its_name_there() {
    let layout = Layout::with_image();
    let pattern = |text: &str| text.parse::<NamePattern>().unwrap();
    let elsewhere =
        Hoist::builder().config(layout.config().with_allowed(pattern("ghcr.io"))).build().unwrap();
    let error = elsewhere.pull("images:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Refused, "{}", error.report());
    let there = layout.config().with_allowed(pattern("docker.io/library/images"));
    Hoist::builder().config(there).build().unwrap().pull("images:v1").await.unwrap();
    assert_eq!(*elsewhere.pull("images:v1").await.unwrap_err().kind(), ErrorKind::Refused, "it is here now");
}

#[test]
fn the_environment_goes_before_the_file() {
    let file = Config::from_toml("[admission]\nallow = ['ghcr.io']\ndeny = ['ghcr.io/a']").unwrap();
    let said = |name: &str, value: &'static str| {
        let name = name.to_owned();
        file.clone().with_variables(move |asked| (asked == name).then(|| value.into()))
    };
    let config = said("HOIST_ADMISSION_ALLOW", "docker.io/library, quay.io").unwrap();
    let patterns: Vec<_> = config.admission.allow.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        (patterns, config.admission.deny),
        (vec!["docker.io/library".into(), "quay.io".into()], file.admission.deny.clone())
    );
    let error = said("HOIST_ADMISSION_DENY", "ghcr.io").unwrap_err().report();
    assert!(error.contains("`admission.allow`") && error.contains("`admission.deny`"), "{error}");
    let error = said("HOIST_ADMISSION_REQUIRE_DIGEST", "nginx").unwrap_err().report();
    assert!(
        error.contains("`HOIST_ADMISSION_REQUIRE_DIGEST`") && error.contains("docker.io/library"),
        "{error}"
    );
}

//! What the environment says goes before what a file says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use hoist::{CachePolicy, Config, Durability, ErrorKind, RemoteClient};

/// The configuration of this text, in an environment with these variables alone.
fn with(text: &str, variables: &[(&str, &str)]) -> hoist::Result<Config> {
    let lookup = |name: &str| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
    };
    Config::from_toml(text)?.with_variables(lookup)
}

#[test]
fn each_variable_goes_before_its_key() {
    let file = r#"
        root = "/srv/file"
        platform = "linux/amd64"
        max-size = "1GiB"
        [remote]
        enabled = false
        connections = 3
        retries = 9
        plain-http = ["file:5000"]
        [cache]
        enabled = false
    "#;
    let variables = [
        ("HOIST_ROOT", "/srv/environment"),
        ("HOIST_PLATFORM", "linux/arm64"),
        ("HOIST_DURABILITY", "none"),
        ("HOIST_MAX_SIZE", "2GiB"),
        ("HOIST_ACCESS_GROUP", "36"),
        ("HOIST_MAX_PULLS", "4"),
        ("HOIST_OBSERVE", "true"),
        ("HOIST_REMOTE_ENABLED", "true"),
        ("HOIST_REMOTE_CLIENT", "hoist"),
        ("HOIST_REMOTE_CONNECTIONS", "5"),
        ("HOIST_REMOTE_STALL_TIMEOUT", "7"),
        ("HOIST_REMOTE_CONNECT_TIMEOUT", "1m 30s"),
        ("HOIST_REMOTE_RETRIES", "0"),
        ("HOIST_REMOTE_PLAIN_HTTP", "a:5000, b:5000"),
        ("HOIST_LOCAL_PATH", "/srv/images"),
        ("HOIST_LOCAL_REPOSITORY", "example.com/demo"),
        ("HOIST_LOCAL_WRITABLE", "0"),
        ("HOIST_LOCAL_IMMUTABLE", "1"),
        ("HOIST_CACHE_ENABLED", "true"),
        ("HOIST_CACHE_POLICY", "newer-than 1h"),
        ("HOIST_CACHE_SERVE_STALE", "true"),
        ("HOIST_CACHE_REMEMBER_NOT_FOUND", "5s"),
    ];
    let expected = Config::default()
        .with_root("/srv/environment")
        .with_platform("linux/arm64".parse().unwrap())
        .with_durability(Durability::None)
        .with_max_size(2 << 30)
        .with_access_group(36)
        .with_max_pulls(4.try_into().unwrap())
        .with_observe()
        .with_remote()
        .with_client(RemoteClient::Hoist)
        .with_remote_options(|options| {
            options
                .with_connections(5.try_into().unwrap())
                .with_stall_timeout(Duration::from_secs(7))
                .with_connect_timeout(Duration::from_secs(90))
                .with_retries(0)
                .with_plain_http("a:5000")
                .with_plain_http("b:5000")
        })
        .with_local("/srv/images")
        .with_local_repository("example.com/demo".parse().unwrap())
        .with_immutable_local()
        .with_cache()
        .with_policy(CachePolicy::NewerThan(Duration::from_hours(1)))
        .with_stale()
        .with_not_found_kept_for(Duration::from_secs(5));
    assert_eq!(with(file, &variables).unwrap(), expected);
}

#[test]
fn a_variable_that_is_empty_says_nothing() {
    let config = with("root = \"/srv/file\"", &[("HOIST_ROOT", ""), ("HOIST_OFFLINE", "")]).unwrap();
    assert_eq!((config.root.as_path(), config.offline), (Path::new("/srv/file"), false));
}

#[test]
fn offline_in_the_environment_goes_before_a_file_that_asks_registries() {
    let file = "[remote]\nenabled = true\nretries = 9\n[local]\npath = \"/srv/images\"";
    let config = with(file, &[("HOIST_OFFLINE", "1")]).unwrap();
    assert!(config.offline && !config.asks_registries());
    let file = "offline = true\n[local]\npath = \"/srv/images\"";
    let config = with(file, &[("HOIST_OFFLINE", "0")]).unwrap();
    assert_eq!(config.asks_registries(), cfg!(feature = "remote"));
}

#[test]
fn a_complaint_names_the_variable() {
    for (name, value, part) in [
        ("HOIST_PLATFORM", "toaster", "linux/amd64"),
        ("HOIST_DURABILITY", "some", "synced"),
        ("HOIST_MAX_SIZE", "much", "20GiB"),
        ("HOIST_OFFLINE", "yes", "true nor false"),
        ("HOIST_REMOTE_CONNECTIONS", "0", "\"0\""),
        ("HOIST_REMOTE_CLIENT", "curl", "\"oci-client\""),
        ("HOIST_REMOTE_RETRIES", "-1", "\"-1\""),
        ("HOIST_LOCAL_REPOSITORY", "A B", "A B"),
    ] {
        let error = with("", &[(name, value)]).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidConfig, "{name}");
        let report = error.report();
        assert!(report.contains(name) && report.contains(part), "{report}");
    }
    let garbage = |name: &str| (name == "HOIST_PLATFORM").then(|| OsString::from_vec(vec![0xff]));
    let error = Config::default().with_variables(garbage).unwrap_err();
    assert!(error.report().contains("UTF-8"), "{}", error.report());
}

#[test]
fn what_fits_neither_alone_is_seen_in_the_end() {
    let immutable = with("", &[("HOIST_LOCAL_IMMUTABLE", "true")]).unwrap_err();
    assert!(immutable.report().contains("`local.path`"), "{}", immutable.report());
    let all = [
        ("HOIST_LOCAL_WRITABLE", "true"),
        ("HOIST_LOCAL_PATH", "/srv/images"),
        ("HOIST_CACHE_ENABLED", "false"),
    ];
    assert!(with("", &all).unwrap().local.writable);
}

#[test]
fn a_cache_that_is_turned_off_has_nothing_of_what_the_file_says_of_it() {
    let file = "[cache]\npolicy = \"always\"\nserve-stale = true\nremember-not-found = \"5s\"";
    let config = with(file, &[("HOIST_CACHE_ENABLED", "false")]).unwrap();
    assert_eq!(config, Config::default().without_cache());
    let variables = [("HOIST_CACHE_ENABLED", "false"), ("HOIST_CACHE_POLICY", "always")];
    let error = with("", &variables).unwrap_err().report();
    assert!(error.contains("`cache.policy`") && error.contains("`cache.enabled`"), "{error}");
}

#[test]
fn a_file_and_the_environment_are_checked_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hoist.toml");
    std::fs::write(&path, "[local]\nrepository = \"example.com/demo\"").unwrap();
    assert!(Config::load(&path).is_err(), "it has no path");
    let variables = |name: &str| (name == "HOIST_LOCAL_PATH").then(|| "/srv/images".into());
    let config = Config::load_with_variables(&path, variables).unwrap();
    assert_eq!(config.local.path.as_deref(), Some(Path::new("/srv/images")));
}

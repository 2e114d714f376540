//! What a configuration may say, and what is said of one that may not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hoist::{CachePolicy, Config, Credentials, Durability, ErrorKind, NamePattern, RemoteClient};

const WHOLE: &str = r#"
root = "/srv/store"
platform = "linux/aarch64"
durability = "none"
max-size = "20GiB"

[remote]
enabled = false
client = "hoist"
connections = 3
stall-timeout = 20
plain-http = ["10.0.0.5:5000"]
foreign-layers = ["go.microsoft.com", "*"]
retries = 2
connect-timeout = "5s 500ms"
response-timeout = "1m"
hosts-dir = "/etc/hosts.d"

[remote.mirrors]
"docker.io" = ["https://mirror.lan", "http://10.0.0.6:5000"]

[remote.credentials."ghcr.io"]
username = "jo"
password = "hunter2"

[local]
path = "/srv/images"
repository = "example.com/demo"
immutable = true

[cache]
enabled = false

[admission]
allow = ["ghcr.io/acme", "GHCR.io:443"]
deny = ["ghcr.io/acme/old"]
require-digest = ["*"]
"#;

fn complaint(text: &str) -> String {
    let error = Config::from_toml(text).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidConfig, "{text}");
    error.report()
}

#[test]
fn every_key_is_read() {
    let config = Config::from_toml(WHOLE).unwrap();
    assert_eq!(config.root, Path::new("/srv/store"));
    assert_eq!(config.platform, Some("linux/arm64".parse().unwrap()));
    assert_eq!(config.durability, Durability::None);
    assert!(!config.asks_registries() && !config.caches() && config.local.immutable);
    assert_eq!(config.remote.options.connections.unwrap().get(), 3);
    assert_eq!(config.remote.options.stall_timeout, Some(Duration::from_secs(20)));
    assert_eq!(config.remote.options.credentials["ghcr.io"].secret().expose(), "hunter2");
    let built = Config::default()
        .with_root("/srv/store")
        .with_platform("linux/arm64".parse().unwrap())
        .with_durability(Durability::None)
        .with_max_size(20 << 30)
        .without_remote()
        .with_client(RemoteClient::Hoist)
        .with_remote_options(|options| {
            options
                .with_connections(3.try_into().unwrap())
                .with_stall_timeout(Duration::from_secs(20))
                .with_plain_http("10.0.0.5:5000")
                .with_foreign_layers("go.microsoft.com")
                .with_foreign_layers("*")
                .with_retries(2)
                .with_connect_timeout(Duration::from_millis(5500))
                .with_response_timeout(Duration::from_mins(1))
                .with_hosts_dir("/etc/hosts.d")
                .with_mirror("docker.io", "https://mirror.lan")
                .with_mirror("docker.io", "http://10.0.0.6:5000")
                .with_credentials("ghcr.io", Credentials::basic("jo", "hunter2"))
        })
        .with_local("/srv/images")
        .with_local_repository("example.com/demo".parse().unwrap())
        .with_immutable_local()
        .without_cache()
        .with_allowed("ghcr.io/acme".parse().unwrap())
        .with_allowed("ghcr.io:443".parse().unwrap())
        .with_denied("ghcr.io/acme/old".parse().unwrap())
        .with_required_digest("*".parse().unwrap());
    assert_eq!(built, config);
}

#[test]
fn what_is_left_out_is_as_by_default() {
    assert_eq!(Config::from_toml("").unwrap(), Config::default());
    let config = Config::from_toml("[remote]\nplain-http = []").unwrap();
    assert_eq!(config.asks_registries(), cfg!(feature = "remote"));
    assert_eq!(config.caches(), cfg!(feature = "cache"));
}

#[test]
fn a_complaint_names_the_key_and_the_line() {
    for (text, parts) in [
        ("rot = \"/srv\"", &["line 1", "`rot`"][..]),
        ("\n[remote]\nconnections = 0", &["line 3", "remote.connections"]),
        ("[remote]\nclient = \"curl\"", &["line 2", "\"curl\"", "\"oci-client\""]),
        ("[remote]\nconcurency = 1", &["line 2", "`concurency`"]),
        ("platform = \"toaster\"", &["line 1", "platform", "linux/amd64"]),
        ("durability = \"some\"", &["line 1", "durability", "synced"]),
        ("[local]\npath = \"/srv\"\nrepository = \"A B\"", &["line 3", "local.repository"]),
        ("[local]\nwritable = true", &["`local.path`"]),
        ("[remote]\nplain-http = [\"http://10.0.0.5\"]", &["remote.plain-http", "https://"]),
        ("[remote]\nforeign-layers = [\"https://a.b\"]", &["remote.foreign-layers", "host:port"]),
        (
            "[remote.credentials.ghcr]\nusername = \"jo\"\npassword = \"p\"",
            &["remote.credentials", "\"ghcr\""],
        ),
        ("[cache]\npolicy = \"newest\"", &["line 2", "policy", "newer-than 1h"]),
        ("[cache]\npolicy = \"newer-than 1x\"", &["line 2", "1x", "7d"]),
        ("[remote]\nstall-timeout = \"soon\"", &["line 2", "remote.stall-timeout", "soon", "30s"]),
        ("[remote]\nstall-timeout = -1", &["line 2", "negative"]),
        ("[remote]\nstall-timeout = true", &["line 2", "\"10s\"", "seconds"]),
        ("[remote]\nresponse-timeout = 0", &["`remote.response-timeout`", "zero", "10s"]),
        ("[cache]\nremember-not-found = \"soon\"", &["line 2", "soon", "30s"]),
        ("[admission]\nallow = [\"nginx\"]", &["line 2", "\"nginx\"", "docker.io/library"]),
        ("[admission]\nallowed = []", &["line 2", "`allowed`"]),
        ("max-size = \"much\"", &["max-size", "20GiB"]),
        ("[cache", &["line 1"]),
    ] {
        let complaint = complaint(text);
        assert!(parts.iter().all(|part| complaint.contains(part)), "{complaint}");
        assert!(!complaint.contains('\n'), "{complaint}");
    }
}

/// One value of a good configuration is odd, doubled or cut off: it is read, or one error names its line or its key, and
/// repeats no secret.
#[test]
fn an_odd_value_is_read_or_named() {
    const ODD: [&str; 12] =
        ["\"\"", "[]", "{}", "7", "-1", "1.5", "true", "[7]", "[\"\"]", "\"\u{e9}\"", "1979-05-27", "nan"];
    let lines: Vec<_> = WHOLE.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let (key, value) = line.split_once(" = ").unwrap();
        let odd = ODD.map(|value| format!("{key} = {value}"));
        let twice = format!("{line}\n{line}");
        let upper = format!("{} = {value}", key.to_ascii_uppercase());
        let cut = line[..line.len() - 1].to_owned();
        for text in odd.into_iter().chain([twice, upper, cut, format!("{key} ="), key.to_owned()]) {
            let mut lines = lines.clone();
            lines[at] = &text;
            let Err(error) = Config::from_toml(&lines.join("\n")) else { continue };
            let report = error.report();
            if value.starts_with('[') && text.len() < line.len() && report.contains("line ") {
                continue; // a list without its end goes on in the next lines
            }
            let places =
                [format!("line {}", at + 1), format!("line {}", at + 2), key.trim_matches('"').to_owned()];
            assert!(places.iter().any(|place| report.contains(place)), "{text}: {report}");
            assert!(!report.contains("hunter2") && !report.contains('\n'), "{text}: {report}");
        }
    }
}

/// None of these would do anything, and who asks for credentials or a mirror has to know that they are not used.
#[test]
fn what_the_other_client_cannot_do_is_a_mistake() {
    for key in [
        "connections = 3",
        "stall-timeout = 5",
        "retries = 2",
        "connect-timeout = 5",
        "response-timeout = 5",
        "hosts-dir = \"/etc/hosts.d\"",
        "mirrors.\"docker.io\" = [\"https://mirror.lan\"]",
        "foreign-layers = [\"*\"]",
        "keychain = true",
        "credentials.\"ghcr.io\" = { username = \"jo\", password = \"hunter2\" }",
    ] {
        let complaint = complaint(&format!("[remote]\nclient = \"oci-client\"\n{key}"));
        let name = format!("`remote.{}`", key.split([' ', '.']).next().unwrap());
        assert!(complaint.contains(&name) && complaint.contains("`remote.client`"), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
        assert!(Config::from_toml(&format!("[remote]\nclient = \"hoist\"\n{key}")).is_ok());
    }
    let text =
        "[remote]\nclient = \"oci-client\"\nplain-http = [\"a:5000\"]\nkeychain = false\nhosts-dir = []";
    assert!(Config::from_toml(text).unwrap().asks_registries());
}

#[test]
fn a_policy_is_spelled_as_it_is_shown() {
    let hour = CachePolicy::NewerThan(Duration::from_hours(1));
    for (text, policy, shown) in [
        ("if-not-present", CachePolicy::IfNotPresent, "if-not-present"),
        ("missing", CachePolicy::IfNotPresent, "if-not-present"),
        ("always", CachePolicy::Always, "always"),
        ("never", CachePolicy::Never, "never"),
        ("newer-than 1h", hour, "newer-than 3600s"),
        ("newer-than 3600s", hour, "newer-than 3600s"),
        ("newer-than 3600", hour, "newer-than 3600s"),
        ("newer-than 1h 30m", CachePolicy::NewerThan(Duration::from_mins(90)), "newer-than 5400s"),
        ("newer-than 1s 500ms", CachePolicy::NewerThan(Duration::from_millis(1500)), "newer-than 1s 500ms"),
    ] {
        let config = Config::from_toml(&format!("[cache]\npolicy = \"{text}\"")).unwrap();
        assert_eq!(config, Config::default().with_policy(policy));
        assert_eq!(policy.to_string(), shown);
    }
    let config =
        Config::from_toml("[cache]\npolicy = \"always\"\nserve-stale = true\nremember-not-found = \"1m\"");
    let built = Config::default().with_policy(CachePolicy::Always).with_stale();
    assert_eq!(config.unwrap(), built.with_not_found_kept_for(Duration::from_mins(1)));
}

#[test]
fn keys_that_contradict_each_other_are_both_named() {
    for (text, keys) in [
        ("offline = true\n[remote]\nenabled = true", ["`offline`", "`remote.enabled`"]),
        (
            "[local]\npath = \"/srv\"\nwritable = true\n[cache]\nenabled = true",
            ["`local.writable`", "`cache.enabled`"],
        ),
        (
            "[local]\npath = \"/srv\"\nwritable = true\nimmutable = true",
            ["`local.writable`", "`local.immutable`"],
        ),
        (
            "[admission]\nallow = [\"ghcr.io/a\"]\ndeny = [\"ghcr.io/b\", \"GHCR.io/a\"]",
            ["`admission.allow`", "`admission.deny`"],
        ),
    ] {
        let complaint = complaint(text);
        assert!(keys.iter().all(|key| complaint.contains(key)), "{complaint}");
    }
}

#[test]
fn a_file_is_named_in_what_is_said_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hoist.toml");
    let missing = Config::load(&path).unwrap_err();
    assert_eq!(*missing.kind(), ErrorKind::InvalidConfig);
    assert!(missing.to_string().contains("hoist.toml"), "{missing}");
    for text in ["rot = 1", "[local]\nwritable = true"] {
        fs::write(&path, text).unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(error.contains("hoist.toml"), "{error}");
    }
    fs::write(&path, WHOLE).unwrap();
    assert_eq!(Config::load(&path).unwrap(), Config::from_toml(WHOLE).unwrap());
}

#[test]
fn a_password_is_never_shown() {
    let config = Config::from_toml(WHOLE).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let head = "[remote.credentials.\"ghcr.io\"]\nusername = \"jo\"\n";
    for password in
        ["password = 31337", "password = hunter31337", "password = \"31337", "password = \"31337\" x"]
    {
        let complaint = complaint(&format!("{head}{password}"));
        assert!(!complaint.contains("31337"), "{complaint}");
        assert!(complaint.contains("line 3"), "{complaint}");
    }
    for text in [
        "[remote]\ncredentials = \"jo:31337\"",
        "[remote.credentials]\n\"ghcr.io\" = \"jo:31337, expected \"",
        "[remote]\nretries = \"jo:31337\"",
        "[remote]\nplain-http = [\"jo:31337@10.0.0.5\"]",
        "[remote.mirrors]\n\"jo:31337@ghcr.io\" = []",
    ] {
        let complaint = complaint(text);
        assert!(!complaint.contains("31337"), "{complaint}");
    }
}

#[test]
fn hosts_dirs_are_one_or_more_or_none() {
    let read = |text: &str| Config::from_toml(&format!("[remote]\n{text}")).unwrap().remote.options.hosts_dir;
    assert_eq!(read(""), None);
    assert_eq!(read("hosts-dir = []"), Some(vec![]));
    assert_eq!(read("hosts-dir = '/a'"), Some(vec!["/a".into()]));
    assert_eq!(read("hosts-dir = ['/a', '/b']"), Some(vec!["/a".into(), "/b".into()]));
    let said = complaint("[remote]\nhosts-dir = 3\n");
    assert!(said.contains("line 2") && said.contains("a path, or a list of paths"), "{said}");
    let said = complaint("[remote.mirrors]\n'https://ghcr.io' = ['https://mirror.lan']\n");
    assert!(said.contains("remote.mirrors") && said.contains("host:port"), "{said}");
}

#[test]
fn a_name_pattern_is_a_registry_or_the_beginning_of_a_path_there() {
    let matches =
        |pattern: &str, name: &str| pattern.parse::<NamePattern>().unwrap().matches(&name.parse().unwrap());
    for (pattern, name, is_match) in [
        ("*", "nginx", true),
        ("docker.io", "nginx", true),
        ("docker.io/library", "nginx:1.27", true),
        ("docker.io/library/nginx", "nginx", true),
        ("docker.io/library/ngin", "nginx", false),
        ("docker.io/acme", "acme/app", true),
        ("docker.io/acme", "acme-labs/app", false),
        ("docker.io/acme", "library/acme", false),
        ("ghcr.io/acme/app", "ghcr.io/acme", false),
        ("ghcr.io/acme", "ghcr.io/acme", true),
        ("ghcr.io/acme", "GHCR.IO/acme/app", true),
        ("GHCR.IO/acme", "ghcr.io/acme/app", true),
        ("ghcr.io", "ghcr.io:443/acme/app", false),
        ("localhost:5000", "localhost:5000/a/b/c/d", true),
        ("[::1]:5000/a", "[::1]:5000/a/b", true),
    ] {
        assert_eq!(matches(pattern, name), is_match, "{name} in {pattern}");
    }
    for text in [
        "",
        "/",
        "nginx",
        "acme/app",
        "ghcr.io/",
        "ghcr.io//a",
        "ghcr.io/A",
        "ghcr.io/a:v1",
        "ghcr.io/a*",
        "*.example.com",
        "https://ghcr.io",
        "ghcr.io/a@sha256:00",
        "index.docker.io/a",
        " ghcr.io",
    ] {
        let error = text.parse::<NamePattern>().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidConfig, "{text}");
        assert!(error.help().unwrap().contains("registry/path"), "{text}");
    }
}

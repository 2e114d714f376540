//! Reads such files, and checks that no file causes a panic.

use proptest::prelude::*;

use super::*;
use crate::fuzz::cases;

fn read(text: &str) -> Vec<HostConfig> {
    parse(text, Path::new("/etc/containerd/certs.d/registry.lan/hosts.toml")).unwrap()
}

/// The cases are those of containerd's `TestParseHostFile` (`core/remotes/docker/config/hosts_test.go`).
#[test]
fn a_file_is_read_as_containerd_reads_it() {
    let configs = read(
        r#"
        server = "https://default.lan"
        ca = "/etc/path/default"
        [header]
          x-custom-1 = "custom header"
        [host."https://mirror.lan"]
          capabilities = ["pull"]
          ca = "/etc/certs/mirror.pem"
          skip_verify = false
          [host."https://mirror.lan".header]
            x-custom-2 = ["value1", "value2"]
        [host."https://bak.lan/us"]
          capabilities = ["pull"]
          skip_verify = true
        [host."http://mirror.lan"]
          capabilities = ["pull"]
        [host."https://one.lan"]
          capabilities = ["pull", "resolve", "push"]
          ca = ["one.pem", "/etc/certs/special.pem"]
          client = [["/etc/certs/client.cert", "client.key"], ["/etc/certs/client.pem", ""]]
        [host."https://two.lan"]
          client = "/etc/certs/client.pem"
        [host."https://three.lan"]
          client = ["/etc/certs/client-1.pem", "/etc/certs/client-2.pem"]
        [host."https://noncompliant.lan/v2/prefix"]
          override_path = true
        [host."https://noprefix.lan"]
          override_path = true
        [host."bare.lan:5000"]
          dial_timeout = "3s"
        "#,
    );
    let urls: Vec<_> = configs.iter().map(|config| config.url.as_ref().unwrap().as_str()).collect();
    assert_eq!(
        urls,
        [
            "https://mirror.lan/v2",
            "https://bak.lan/us/v2",
            "http://mirror.lan/v2",
            "https://one.lan/v2",
            "https://two.lan/v2",
            "https://three.lan/v2",
            "https://noncompliant.lan/v2/prefix",
            "https://noprefix.lan/",
            "https://bare.lan:5000/v2",
            "https://default.lan/v2",
        ]
    );
    assert_eq!(configs[0].capabilities, Capabilities { resolve: false, pull: true });
    assert_eq!(configs[0].tls.authorities, [Path::new("/etc/certs/mirror.pem")]);
    assert_eq!(configs[0].headers.get_all("x-custom-2").iter().count(), 2);
    assert!(!configs[0].tls.skip_verify && configs[1].tls.skip_verify);
    assert_eq!(configs[3].capabilities, Capabilities::default());
    let here = Path::new("/etc/containerd/certs.d/registry.lan");
    assert_eq!(configs[3].tls.authorities, [here.join("one.pem"), "/etc/certs/special.pem".into()]);
    let pair = ("/etc/certs/client.cert".into(), Some(here.join("client.key")));
    assert_eq!(configs[3].tls.clients, [pair, ("/etc/certs/client.pem".into(), None)]);
    assert_eq!(configs[4].tls.clients, [("/etc/certs/client.pem".into(), None)]);
    assert_eq!(configs[5].tls.clients.len(), 2);
    assert_eq!(configs[8].connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(configs[9].tls.authorities, [Path::new("/etc/path/default")]);
    assert_eq!(configs[9].headers["x-custom-1"], "custom header");
}

#[test]
fn what_a_file_leaves_out_is_the_registrys_own() {
    assert_eq!(read(""), [HostConfig::default()]);
    assert_eq!(read("# nothing\n[host]\n"), [HostConfig::default()]);
    assert_eq!(read("server = ''\ncapabilities = []\n"), [HostConfig::default()]);
}

#[test]
fn a_time_of_zero_is_no_limit_and_an_empty_one_is_not_set() {
    let limit =
        |text: &str| read(&format!("[host.'https://a.lan']\ndial_timeout = '{text}'\n"))[0].connect_timeout;
    for zero in ["0", "0s", "0ms", "0h0m"] {
        assert_eq!(limit(zero), Some(Duration::MAX), "{zero}");
    }
    assert_eq!(limit(""), None);
    assert_eq!(limit("1500ms"), Some(Duration::from_millis(1500)));
}

#[test]
fn keys_are_found_in_any_case() {
    let configs = read(
        "Server = 'https://default.lan/x'\nOverride_Path = true\n\
         [Host.'https://mirror.lan']\nCapabilities = ['PULL']\nSKIP_VERIFY = true\nDial_Timeout = '3s'\n\
         [HOST.'https://mirror.lan'.Header]\nX-Custom = 'x'\n",
    );
    assert_eq!(configs[0].url.as_ref().unwrap().as_str(), "https://mirror.lan/v2");
    assert!(configs[0].tls.skip_verify && !configs[0].capabilities.resolve);
    assert_eq!(configs[0].connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(configs.last().unwrap().url.as_ref().unwrap().as_str(), "https://default.lan/x");
}

fn value() -> impl Strategy<Value = String> {
    let text = "[ -~]{0,20}".prop_map(|text| format!("{text:?}"));
    let leaf = prop_oneof![text, Just("true".into()), Just("1".into()), Just("'https://a.lan'".into())];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..3);
        let table = inner.prop_map(|value| format!("{{ x-y = {value} }}"));
        prop_oneof![list.prop_map(|items| format!("[{}]", items.join(", "))), table]
    })
}

fn line() -> impl Strategy<Value = String> {
    const KEYS: [&str; 12] = [
        "server",
        "host",
        "capabilities",
        "ca",
        "client",
        "skip_verify",
        "header",
        "override_path",
        "dial_timeout",
        "proxy",
        "'https://a.lan'",
        "unknown",
    ];
    let key = || proptest::sample::select(&KEYS[..]);
    prop_oneof![
        (key(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
        "[ -~]{0,12}".prop_map(|name| format!("[host.{name:?}]")),
        key().prop_map(|key| format!("[host.'https://b.lan'.{key}]")),
        "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn fuzz_a_file_of_any_text_is_read_or_refused(text in "(\\PC|\n){0,200}") {
        check(&text)?;
    }

    #[test]
    fn fuzz_a_file_of_any_keys_is_read_or_refused(lines in proptest::collection::vec(line(), 0..8)) {
        check(&lines.join("\n"))?;
    }
}

fn check(text: &str) -> std::result::Result<(), TestCaseError> {
    match parse(text, Path::new("/hosts.toml")) {
        Ok(configs) => {
            let urls = configs.iter().filter_map(|config| config.url.as_ref());
            prop_assert!(!configs.is_empty());
            prop_assert!(urls.clone().all(|url| url.scheme().starts_with("http") && url.has_host()));
        }
        Err(error) => {
            prop_assert_eq!(error.kind(), &ErrorKind::InvalidConfig);
            prop_assert!(error.to_string().starts_with("/hosts.toml: line "), "{}", error);
        }
    }
    Ok(())
}

/// A file with a line for each key, and a host before and after.
const WHOLE: [&str; 18] = [
    "[host.'https://first.lan']",
    "capabilities = ['pull']",
    "[host.'https://odd.lan']",
    "capabilities = ['pull', 'resolve']",
    "ca = 'ca.pem'",
    "client = [['client.cert', 'client.key']]",
    "skip_verify = true",
    "override_path = true",
    "dial_timeout = '3s'",
    "proxy = 'http://proxy.lan:3128'",
    "header = { x-custom = ['a', 'b'] }",
    "unknown = 'x'",
    "[host.'https://last.lan']",
    "ca = ['one.pem', 'two.pem']",
    "dial_timeout = '1m'",
    "client = 'client.pem'",
    "skip_verify = false",
    "override_path = false",
];

/// One value in a good file is odd, doubled or missing: the other hosts are as they were, or the error has its line.
#[test]
fn an_odd_value_leaves_the_other_hosts_alone_or_is_named_with_its_line() {
    const ODD: [&str; 13] = [
        "''",
        "[]",
        "{}",
        "7",
        "-1",
        "1.5",
        "true",
        "['']",
        "[7]",
        "[['a', 'b', 'c']]",
        "'\u{e9}'",
        "{ a = 1 }",
        "1979-05-27",
    ];
    let path = Path::new("/hosts.toml");
    let good = parse(&WHOLE.join("\n"), path).unwrap();
    for at in 3..12 {
        let (key, line) = (WHOLE[at].split(" = ").next().unwrap(), at + 1);
        let odd = ODD.map(|value| format!("{key} = {value}"));
        let twice = format!("{}\n{}", WHOLE[at], WHOLE[at]);
        let cut = WHOLE[at][..WHOLE[at].len() - 1].to_owned();
        let upper = WHOLE[at].replacen(key, &key.to_ascii_uppercase(), 1);
        for text in
            odd.into_iter().chain([twice, cut, upper, String::new(), key.to_owned(), format!("{key} =")])
        {
            let mut lines = WHOLE;
            lines[at] = &text;
            match parse(&lines.join("\n"), path) {
                Ok(configs) => {
                    assert_eq!(configs.len(), good.len(), "{text}");
                    let others = [0, 2, 3].map(|n| (&configs[n], &good[n]));
                    assert!(others.iter().all(|(now, before)| now == before), "{text}");
                }
                Err(error) => {
                    let lines = [line, line + 1].map(|line| format!("/hosts.toml: line {line}: "));
                    let error = error.to_string();
                    assert!(lines.iter().any(|place| error.starts_with(place)), "{text}: {error}");
                }
            }
        }
    }
}

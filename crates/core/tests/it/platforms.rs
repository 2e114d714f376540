//! Platforms, as tables: how they are spelled, and which images run where.
//!
//! The tables are containerd's (`compare_test.go` and `platforms_test.go` of containerd/platforms), written anew.
//! hoist differs where a word on its own leaves something open: the system is then Linux, whatever the host runs;
//! and no version or feature has other characters than letters, digits, `.` and `_`.

use hoist_core::{ErrorKind, Platform};

/// A platform; what runs there; and what does not.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const ARM_BELOW_8: &[&str] = &["linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8"];

const RUNS: &[Row] = &[
    (
        "linux/amd64",
        &["linux/amd64", "linux/amd64/v1", "linux/386"],
        &["linux/amd64/v2", "linux/arm/v7", "linux/arm64", "windows/amd64", "windows/arm"],
    ),
    (
        "linux/amd64/v2",
        &["linux/amd64", "linux/amd64/v1", "linux/amd64/v2", "linux/386"],
        &["linux/amd64/v3", "linux/amd64/v4", "linux/arm/v7", "linux/arm64", "windows/amd64"],
    ),
    (
        "linux/amd64/v4",
        &["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4", "linux/386"],
        &["linux/amd64/v5"],
    ),
    ("linux/386", &["linux/386"], &["linux/amd64", "linux/arm/v7", "linux/arm64", "windows/amd64"]),
    (
        "windows/amd64",
        &["windows/amd64", "windows(10.0.17763)/amd64"],
        &["linux/amd64", "linux/arm/v7", "linux/arm64", "windows/arm", "windows(+win32k)/amd64"],
    ),
    (
        "windows(10.0.17763)/amd64",
        &["windows/amd64", "windows(10.0.17763.1)/amd64"],
        &[
            "windows(10.0.17762)/amd64",
            "windows(10.0.20348)/amd64",
            "windows(6.3.17763)/amd64",
            "linux/amd64",
        ],
    ),
    (
        "windows(10.0.26100)/amd64",
        &["windows(10.0.20348)/amd64", "windows(10.0.26100.1)/amd64"],
        &["windows(10.0.17763)/amd64", "windows(10.0.26101)/amd64"],
    ),
    ("windows(+win32k)/amd64", &["windows/amd64", "windows(+win32k)/amd64"], &["windows(+x)/amd64"]),
    ("linux/arm/v8", ARM_BELOW_8, &["linux/amd64", "linux/arm/v4", "linux/arm64", "windows/arm"]),
    (
        "linux/arm/v7",
        &["linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7"],
        &["linux/amd64", "linux/arm/v4", "linux/arm/v8", "linux/arm64"],
    ),
    (
        "linux/arm/v6",
        &["linux/arm/v5", "linux/arm/v6"],
        &["linux/arm", "linux/arm/v4", "linux/arm/v7", "linux/arm/v8", "linux/arm64"],
    ),
    ("linux/arm/v5", &["linux/arm/v5"], &["linux/arm", "linux/arm/v4", "linux/arm/v6", "linux/arm64"]),
    ("linux/arm/v4", &["linux/arm/v4"], &["linux/arm", "linux/arm/v5", "linux/arm/v8", "linux/arm64"]),
    ("linux/arm64", ARM_BELOW_8, &["linux/amd64", "linux/arm/v4", "linux/arm/v9", "linux/arm64/v9"]),
    ("linux/arm64", &["linux/arm64", "linux/arm64/v8"], &["linux/arm64/v8.1", "windows/arm64"]),
    ("linux/arm64/v8.1", ARM_BELOW_8, &["linux/arm/v4", "linux/arm/v9"]),
    (
        "linux/arm64/v8.1",
        &["linux/arm64", "linux/arm64/v8", "linux/arm64/v8.1"],
        &["linux/arm64/v8.2", "linux/arm64/v9"],
    ),
    ("linux/arm64/v9", ARM_BELOW_8, &["linux/amd64", "linux/arm/v4"]),
    (
        "linux/arm64/v9",
        &["linux/arm64", "linux/arm64/v8.1", "linux/arm64/v8.5", "linux/arm64/v9", "linux/arm64/v9.0"],
        &["linux/arm64/v8.6", "linux/arm64/v9.1"],
    ),
    ("linux/arm64/v9.2", &["linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.7"], &["linux/arm64/v8.8"]),
    ("linux/riscv64", &["linux/riscv64"], &["linux/amd64", "linux/ppc64le"]),
];

fn platform(text: &str) -> Platform {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_runs_on_a_platform_is_what_containerd_says() {
    for (host, runs, does_not) in RUNS {
        for image in *runs {
            assert!(platform(host).accepts(&platform(image)), "{image} runs on {host}");
        }
        for image in *does_not {
            assert!(!platform(host).accepts(&platform(image)), "{image} does not run on {host}");
        }
    }
}

fn chosen<'a>(host: &str, images: &[&'a str]) -> Option<&'a str> {
    let parsed: Vec<Platform> = images.iter().map(|image| platform(image)).collect();
    platform(host).choose(parsed.iter().zip(images.iter().copied()))
}

#[test]
fn the_best_fit_is_chosen_whatever_the_order() {
    for (host, images, best) in [
        ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some("linux/amd64")),
        ("linux/amd64", &["linux/386"], Some("linux/386")),
        ("linux/amd64", &["linux/amd64/v3"], None),
        ("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some("linux/amd64/v2")),
        ("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some("linux/arm64/v8")),
        ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7")),
        (
            "linux/arm64/v9",
            &["linux/arm64", "linux/arm64/v8.3", "linux/arm64/v9.1"],
            Some("linux/arm64/v8.3"),
        ),
        ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], Some("linux/arm/v6")),
        ("linux/amd64", &["windows/amd64", "linux/arm64"], None),
        // who does not say which Windows gets the first, as from containerd on Linux
        (
            "windows/amd64",
            &["windows(10.0.17763.1)/amd64", "windows(10.0.20348.1)/amd64"],
            Some("windows(10.0.17763.1)/amd64"),
        ),
        (
            "windows(10.0.26100)/amd64",
            &["windows(10.0.20348.1)/amd64", "windows(10.0.26100.2)/amd64", "windows(10.0.26100.1)/amd64"],
            Some("windows(10.0.26100.2)/amd64"),
        ),
    ] {
        assert_eq!(chosen(host, images), best, "{host}");
        let reversed: Vec<_> = images.iter().rev().copied().collect();
        if host != "windows/amd64" {
            assert_eq!(chosen(host, &reversed), best, "{host}");
        }
    }
}

#[test]
fn platforms_print_as_they_parse_by_their_usual_names() {
    for (text, normal) in [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("Linux/ARM/7", "linux/arm/v7"),
        ("linux/i386", "linux/386"),
        ("linux/s390x", "linux/s390x"),
        ("windows/amd64", "windows/amd64"),
        ("windows()/amd64", "windows/amd64"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
        ("linux(+gpu)/amd64", "linux(+gpu)/amd64"),
        ("linux(+unsorted+erofs)/amd64", "linux(+erofs+unsorted)/amd64"),
        ("macOS/arm64", "darwin/arm64"),
        ("arm64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("Aarch64", "linux/arm64"),
        ("armel", "linux/arm/v6"),
        ("s390x", "linux/s390x"),
    ] {
        assert_eq!(platform(text).to_string(), normal);
        assert_eq!(platform(normal), platform(text));
    }
    assert_eq!(platform("linux"), Platform::host());
}

#[test]
fn what_is_no_platform_is_refused() {
    for bad in [
        "",
        "/",
        "linux/",
        "/amd64",
        "/linux/arm",
        "linux/arm/",
        "linux /arm",
        "linux/&arm",
        "linux/a/b/c",
        "*",
        "linux/*",
        "linux/../x",
        "linux/a-b",
        "linux/am d64",
        "toaster",
        "windows(10.0/amd64",
        "windows)/amd64",
        "windows(10.0.1)x/amd64",
        "windows(a/b)/amd64",
        "windows(10.0.1+)/amd64",
        "(1.2.3)/amd64",
    ] {
        let error = bad.parse::<Platform>().expect_err(bad);
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{bad:?}");
    }
}

#[test]
fn each_platform_has_a_key_of_its_own() {
    for (text, key) in [
        ("linux/amd64", "linux-amd64"),
        ("linux/arm/v7", "linux-arm-v7"),
        ("windows(10.0.17763.1)/amd64", "windows-amd64@10.0.17763.1"),
        ("windows/amd64/10.0.17763.1", "windows-amd64-10.0.17763.1"),
        ("windows(+win32k)/amd64", "windows-amd64+win32k"),
    ] {
        assert_eq!(platform(text).key(), key);
    }
    let mut hostile = platform("linux/amd64");
    hostile.os = "../../x\n".into();
    assert_eq!(hostile.key(), ".._.._x_-amd64");
}

//! Pulls an image by the other client, and prints its layout's path: `second-opinion STORE REFERENCE`.

use hoist::{Config, RemoteClient};

fn main() -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [root, reference] = &arguments[..] else { panic!("second-opinion STORE REFERENCE") };
    let platform = "linux/amd64".parse().expect("it is a platform");
    let config = Config::default().with_root(root).with_platform(platform);
    let hoist = hoist::blocking::open(&config.with_client(RemoteClient::OciClient));
    match hoist.and_then(|hoist| hoist.pull(reference)) {
        Ok(image) => println!("{}", image.path.display()),
        Err(error) => {
            eprintln!("{:?}: {}", error.kind(), error.report());
            return std::process::ExitCode::FAILURE;
        }
    }
    std::process::ExitCode::SUCCESS
}

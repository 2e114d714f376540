//! A registry that wants credentials: refused without them, and pulled from with them.

use hoist::{Config, Credentials, ImageRegistry, Result};
use hoist_testkit::{Auth, Image, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    let registry = MockRegistry::start().await;
    registry.require(Auth::token("robot", "secret")); // it sends us to a token server
    let reference = registry.publish("team/app", "v1", Image::sample(1));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config =
        Config::default().with_root(directory.path().join("store")).with_platform("linux/amd64".parse()?);

    let stranger = hoist::open(&config)?;
    let error = stranger.pull(&reference).await.expect_err("it is private");
    println!("without credentials: {:?}", error.kind());

    // The same in a file: [remote.credentials."registry.example.com"], with username and password.
    let robot = Credentials::basic("robot", "secret");
    let config = config.with_remote_options(|options| options.with_credentials(registry.host(), robot));
    println!("in a log they are not shown: {}", !format!("{config:?}").contains("secret"));
    let member = hoist::open(&config)?;
    let image = member.pull(&reference).await?;
    println!("with credentials: {}", image.digest);
    Ok(())
}

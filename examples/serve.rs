//! A program's own axum server, which also serves the images of a store.

use axum::Router;
use axum::routing::get;
use hoist::serve::{ServeOptions, router};
use hoist::{Hoist, ImageRegistry, Result};
use hoist_testkit::{Image, MockRegistry, plain_client};

#[tokio::main]
async fn main() -> Result<()> {
    let (registry, directory) = (MockRegistry::start().await, tempfile::tempdir().expect("a directory"));
    let reference = registry.publish("library/demo", "v1", Image::sample(1));
    let hoist = Hoist::builder().store(directory.path()).platform("linux/amd64".parse()?).build()?;
    hoist.pull(&reference).await?;

    let options = ServeOptions::default().with_default_registry(registry.host());
    let app = Router::new().route("/", get(|| async { "hello" })).merge(router(&hoist, options));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["/", "/v2/library/demo/tags/list", "/v2/library/other/tags/list"] {
        let answer = plain_client().get(format!("http://{address}{path}")).send().await.expect("an answer");
        println!("{path}: {} {}", answer.status().as_u16(), answer.text().await.expect("its text"));
    }
    Ok(())
}

//! What a program gets from the registry crate as it is: one blob after another, into files.

use std::path::Path;

use oci_distribution::client::{Client, ClientConfig, ClientProtocol};
use oci_distribution::manifest::OciDescriptor;
use oci_distribution::secrets::RegistryAuth;
use tokio::fs::{File, create_dir_all, write};
use tokio::io::AsyncWriteExt;

use crate::failure::{Doing, Failure, Result};

/// Fetches the image into files of `dir`, one for each blob.
pub(crate) async fn fetch(reference: &str, dir: &Path) -> Result<()> {
    // That client takes the provider of its TLS from the process.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::new("another TLS provider is in use"));
    }
    let protocol =
        if reference.starts_with("0.0.0.0") { ClientProtocol::Https } else { ClientProtocol::Http };
    let reference = reference.parse().doing("reading the reference")?;
    let client = Client::try_from(ClientConfig { protocol, ..ClientConfig::default() });
    let client = client.doing("making a client")?;
    let pulled = client.pull_image_manifest(&reference, &RegistryAuth::Anonymous).await;
    let (manifest, _) = pulled.doing("pulling the manifest")?;
    create_dir_all(dir).await.doing("making the destination")?;
    let document = serde_json::to_vec(&manifest).doing("writing the manifest")?;
    write(dir.join("manifest.json"), document).await.doing("writing the manifest")?;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        let OciDescriptor { digest, .. } = blob;
        let mut file = File::create(dir.join(digest.replace(':', "-"))).await.doing("making a file")?;
        client.pull_blob(&reference, blob, &mut file).await.doing(format_args!("pulling {digest}"))?;
        file.flush().await.doing("writing a blob")?;
    }
    Ok(())
}

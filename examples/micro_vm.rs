//! The boot path of a microVM: from an image to the arguments of a virtual machine monitor. The lease keeps the image
//! and its root file system on the disk while the machine runs.
//!
//! By itself it runs with a mocked registry. `micro_vm STORE REF` does it with a real one.

use std::path::Path;

use hoist::{Hoist, Result, RootFsOptions, write_scratch};
use hoist_testkit::{Image, Layer, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [store, reference] = &arguments[..] {
        return boot(Path::new(store), reference).await;
    }
    let registry = MockRegistry::start().await;
    let image = Image::builder().layer(Layer::files(&[("bin/hello", b"#!/bin/sh\necho hello\n")])).build();
    let reference = registry.publish("library/vm", "v1", image);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    boot(directory.path(), &reference).await
}

async fn boot(store: &Path, reference: &str) -> Result<()> {
    let hoist = Hoist::builder().store(store).platform("linux/amd64".parse()?).build()?;
    // Read-only, and shared by all machines that boot this image. It is made once.
    let root = hoist.root_fs(reference, &RootFsOptions::erofs().with_verity()).await?;
    // What this machine writes, above the other by overlayfs.
    let scratch = store.join("scratch.ext4");
    write_scratch(&scratch, 1 << 30)?;

    let (root_path, scratch_path) = (root.path.display(), scratch.display());
    let verity = root.verity.as_ref().expect("it was asked for");
    let command_line = format!(
        "console=ttyS0 ro init=/init hoist.root_hash={} hoist.hash_offset={}",
        verity.root_hash, verity.hash_offset
    );
    let process = root.process(&["/bin/hello".to_owned()]);
    println!("the guest runs {:?} in {} as user {}", process.args, process.cwd, process.user);
    println!("cloud-hypervisor --kernel vmlinux --disk path={root_path},readonly=on path={scratch_path} \\");
    println!("    --cmdline '{command_line}'");
    println!(
        r#"firecracker: {{"drives": [{{"drive_id": "root", "path_on_host": "{root_path}", "is_read_only": true,
    "is_root_device": true}}, {{"drive_id": "scratch", "path_on_host": "{scratch_path}", "is_read_only": false,
    "is_root_device": false}}]}}"#
    );
    println!("libkrun: krun_add_disk(ctx, \"root\", \"{root_path}\", true)");
    drop(root.lease); // when the machine has ended
    Ok(())
}

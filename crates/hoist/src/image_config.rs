//! The configuration of an image as the types of the crate `oci-spec`.

use std::path::PathBuf;

use hoist_core::{Error, ErrorKind, Platform, Result, json_text};
use hoist_store::Layout;
use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

use crate::hoist::Hoist;

/// Fields whose keys count, whatever their values are (image-spec, "config").
const SETS: [&str; 2] = ["ExposedPorts", "Volumes"];

impl Hoist {
    /// The configuration of an image that is on the disk: its entrypoint, environment, user and so on
    /// ([image-spec, "config"](https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md)). This sends no
    /// request to a registry.
    ///
    /// It is read as leniently as other tools read it: a field that is null or empty is absent.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound) if the image is not here, with
    /// [`Malformed`](ErrorKind::Malformed) if its configuration is not one of an image, as that of an artifact, and as
    /// [`resolve`](Self::resolve) does.
    pub async fn image_config(&self, reference: &str) -> Result<ImageConfiguration> {
        let image = self.resolve(reference).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{reference} is not here")).with_help("pull it first")
        })?;
        self.config_of(image.path).await.map_err(|error| error.context(format!("cannot read {reference}")))
    }

    /// The configuration of the image in this layout.
    pub(crate) async fn config_of(&self, layout: PathBuf) -> Result<ImageConfiguration> {
        let config = move |_: &_| {
            let layout = Layout::open(&layout)?;
            layout.read(&layout.image()?.1.config)
        };
        read(&self.store().blocking(config).await?, self.platform())
    }
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

fn read(bytes: &[u8], platform: &Platform) -> Result<ImageConfiguration> {
    let failed = |cause| malformed("the configuration is not one of an image").with_source(cause);
    let mut config: Map<String, Value> = serde_json::from_str(&json_text(bytes)).map_err(failed)?;
    strip(&mut config);
    // The spec wants these; a configuration without them is still one for other tools.
    config.entry("os").or_insert_with(|| platform.os.clone().into());
    config.entry("architecture").or_insert_with(|| platform.architecture.clone().into());
    if let Value::Object(rootfs) = config.entry("rootfs").or_insert_with(|| json!({})) {
        rootfs.entry("type").or_insert_with(|| "layers".into());
        rootfs.entry("diff_ids").or_insert_with(|| json!([]));
    }
    serde_json::from_value(Value::Object(config)).map_err(failed)
}

/// Takes out fields that are null or empty.
fn strip(fields: &mut Map<String, Value>) {
    for (name, value) in fields.iter_mut() {
        match value {
            Value::Object(set) if SETS.contains(&&**name) => set.values_mut().for_each(|it| *it = json!({})),
            Value::Object(fields) => strip(fields),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(strip),
            _ => {}
        }
    }
    fields.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &Value) -> Result<ImageConfiguration> {
        super::read(config.to_string().as_bytes(), &Platform::new("linux", "amd64", None))
    }

    #[test]
    fn what_is_null_or_empty_is_absent() {
        let config = json!({"architecture": "arm64", "os": "linux", "created": null, "history": null,
            "rootfs": {"type": "layers", "diff_ids": null}, "config": {"User": "", "Env": null, "Cmd": ["sh"],
            "Entrypoint": [], "ExposedPorts": {"80/tcp": null}, "Volumes": {"/data": {}}, "Labels": {}}});
        let config = read(&config).unwrap();
        assert_eq!(config.architecture().to_string(), "arm64");
        let run = config.config().as_ref().unwrap();
        assert_eq!((run.user(), run.env(), run.entrypoint()), (&None, &None, &None));
        assert_eq!(run.cmd().as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(run.exposed_ports().as_deref(), Some(&["80/tcp".to_owned()][..]));
        assert_eq!(run.volumes().as_deref(), Some(&["/data".to_owned()][..]));
    }

    #[test]
    fn the_least_configuration_is_one_and_other_documents_are_none() {
        let config = read(&json!({})).unwrap();
        assert_eq!((config.os().to_string(), config.rootfs().diff_ids().len()), ("linux".to_owned(), 0));
        for other in [json!([]), json!("text"), json!({"config": 7})] {
            assert_eq!(*read(&other).unwrap_err().kind(), ErrorKind::Malformed);
        }
    }
}

//! What the entries of a layout's index are called, which they say in annotations or not at all.

use std::path::Path;

use hoist_core::{Descriptor, Error, ErrorKind, REF_NAME, Reference, Result};

/// The whole reference, as containerd, `BuildKit` and `docker save` write it.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// How entries get their names.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    /// What a bare tag is a tag of. `None`: the directory's name cannot be a repository's.
    repository: Option<Reference>,
}

impl Naming {
    /// Bare tags belong to a repository that is called as the directory is.
    pub(crate) fn of_directory(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| !name.contains([':', '@']));
        Self { repository: name.and_then(|name| name.parse().ok()) }
    }

    /// Bare tags belong to this repository.
    pub(crate) fn of_repository(repository: Reference) -> Self {
        Self { repository: Some(repository) }
    }

    /// The reference of an entry.
    ///
    /// Fails where what it is called is no reference, or pins other content than the entry's.
    pub(crate) fn name(&self, entry: &Descriptor) -> Result<Reference> {
        let name: Reference = match annotation(entry) {
            Some(name) if name.contains(['/', ':', '@']) => name.parse()?,
            Some(tag) => format!("{}:{tag}", self.repository()?.name()).parse()?,
            None => self.repository()?.pinned(entry.digest.clone()),
        };
        match name.digest() {
            Some(pinned) if *pinned != entry.digest => {
                let message = format!("an entry of {} is called {name}", entry.digest);
                Err(Error::new(ErrorKind::Malformed, message))
            }
            _ => Ok(name),
        }
    }

    fn repository(&self) -> Result<&Reference> {
        self.repository.as_ref().ok_or_else(|| {
            let message = "the name of the directory or archive cannot be a repository's";
            Error::new(ErrorKind::InvalidReference, message)
                .with_help("say which repository it is, or name it as one")
        })
    }
}

/// What an entry says that it is called.
pub(crate) fn annotation(entry: &Descriptor) -> Option<&str> {
    [IMAGE_NAME, REF_NAME]
        .into_iter()
        .filter_map(|key| entry.annotations.get(key))
        .map(String::as_str)
        .find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(annotations: &[(&str, &str)]) -> Descriptor {
        let mut entry = Descriptor::of(hoist_core::media_type::OCI_MANIFEST, b"a manifest");
        entry.annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        entry
    }

    fn name(dir: &str, annotations: &[(&str, &str)]) -> Option<String> {
        Naming::of_directory(Path::new(dir)).name(&entry(annotations)).ok().map(|name| name.to_string())
    }

    #[test]
    fn a_bare_word_is_a_tag_of_the_directory_and_all_else_a_reference() {
        for (written, meant) in [
            ("v1", "docker.io/library/demo:v1"),
            ("latest", "docker.io/library/demo:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("org/repo", "docker.io/org/repo:latest"),
            ("ghcr.io/org/repo:v1", "ghcr.io/org/repo:v1"),
        ] {
            assert_eq!(name("/srv/images/demo", &[(REF_NAME, written)]).as_deref(), Some(meant));
        }
    }

    #[test]
    fn the_whole_reference_goes_before_the_tag() {
        let both = [(REF_NAME, "v1"), (IMAGE_NAME, "ghcr.io/org/repo:v1")];
        assert_eq!(name("/srv/images/demo", &both).as_deref(), Some("ghcr.io/org/repo:v1"));
    }

    #[test]
    fn an_entry_without_a_name_is_called_by_its_digest() {
        let digest = entry(&[]).digest;
        let meant = format!("docker.io/library/demo@{digest}");
        assert_eq!(name("demo", &[]), Some(meant.clone()));
        assert_eq!(name("demo", &[(REF_NAME, "")]), Some(meant));
    }

    #[test]
    fn what_cannot_be_a_name_is_none() {
        assert_eq!(name("/srv/My Images", &[(REF_NAME, "v1")]), None);
        assert_eq!(name("/srv/demo:v1", &[(REF_NAME, "v1")]), None);
        assert_eq!(name("/", &[]), None);
        assert_eq!(name("/srv/demo", &[(REF_NAME, "two words")]), None);
        let full = "localhost/demo:v1";
        assert_eq!(name("/srv/My Images", &[(REF_NAME, full)]).as_deref(), Some(full));
    }

    #[test]
    fn a_name_that_pins_other_content_is_a_lie() {
        let lie = format!("demo@{}", hoist_core::Digest::sha256(b"something else"));
        assert_eq!(name("/srv/demo", &[(REF_NAME, &lie)]), None);
        let truth = format!("docker.io/library/demo:v1@{}", entry(&[]).digest);
        assert_eq!(name("/srv/demo", &[(REF_NAME, &truth)]), Some(truth));
    }
}

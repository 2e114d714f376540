//! What the entries of a layout's index are called, which they say in annotations or not at all.

use std::borrow::Cow;
use std::iter::successors;
use std::path::Path;

use hoist_core::{Descriptor, Error, ErrorKind, REF_NAME, Reference, Result, UnreadableEntry};

/// The whole reference, as containerd, `BuildKit` and `docker save` write it.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// The endings of an archive's name that say what it is, and not what is in it.
const ENDINGS: [&str; 10] =
    [".tar", ".oci", ".docker", ".ocitar", ".oci-archive", ".docker-archive", ".gz", ".zst", ".xz", ".bz2"];

/// How entries get their names.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    /// The repository of bare tags. `None`: the name of the directory or archive cannot be a repository's.
    repository: Option<Reference>,
    rule: Rule,
}

/// The name of an entry that has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Its digest.
    Digest,
    /// `latest`.
    Latest,
    /// The given one; also where the entry has one of its own.
    Given,
}

impl Naming {
    /// Bare tags belong to a repository that is called as the directory is.
    pub(crate) fn of_directory(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| !name.contains([':', '@']));
        Self { repository: name.and_then(|name| name.parse().ok()), rule: Rule::Digest }
    }

    /// Bare tags belong to a repository that is called as the archive is, without the endings that say that it is one.
    pub(crate) fn of_archive(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The names of `/dev/stdin` and of a shell's `<(...)` say nothing.
        let name = if path.starts_with("/dev") || path.starts_with("/proc") { "" } else { name };
        let names = successors(Some(name), |name| without_ending(name));
        Self::of_directory(Path::new(names.last().unwrap_or_default()))
    }

    /// Bare tags belong to this repository.
    pub(crate) fn of_repository(repository: Reference) -> Self {
        Self { repository: Some(repository), rule: Rule::Digest }
    }

    /// Names for `REPOSITORY[:TAG]`. Without a tag, bare tags belong to the repository, and an image without a name is
    /// its `latest`. With a tag, that is the name of every image, and so there may be only one.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference) for any other text.
    pub(crate) fn of_name(name: &str) -> Result<Self> {
        let repository: Reference = name.parse()?;
        if repository.digest().is_some() {
            let message = format!("{name:?} has a digest, which the image brings along");
            return Err(Error::new(ErrorKind::InvalidReference, message)
                .with_help("write the name as REPOSITORY[:TAG]"));
        }
        let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        Ok(Self { repository: Some(repository), rule: if has_tag { Rule::Given } else { Rule::Latest } })
    }

    /// The reference of an entry.
    ///
    /// Fails where what it is called is no reference, or pins other content than the entry's.
    pub(crate) fn name(&self, entry: &Descriptor) -> Result<Reference> {
        if self.rule == Rule::Given {
            return self.repository().cloned();
        }
        let name: Reference = match annotation(entry) {
            Some(name) if name.contains(['/', ':', '@']) => with_tag(name).parse()?,
            Some(tag) => with_tag(&format!("{}:{tag}", self.repository()?.name())).parse()?,
            None if self.rule == Rule::Latest => self.repository()?.clone(),
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

    /// The tagged reference of an entry that cannot be read.
    pub(crate) fn name_of(&self, entry: &UnreadableEntry) -> Option<Reference> {
        let mut named = Descriptor::of("", b"");
        named.annotations.clone_from(&entry.annotations);
        self.name(&named).ok().filter(|name| name.digest().is_none())
    }

    fn repository(&self) -> Result<&Reference> {
        self.repository.as_ref().ok_or_else(|| {
            let message = "it has an image without a whole name, and its own name cannot be a repository's";
            Error::new(ErrorKind::InvalidReference, message).with_help(
                "name the image with `name`, or the directory's repository with `local.repository`",
            )
        })
    }
}

fn without_ending(name: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|&ending| name.strip_suffix(ending))
}

/// A name whose tag may be a version with a `+`, as image-spec allows it. In its place is a `_`, as Helm writes such
/// tags.
fn with_tag(name: &str) -> Cow<'_, str> {
    match name.rsplit_once(':') {
        Some((repository, tag)) if tag.contains('+') && !tag.contains(['/', '@']) => {
            format!("{repository}:{}", tag.replace('+', "_")).into()
        }
        _ => name.into(),
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

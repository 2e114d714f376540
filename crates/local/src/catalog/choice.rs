//! Chooses the one image among those of a name: by the rules that choose from an index, and never between two that fit
//! equally well.

use std::collections::HashSet;

use hoist_core::{
    Descriptor, Error, ErrorKind, Index, Manifest, Platform, Result, UnreadableEntry, json_text, media_type,
};

use super::Found;
use super::content::Content;
use super::naming;

/// What an entry has for a platform.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The manifest, with its platform as far as it is known.
    pub(super) manifest: Descriptor,
    /// The image, or what is wrong with it.
    pub(super) image: Result<Found>,
}

/// The outcome for a name.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) image: Result<Found>,
    /// What is wrong with other entries of the name: one of them may have been meant.
    pub(crate) troubles: Vec<Error>,
}

/// Chooses among all entries of a name. An entry of which nothing is known, not even its platform, is an error.
/// `unreadable` are the entries of the name that the index itself has, but that cannot be read.
pub(super) fn choose(
    content: &impl Content,
    platform: &Platform,
    entries: Vec<Result<Candidate>>,
    unreadable: &[UnreadableEntry],
) -> Choice {
    let (mut candidates, mut troubles, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for entry in entries {
        match entry {
            Ok(candidate) if seen.insert(candidate.manifest.digest.clone()) => candidates.push(candidate),
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::PlatformMissing { available } => others.push((available.clone(), error)),
                _ => troubles.push(error),
            },
        }
    }
    let image = match best(platform, &candidates, unreadable) {
        Ok(best) => {
            let listed: Vec<_> = candidates.iter().map(|candidate| candidate.manifest.clone()).collect();
            let Candidate { manifest, image } = candidates.swap_remove(best);
            image.map_err(|error| match error.kind() {
                ErrorKind::NotFound => lacking(content, &manifest, &listed).unwrap_or(error),
                _ => error,
            })
        }
        Err(error) if candidates.is_empty() && !troubles.is_empty() => {
            drop(error);
            Err(troubles.remove(0))
        }
        Err(error) => Err(with_others(platform, error, others)),
    };
    Choice { image, troubles }
}

/// The position of the candidate that fits best.
///
/// Fails with [`Malformed`](ErrorKind::Malformed) where two fit equally well.
fn best(platform: &Platform, candidates: &[Candidate], unreadable: &[UnreadableEntry]) -> Result<usize> {
    let manifests: Vec<_> = candidates.iter().map(|candidate| candidate.manifest.clone()).collect();
    let choose = |manifests: Vec<Descriptor>| -> Result<Descriptor> {
        let mut index = Index::new(media_type::OCI_INDEX, manifests);
        index.unreadable = unreadable.to_vec();
        index.choose(platform).cloned()
    };
    if manifests.len() > 1 && manifests.iter().all(|manifest| manifest.platform.is_none()) {
        return Err(ambiguous(platform, &manifests)); // artifacts
    }
    // The first of several equals wins: in the other order, that is the last.
    let first = choose(manifests.clone())?;
    let last = choose(manifests.iter().rev().cloned().collect())?;
    if first.digest != last.digest {
        return Err(ambiguous(platform, &[first, last]));
    }
    Ok(manifests.iter().position(|manifest| manifest.digest == first.digest).unwrap_or_default())
}

fn ambiguous(platform: &Platform, images: &[Descriptor]) -> Error {
    let show = |image: &Descriptor| match naming::annotation(image) {
        Some(name) => format!("{} ({name})", image.digest),
        None => image.digest.to_string(),
    };
    let images: Vec<_> = images.iter().map(show).collect();
    let message = format!("it has two images for {platform} under one name: {}", images.join(" and "));
    Error::new(ErrorKind::Malformed, message).with_help("write it anew with a name for each image")
}

/// The error for an index that lists an image, with a platform, whose manifest is not here: `docker save` lists all
/// platforms and has the content of those that were pulled. `None`: the manifest is here.
pub(super) fn lacking(content: &impl Content, chosen: &Descriptor, listed: &[Descriptor]) -> Option<Error> {
    let is_here = |manifest: &&Descriptor| content.check(manifest).is_ok();
    let platform = chosen.platform.as_ref().filter(|_| !is_here(&chosen))?;
    let available: Vec<_> = listed.iter().filter(is_here).filter_map(|m| m.platform.clone()).collect();
    let names: Vec<_> = available.iter().map(ToString::to_string).collect();
    let help = match &names[..] {
        [] => "write it anew with the images themselves".to_owned(),
        names => {
            format!("choose {} with `platform`, or write it anew with this platform", names.join(" or "))
        }
    };
    let message = format!(
        "{} lists the image {} for {platform}, and does not contain it",
        content.place(),
        chosen.digest
    );
    Some(Error::new(ErrorKind::PlatformMissing { available }, message).with_help(help))
}

/// The error for a name none of whose images fit, with the platforms of all.
fn with_others(platform: &Platform, error: Error, mut others: Vec<(Vec<Platform>, Error)>) -> Error {
    let ErrorKind::PlatformMissing { available } = error.kind() else { return error };
    let mut available = available.clone();
    if available.is_empty() && others.len() == 1 {
        return others.remove(0).1;
    }
    available.extend(others.into_iter().flat_map(|(platforms, _)| platforms));
    platform.missing(available)
}

/// Fails with [`Malformed`](ErrorKind::Malformed) where a manifest has more or fewer layers than its configuration
/// says. A configuration that lists none says nothing.
pub(super) fn check_layers(manifest: &Manifest, config: &[u8]) -> Result<()> {
    let config: serde_json::Value = serde_json::from_str(&json_text(config)).unwrap_or_default();
    let listed = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    let layers = manifest.layers.len();
    if listed == 0 || listed == layers {
        return Ok(());
    }
    let message = format!("its manifest has {layers} layers, and its configuration {listed}");
    Err(Error::new(ErrorKind::Malformed, message).with_help("write the image anew"))
}

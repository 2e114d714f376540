//! Archives of layers that are written by hand, and images that are read by another implementation.

pub(crate) mod archive;
pub(crate) mod image;
pub(crate) mod stored;

pub(crate) use self::archive::{Archive, File};
pub(crate) use self::image::{Image, build, build_with, layer, refusal};

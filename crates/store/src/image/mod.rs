//! Images: gathered in a staging area, adopted from layouts that others wrote, and published whole.

pub(crate) mod adopt;
pub(crate) mod layout;
pub(crate) mod space;
pub(crate) mod staging;

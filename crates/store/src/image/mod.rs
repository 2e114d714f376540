//! Images: collected in a staging area, adopted from other layouts, and published whole.

pub(crate) mod adopt;
pub(crate) mod commit;
pub(crate) mod layout;
pub(crate) mod space;
pub(crate) mod staging;

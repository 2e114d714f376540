//! The tests of hoist-rootfs. Its images are read by erofs-rs, which shares no code with the writer.

mod building;
mod dangers;
mod directory;
mod ext4;
mod formats;
mod merging;
mod support;
mod verity;
mod writing;

//! Makes root file systems of images that are in a store.

mod add;
mod image;
mod keep;
mod make;
mod options;
mod output;
mod threads;

pub use self::keep::root_fs;
pub use self::make::Plan;
pub use self::options::{AddedFile, Format, RootFsOptions};
pub use self::output::{write, write_scratch};

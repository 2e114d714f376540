//! Checks content that was made from images: its image must be there.

use hoist_core::{Algorithm, Digest, Result};

use super::{Check, Problem};
use crate::fs::dir::Dir;
use crate::gc::derived::is_kind;
use crate::paths::derived_path;

impl Check<'_> {
    pub(super) fn derived(&mut self) -> Result<()> {
        self.strays("derived", |entry| entry.is_dir && is_kind(&entry.name))?;
        for kind in self.store.derived_kinds()? {
            let is_algorithm = |name: &str| Algorithm::ALL.iter().any(|algorithm| algorithm.as_str() == name);
            self.strays(&format!("derived/{kind}"), |entry| entry.is_dir && is_algorithm(&entry.name))?;
            for &algorithm in Algorithm::ALL {
                if let Some(images) = self.store.dir().sub(derived_path(&kind, algorithm))? {
                    self.derived_from(&images, algorithm)?;
                }
            }
        }
        Ok(())
    }

    fn derived_from(&mut self, images: &Dir, algorithm: Algorithm) -> Result<()> {
        for entry in images.entries()? {
            let entry = entry?;
            match Digest::of_hex(algorithm, &entry.name).filter(|_| entry.is_dir) {
                Some(image) => {
                    if self.store.orphan(images, &image, self.repair)?.is_some() {
                        self.found(
                            &images.path().join(image.hex()),
                            Problem::Orphan,
                            Vec::new(),
                            self.repair,
                        );
                    }
                }
                None => self.stray(images, &entry.name)?,
            }
        }
        Ok(())
    }
}

//! Extended attributes: which of them an image keeps.

use hoist_core::Result;

use crate::limits::too_large;
use crate::tree::Xattrs;

/// What Linux allows: `XATTR_NAME_MAX` and `XATTR_SIZE_MAX`, the latter less one, as EROFS counts it in 16 bits.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 65_535;

/// What the extended attributes of one file may take together, of EROFS, which counts them in units of four bytes.
const MAX_TOTAL: usize = 65_535 * 4 - 12;

/// The attributes that belong to files, other than the two for access control lists.
const NAMESPACES: [&[u8]; 2] = [b"user.", b"security."];
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Attributes that overlayfs takes for its own. An image that has them could show a guest that puts an overlay over
/// it other files than it contains.
const OVERLAY: &[u8] = b"user.overlay.";

/// Sorts the attributes of an entry. Those that belong to the system that made the archive, or to overlayfs, are
/// left out, as containerd and umoci do; returns how many.
pub(crate) fn keep(path: &[u8], mut xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(Option<Box<Xattrs>>, u64)> {
    let before = xattrs.len();
    xattrs.retain(|(name, _)| is_kept(name));
    let left_out = (before - xattrs.len()) as u64;
    let too_long = xattrs.iter().any(|(name, value)| name.len() > MAX_NAME || value.len() > MAX_VALUE);
    let total: usize = xattrs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    if too_long || total > MAX_TOTAL {
        let path = String::from_utf8_lossy(path);
        return Err(too_large(
            format!("{path} has larger extended attributes than Linux allows"),
            "max_metadata",
        ));
    }
    xattrs.sort_unstable();
    let xattrs: Xattrs = xattrs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(((!xattrs.is_empty()).then(|| Box::new(xattrs)), left_out))
}

fn is_kept(name: &[u8]) -> bool {
    let is_of = |namespace: &&[u8]| name.len() > namespace.len() && name.starts_with(namespace);
    ACLS.contains(&name) || (NAMESPACES.iter().any(is_of) && !name.starts_with(OVERLAY) && !name.contains(&0))
}

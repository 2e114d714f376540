//! Extended attributes, as they follow an inode.

use crate::tree::Xattr;

/// The size of the header before the attributes.
const HEADER: usize = 12;

/// The prefixes that are written as a number. An access control list has no name but its prefix.
const PREFIXES: [(&[u8], u8); 4] =
    [(b"user.", 1), (b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3), (b"security.", 6)];

/// How many bytes the attributes take.
pub(crate) fn size(xattrs: &[Xattr]) -> u64 {
    if xattrs.is_empty() { 0 } else { HEADER as u64 + xattrs.iter().map(entry_size).sum::<u64>() }
}

/// What an inode says of their size: units of four bytes, and one more for the header.
pub(crate) fn count(xattrs: &[Xattr]) -> u16 {
    match size(xattrs) {
        0 => 0,
        size => u16::try_from((size - HEADER as u64) / 4 + 1).expect("layers have no larger ones"),
    }
}

/// Appends the attributes.
pub(crate) fn encode(xattrs: &[Xattr], into: &mut Vec<u8>) {
    if xattrs.is_empty() {
        return;
    }
    into.extend([0; HEADER]); // no shared ones, and no filter of names
    for (name, value) in xattrs {
        let (name, index) = split(name);
        into.extend([u8::try_from(name.len()).expect("names are short"), index]);
        into.extend(u16::try_from(value.len()).expect("layers have no larger ones").to_le_bytes());
        into.extend([name, value].concat());
        into.resize(into.len().next_multiple_of(4), 0);
    }
}

fn entry_size((name, value): &Xattr) -> u64 {
    (4 + split(name).0.len() + value.len()).next_multiple_of(4) as u64
}

fn split(name: &[u8]) -> (&[u8], u8) {
    let found = PREFIXES.iter().find_map(|&(prefix, index)| Some((name.strip_prefix(prefix)?, index)));
    found.expect("layers keep no others")
}

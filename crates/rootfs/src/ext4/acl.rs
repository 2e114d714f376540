//! Access control lists: ext4 stores them in another form than the one in which programs, archives and EROFS have
//! them (the kernel's `fs/ext4/acl.h` and `include/uapi/linux/posix_acl_xattr.h`).

const HEADER: usize = 4;
const ENTRY: usize = 8;

/// Tags of entries that name a user or a group.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// The list in ext4's form. `None`: it is none.
pub(crate) fn to_ext4(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2u32.to_le_bytes())?.chunks_exact(ENTRY);
    if !(value.len() - HEADER).is_multiple_of(ENTRY) {
        return None;
    }
    let mut list = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let has_id = matches!(tag, USER | GROUP);
        list.extend(if has_id { entry } else { &entry[..4] });
    }
    Some(list)
}

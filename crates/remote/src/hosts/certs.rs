//! Docker's names for certificates: `<host>/*.crt` are authorities, `<host>/*.cert` our own certificates,
//! each with its `.key` ([docs](https://docs.docker.com/engine/security/certificates/)).

use std::fs::read_dir;
use std::io::Result;
use std::path::Path;

use crate::tls::TlsFiles;

/// The certificates in a host's directory, by their names.
pub(super) fn find(directory: &Path) -> Result<TlsFiles> {
    let mut paths = read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut files = TlsFiles::default();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => files.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                let key = key.try_exists()?.then_some(key);
                files.clients.push((path, key));
            }
            _ => {}
        }
    }
    Ok(files)
}

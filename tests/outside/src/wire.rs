//! One question to a shelf, and the answer as it comes.

use hoist::WriteQueue;
use hoist::{Descriptor, Error, ErrorKind, MAX_DOCUMENT, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const MAX_LINE: u64 = 1 << 10; // a media type and a number are far shorter
const PIECE: usize = 64 << 10;

/// An answer of which the first line was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) media_type: String,
    length: u64,
    rest: BufReader<TcpStream>,
    what: String,
}

/// Asks the shelf at this address, which is a registry's name.
///
/// Fails with [`NotFound`](ErrorKind::NotFound) where it has no such thing, and with
/// [`Unavailable`](ErrorKind::Unavailable) where it does not answer.
pub(crate) async fn ask(shelf: &str, repository: &str, name: &str) -> Result<Answer> {
    let what = format!("{name} of {repository} from the shelf {shelf}");
    let failed = |cause| unavailable(&what, cause);
    let mut stream = TcpStream::connect(shelf).await.map_err(failed)?;
    stream.write_all(format!("{repository} {name}\n").as_bytes()).await.map_err(failed)?;
    let mut rest = BufReader::new(stream);
    let mut line = String::new();
    (&mut rest).take(MAX_LINE).read_line(&mut line).await.map_err(failed)?;
    if line == "-\n" {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no {what}")));
    }
    let parsed = line.strip_suffix('\n').and_then(|line| line.rsplit_once(' '));
    match parsed.and_then(|(media_type, length)| Some((media_type.to_owned(), length.parse().ok()?))) {
        Some((media_type, length)) => Ok(Answer { media_type, length, rest, what }),
        None => Err(unavailable(&what, std::io::ErrorKind::UnexpectedEof.into())),
    }
}

impl Answer {
    /// The whole answer, which must not be larger than a manifest may be.
    pub(crate) async fn document(mut self) -> Result<Vec<u8>> {
        if self.length > MAX_DOCUMENT {
            let message = format!("{} has {} bytes, and may have {MAX_DOCUMENT}", self.what, self.length);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or_default()];
        self.rest.read_exact(&mut bytes).await.map_err(|cause| unavailable(&self.what, cause))?;
        Ok(bytes)
    }

    /// Writes the answer to the store as it comes, which must be as large as this blob is.
    pub(crate) async fn write_to(mut self, blob: &Descriptor, queue: &WriteQueue) -> Result<()> {
        blob.expect_size(self.length)?;
        let mut offset = 0;
        while offset < self.length {
            let mut piece = Vec::with_capacity(PIECE);
            let left = self.length - offset;
            (&mut self.rest)
                .take(left.min(PIECE as u64))
                .read_buf(&mut piece)
                .await
                .and_then(
                    |read| if read == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) },
                )
                .map_err(|cause| unavailable(&self.what, cause))?;
            let read = piece.len() as u64;
            queue.write(offset, piece.into()).await?;
            offset += read;
        }
        Ok(())
    }
}

fn unavailable(what: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot get {what}")).with_source(cause)
}

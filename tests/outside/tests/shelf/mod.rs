//! A shelf in this process, that can do all that the behavioural suite asks of an origin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hoist::{Digest, Reference};
use hoist_testkit::{Blob, Gate, Origin, Publishable, Turnstile};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running shelf; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Shelf {
    address: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    tags: HashMap<String, Digest>,
    content: HashMap<Digest, Thing>,
    replaced: HashMap<Digest, Bytes>,
    served: HashMap<Digest, u64>,
    held: Option<(u64, Turnstile)>,
    is_down: bool,
}

#[derive(Debug)]
struct Thing {
    blob: Blob,
    is_document: bool,
}

impl Shelf {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address").to_string();
        let state = Arc::<Mutex<State>>::default();
        let theirs = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !lock(&theirs).is_down {
                    tokio::spawn(serve(stream, theirs.clone()));
                }
            }
        });
        Self { address, state, serving }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the one question of a connection. Who asks may be gone before it has the answer.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (answer, held) = lock(&state).answer(line.trim_end());
    let Some((digest, media_type, bytes)) = answer else { return stream.write_all(b"-\n").await };
    stream.write_all(format!("{media_type} {}\n", bytes.len()).as_bytes()).await?;
    let start = held.as_ref().map_or(bytes.len(), |(after, _)| *after);
    stream.write_all(&bytes[..start]).await?;
    stream.flush().await?;
    if let Some((_, turnstile)) = held {
        turnstile.pass().await;
    }
    stream.write_all(&bytes[start..]).await?;
    *lock(&state).served.entry(digest).or_default() += bytes.len() as u64;
    stream.flush().await
}

type Answer = (Digest, String, Bytes);

impl State {
    /// What there is of that name; and after how many bytes of it to wait, and where.
    fn answer(&self, question: &str) -> (Option<Answer>, Option<(usize, Turnstile)>) {
        let Some((repository, name)) = question.split_once(' ') else { return (None, None) };
        let tagged = self.tags.get(&format!("{repository}:{name}")).cloned();
        let Some(digest) = tagged.or_else(|| name.parse().ok()) else { return (None, None) };
        let Some(thing) = self.content.get(&digest) else { return (None, None) };
        let bytes = self.replaced.get(&digest).unwrap_or(&thing.blob.bytes).clone();
        let held = self.held.as_ref().filter(|_| !thing.is_document);
        let held = held.map(|(after, turnstile)| (usize::try_from(*after).unwrap(), turnstile.clone()));
        let held = held.filter(|(after, _)| *after < bytes.len());
        (Some((digest, thing.blob.media_type.clone(), bytes)), held)
    }

    fn put(&mut self, blob: &Blob, is_document: bool) {
        self.content.insert(blob.digest.clone(), Thing { blob: blob.clone(), is_document });
    }
}

#[async_trait::async_trait]
impl Origin for Shelf {
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String {
        let mut state = self.state();
        what.documents().into_iter().for_each(|document| state.put(document, true));
        what.blobs().for_each(|blob| state.put(blob, false));
        state.tags.insert(format!("{repository}:{tag}"), what.digest().clone());
        format!("{}/{repository}:{tag}", self.address)
    }

    async fn unpublish(&self, reference: &str) {
        let reference: Reference = reference.parse().expect("a reference that was published");
        let tag = format!("{}:{}", reference.repository(), reference.tag().expect("a tag"));
        self.state().tags.remove(&tag);
    }

    async fn go_down(&self) {
        self.state().is_down = true;
    }

    async fn go_up(&self) {
        self.state().is_down = false;
    }

    async fn replace(&self, digest: &Digest, bytes: Bytes) {
        self.state().replaced.insert(digest.clone(), bytes);
    }

    async fn repair(&self) {
        self.state().replaced.clear();
    }

    fn bytes_served(&self, digest: &Digest) -> u64 {
        self.state().served.get(digest).copied().unwrap_or_default()
    }

    fn hold_blobs(&self, after: u64) -> Gate {
        let (gate, turnstile) = Gate::closed();
        self.state().held = Some((after, turnstile));
        gate
    }
}

//! All sessions, each kept while it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;
use crate::credentials::CredentialKey;

/// An unused session is kept this long. Most of its tokens expire sooner, but its credentials would stay in memory.
const IDLE: Duration = Duration::from_mins(15);
/// The maximum number of sessions. A process that uses more repositories at once fetches some tokens again.
const MOST: usize = 1000;

/// Sessions by the host and the repository.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<CredentialKey, Used>>);

#[derive(Debug)]
struct Used {
    session: Arc<Session>,
    last: Instant,
}

impl Sessions {
    /// The session for this key. Idle sessions are forgotten, and above the maximum the least recently used one. A
    /// request that is using a forgotten session finishes with it.
    pub(super) fn of(&self, key: CredentialKey) -> Arc<Session> {
        let now = Instant::now();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, used| now - used.last < IDLE);
        if !sessions.contains_key(&key)
            && sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, used)| used.last)
        {
            let oldest = oldest.0.clone();
            sessions.remove(&oldest);
        }
        let used = sessions.entry(key).or_insert_with(|| Used { session: Arc::default(), last: now });
        used.last = now;
        used.session.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn key(number: usize) -> CredentialKey {
        CredentialKey::new("registry.lan", &format!("team/{number}"))
    }

    fn len(sessions: &Sessions) -> usize {
        sessions.0.lock().unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_forgotten_after_fifteen_idle_minutes() {
        let sessions = Sessions::default();
        let (used, idle) = (sessions.of(key(1)), sessions.of(key(2)));
        advance(IDLE / 2).await;
        assert!(Arc::ptr_eq(&used, &sessions.of(key(1))));
        advance(IDLE / 2).await;
        assert!(Arc::ptr_eq(&used, &sessions.of(key(1))));
        assert_eq!(len(&sessions), 1);
        assert!(!Arc::ptr_eq(&idle, &sessions.of(key(2))));
    }

    #[tokio::test(start_paused = true)]
    async fn of_more_than_a_thousand_the_least_recently_used_is_forgotten() {
        let sessions = Sessions::default();
        let all: Vec<_> = (0..MOST).map(|number| (sessions.of(key(number)), number)).collect();
        advance(Duration::from_secs(1)).await;
        for (session, number) in all.iter().skip(1) {
            assert!(Arc::ptr_eq(session, &sessions.of(key(*number))));
        }
        let new = sessions.of(key(MOST));
        assert_eq!(len(&sessions), MOST);
        assert!(Arc::ptr_eq(&new, &sessions.of(key(MOST))));
        assert!(Arc::ptr_eq(&all[1].0, &sessions.of(key(1))));
        assert!(!Arc::ptr_eq(&all[0].0, &sessions.of(key(0))));
    }
}

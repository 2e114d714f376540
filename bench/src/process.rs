//! Processes that end when we do.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::failure::{Doing, Result};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process and all that it starts; dropped, all of them are killed.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    id: Option<Pid>,
}

impl Group {
    /// Starts it as the leader of a group of its own: what ends us from the terminal does not reach it.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, id })
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await.doing("waiting for a process");
        self.id = None; // somebody else's from now on
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        _ = kill_process_group(id, Signal::KILL);
        let end = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait()
            && Instant::now() < end
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

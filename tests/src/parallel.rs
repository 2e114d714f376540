//! Many small trials, which mostly wait for the disk, on all processors at once.

use std::sync::Mutex;
use std::thread;

/// Runs the trial on each input, and gathers what comes of them.
///
/// # Panics
///
/// If one of them does.
pub fn in_parallel<I: Send, T: Send>(
    inputs: impl IntoIterator<Item = I, IntoIter: Send>,
    trial: impl Fn(I) -> Option<T> + Sync,
) -> Vec<T> {
    let inputs = Mutex::new(inputs.into_iter());
    let next = || inputs.lock().expect("no iterator panics").next();
    let work = || std::iter::from_fn(next).filter_map(&trial).collect::<Vec<_>>();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no trial panics")).collect()
    })
}

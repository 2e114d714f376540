//! Tests of the local backend, through its public interface.

mod archive;
mod hostile;
mod local;

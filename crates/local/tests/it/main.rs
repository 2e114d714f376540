//! Tests of the local backend, through its public interface.

mod archive;
mod choice;
mod export;
mod hostile;
mod local;
mod names;
mod odd;
mod site;
mod tar_formats;

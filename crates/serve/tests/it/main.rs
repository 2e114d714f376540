//! A server over a store, asked as clients ask.

mod connections;
mod content;
mod hostile;
mod setup;
mod sharing;

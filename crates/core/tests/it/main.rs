//! Tests of the core, through its public interface.

mod fuzz;
mod others_references;
mod platforms;
mod references;

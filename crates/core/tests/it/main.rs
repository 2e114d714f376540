//! Tests of the core, through its public interface.

mod fuzz;
mod odd_documents;
mod others_references;
mod platforms;
mod references;

//! Tests of the testkit itself, through its public interface.

mod images;
mod naive;
mod sources;

//! For tests of this crate and of those above it (feature `testing`): where the real servers are, and faults on the way
//! to them.

pub mod fault_proxy;
pub mod s3;

pub use fault_proxy::{FaultProxy, Mode};

/// The value of a variable that `infra/test-services.sh` sets. Without it the test fails: a suite that skips a server
/// silently proves nothing about it.
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "this test needs {variable}: run `make test`, or in this shell eval \"$(infra/test-services.sh start)\""
        )
    })
}

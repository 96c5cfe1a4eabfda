//! Events of the libraries on the standard error stream, as `RUST_LOG` asks for them.

use std::io::stderr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows events from now on if the environment variable `RUST_LOG` asks for it: a level, or `TARGET=LEVEL` with commas between,
/// such as `uv_s390=debug`.
pub fn start() {
    let Some(text) = std::env::var_os("RUST_LOG").filter(|text| !text.is_empty()) else { return };
    match text.to_string_lossy().parse::<Targets>() {
        Ok(targets) => {
            let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
            // There is one already in a process that has called this before.
            let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
        }
        Err(error) => eprintln!("warning: RUST_LOG is not used: {error}; give a level, or TARGET=LEVEL"),
    }
}

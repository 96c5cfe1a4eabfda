//! What `examples/s390_secret.rs` does: each subcommand in a file.

mod add;
mod create;
mod list;
mod store;
mod verify;

pub use add::Add;
pub use create::Create;
pub use list::List;
pub use store::{AddResult, Store};
pub use verify::Verify;

/// Largest request: longer ones do not reach the Ultravisor.
const MAX_REQUEST: u64 = 1 << 20;
/// Largest other file: keys, policies, user data.
const MAX_INPUT: u64 = 1 << 20;

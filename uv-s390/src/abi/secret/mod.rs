//! Secrets of a running guest as the Ultravisor names and lists them: types, ids, the secret list (s390-formats §9.3, §9.5).
//!
//! Who uses it: the guest's kernel and programs, the owner, the Ultravisor.

mod id;
mod kind;
mod list;

pub use id::SecretId;
pub use kind::{MAX_PLAINTEXT, SecretType};
pub use list::{LIST_ENTRIES_PER_PAGE, LIST_PAGE_SIZE, ListError, ListHead, SecretEntry, SecretList};

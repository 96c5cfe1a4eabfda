//! The guest before it is secure: what it prepares and asks for.
//!
//! Who uses it: whoever writes the guest's firmware or kernel, and the VMM that loads them.
//!
//! | part | job | feature |
//! |---|---|---|
//! | [`EsmRequest`] | the ultracall `UV_ESM` as the kernel makes it, and what came of it | - |
//! | [`EsmTree`] | the device tree, with everything an ultravisor asks of it | `fdt` |

mod esm;
#[cfg(feature = "fdt")]
mod tree;

pub use esm::EsmRequest;
#[cfg(feature = "fdt")]
pub use tree::{EsmTree, EsmTreeError, RTAS_TOKENS, Rtas};

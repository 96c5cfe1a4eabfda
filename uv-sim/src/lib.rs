//! A simulated secure-memory engine: real page cryptography, real isolation rules, scripted guests.
//!
//! The engine knows pages, owners, states, sealing, sharing and wiping. It knows no machine: no return code, no control
//! block and no register of IBM Z or POWER appears here. The ultravisor halves of `uv-s390` and `uv-power` are built on it;
//! a hypervisor never sees it.
//!
//! | part | job | who uses it |
//! |---|---|---|
//! | [`Engine`] | the machine's secure frames and its VMs | the simulated machines |
//! | [`SecureSpace`] | the secure memory of one VM: page states and every move between them | the simulated machines |
//! | [`HostMemory`] | the hypervisor's normal memory as a buffer | tests and programs that have no memory of their own |
//! | [`seal`] | sealing of pages: the suites, over the ciphers of `uv-crypto` | the engine |
//! | [`guest`] | virtual CPUs with a script | whoever writes a guest |
//! | [`bare`] | the engine alone as a backend of `uv-core`, without any machine's calls | tests of generic hypervisors |
//! | [`wrap`] | wrappers that disturb or record what passes through | tests |
//! | [`rng`] | seeded randomness: everything can be repeated from one number | all of these |
//!
//! A page costs 8 bytes of table once it was touched, 24 more while it is sealed, and its frame and 8 while it is secure.
//!
//! # A page goes out and comes back
//!
//! ```
//! use uv_core::{Access, Gfn, GuestAddr, HostAddr, NormalMemory, PageSize, PageState};
//! use uv_sim::seal::Suite;
//! use uv_sim::{Engine, EngineConfig, HostMemory, SpaceError};
//!
//! let engine = Engine::new(EngineConfig { page_size: PageSize::K4, frames: 8, seed: 1 });
//! let memory = HostMemory::new(64 << 10);
//! let space = engine.create_space(16, Suite::Aes256Ccm);
//!
//! // The guest writes a page of zeros that it was given.
//! let (page, at) = (Gfn(3), GuestAddr(0x3000));
//! space.zero_in(page)?;
//! space.guest_write(&memory, at, b"secret").expect("the page is there");
//!
//! // The hypervisor wants it out, and finds ciphertext.
//! let normal = HostAddr(0x8000);
//! space.seal_out(page.into(), &memory, normal).map_err(|stopped| stopped.error)?;
//! assert_eq!(space.state(page)?, PageState::Sealed);
//! let mut seen = [0; 6];
//! memory.read(normal, &mut seen)?;
//! assert_ne!(&seen, b"secret");
//!
//! // A changed byte is noticed; the newest version comes back as it was.
//! memory.write(normal, &[!seen[0]])?;
//! let refused = space.open_in(page.into(), &memory, normal).unwrap_err();
//! assert_eq!(refused.error, SpaceError::Integrity(page));
//! memory.write(normal, &seen)?;
//! space.open_in(page.into(), &memory, normal).map_err(|stopped| stopped.error)?;
//! space.guest_read(&memory, at, &mut seen, Access::Load).expect("the page is there");
//! assert_eq!(&seen, b"secret");
//! # Ok::<(), SpaceError>(())
//! ```
//!
//! # Features
//! None: the crate needs `alloc` and nothing else.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod bare;
mod engine;
mod fault;
pub mod guest;
mod memory;
mod pool;
mod record;
pub mod rng;
pub mod seal;
mod space;
mod sync;
mod table;
#[cfg(test)]
#[path = "table/tests.rs"]
mod table_tests;
pub mod wrap;

pub use engine::{Engine, EngineConfig};
pub use fault::{GuestFault, SpaceError};
pub use memory::HostMemory;
pub use space::{Content, OwnerId, SecureSpace};
pub use table::Label;

//! A simulated IBM Z machine with its hypervisor, and images booted on it: what the s390 programs share.
//!
//! | part | party |
//! |---|---|
//! | [`Platform`] | the machine, and the kernel of the hypervisor on it |
//! | [`BootImage`] | the file as the boot loader inside the guest (stage3a) finds it in memory |
//! | [`Vm`] | one VM: ordinary with the image in its memory, then started |
//! | [`GuestFacts`] | what the guest itself saw: for its owner, never for the hypervisor |
//!
//! ```no_run
//! # fn main() -> Result<(), ultravisor::Failure> {
//! use ultravisor::s390_vm::{BootImage, Platform};
//! # let (file, key) = (Vec::new(), todo!());
//! let platform = Platform::new(key, 1, file.len())?;
//! let mut vm = platform.load(&BootImage::find(file)?)?;
//! let facts = vm.set_measuring_guest();
//! let outcome = vm.boot(&mut |_| {});
//! if outcome.is_running() {
//!     vm.run_to_halt()?; // the guest has read its components now
//!     println!("{:?}", facts.take());
//! }
//! # Ok(())
//! # }
//! ```

mod boot;
mod facts;
mod image;
mod platform;

pub use boot::{Boot, BootEvent, Refusal};
pub use facts::{ComponentFact, FactsHandle, GuestFacts};
pub use image::BootImage;
pub use platform::{Platform, Vm};

//! A simulated IBM Z machine with its hypervisor, and images booted on it: what the s390 programs share.
//!
//! | part | party |
//! |---|---|
//! | [`Platform`] | the machine, and the kernel of the hypervisor on it |
//! | [`Vm`] | one VM: ordinary with the image in its memory, then started |
//! | [`DeviceGuest`] | a guest that uses its `/dev/uv` |
//! | [`GuestFacts`] | what the guest itself saw: for its owner, never for the hypervisor |
//!
//! ```
//! use uv_s390::guest::stage3a::BootImage;
//! use uv_s390::owner::{crypto::HostPrivateKey, image::ImageBuilder};
//! use uv_s390_programs::vm::Platform;
//!
//! let mut rng = uv_programs::random::rng(None)?;
//! let key = HostPrivateKey::generate(&mut rng);
//! let kernel = ImageBuilder::new(b"a kernel").host_key(key.public()).skip_component_check();
//! let file = kernel.build(&mut rng).expect("an image").bytes;
//!
//! let mut platform = Platform::new(key, 1, file.len())?;
//! let mut vm = platform.load(&BootImage::find(file).expect("an image"))?;
//! let facts = vm.set_measuring_guest()?;
//! assert!(vm.boot(&mut |_| {}).is_running());
//! vm.run_to_halt()?; // the guest reads its components through its own CPU
//! assert_eq!(facts.take().components.len(), 2);
//! # Ok::<(), uv_programs::Failure>(())
//! ```

mod boot;
mod device;
mod facts;
mod platform;

pub use boot::{Boot, BootEvent, Refusal};
pub use device::{DeviceGuest, Replies};
pub use facts::{ComponentFact, FactsHandle, GuestFacts};
pub use platform::{Platform, Vm};

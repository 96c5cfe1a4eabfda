//! A machine with its hypervisor, ready for use (feature `dev`): for tests, tables, programs and fuzz targets, and for whoever
//! tries the library out.
//!
//! Who uses it: tests, programs, fuzz targets.
//!
//! | part | what it is |
//! |---|---|
//! | [`Rig`] | a machine with an initialized Ultravisor, the hypervisor's kernel on it, memory for VMs |
//! | [`RigConfig`] | what of it is other than usual |
//! | [`sim::rig`](crate::sim::rig) | the machine without that kernel: single calls and entries, each as a test wants it |
//!
//! A rig shows every party at once, which no program on a real machine does.
//!
//! ```
//! use uv_core::{Exit, Vcpu};
//! use uv_s390::dev::Rig;
//! use uv_s390::sim::{GuestInsn, InsnResult, Program, Step};
//!
//! let rig = Rig::new(1)?;
//! let image = rig.image(b"a kernel");
//! let vm = rig.vm_with(&image, 1)?;
//! rig.machine.set_guest(vm.state_address(0)?, move |_| -> Box<dyn Program<GuestInsn, InsnResult>> {
//!     Box::new(|_| Step::Halt)
//! });
//! vm.start_protected(image.ipib_bytes())?;
//! assert_eq!(vm.vcpu(0)?.run_served()?, Exit::Halted);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod rig;

pub use rig::{Rig, RigConfig};

//! A machine with its hypervisor, ready for use (feature `dev`): for tests, programs and fuzz targets, and for whoever tries the
//! library out.
//!
//! Who uses it: tests, programs, fuzz targets.
//!
//! | part | what it is |
//! |---|---|
//! | [`Rig`] | a machine with its normal memory, KVM-HV's view of it, memory for VMs |
//! | [`RigConfig`] | what of it is other than usual |
//! | [`RigError`] | why a VM could not be made |
//!
//! A rig shows every party at once, which no program on a real machine does.
//!
//! ```
//! use uv_core::{EnterSecureMode, Exit, SecureVm, Vcpu, VmState};
//! use uv_power::dev::Rig;
//! use uv_power::guest::EsmRequest;
//! use uv_power::hypervisor::vmm::boot::{BootFiles, BootLayout};
//! use uv_power::owner::{digests::RTAS_STUB, keys::PrivateKey};
//! use uv_power::sim::{GuestInsn, Script, Step};
//!
//! # macro_rules! file { ($name:literal) => { include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/svm-tool/", $name)) } }
//! # let [kernel, initrd, blob] = [&file!("boot/vmlinux.bin")[..], file!("boot/initrd.img"), file!("blobs/full.dtb")];
//! # let (pem, bootargs) = (file!("keys/machine1.pem"), "root=/dev/sda1 rw svm=on console=hvc0");
//! let files = BootFiles { kernel, initrd, blob: Some(blob), rtas: &RTAS_STUB, bootargs, cores: 1 };
//! let layout = BootLayout::new(&files)?;
//!
//! let rig = Rig::new(PrivateKey::from_pem(pem, None)?);
//! let vm = rig.vm_with(&layout)?;
//! let esm = GuestInsn::ultracall(EsmRequest::NUMBER, &layout.request().arguments());
//! let mut cpu = rig.boot_cpu(&vm, &layout, Box::new(Script::new([Step::Call(esm)]).0));
//! assert_eq!(cpu.run()?, Exit::EnterSecureMode);
//! vm.enter_secure_mode(&mut cpu)?;
//! assert_eq!(vm.vm_state(), VmState::Secure);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod rig;

pub use rig::{Rig, RigConfig, RigError};

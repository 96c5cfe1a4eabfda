//! POWER Protected Execution Facility (PEF): what a hypervisor, a guest, a guest's owner and an ultravisor say to each other.
//!
//! A room is a party:
//!
//! | room | who uses it | what is in it | feature |
//! |---|---|---|---|
//! | [`abi`] | everybody | the tables of calls, registers, codes, the seams [`Ultracall`](abi::Ultracall), [`GuestEntry`](abi::GuestEntry) and [`HostTpm`](abi::tpm::HostTpm) | - |
//! | [`hypervisor::kernel`] | the host's kernel | KVM-HV: bookkeeping of pages, `H_SVM_*` hypercalls, the run loop | - |
//! | [`hypervisor::vmm`] | the VMM | QEMU's part: `pef-guest`; what lies where in guest memory before `UV_ESM` (`fdt`) | - |
//! | [`guest`] | the guest's firmware and kernel | asking for secure mode: `UV_ESM`, the device tree for it | tree: `fdt` |
//! | [`owner`] | whoever builds ESM blobs and holds keys | ESM blobs: lockboxes, digests, files, and the checks that an ultravisor makes of them | `owner` |
//! | [`sim`] | the ultravisor and its machine | the simulated machine, its TPM | `sim` |
//! | [`wrap`] | tests of any of them | wrappers around the seams: trace, watch, record, disturb | `sim` |
//!
//! | feature | what it adds | on by default |
//! |---|---|---|
//! | `fdt` | the device tree that a guest needs to ask for secure mode | yes |
//! | `owner` | the owner's side; page ciphers, no engine | yes |
//! | `sim` | the simulated machine; implies `owner` | yes |
//!
//! A product on real hardware takes none of them: it implements the seams, and links `uv-core` alone.
//!
//! # From a guest's wish to a secure VM
//! The owner makes a blob for a machine, the VMM loads the guest, the guest asks, the kernel serves what the ultravisor needs.
//!
#![cfg_attr(all(feature = "fdt", feature = "sim"), doc = "```")]
#![cfg_attr(not(all(feature = "fdt", feature = "sim")), doc = "```ignore")]
//! use std::sync::Arc;
//!
//! use uv_core::{EnterSecureMode, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory};
//! use uv_core::{PageSize, SecureVm, SlotId, Vcpu, VmState};
//! use uv_power::abi::regs::Lpid;
//! use uv_power::guest::{EsmRequest, EsmTree, RTAS_TOKENS, Rtas};
//! use uv_power::hypervisor::kernel::{Defects, DevicePool, Host, KvmVcpu, Vm, VmConfig};
//! use uv_power::owner::{blob::Blob, digests::{Digests, RTAS_STUB}, keys::PrivateKey};
//! use uv_power::sim::{GuestInsn, Machine, MachineConfig};
//! use uv_sim::{HostMemory, guest::{Script, Step}, rng::SimRng};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The owner: a blob that measures the guest and opens on one machine.
//! let (kernel, initrd, bootargs) = ([0x60; 4096], [1; 4096], "svm=on");
//! let mut rng = SimRng::from_seed(1);
//! let (owner, machine_key) = (PrivateKey::generate(&mut rng)?, PrivateKey::generate(&mut rng)?);
//! let mut blob = Blob::create(owner.public(), "owner", &mut rng)?;
//! blob.authorize(machine_key.public(), "this machine", &owner, &mut rng)?;
//! let key = blob.unlock(&owner)?;
//! blob.set_digests(&Digests::measure(&kernel, &initrd, bootargs)?, &key, "first", &mut rng)?;
//! let blob = blob.to_bytes()?;
//!
//! // The machine: 32 MiB for the guest, all of the host's memory here.
//! let memory = Arc::new(HostMemory::new(32 << 20));
//! let machine = Machine::new(MachineConfig::new(machine_key), memory.clone());
//!
//! // The VMM: loads kernel, initramfs, blob, RTAS and the device tree that names them.
//! let request = EsmRequest { kernel: GuestAddr(0x40_0000), tree: GuestAddr(0x80_0000) };
//! let at = |at: u64, bytes: &[u8]| at..at + bytes.len() as u64;
//! let (first, second, third) = (at(0x50_0000, &initrd), at(0x60_0000, &blob), at(0x70_0000, &RTAS_STUB));
//! let reserved = [at(request.kernel.0, &kernel), first.clone(), second.clone(), third.clone()];
//! let rtas = Rtas { code: third.clone(), tokens: &RTAS_TOKENS };
//! let (initrd_at, blob_at) = (first.clone(), Some(second.clone()));
//! let tree = EsmTree { memory: 32 << 20, cores: 1, bootargs, initrd: initrd_at, blob: blob_at, rtas, reserved: &reserved };
//! for (at, bytes) in [
//!     (request.kernel.0, &kernel[..]),
//!     (first.start, &initrd),
//!     (second.start, &blob),
//!     (third.start, &RTAS_STUB),
//!     (request.tree.0, &tree.to_bytes()?),
//! ] {
//!     memory.write(HostAddr(at), bytes)?;
//! }
//!
//! // The guest: asks to be secure.
//! let steps = [Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &request.arguments()))];
//! machine.add_vcpu(Lpid(1), 0, Box::new(Script::new(steps).0));
//!
//! // The kernel: a VM over the seams, and its virtual CPU.
//! let seams = Arc::new(machine.clone());
//! let pool = DevicePool::new(32 << 20).map(Arc::new);
//! let host = Host { uv: seams.clone(), entry: seams, memory, pool };
//! let mut slots = MemSlots::new(PageSize::K64);
//! slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 512, host: HostAddr(0) })?;
//! let vm = Arc::new(Vm::new(host, VmConfig { lpid: Lpid(1), radix: true, slots, defects: Defects::empty() }));
//! vm.enable_secure_guest_capability()?;
//! let mut cpu = KvmVcpu::new(vm.clone(), 0).starting_at(request.kernel);
//!
//! assert_eq!(cpu.run()?, Exit::EnterSecureMode);
//! vm.enter_secure_mode(&mut cpu)?;
//! assert_eq!(vm.vm_state(), VmState::Secure);
//! assert_eq!(cpu.run()?, Exit::Halted);
//! vm.terminate()?;
//! # Ok(())
//! # }
//! ```
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod abi;
pub mod guest;
pub mod hypervisor;
#[cfg(feature = "owner")]
pub mod owner;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod wrap;

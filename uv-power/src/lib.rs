//! POWER Protected Execution Facility (PEF): everything that the three parties of a secure VM say to each other.
//!
//! A hypervisor that wants to run secure VMs finds its own side here, what KVM-HV and QEMU do, over a seam of one instruction, the
//! ultracall. A guest finds how its kernel asks for secure mode. A guest's owner finds ESM blobs. And who has no such machine finds a
//! simulated one, with its ultravisor, behind the same seam.
//!
//! # Rooms
//!
//! A room is a party:
//!
//! | room | who uses it | what is in it | feature |
//! |---|---|---|---|
//! | [`abi`] | everybody | the tables of calls, registers, codes, the seams [`Ultracall`](abi::Ultracall), [`GuestEntry`](abi::GuestEntry) and [`HostTpm`](abi::tpm::HostTpm) | - |
//! | [`hypervisor::kernel`] | the host's kernel | KVM-HV: bookkeeping of pages, `H_SVM_*` hypercalls, the run loop | - |
//! | [`hypervisor::vmm`] | the VMM | QEMU's part: `pef-guest`, loading a guest | loading: `fdt` |
//! | [`guest`] | the guest's firmware and kernel | asking for secure mode: `UV_ESM`, the device tree for it | tree: `fdt` |
//! | [`owner`] | whoever builds ESM blobs and holds keys | ESM blobs: lockboxes, digests, files, and the checks that an ultravisor makes of them | `owner` |
//! | [`sim`] | the ultravisor and its machine | the simulated machine, its TPM | `sim` |
//! | [`wrap`] | tests of any of them | wrappers around the seams: trace, watch, record, disturb | `sim` |
//! | `dev` | tests, programs, fuzz targets | machine, kernel and VMs with sane defaults | `dev` |
//!
//! # Features
//!
//! | feature | on by default | adds | links |
//! |---|---|---|---|
//! | none | | what a hypervisor and a guest need on a real machine; no cryptography | `uv-core` |
//! | `fdt` | yes | the device tree, and the layout of guest memory around it | `vm-fdt` |
//! | `owner` | yes | the owner's tools | AES, RSA, PKCS#8 |
//! | `sim` | yes | the simulated machine; includes `owner` | the page engine `uv-sim` |
//! | `dev` | no | a machine ready for use, defects of published kernels; includes `fdt` and `sim` | nothing more |
//!
//! The crate needs `alloc` and no `std`.
//!
//! # Example
//!
//! A VM with an ESM blob is loaded, asks for secure mode, and keeps a page to itself:
//!
#![cfg_attr(all(feature = "fdt", feature = "sim"), doc = "```")]
#![cfg_attr(not(all(feature = "fdt", feature = "sim")), doc = "```ignore")]
//! use std::sync::Arc;
//! use uv_core::{EnterSecureMode, Exit, Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageIn, PageSize, SecureVm, SlotId, Vcpu};
//! use uv_power::abi::{HvCode, regs::Lpid};
//! use uv_power::guest::EsmRequest;
//! use uv_power::hypervisor::kernel::{DevicePool, Host, KvmVcpu, Vm, VmConfig};
//! use uv_power::hypervisor::vmm::{PefGuest, boot::{BootFiles, BootLayout}};
//! use uv_power::owner::{digests::RTAS_STUB, keys::PrivateKey};
//! use uv_power::sim::{GuestInsn, Machine, MachineConfig, Script, Step};
//! use uv_sim::HostMemory;
//!
//! # macro_rules! file { ($name:literal) => { include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/svm-tool/", $name)) } }
//! # let [kernel, initrd, blob] = [&file!("boot/vmlinux.bin")[..], file!("boot/initrd.img"), file!("blobs/full.dtb")];
//! # let (pem, bootargs) = (file!("keys/machine1.pem"), "root=/dev/sda1 rw svm=on console=hvc0");
//! // The VMM: guest address 0 is at 16 MiB of its memory.
//! let files = BootFiles { kernel, initrd, blob: Some(blob), rtas: &RTAS_STUB, bootargs, cores: 1 };
//! let layout = BootLayout::new(&files)?;
//! let (host, pages) = (HostAddr(16 << 20), layout.memory >> PageSize::K64.shift());
//! let memory = Arc::new(HostMemory::new(host.0 + layout.memory));
//! layout.load(&*memory, host)?;
//!
//! // The machine, and what its guest will do. On a real one there is nothing to do.
//! let machine = Machine::new(MachineConfig::new(PrivateKey::from_pem(pem, None)?), memory.clone());
//! let esm = Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &layout.request().arguments()));
//! let (script, seen) = Script::new([esm, Step::store(layout.free, b"secret"), Step::load(layout.free, 6)]);
//! machine.add_vcpu(Lpid(1), 0, Box::new(script));
//!
//! // The kernel's VM over that memory.
//! let mut slots = MemSlots::new(PageSize::K64);
//! slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host })?;
//! let seam = Arc::new(machine);
//! let pool = DevicePool::new(layout.memory).map(Arc::new);
//! let kernel = Host { uv: seam.clone(), entry: seam, memory: memory.clone(), pool };
//! let vm = Arc::new(Vm::new(kernel, VmConfig { lpid: Lpid(1), radix: true, slots }));
//! PefGuest::new(vm.clone())?;
//!
//! // The run loop.
//! let mut cpu = KvmVcpu::new(vm.clone(), 0).starting_at(layout.kernel.at);
//! loop {
//!     match cpu.run()? {
//!         // A refusal is the guest's to hear of.
//!         Exit::EnterSecureMode => drop(vm.enter_secure_mode(&mut cpu)),
//!         Exit::EnterAborted => vm.terminate()?,
//!         Exit::PageMissing { gfn, .. } => vm.page_in(gfn)?,
//!         Exit::Halted => break,
//!         // A hypercall: there are no devices here.
//!         _ => cpu.complete(HvCode::H_FUNCTION, &[]),
//!     }
//! }
//!
//! // The guest reads its secret; the hypervisor finds what it had loaded there: nothing.
//! assert!(matches!(&seen.lock()[2], uv_power::sim::Outcome::Loaded(bytes) if ***bytes == *b"secret"));
//! let mut found = [0xee; 6];
//! memory.read(HostAddr(host.0 + layout.free.0), &mut found)?;
//! assert_eq!(found, [0; 6]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `dev`, `dev::Rig` makes machine, kernel and VM.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod abi;
#[cfg(feature = "dev")]
pub mod dev;
pub mod guest;
pub mod hypervisor;
#[cfg(feature = "owner")]
pub mod owner;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod wrap;

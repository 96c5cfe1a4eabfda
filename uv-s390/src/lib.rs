//! IBM Z Secure Execution: everything that the three parties of a protected guest say to each other.
//!
//! A hypervisor that wants to run protected guests finds its own side here, what KVM and QEMU do, over a seam of one instruction,
//! the UV call. A guest finds what its boot loader, kernel and programs do. A guest's owner finds images, attestation, secrets and
//! dumps. And who has no such machine finds a simulated one, with its Ultravisor, behind the same seam.
//!
//! # Rooms
//!
//! A room is a party:
//!
//! | room | who uses it | what is in it | feature |
//! |---|---|---|---|
//! | [`abi`] | everybody | numbers, layouts, codes, the seams [`UvCall`](abi::uvc::UvCall) and [`Sie`](abi::sie::Sie) | - |
//! | [`hypervisor::kernel`] | the host's kernel | donation, configurations, CPUs, the run loop, faults, interruptions | - |
//! | [`hypervisor::uapi`] | kernel and VMM | KVM's ioctls as values | - |
//! | [`hypervisor::vmm`] | the VMM | start and reset sequences, DIAG 308, writing a dump | - |
//! | [`guest`] | the guest's boot loader, kernel and programs | asking for protection, `/dev/uv`, `/sys/firmware/uv` | - |
//! | [`owner`] | whoever builds images and holds keys | images, host-key documents, attestation, secrets, reading dumps | `owner` |
//! | [`sim`] | the Ultravisor and its machine | the simulated machine | `sim` |
//! | [`wrap`] | tests of any of them | wrappers around a seam: trace, record, disturb | `sim` |
//! | `dev` | tests, programs, fuzz targets | machine, kernel and VM with sane defaults | `dev` |
//!
//! # Features
//!
//! | feature | on by default | adds | links |
//! |---|---|---|---|
//! | none | | what a hypervisor and a guest need on a real machine; no cryptography | `uv-core` |
//! | `owner` | yes | the owner's tools | page ciphers, P-521, X.509 |
//! | `sim` | yes | the simulated machine; includes `owner` | the page engine `uv-sim` |
//! | `dev` | | a machine ready for use; includes `sim` | |
//!
//! The crate needs `alloc` and no `std`.
//!
//! # Example
//!
//! An image is built for a machine, put into the memory of an ordinary VM, and becomes a protected guest:
//!
#![cfg_attr(feature = "sim", doc = "```")]
#![cfg_attr(not(feature = "sim"), doc = "```ignore")]
//! use std::sync::Arc;
//! use uv_core::{Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId, Vcpu};
//! use uv_s390::guest::stage3a::BootImage;
//! use uv_s390::hypervisor::kernel::{Hardware, Host, HostPages, Vm, VmConfig};
//! use uv_s390::hypervisor::vmm::boot;
//! use uv_s390::owner::image::ImageBuilder;
//! use uv_s390::sim::{GuestInsn, InsnResult, Machine, MachineConfig, Outcome, Program, Step};
//! # use rand_core::SeedableRng;
//!
//! // The machine. On a real one there is nothing to do.
//! let config = MachineConfig::new(1);
//! let public_key = config.host_key.public();
//! let machine = Arc::new(Machine::new(config));
//!
//! // The owner builds an image that only this machine can open.
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
//! let built = ImageBuilder::new(b"a kernel").host_key(public_key).skip_component_check().build(&mut rng)?;
//! let image = BootImage::find(built.bytes)?;
//!
//! // The hypervisor: a kernel with 64 MiB to donate from, and a VM of 1 MiB with the image in its memory.
//! let hardware = Hardware::new(&machine, machine.host_memory());
//! let host = Host::start(hardware, HostPages::new([(HostAddr(2 << 30), 64 << 20)]))?;
//! let mut slots = MemSlots::new(PageSize::K4);
//! slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 256, host: HostAddr(1 << 30) })?;
//! let vm = Vm::new(host, VmConfig::new(slots))?;
//! vm.add_cpu(0)?;
//! boot::load(&vm.storage(), image.file())?;
//!
//! // What the guest does once it runs: it writes a page of its own.
//! machine.set_guest(vm.state_address(0)?, |_| -> Box<dyn Program<GuestInsn, InsnResult>> {
//!     let mut steps = vec![Step::store(GuestAddr(0x8_0000), b"private")].into_iter();
//!     Box::new(move |_: Outcome<InsnResult>| steps.next().unwrap_or(Step::Halt))
//! });
//!
//! // DIAG 308 subcode 10, as the VMM carries it out, and the run loop.
//! let started = vm.start_protected(image.ipib_bytes())?;
//! assert_eq!(started.pages, image.pages());
//! assert_eq!(vm.vcpu(0)?.run_served()?, Exit::Halted);
//! assert!(vm.storage().read(GuestAddr(0x8_0000), &mut [0; 7]).is_err(), "the hypervisor cannot read it");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `dev`, `dev::Rig` does the first three steps.
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

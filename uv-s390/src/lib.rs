//! IBM Z Secure Execution: Ultravisor calls, DIAG 308, SE images, dumps, attestation, secrets.
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
//! | [`dev`] | tests, programs, fuzz targets | machine, kernel and VM with sane defaults | `dev` |
//! | [`wrap`] | tests of any of them | wrappers around a seam: trace, record, disturb | `sim` |
#![no_std]
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

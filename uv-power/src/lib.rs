//! POWER Protected Execution Facility (PEF).
//!
//! A room is a party:
//!
//! | room | who uses it | what is in it | feature |
//! |---|---|---|---|
//! | [`abi`] | everybody | numbers, registers, codes, the seams [`Ultracall`](abi::Ultracall) and [`GuestEntry`](abi::GuestEntry) | - |
//! | [`hypervisor::kernel`] | the host's kernel | KVM-HV: bookkeeping of pages, `H_SVM_*` hypercalls, the run loop | - |
//! | [`hypervisor::vmm`] | the VMM | QEMU's part: `pef-guest`, `H_SVM_TPM_COMM` | - |
//! | [`guest`] | the guest's firmware and kernel | asking for secure mode: `UV_ESM`, the device tree for it | tree: `fdt` |
//! | [`owner`] | whoever builds ESM blobs and holds keys | ESM blobs: lockboxes, digests, files, and the checks that an ultravisor makes of them | `owner` |
//! | [`sim`] | the ultravisor and its machine | the simulated machine | `sim` |
//! | [`wrap`] | tests of any of them | wrappers around the seams: trace, watch, record, disturb | `sim` |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
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

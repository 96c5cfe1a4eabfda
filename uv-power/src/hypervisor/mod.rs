//! The hypervisor, in two levels: the host's [`kernel`] makes the calls; the VMM ([`vmm`]) does its part in user space. The kernel
//! does not know the VMM.
//!
//! Who uses it: whoever runs VMs.

pub mod kernel;
pub mod vmm;

//! The hypervisor half on the simulated machine, with calls that are made to fail.
#![cfg(feature = "sim")]

mod interrupt;
mod interrupt_random;
mod ipl;
mod kernel;
mod kvm;
mod kvm_interrupt;
mod large;
mod memory;
mod ordinary;
mod rig;
mod run;
mod teardown;
mod waiting;

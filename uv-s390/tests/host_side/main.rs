//! The hypervisor half on the simulated machine, with calls that are made to fail.
#![cfg(feature = "sim")]

mod ipl;
mod kernel;
mod kvm;
mod rig;
mod teardown;
mod waiting;

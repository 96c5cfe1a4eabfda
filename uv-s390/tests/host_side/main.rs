//! The hypervisor half on the simulated machine, with calls that are made to fail.
#![cfg(feature = "sim")]

mod attributes;
mod client;
mod core_traits;
mod dump;
mod faults;
mod interrupt;
mod interrupt_random;
mod interrupt_rules;
mod ipl;
mod kernel;
mod kvm;
mod kvm_interrupt;
mod large;
mod lowcore;
mod mem_op;
mod memory;
mod ordinary;
mod prefix_area;
mod races;
mod rig;
mod run;
mod scripted;
mod service;
mod state;
mod system;
mod teardown;
mod values;
mod waiting;

//! What others take from `power_esmb`: its YAML input and what it shows.

pub mod display;
pub mod input;

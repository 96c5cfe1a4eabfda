//! Tests that run guests.

mod external;
mod injection;
mod instructions;
mod ordinary;
mod ordinary_frames;
mod prefix;
mod privilege;
mod reset;
mod sharing;
mod sigp;
mod sthyi;
mod stored;
mod validity;

//! Tests that run guests.

mod injection;
mod instructions;
mod ordinary;
mod prefix;
mod reset;
mod sharing;
mod validity;

//! The rules, by family.

mod concurrency;
mod entry;
mod errors;
mod freshness;
mod integrity;
mod isolation;
mod lifecycle;
mod limits;
mod paging;
mod ranges;
mod run_loop;
mod sequences;
mod sharing;
mod teardown;
mod withdrawing;
mod zero_fill;

use crate::Rule;

/// What a guest writes when nobody else may see it.
const SECRET: &[u8] = b"<< a secret of the guest, 40 bytes long >>";

/// The families of rules, each with its rules.
pub const FAMILIES: &[(&str, &[Rule])] = &[
    ("lifecycle", lifecycle::RULES),
    ("entry and refusal", entry::RULES),
    ("run loop", run_loop::RULES),
    ("paging", paging::RULES),
    ("zero-fill", zero_fill::RULES),
    ("sharing", sharing::RULES),
    ("withdrawing", withdrawing::RULES),
    ("isolation", isolation::RULES),
    ("integrity", integrity::RULES),
    ("freshness", freshness::RULES),
    ("teardown", teardown::RULES),
    ("errors", errors::RULES),
    ("ranges", ranges::RULES),
    ("concurrency", concurrency::RULES),
    ("limits", limits::RULES),
    ("random sequences", sequences::RULES),
];

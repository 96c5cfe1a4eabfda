//! QUERY_KEYS: hashes of the public host keys.
//!
//! No check of its own. Works before INIT_UV, and in both roles: which role a real machine allows is not known.

use crate::abi::QueryKeys;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

pub(in crate::sim) fn keys(machine: &Machine, block: &mut QueryKeys) -> Answer {
    let keys = [Some(&machine.host_key), machine.backup_key.as_ref()];
    block.hashes = [[0; 32]; crate::abi::KEY_HASHES];
    for (hash, key) in block.hashes.iter_mut().zip(keys) {
        if let Some(key) = key {
            *hash = key.public().phkh().0;
        }
    }
    Ok(())
}

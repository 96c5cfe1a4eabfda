//! QUERY_KEYS: hashes of the public host keys.
//!
//! No check of its own. Works before INIT_UV, and in both roles: which role a real machine allows is not known (UNSURE).

use crate::abi::uvcb::{QueryKeys, Role};
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;

pub(in crate::sim) fn keys(machine: &Machine, _: Role, block: &mut QueryKeys) -> Answer {
    let keys = [Some(&machine.host_key), machine.backup_key.as_ref()];
    block.hashes = [[0; 32]; crate::abi::uvcb::KEY_HASHES];
    for (hash, key) in block.hashes.iter_mut().zip(keys) {
        if let Some(key) = key {
            *hash = key.public().phkh().0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::abi::uvc::UvRc;
    use crate::abi::uvcb::QueryKeys;
    use crate::owner::crypto::HostPrivateKey;
    use crate::sim::Generation;
    use crate::sim::rig::{OK, Rig, refused};

    #[test]
    fn hashes_of_the_keys_that_are_there() {
        let backup = HostPrivateKey::from_scalar(&[5]).unwrap();
        let rig = Rig::with(|config| config.backup_key = Some(backup.clone()));
        let mut block = QueryKeys::new();
        block.hashes = [[7; 32]; crate::abi::uvcb::KEY_HASHES];
        assert_eq!(rig.call(&mut block), OK);
        assert_eq!(block.hashes[0], rig.machine.host_key.public().phkh().0);
        assert_eq!(block.hashes[1], backup.public().phkh().0);
        assert_eq!(block.hashes[2..], [[0; 32]; 13]);
        assert_eq!(Rig::new(Generation::Z15).call(&mut QueryKeys::new()), refused(UvRc::INVALID_COMMAND));
    }
}

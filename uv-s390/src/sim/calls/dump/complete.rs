//! DUMP_COMPLETE: ends a dump, with the data that opens it.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | a dump has begun | rc 0x01f0 (UNSURE) |
//! | 3 | the area (conf_dump_finalize_len bytes) is accessible | rc 0x0030, 0x0031, 0x0032; the dump goes on |
//!
//! The key of the pages leaves the machine here, sealed for whoever has the customer communication key. Afterwards the guest
//! can be entered, and a new dump can begin.

use rand_core::Rng;
use zerocopy::IntoBytes;

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::DumpComplete;
use crate::owner::crypto::PageKey;
use crate::owner::crypto::gcm::IV_SIZE;
use crate::owner::dump::{CompletionBlock, CompletionSecrets};
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;
use crate::sim::profile::DUMP_FINALIZE;

pub(in crate::sim) fn complete(machine: &Machine, block: &mut DumpComplete) -> Answer {
    let conf = machine.conf(block.config_handle.get())?;
    let _open = conf.open_whole()?;
    let mut dump = conf.dump.write();
    let session = dump.as_ref().ok_or(UvRc::STATE)?;
    let export = conf.space.sealer().dump_key_export().ok_or(UvRc::STATE)?;
    let secrets = CompletionSecrets { nonce: export.nonce(), memory_key: PageKey::new(*export.expose_key()) };
    let mut iv = [0; IV_SIZE];
    machine.rng.lock().fill_bytes(&mut iv);
    let completion = CompletionBlock::seal(&session.cck, session.seed, iv, &secrets);
    super::put(machine, block.dump_area_origin.get(), DUMP_FINALIZE, completion.as_bytes())?;
    *dump = None;
    conf.resumable.changed();
    conf.life.lock().dumping = false;
    Ok(())
}

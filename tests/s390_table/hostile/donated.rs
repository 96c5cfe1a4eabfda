//! Storage that was donated.

use std::collections::BTreeMap;
use std::ops::Range;

use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::{CreateConf, CreateCpu, UvCommand};
use zerocopy::FromBytes as _;

use super::dice::command;
use crate::rig::Rig;

/// What the hypervisor knows to be donated, by handle.
#[derive(Default)]
pub(super) struct Donated {
    pub(super) confs: BTreeMap<u64, Vec<Range<u64>>>,
    pub(super) cpus: BTreeMap<u64, Range<u64>>,
}

impl Donated {
    /// Follows a call that has ended.
    pub(super) fn follow(&mut self, rig: &Rig, block: &[u8], rc: UvRc) {
        let area = |at: u64, len: u64| at..at + len.next_multiple_of(0x1000);
        let done = rc == UvRc::EXECUTED;
        let handle = block.get(0x18..0x20).map_or(0, |field| u64::from_be_bytes(field.try_into().unwrap()));
        match command(block) {
            UvCommand::CREATE_SEC_CONF if done || rc.needs_destroy() => {
                let (create, _) = CreateConf::read_from_prefix(block).unwrap();
                let base = area(create.conf_base_stor_origin.get(), rig.info.conf_base_phys_stor_len.get());
                let len = rig.info.variable_storage_len(create.guest_stor_len.get()).unwrap();
                let variable = done.then(|| area(create.conf_virt_stor_origin.get(), len));
                self.confs.insert(handle, [base].into_iter().chain(variable).collect());
            }
            UvCommand::CREATE_SEC_CPU if done => {
                let (create, _) = CreateCpu::read_from_prefix(block).unwrap();
                self.cpus.insert(handle, area(create.stor_origin.get(), rig.info.cpu_stor_len.get()));
            }
            UvCommand::DESTROY_SEC_CONF | UvCommand::DESTROY_SEC_CONF_FAST if done => {
                assert!(self.confs.remove(&handle).is_some());
            }
            UvCommand::DESTROY_SEC_CPU if done => assert!(self.cpus.remove(&handle).is_some()),
            _ => {}
        }
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = u64> {
        let areas = self.confs.values().flatten().chain(self.cpus.values());
        areas.flat_map(|area| area.clone().step_by(0x1000))
    }
}

//! The way to a running VM, for sequences that get somewhere.

use super::{Conf, Content, LOAD, Model, OPERATING, Phase, Reset};
use crate::s390::calls::{Addr, Call, Create, CreateCpu, Header, Init, MapTo};

impl Model {
    /// A call that leads a VM towards running, for one that does not yet.
    #[must_use]
    pub fn leads_on(&self, vm: u8) -> Option<Call> {
        let bad = false;
        if !self.ready {
            return Some(Call::Init(Init::Good));
        }
        let Some(conf) = self.confs.get(&vm) else { return Some(Call::CreateConf(vm, Create::Good)) };
        let home = |page| self.map(vm, page) == MapTo::Home;
        let missing = |page: &u8| !conf.pages.contains_key(page);
        Some(match conf.phase {
            Phase::Partial | Phase::Failed => match conf.cpus.keys().next() {
                Some(cpu) => Call::DestroyCpu { vm, cpu: *cpu, bad },
                None => Call::DestroyConf { vm, bad },
            },
            Phase::Created => Call::SetParams { vm, header: Header::Good, bad },
            Phase::Unpacking => match [3_u8, 4].into_iter().find(missing) {
                Some(page) if !home(page) => Call::Map(vm, page, MapTo::Home),
                Some(page) if self.seen((vm, page)) != Some(Content::Component(page - 3)) => {
                    Call::PutComponent { vm, page, component: page - 3 }
                }
                Some(page) => Call::Unpack { vm, at: Addr::Page(page), tweak: page - 3, bad },
                None => Call::Verify { vm, bad },
            },
            Phase::Verified => match conf.cpus.iter().next() {
                None => Call::CreateCpu { vm, cpu: 0, how: CreateCpu::Good, bad },
                _ if conf.dumping => Call::DumpComplete { vm, outside: false, bad },
                _ if conf.reset == Reset::Unshared => Call::PrepareReset { vm, bad },
                Some((cpu, found)) if found.due => Call::Reset { vm, cpu: *cpu, kind: 2, bad },
                Some((cpu, _)) if !conf.loaded => Call::SetState { vm, cpu: *cpu, state: LOAD, bad },
                Some((cpu, found)) if found.state != OPERATING => {
                    Call::SetState { vm, cpu: *cpu, state: OPERATING, bad }
                }
                _ => match [0_u8, 1].into_iter().find(|page| !self.is_in(conf, *page)) {
                    Some(page) if !home(page) => Call::Map(vm, page, MapTo::Home),
                    Some(page) => Call::Import { vm, at: Addr::Page(page), bad },
                    None => return None,
                },
            },
        })
    }

    pub(super) fn is_in(&self, conf: &Conf, page: u8) -> bool {
        self.locate(conf.vm, conf.life, page, true).is_ok()
    }
}

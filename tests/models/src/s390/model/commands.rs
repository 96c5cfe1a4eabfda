//! What each call of the host does, and what it answers.

use super::{
    CHECK_STOP, Content, Cpu, Described, LOAD, Model, OK, OPERATING, Owner, Page, Phase, Refusal, Reset, STOPPED, addr,
    refused,
};
use crate::s390::calls::{Addr, Answer, Call, CreateCpu, MapTo};

impl Model {
    pub(super) fn command(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let state = Err(refused(0x01f0));
        match *call {
            Call::CreateConf(vm, how) => return Ok(self.create(vm, how)),
            Call::DestroyConf { vm, bad } => {
                if !self.any(vm, bad)?.cpus.is_empty() {
                    return state;
                }
                self.end(vm, false);
            }
            Call::DestroyConfFast { vm, bad } => {
                if !self.any(vm, bad)?.cpus.is_empty() {
                    return state;
                }
                self.end(vm, true);
            }
            Call::CreateCpu { vm, cpu, how, bad } => {
                let life = self.lives + 1;
                let conf = self.whole(vm, bad)?;
                let rc = match how {
                    CreateCpu::Number => 0x0103,
                    _ if conf.cpus.contains_key(&cpu) => 0x0104,
                    CreateCpu::Missing => 0x0105,
                    CreateCpu::Low => 0x0106,
                    CreateCpu::State => 0x0107,
                    CreateCpu::Good => 0,
                };
                if rc != 0 {
                    return Err(refused(rc));
                }
                conf.cpus.insert(cpu, Cpu { life, state: STOPPED, due: false, load: None, program: false });
                let described = Described { conf: conf.life, cpu: life, pending: None, taken: false };
                self.lives = life;
                self.described.insert((vm, cpu), described);
            }
            Call::DestroyCpu { vm, cpu, bad } => {
                self.cpu(vm, cpu, bad)?;
                self.any(vm, false)?.cpus.remove(&cpu);
            }
            Call::SetParams { vm, header, bad } => return self.set_params(vm, header, bad),
            Call::Unpack { vm, at, tweak, bad } => return self.unpack(vm, at, tweak, bad),
            Call::Verify { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                if conf.phase != Phase::Unpacking {
                    return state;
                }
                let (pages, rest): (Vec<u8>, Vec<(Content, u8)>) =
                    conf.unpacked.iter().map(|(page, content, tweak)| (*page, (*content, *tweak))).unzip();
                let (contents, tweaks): (Vec<Content>, Vec<u8>) = rest.into_iter().unzip();
                let rrc = match () {
                    () if pages != [3, 4] => 0x1a,
                    () if contents != [Content::Component(0), Content::Component(1)] => 0x1b,
                    () if tweaks != [0, 1] => 0x1c,
                    () if conf.wrong_count => 0x1d,
                    () if conf.lost => 0x1b,
                    () => {
                        conf.phase = Phase::Verified;
                        return Ok(OK);
                    }
                };
                conf.phase = Phase::Failed;
                return Ok(Answer::Codes(1, 0x0102, rrc));
            }
            Call::SetState { vm, cpu, state: to, bad } => {
                let (found, phase, loaded, reset, from_zero) = self.cpu(vm, cpu, bad)?;
                match to {
                    STOPPED | CHECK_STOP => found.state = to,
                    OPERATING | LOAD if phase != Phase::Verified => return state,
                    OPERATING if *loaded => found.state = OPERATING,
                    LOAD if !*loaded && *reset != Reset::Unshared => {
                        found.state = OPERATING;
                        found.load = Some(from_zero);
                        (*loaded, *reset) = (true, Reset::None);
                    }
                    OPERATING | LOAD => return state,
                    _ => return Err(refused(0x01f4)),
                }
            }
            Call::Reset { vm, cpu, kind, bad } => {
                let (found, ..) = self.cpu(vm, cpu, bad)?;
                if found.state == OPERATING {
                    return state;
                }
                // Nobody asked for a reset from inside: each CPU needs a clear one.
                found.due &= kind != 2;
                found.load = None;
                found.program = false;
            }
            Call::PrepareReset { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                let stopped = conf.cpus.values().all(|cpu| cpu.state != OPERATING);
                if conf.phase != Phase::Verified || !stopped || conf.reset != Reset::Unshared {
                    return state;
                }
                (conf.reset, conf.from_zero, conf.loaded) = (Reset::Prepared, true, false);
                conf.cpus.values_mut().for_each(|cpu| cpu.due = true);
            }
            Call::UnshareAll { vm, bad } => self.unshare_all(vm, bad)?,
            Call::Import { vm, at, bad } => self.import(vm, at, bad)?,
            Call::Export(named) => {
                let frame = self.named(named, 0x01f3)?;
                self.export(frame);
            }
            Call::DestroyPage(named) => {
                let frame = self.named(named, 0x01f3)?;
                match self.owners.remove(&frame) {
                    None if self.generation == 15 => return Ok(Answer::Codes(1, 0x0107, 0x000d)),
                    None => return Ok(OK),
                    Some(Owner::Page(life, page)) => {
                        let conf = self.confs.values_mut().find(|conf| conf.life == life).ok_or(OK)?;
                        conf.pages.remove(&page);
                        conf.lost |= conf.phase == Phase::Unpacking;
                    }
                    Some(_) => {}
                }
                self.host.insert(frame, Content::Fill(0));
            }
            Call::Pin(named) => {
                let frame = self.named(named, 0x01f0)?;
                let Some(Owner::Page(life, page)) = self.owners.get(&frame).copied() else { return state };
                let conf = self.confs.values_mut().find(|conf| conf.life == life).ok_or(refused(0x01f0))?;
                let Some(Page::Shared(_, pinned)) = conf.pages.get_mut(&page) else { return state };
                *pinned = true;
            }
            Call::Unpin { vm, at, bad } => {
                let conf = self.whole(vm, bad)?;
                let page = addr(at)?;
                match conf.pages.get_mut(&page) {
                    Some(Page::Shared(_, pinned @ true)) => *pinned = false,
                    _ => return state,
                }
            }
            Call::DumpInit { vm, bad } => {
                let conf = self.whole(vm, bad)?;
                if conf.phase != Phase::Verified || conf.dumping {
                    return state;
                }
                conf.dumping = true;
            }
            Call::DumpCpu { vm, cpu, outside, bad } => {
                self.cpu(vm, cpu, bad)?;
                self.dumping(vm, outside)?;
            }
            Call::DumpStorage { vm, at, outside, bad } => {
                self.whole(vm, bad)?;
                if !self.any(vm, bad)?.dumping {
                    return state;
                }
                if at != Addr::Page(0) {
                    return Err(refused(0x01f4));
                }
                self.dumping(vm, outside)?;
                // The pages go out as they are told of: tweaks and ciphertext belong together.
                let pages = self.any(vm, bad)?.pages.values();
                let secure =
                    pages.filter_map(|page| if let Page::Secure(frame, _) = page { Some(*frame) } else { None });
                secure.collect::<Vec<_>>().into_iter().for_each(|frame| self.export(frame));
            }
            Call::DumpComplete { vm, outside, bad } => {
                self.whole(vm, bad)?;
                self.dumping(vm, outside)?;
                self.any(vm, bad)?.dumping = false;
            }
            Call::VerifyLarge { vm, at, bad } => {
                self.whole(vm, bad)?;
                return Err(refused(if at == Addr::Page(0) { self.large(vm) } else { 0x0103 }));
            }
            _ => return Ok(Answer::Nothing),
        }
        Ok(OK)
    }

    /// Never are all 256 pages of the first MiB secure; how it is mapped comes first.
    pub(super) fn large(&self, vm: u8) -> u16 {
        if self.map(vm, 0) == MapTo::Region { 0x0108 } else { 0x0106 }
    }

    pub(super) fn dumping(&mut self, vm: u8, outside: bool) -> Result<(), Refusal> {
        match self.any(vm, false)?.dumping {
            false => Err(refused(0x01f0)),
            true if outside => Err(refused(0x0032)),
            true => Ok(()),
        }
    }
}

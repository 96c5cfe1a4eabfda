//! How a configuration begins and ends, and how its header is taken.

use std::collections::BTreeMap;

use super::{Conf, Content, Model, OK, Owner, Page, Phase, Refusal, Reset, refused};
use crate::s390::calls::{Answer, Create, Header};

impl Model {
    pub(super) fn create(&mut self, vm: u8, how: Create) -> Answer {
        let taken = self.confs.contains_key(&vm);
        let rc = match how {
            Create::MsoHigh => 0x0101,
            Create::NoLength | Create::LengthHigh => 0x0102,
            Create::MsoUnaligned => 0x0101,
            Create::Asce => 0x0105,
            _ if taken => 0x0104,
            Create::BaseMissing => 0x0108,
            Create::BaseLow => 0x0109,
            Create::Flags => 0x010b,
            Create::NoSca => 0x010c,
            Create::ScaMissing => 0x010d,
            Create::VariableTaken => 0x810a,
            Create::Good => 1,
        };
        if rc == 1 || rc == 0x810a {
            self.lives += 1;
            let conf = Conf {
                life: self.lives,
                vm,
                phase: if rc == 1 { Phase::Created } else { Phase::Partial },
                wrong_count: false,
                unpacked: Vec::new(),
                lost: false,
                pages: BTreeMap::new(),
                cpus: BTreeMap::new(),
                loaded: false,
                from_zero: false,
                reset: Reset::None,
                dumping: false,
            };
            self.confs.insert(vm, conf);
        }
        if rc == 1 { OK } else { refused(rc) }
    }

    pub(super) fn end(&mut self, vm: u8, fast: bool) {
        let Some(conf) = self.confs.remove(&vm) else { return };
        for page in conf.pages.values() {
            match page {
                Page::Secure(frame, _) if fast => drop(self.owners.insert(*frame, Owner::DeadSecure)),
                Page::Shared(frame, _) if fast => drop(self.owners.insert(*frame, Owner::DeadShared)),
                Page::Secure(frame, _) => {
                    self.owners.remove(frame);
                    self.host.insert(*frame, Content::Fill(0));
                }
                Page::Shared(frame, _) => drop(self.owners.remove(frame)),
                Page::Sealed(..) | Page::Withdrawn => {}
            }
        }
    }

    pub(super) fn set_params(&mut self, vm: u8, header: Header, bad: bool) -> Result<Answer, Refusal> {
        let conf = self.whole(vm, bad)?;
        if conf.phase != Phase::Created {
            return Err(refused(0x01f0));
        }
        let (rc, rrc) = match header {
            Header::Short => (0x010a, 0x0031),
            Header::Inaccessible => (0x0103, 0),
            Header::Magic => (0x0104, 0x0001),
            Header::NoSlots => (0x010a, 0x0040),
            Header::AreaSize => (0x010a, 0x0039),
            Header::Size => (0x010a, 0x0031),
            Header::Flags => (0x0106, 0x0030),
            Header::ForeignKey => (0x0108, 0x0005),
            Header::CustomerKey => (0x0108, 0x000b),
            Header::Tag => (0x010a, 0),
            Header::Items => (0x010a, 0x0039),
            Header::SecretFlags => (0x0109, 0),
            Header::Good | Header::WrongCount => {
                conf.phase = Phase::Unpacking;
                conf.wrong_count = header == Header::WrongCount;
                return Ok(OK);
            }
        };
        Ok(Answer::Codes(1, rc, rrc))
    }
}

//! What the hypervisor does beside single calls: it takes frames back, resets and enters guests, moves pages.

use rand_core::Rng as _;
use uv_core::{HostAddr, NormalMemory as _};
use uv_s390::abi::sie::{AddressSpaces as _, HostMapping, MappingSize, Sie as _};
use uv_s390::abi::uvc::Cc;
use uv_s390::abi::uvcb::{CpuState, UvCommand};
use zerocopy::IntoBytes as _;

use super::{GUESTS, Hostile, OWN, PRIVATE};
use crate::rig::{END, OK, UV_BASE, home};

impl Hostile {
    /// Takes a frame back and fills it; its address and what it held, if it is the hypervisor's alone now.
    pub(super) fn take_back(&mut self) -> Option<(HostAddr, [u8; 4096])> {
        let frame = home(self.dice.below(GUESTS)) + (self.dice.below(PRIVATE.end) & !0xfff);
        let free = self.rig.export(frame) == OK && self.rig.storage(UvCommand::PIN_PAGE_SHARED, frame) != OK;
        let (frame, mut held) = (HostAddr(frame), [0; 4096]);
        self.rig.host.read(frame, &mut held).ok()?;
        let filled = free && self.rig.host.write(frame, &OWN.repeat(256)).is_ok();
        filled.then_some((frame, held))
    }

    /// A reset of a guest inside protection, with something in the way at times.
    pub(super) fn reset(&mut self) {
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let (conf, cpu) = (self.guests[which].0.conf, self.guests[which].1);
        let _ = self.rig.set_state(cpu, CpuState::STOPPED);
        for command in [UvCommand::SET_UNSHARE_ALL, UvCommand::PREPARE_RESET] {
            if self.dice.below(8) == 0 {
                self.call(true);
            }
            while self.rig.no_data(command, conf).0 == Cc::Partial {}
            self.look();
        }
        let _ = self.rig.no_data(UvCommand::CPU_RESET_CLEAR, cpu.handle);
        self.resets += u64::from(self.rig.set_state(cpu, CpuState::OPERATING_LOAD) == OK);
    }

    /// Enters a CPU, at times with a state description in which something was changed, and serves what it asks for.
    pub(super) fn enter(&mut self) {
        let own = if self.dice.below(4) == 0 { self.take_back() } else { None };
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let (guest, cpu) = &self.guests[which];
        let good = self.rig.sd(*cpu);
        let mut changed = good;
        if self.dice.below(4) == 0 {
            let at = usize::try_from(self.dice.below(0x400)).unwrap();
            changed.as_mut_bytes()[at] = self.dice.below(0x100).to_be_bytes()[7];
        }
        let asce = if self.dice.below(16) == 0 { self.dice.0.next_u64() } else { guest.asce };
        self.rig.put(cpu.state.0, changed.as_bytes());
        let entered = self.rig.machine.enter(cpu.state, asce, &mut [0; 16]);
        if let Some((frame, held)) = own {
            let mut page = [0; 4096];
            self.rig.host.read(frame, &mut page).unwrap();
            assert!(page.chunks_exact(16).all(|chunk| chunk == OWN), "a guest has written to {frame}");
            self.rig.host.write(frame, &held).unwrap();
        }
        // CPU timer, interception and registers are the machine's; the rest goes back to what it was.
        let mut after = self.rig.sd(*cpu);
        if after.validity().is_some() {
            after.cpu_timer = good.cpu_timer;
        }
        after.as_mut_bytes()[..0x28].copy_from_slice(&good.as_bytes()[..0x28]);
        after.as_mut_bytes()[0x40..0x100].copy_from_slice(&good.as_bytes()[0x40..0x100]);
        after.sidad = good.sidad;
        self.rig.put(cpu.state.0, after.as_bytes());
        if let (Err(interruption), false) = (entered, self.dice.below(8) == 0) {
            let page = interruption.teid.map_or(0, |teid| teid.page());
            self.rig.import(guest, page);
        }
        self.rig.import(guest, self.dice.below(9) << 12);
    }

    /// Moves a page to another frame, of any guest or of nobody; or writes to guest memory what it likes.
    pub(super) fn disturb(&mut self) {
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let page = self.dice.below(PRIVATE.end) & !0xfff;
        let frame = home(self.dice.below(GUESTS)) + (self.dice.below(PRIVATE.end) & !0xfff);
        let guest = &self.guests[which].0;
        match self.dice.below(8) {
            6 => {
                let mapping = HostMapping { frame: HostAddr(frame), writable: true, size: MappingSize::Page };
                self.unpacking.tables.moved.lock().insert(page, Some(mapping));
            }
            7 => self.unpacking.tables.moved.lock().clear(),
            0 => {
                let size = [MappingSize::Page, MappingSize::Segment, MappingSize::Region];
                let size = size[usize::try_from(self.dice.below(3)).unwrap()];
                // Also frames that are not there, or that are nobody's to give.
                let frame = self.dice.pick(&[frame, frame, frame, END, END - 0x1000, UV_BASE, !0xfff, 0]);
                let mapping = HostMapping { frame: HostAddr(frame), writable: self.dice.below(8) != 0, size };
                let mapping = Some(mapping).filter(|_| self.dice.below(4) != 0);
                guest.tables.moved.lock().insert(page, mapping);
            }
            1 => guest.tables.moved.lock().clear(),
            2 => {
                self.rig.machine.detach(guest.asce);
                self.rig.machine.attach(guest.asce, guest.tables.clone());
            }
            3 if !self.kept.is_empty() => {
                let old = &self.kept[usize::try_from(self.dice.below(self.kept.len() as u64)).unwrap()];
                // A frame that is closed to the hypervisor stays as it is.
                let _ = self.rig.host.write(HostAddr(frame), old);
            }
            _ => {
                let mut bytes = vec![0; 4096];
                if self.rig.host.read(HostAddr(frame), &mut bytes).is_ok() && self.kept.len() < 64 {
                    self.kept.push(bytes);
                }
            }
        }
    }
}

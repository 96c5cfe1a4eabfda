//! The hypervisor's calls to the Ultravisor.

use uv_s390::abi::uvc::{Cc, UvRc};
use uv_s390::abi::uvcb::{Unpack, UvCommand};
use zerocopy::IntoBytes as _;

use super::dice::{command, put};
use super::{GUESTS, Hostile, PRIVATE};
use crate::rig::{COMPONENT, Codes, END, GUEST_LEN, UV_BASE, header_only, home};

/// Calls that move pages, with their lengths: they come more often than the others.
const MOVES: [(UvCommand, u16); 8] = [
    (UvCommand::UNPACK_IMG, 0x50),
    (UvCommand::SET_UNSHARE_ALL, 0x40),
    (UvCommand::CONV_TO_SEC_STOR, 0x28),
    (UvCommand::CONV_TO_SEC_STOR, 0x28),
    (UvCommand::CONV_FROM_SEC_STOR, 0x20),
    (UvCommand::DESTR_SEC_STOR, 0x20),
    (UvCommand::PIN_PAGE_SHARED, 0x20),
    (UvCommand::UNPIN_PAGE_SHARED, 0x28),
];

impl Hostile {
    pub(super) fn meaningful(&self) -> Vec<u64> {
        let mut numbers = vec![0, 1, 5, 0x1000, COMPONENT, 0x8000, PRIVATE.start, GUEST_LEN, UV_BASE, END, u64::MAX];
        for (guest, cpu) in &self.guests {
            let create = &guest.create;
            numbers.extend([guest.conf, cpu.handle, guest.base, guest.base + 0x8000, guest.base + PRIVATE.start]);
            numbers.extend([create.conf_base_stor_origin.get(), guest.asce, cpu.state.0, home(GUESTS) + 0x10_0000]);
        }
        numbers
    }

    /// One call. The first calls end no guest; after them everything goes.
    pub(super) fn call(&mut self, gentle: bool) {
        let meaningful = self.meaningful();
        let mut block = self.dice.block(&meaningful);
        if self.dice.below(2) == 0 {
            let moves = MOVES[usize::try_from(self.dice.below(MOVES.len() as u64)).unwrap()];
            block = header_only(moves.0, moves.1);
        }
        // Not page 0: a guest that has lost its PSW there never starts again.
        let page = 0x1000 + (self.dice.below(PRIVATE.end - 0x1000) & !0xfff);
        let which = usize::try_from(self.dice.below(GUESTS)).unwrap();
        let guest = &self.guests[which].0;
        match command(&block) {
            UvCommand::CONV_TO_SEC_STOR | UvCommand::UNPIN_PAGE_SHARED if self.dice.below(8) != 0 => {
                put(&mut block, 0x18, guest.conf);
                put(&mut block, 0x20, page);
            }
            UvCommand::UNPACK_IMG if self.dice.below(8) != 0 => {
                block = Unpack::new(self.unpacking.conf, page, self.dice.below(4), page).as_bytes().to_vec();
            }
            UvCommand::SET_UNSHARE_ALL if self.dice.below(8) != 0 => put(&mut block, 0x18, guest.conf),
            UvCommand::CONV_FROM_SEC_STOR | UvCommand::DESTR_SEC_STOR | UvCommand::PIN_PAGE_SHARED
                if self.dice.below(8) != 0 =>
            {
                put(&mut block, 0x18, guest.base + page);
            }
            UvCommand::CREATE_SEC_CONF if self.dice.below(4) != 0 => {
                let mut create = self.rig.create_block(GUESTS + self.dice.below(3));
                let at = 0x18 + usize::try_from(self.dice.below(8) * 8).unwrap();
                let value = self.dice.number(&meaningful);
                put(create.as_mut_bytes(), at, value);
                block = create.as_bytes().to_vec();
            }
            UvCommand::DESTROY_SEC_CONF
            | UvCommand::DESTROY_SEC_CONF_FAST
            | UvCommand::DESTROY_SEC_CPU
            | UvCommand::CPU_SET_STATE
            | UvCommand::DUMP_INIT
                if gentle =>
            {
                return;
            }
            _ => {}
        }
        if let Ok((cc, rc, _)) = self.issue(&mut block) {
            self.done += u64::from(cc == Cc::Done);
            self.unpacked += u64::from(cc == Cc::Done && command(&block) == UvCommand::UNPACK_IMG);
            assert!(cc != Cc::Done || rc == UvRc::EXECUTED);
        }
    }

    /// The call, followed. A block without room for rc and rrc is a program interruption.
    pub(super) fn issue(&mut self, block: &mut [u8]) -> Result<Codes, ()> {
        let codes = self.rig.bytes(block).map_err(|_| ())?;
        self.donated.follow(&self.rig, block, codes.1);
        self.look();
        Ok(codes)
    }
}

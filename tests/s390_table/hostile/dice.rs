//! Numbers and control blocks that are mostly nearly right.

use rand_core::Rng as _;
use uv_s390::abi::uvcb::{COMMANDS, Length, UvCommand};
use uv_sim::rng::SimRng;

pub(super) struct Dice(pub(super) SimRng);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub(super) fn pick(&mut self, from: &[u64]) -> u64 {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// A number that is mostly one that means something, or one near by.
    pub(super) fn number(&mut self, meaningful: &[u64]) -> u64 {
        match self.below(16) {
            0 => self.0.next_u64(),
            1 => self.below(1 << 16),
            2 => self.pick(meaningful).wrapping_add(self.below(0x2001)),
            3 => self.pick(meaningful) ^ 1 << self.below(64),
            _ => self.pick(meaningful),
        }
    }

    /// A control block of any command, mostly with its length, with such numbers behind the header.
    pub(super) fn block(&mut self, meaningful: &[u64]) -> Vec<u8> {
        let info = COMMANDS[usize::try_from(self.below(COMMANDS.len() as u64)).unwrap()];
        let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
        let command = if self.below(64) == 0 { u16::try_from(self.below(0x1_0000)).unwrap() } else { info.command.0 };
        let stated = if self.below(32) == 0 { u16::try_from(self.below(0x240)).unwrap() } else { len };
        let given = if self.below(32) == 0 { self.below(0x240) } else { u64::from(stated.max(8)) };
        let mut block = vec![0; usize::try_from(given).unwrap()];
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&self.number(meaningful).to_be_bytes());
        }
        let header = [stated.to_be_bytes(), command.to_be_bytes()].concat();
        let head = header.len().min(block.len());
        block[..head].copy_from_slice(&header[..head]);
        block
    }
}

pub(super) fn command(block: &[u8]) -> UvCommand {
    block.get(2..4).map_or(UvCommand(0), |code| UvCommand(u16::from_be_bytes([code[0], code[1]])))
}

pub(super) fn put(block: &mut [u8], at: usize, value: u64) {
    if let Some(field) = block.get_mut(at..at + 8) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

//! A POWER machine whose ultravisor is called directly, with one VM on its way to secure mode.

use std::error::Error;
use std::sync::Arc;

use uv_core::HostAddr;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::Lpid;
use uv_power::abi::ultracall::{Ultracall as _, call};
use uv_power::abi::{Msr, Regs, UvCode};
use uv_power::owner::keys::PrivateKey;
use uv_power::sim::{Machine, MachineConfig};
use uv_sim::HostMemory;

const VM: Lpid = Lpid(7);
/// Order of a page of 64 KiB.
const ORDER: u64 = 16;
/// Where normal memory begins that page 0 goes to.
const NORMAL: u64 = 1 << 20;

/// The machine.
pub(crate) struct Power {
    machine: Machine,
}

impl Power {
    /// A machine with a VM of so many pages, all of which are secure.
    pub(crate) fn new(pages: u32) -> Result<Self, Box<dyn Error>> {
        let mut rng = uv_programs::random::rng(Some(1))?;
        let config = MachineConfig { secure_pages: pages + 64, ..MachineConfig::new(PrivateKey::generate(&mut rng)?) };
        let memory = Arc::new(HostMemory::new(NORMAL + (u64::from(pages) << ORDER)));
        let machine = Machine::new(config, memory);
        let mut regs = Regs { lpidr: VM, ..Regs::default() }.with_call(UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
        regs.msr = (Msr::SF | Msr::ME).bits();
        machine.ultracall(&mut regs);
        let power = Self { machine };
        let slot = [VM.0.into(), 0, u64::from(pages) << ORDER, 0, 0];
        power.expect(UltracallNumber::UV_REGISTER_MEM_SLOT, &slot, UvCode::U_SUCCESS);
        (0..pages).for_each(|page| power.page_in(page.into()));
        Ok(power)
    }

    fn expect(&self, number: UltracallNumber, args: &[u64], code: UvCode) {
        let (seen, _) = call(&self.machine, number, args);
        assert_eq!(seen, code, "{number}");
    }

    pub(crate) fn page_in(&self, page: u64) {
        self.expect(UltracallNumber::UV_PAGE_IN, &Self::args(page), UvCode::U_SUCCESS);
    }

    pub(crate) fn page_out(&self, page: u64) {
        self.expect(UltracallNumber::UV_PAGE_OUT, &Self::args(page), UvCode::U_SUCCESS);
    }

    /// A call that looks at a page and finds nothing to do: it is out already.
    pub(crate) fn look(&self, page: u64) {
        self.expect(UltracallNumber::UV_PAGE_OUT, &Self::args(page), UvCode::U_P3);
    }

    fn args(page: u64) -> [u64; 5] {
        [VM.0.into(), HostAddr(NORMAL + (page << ORDER)).0, page << ORDER, 0, ORDER]
    }
}

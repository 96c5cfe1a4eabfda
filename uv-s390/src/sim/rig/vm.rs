//! VMs and their CPUs.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use spin::Mutex;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use zerocopy::IntoBytes;

use super::{Codes, GIB, MIB, OK, Rig};
use crate::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize, SidaDesignation, StateDescription, fields};
use crate::abi::uvcb::{CpuState, CreateConf, CreateCpu, SetCpuState};

/// Bytes of guest storage.
pub const GUEST_LEN: u64 = 4 * MIB;

/// Storage that belongs to VM number `n`: guest memory first, what is donated for it from 64 MiB on.
#[must_use]
pub const fn home(n: u64) -> u64 {
    GIB + n * 128 * MIB
}

/// Page tables: the page at `mso` + n lies at `base` + n, with exceptions.
#[derive(Debug, Default)]
pub struct Tables {
    /// Pages that lie elsewhere, or nowhere, by guest absolute address.
    pub moved: Mutex<BTreeMap<u64, Option<HostMapping>>>,
    /// What all pages are mapped as, if not as pages.
    pub large: Mutex<Option<MappingSize>>,
    base: u64,
    mso: u64,
    len: u64,
}

impl Tables {
    /// `len` bytes from host address `base` on, which the address space has from 0 on.
    #[must_use]
    pub fn new(base: u64, len: u64) -> Self {
        Self { base, len, ..Self::default() }
    }
}

impl GuestMap for Tables {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let page = addr.0.checked_sub(self.mso).filter(|at| *at < self.len)? & !0xfff;
        if let Some(moved) = self.moved.lock().get(&page) {
            return *moved;
        }
        let size = self.large.lock().unwrap_or(MappingSize::Page);
        Some(HostMapping { frame: HostAddr(self.base + page), writable: true, size })
    }
}

/// One VM.
#[derive(Debug)]
pub struct Guest {
    /// Handle of its configuration.
    pub conf: u64,
    /// Its ASCE.
    pub asce: u64,
    /// The tables that the ASCE designates.
    pub tables: Arc<Tables>,
    /// Host absolute address of its storage.
    pub base: u64,
    /// Where its storage begins in its address space.
    pub mso: u64,
    /// The block that created it.
    pub create: CreateConf,
}

/// One CPU of a VM.
#[derive(Clone, Copy, Debug)]
pub struct Vcpu {
    /// Its handle.
    pub handle: u64,
    /// Its state description.
    pub state: HostAddr,
    /// What was donated for it.
    pub storage: u64,
}

impl Rig {
    /// A block that creates VM number `n`, with nothing wrong.
    #[must_use]
    pub fn create_block(&self, n: u64) -> CreateConf {
        let at = home(n);
        let mut block = CreateConf::new();
        block.conf_base_stor_origin = (at + 64 * MIB).into();
        block.conf_virt_stor_origin = (at + 65 * MIB).into();
        block.guest_stor_len = GUEST_LEN.into();
        block.guest_sca = (at + 68 * MIB).into();
        block.guest_asce = Self::asce(n).into();
        block
    }

    /// The ASCE of VM number `n`.
    #[must_use]
    pub const fn asce(n: u64) -> u64 {
        (home(n) + 69 * MIB) | 0x107
    }

    /// VM number `n`.
    pub fn guest(&self, n: u64) -> Guest {
        self.guest_with(n, |_| ())
    }

    /// A VM whose storage begins at `mso` of its address space.
    pub fn guest_at(&self, n: u64, mso: u64) -> Guest {
        self.guest_with(n, |create| create.guest_stor_origin = mso.into())
    }

    /// A VM that is created with something else than usual.
    pub fn guest_with(&self, n: u64, change: impl FnOnce(&mut CreateConf)) -> Guest {
        let mut create = self.create_block(n);
        change(&mut create);
        assert_eq!(self.call(&mut create), OK);
        let (base, mso, asce) = (home(n), create.guest_stor_origin.get(), create.guest_asce.get());
        let tables = Arc::new(Tables { mso, ..Tables::new(base, GUEST_LEN) });
        self.machine.attach(asce, Arc::clone(&tables) as Arc<dyn GuestMap>);
        Guest { conf: create.guest_handle.get(), asce, tables, base, mso, create }
    }

    /// A block that creates a CPU, with nothing wrong.
    #[must_use]
    pub fn cpu_block(&self, guest: &Guest, number: u16) -> CreateCpu {
        let at = guest.base + 80 * MIB + u64::from(number) * 0x1_0000;
        CreateCpu::new(guest.conf, number, at, at + 0x8000)
    }

    /// A CPU, its state description ready for an entry.
    pub fn cpu(&self, guest: &Guest, number: u16) -> Vcpu {
        let mut block = self.cpu_block(guest, number);
        let state = HostAddr(block.state_origin.get());
        let mut sd = StateDescription::new();
        sd.sidad = SidaDesignation::new(HostAddr(state.0 + 0x1000), 1).unwrap().0.into();
        self.host.write(state, sd.as_bytes()).unwrap();
        assert_eq!(self.call(&mut block), OK);
        let (handle, storage) = (block.cpu_handle.get(), block.stor_origin.get());
        sd.cpu_handle = handle.into();
        sd.conf_handle = guest.conf.into();
        sd.sdf = fields::SDF_PROTECTED;
        sd.ecb2 = fields::ECB2_EXTENDED_SCA;
        sd.set_sca_origin(guest.create.guest_sca.get());
        sd.mso = guest.mso.into();
        sd.msl = (guest.mso + GUEST_LEN - fields::MSL_BLOCK).into();
        self.host.write(state, sd.as_bytes()).unwrap();
        Vcpu { handle, state, storage }
    }

    /// CPU_SET_STATE.
    pub fn set_state(&self, cpu: Vcpu, state: CpuState) -> Codes {
        self.call(&mut SetCpuState::new(cpu.handle, state))
    }

    /// The state description of a CPU as it is.
    #[must_use]
    pub fn sd(&self, cpu: Vcpu) -> StateDescription {
        let mut sd = StateDescription::new();
        self.host.read(cpu.state, sd.as_mut_bytes()).unwrap();
        sd
    }

    /// Changes the state description of a CPU.
    pub fn change(&self, cpu: Vcpu, change: impl FnOnce(&mut StateDescription)) {
        let mut sd = self.sd(cpu);
        change(&mut sd);
        self.host.write(cpu.state, sd.as_bytes()).unwrap();
    }
}

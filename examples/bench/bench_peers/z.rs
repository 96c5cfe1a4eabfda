//! An IBM Z machine whose Ultravisor is called directly, with one VM.

use std::error::Error;
use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr, NormalMemory as _};
use uv_s390::abi::sie::{AddressSpaces as _, GuestMap, HostMapping, MappingSize};
use uv_s390::abi::uvc::{Block, Cc, UvCall as _};
use uv_s390::abi::uvcb::{ConvertFrom, ConvertTo, CreateConf, InitUv, NoData, Role, SetParams, Unpack, UvCommand};
use uv_s390::sim::{HostView, Machine, MachineConfig};

/// Storage that the Ultravisor is given.
const DONATED: u64 = 3 << 30;
/// Where the VM has its memory.
const GUEST: u64 = 4 << 30;
const ASCE: u64 = (DONATED - (1 << 20)) | 0x107;

/// The machine, and the handle of its VM.
pub(crate) struct Z {
    pub(crate) machine: Machine,
    pub(crate) host: HostView,
    handle: u64,
    /// Where what is donated for the VM lies, and the bytes of its memory.
    place: (u64, u64),
}

/// Guest memory lies in one piece.
struct Linear(u64);

impl GuestMap for Linear {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let frame = HostAddr(GUEST + (addr.0 & !0xfff));
        (addr.0 < self.0).then_some(HostMapping { frame, writable: true, size: MappingSize::Page })
    }
}

impl Z {
    /// A machine with a VM of `bytes` of memory, whole MiB.
    pub(crate) fn new(mut config: MachineConfig, bytes: u64) -> Result<Self, Box<dyn Error>> {
        config.memory = GUEST + bytes;
        let machine = Machine::new(config);
        let info = machine.generation().query(Role::Host);
        let virt = DONATED + info.uv_base_stor_len.get().next_multiple_of(1 << 20);
        let mut z = Self { host: machine.host_memory(), machine, handle: 0, place: (0, 0) };
        z.call(&mut InitUv::new(DONATED, info.uv_base_stor_len.get()))?;
        z.create(virt, bytes)?;
        z.machine.attach(ASCE, Arc::new(Linear(bytes)));
        Ok(z)
    }

    /// A VM with a handle.
    fn create(&mut self, virt: u64, bytes: u64) -> Result<(), Box<dyn Error>> {
        let info = self.machine.generation().query(Role::Host);
        let mut create = CreateConf::new();
        create.conf_virt_stor_origin = virt.into();
        let base = virt + info.variable_storage_len(bytes).ok_or("no such guest")?.next_multiple_of(1 << 20);
        create.conf_base_stor_origin = base.into();
        create.guest_stor_len = bytes.into();
        create.guest_sca = (DONATED - (2 << 20)).into();
        create.guest_asce = ASCE.into();
        self.call(&mut create)?;
        self.handle = create.guest_handle.get();
        self.place = (virt, bytes);
        Ok(())
    }

    /// Ends the VM and makes a new one in its place: the machine's secure memory has been used before then.
    pub(crate) fn renew(&mut self) -> Result<(), Box<dyn Error>> {
        let mut end = NoData::new(UvCommand::DESTROY_SEC_CONF, self.handle);
        while issue(&self.machine, &mut end)? == Cc::Partial {}
        let (virt, bytes) = self.place;
        self.create(virt, bytes)
    }

    pub(crate) fn call<B: Block>(&self, block: &mut B) -> Result<(), Box<dyn Error>> {
        match issue(&self.machine, block) {
            Ok(Cc::Done) => Ok(()),
            other => Err(format!("{other:?}, rc {:?}", block.header().rc()).into()),
        }
    }

    /// Brings a page in, or finds it there.
    pub(crate) fn import(&self, page: u64) {
        self.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, self.handle, page << 12)).expect("a page of the VM");
    }

    /// Takes a page out.
    pub(crate) fn export(&self, page: u64) {
        self.call(&mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, GUEST + (page << 12))).expect("a frame");
    }

    /// Gives the Ultravisor an SE header, by way of the first bytes of guest memory.
    pub(crate) fn set_params(&self, header: &[u8]) -> Result<(), Box<dyn Error>> {
        self.host.write(HostAddr(GUEST), header)?;
        self.call(&mut SetParams::new(self.handle, GUEST, u32::try_from(header.len())?))
    }

    pub(crate) fn unpack(&self, page: u64, prefix: u64, offset: u64) {
        self.call(&mut Unpack::new(self.handle, page << 12, prefix, offset)).expect("a page of the image");
    }

    pub(crate) fn handle(&self) -> u64 {
        self.handle
    }

    /// Normal memory of the guest.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.host.write(HostAddr(GUEST + at), bytes)?)
    }
}

fn issue<B: Block>(machine: &Machine, block: &mut B) -> Result<Cc, String> {
    machine.uv_call(block.as_mut_bytes()).map_err(|interruption| format!("{interruption:?}"))
}

//! A VM: its ioctls, its memory in files that the program maps, pages that are closed to the program.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use uv_core::{GuestAddr, HostAddr};
use uv_s390::abi::Errno;
use uv_s390::hypervisor::kernel;
use uv_s390::hypervisor::uapi::{CreateDevice, MemoryRegion, Target, request};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::machine::{Platform, file};
use super::marshal::Pieces;
use super::memory::SharedMemory;
use super::script::GuestScript;
use super::vcpu::Vcpu;
use crate::line::Line;
use crate::object::{Answer, Call, Object};

const PAGE: u64 = 0x1000;

/// Memory of the program that is a guest's.
#[derive(Debug)]
struct Memory {
    /// Address in the program.
    at: u64,
    bytes: u64,
    host: HostAddr,
    /// Slot number and guest address, while it is one.
    slot: Option<(u32, u64)>,
    /// Pages that are closed to the program.
    closed: Vec<bool>,
    memory: Arc<SharedMemory>,
}

#[derive(Debug, Default)]
struct Memories {
    all: Vec<Memory>,
    /// What the machine's count of changes was when the pages were last looked at.
    changes: u64,
}

/// A VM.
#[derive(Debug)]
pub(super) struct Vm {
    this: Weak<Self>,
    pub(super) platform: Arc<Platform>,
    pub(super) guest: Arc<kernel::Vm>,
    script: GuestScript,
    /// After the guest: protection ends before its memory goes.
    memories: Mutex<Memories>,
}

impl Vm {
    pub(super) fn new(this: Weak<Self>, platform: Arc<Platform>, guest: Arc<kernel::Vm>) -> Self {
        let script = GuestScript::new(platform.script.clone(), Arc::downgrade(&guest), platform.log.clone());
        Self { this, platform, guest, script, memories: Mutex::default() }
    }

    fn memories(&self) -> MutexGuard<'_, Memories> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries an ioctl out that needs nothing but its structures.
    pub(super) fn plain(&self, target: Target, call: &mut Call<'_>) -> Result<Answer, Errno> {
        let mut pieces = Pieces::fetch(target, call);
        let result = pieces.issue(&self.guest, target, call);
        self.close_pages(call.line)?;
        result.map(Answer::Value)
    }

    /// KVM_SET_USER_MEMORY_REGION: the kernel is given the host absolute address in the place of the program's.
    fn set_memory(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        let mut pieces = Pieces::fetch(Target::Vm, call);
        let region = MemoryRegion::read_from_bytes(&pieces.block).map_err(|_| Errno::EFAULT)?;
        let (number, size) = (region.slot.get(), region.memory_size.get());
        let mut given = region;
        let added = if size == 0 { None } else { Some(self.place(call.line, region.userspace_addr.get(), size)?) };
        given.userspace_addr = added.map_or(0, |host| host.0).into();
        pieces.block = given.as_bytes().to_vec();
        // The block goes to the kernel only: nothing of it is for the program.
        let result = pieces.issue(&self.guest, Target::Vm, call)?;
        let mut memories = self.memories();
        for memory in &mut memories.all {
            if memory.slot.is_some_and(|(slot, _)| slot == number) {
                memory.slot = None;
            }
            if added == Some(memory.host) {
                memory.slot = Some((number, region.guest_phys_addr.get()));
            }
        }
        Ok(Answer::Value(result))
    }

    /// Host absolute address of a program's memory, which becomes a file that both map.
    fn place(&self, line: &mut Line, at: u64, bytes: u64) -> Result<HostAddr, Errno> {
        let mut memories = self.memories();
        if let Some(known) = memories.all.iter().find(|memory| memory.at == at && memory.bytes == bytes) {
            return Ok(known.host);
        }
        let pages = usize::try_from(bytes / PAGE).map_err(|_| Errno::ENOMEM)?;
        if !at.is_multiple_of(PAGE) || !bytes.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let shared = file(bytes)?;
        line.share(at, bytes, shared.as_fd())?;
        let host = self.platform.memory.add(bytes, File::from(shared)).ok_or(Errno::ENOMEM)?;
        memories.all.push(Memory {
            at,
            bytes,
            host,
            slot: None,
            closed: vec![false; pages],
            memory: self.platform.memory.clone(),
        });
        Ok(host)
    }

    /// Closes pages to the program that the machine has closed to the host since it was last looked.
    pub(super) fn close_pages(&self, line: &mut Line) -> Result<(), Errno> {
        let frames = self.platform.machine.closed_frames();
        let mut memories = self.memories();
        let changes = frames.changes();
        if memories.changes == changes {
            return Ok(());
        }
        memories.changes = changes;
        for memory in &mut memories.all {
            let mut addresses =
                (memory.at..memory.at + memory.bytes).step_by(0x1000).zip((memory.host.0..).step_by(0x1000));
            let mut pages = memory.closed.iter_mut().peekable();
            // Neighbours are closed together.
            while let (Some(closed), Some((at, host))) = (pages.next(), addresses.next()) {
                if *closed || !frames.is_closed(HostAddr(host)) {
                    continue;
                }
                *closed = true;
                let mut end = at + PAGE;
                while let Some(next) =
                    pages.next_if(|closed| !**closed && frames.is_closed(HostAddr(host + (end - at))))
                {
                    *next = true;
                    addresses.next();
                    end += PAGE;
                }
                line.protect(at, end - at, false)?;
            }
        }
        Ok(())
    }

    fn create_vcpu(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        let number = self.plain(Target::Vm, call)?;
        let vm = self.this.upgrade().ok_or(Errno::ENODEV)?;
        let cpu = u16::try_from(call.argument).map_err(|_| Errno::EINVAL)?;
        tracing::debug!(?number, "vCPU made");
        let (vcpu, area) = Vcpu::new(vm, cpu)?;
        let state = self.guest.state_address(cpu).map_err(|_| Errno::EINVAL)?;
        self.platform.machine.set_guest(state, self.script.cpu(cpu));
        Ok(Answer::Object(Arc::new(vcpu), area))
    }

    /// KVM_CREATE_DEVICE: the file descriptor is in the structure, not the value.
    fn create_device(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        let mut pieces = Pieces::fetch(Target::Vm, call);
        let device = CreateDevice::read_from_bytes(&pieces.block).map_err(|_| Errno::EFAULT)?;
        pieces.issue(&self.guest, Target::Vm, call)?;
        if device.flags.get() & CreateDevice::TEST != 0 {
            return Ok(Answer::Value(0));
        }
        let vm = self.this.upgrade().ok_or(Errno::ENODEV)?;
        // Offset 4 of the structure takes the number of the file descriptor.
        Ok(Answer::ObjectAt(Arc::new(Flic(vm)), file(0)?, call.argument + 4))
    }
}

impl Object for Vm {
    fn device(&self) -> &'static str {
        "vm"
    }

    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        match call.request {
            request::SET_USER_MEMORY_REGION => self.set_memory(call),
            request::CREATE_VCPU => self.create_vcpu(call),
            request::CREATE_DEVICE => self.create_device(call),
            _ => self.plain(Target::Vm, call),
        }
    }

    /// The kernel's part of a secure-storage access: the page is exported, and open.
    fn touch(&self, line: &mut Line, address: u64) -> bool {
        let mut memories = self.memories();
        let inside = |memory: &&mut Memory| address >= memory.at && address - memory.at < memory.bytes;
        let Some(memory) = memories.all.iter_mut().find(inside) else { return false };
        let page = (address - memory.at) / PAGE;
        if let Some((_, guest)) = memory.slot {
            let exported = self.guest.host_read(GuestAddr(guest + page * PAGE), &mut [0]);
            if let Err(error) = exported {
                tracing::warn!(address, %error, "a page stays closed");
                return false;
            }
        }
        if let Some(closed) = usize::try_from(page).ok().and_then(|page| memory.closed.get_mut(page)) {
            *closed = false;
        }
        line.protect(memory.at + page * PAGE, PAGE, true).is_ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.memory.remove(self.host);
    }
}

/// The floating interruption controller of a VM.
#[derive(Debug)]
struct Flic(Arc<Vm>);

impl Object for Flic {
    fn device(&self) -> &'static str {
        "flic"
    }

    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        self.0.plain(Target::Flic, call)
    }
}

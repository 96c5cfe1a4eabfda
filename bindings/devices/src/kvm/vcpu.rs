//! A vCPU: its ioctls, and KVM_RUN over the area that the program maps.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::hypervisor::kernel::CpuReset;
use uv_s390::hypervisor::uapi::{Argument, ExitReason, KvmPv as _, KvmRun, SyncFields, System, Target, request};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::machine::file;
use super::marshal::Pieces;
use super::vm::Vm;
use crate::object::{Answer, Call, Object};

/// How long a CPU that waits is left alone before it is asked again whether it can go on.
const PAUSE: Duration = Duration::from_millis(5);
/// Behind the bytes that the program alone writes while the CPU runs: request_interrupt_window, immediate_exit.
const SHARED: usize = 2;

/// A vCPU.
#[derive(Debug)]
pub(super) struct Vcpu {
    vm: Arc<Vm>,
    number: u16,
    area: File,
}

impl Vcpu {
    /// A vCPU that the kernel has made, and its area for the program.
    pub(super) fn new(vm: Arc<Vm>, number: u16) -> Result<(Self, OwnedFd), Errno> {
        let shared = file(System::VCPU_MMAP_SIZE)?;
        let area = File::from(shared.try_clone().map_err(|_| Errno::ENOMEM)?);
        let vcpu = Self { vm, number, area };
        let run = KvmRun { kvm_valid_regs: SyncFields::KEPT.bits().into(), ..KvmRun::new() };
        vcpu.store(&run)?;
        Ok((vcpu, shared))
    }

    fn load(&self) -> Result<KvmRun, Errno> {
        let mut bytes = [0; size_of::<KvmRun>()];
        self.area.read_exact_at(&mut bytes, 0).map_err(|_| Errno::EFAULT)?;
        KvmRun::read_from_bytes(&bytes).map_err(|_| Errno::EFAULT)
    }

    fn store(&self, run: &KvmRun) -> Result<(), Errno> {
        self.area.write_all_at(&run.as_bytes()[SHARED..], 2).map_err(|_| Errno::EFAULT)
    }

    /// KVM_RUN. A CPU that waits for an interruption is asked again from time to time, until a signal comes to its thread.
    fn run(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        call.told.name = String::from("KVM_RUN");
        loop {
            let mut run = self.load()?;
            let mut argument = Argument { block: run.as_mut_bytes(), ..Argument::default() };
            let target = Target::Vcpu(self.number);
            let result = self.vm.guest.ioctl(target, request::RUN, &mut argument);
            self.store(&run)?;
            self.vm.close_pages(call.line)?;
            let waits = result == Err(Errno::EINTR) && run.exit_reason() == ExitReason::INTR && run.immediate_exit == 0;
            if !waits || call.line.wait_for_signal(PAUSE)? {
                call.told.argument("exit_reason", run.exit_reason.get());
                if let Some(exit) = run.sieic() {
                    call.told.argument("icptcode", exit.icptcode.0);
                    call.told.argument("ipa", exit.ipa);
                }
                return result.map(Answer::Value);
            }
        }
    }

    /// What an ioctl does to the area besides.
    fn after(&self, number: u32, pieces: &Pieces) -> Result<(), Errno> {
        let reset = match number {
            request::NORMAL_RESET => CpuReset::Normal,
            request::INITIAL_RESET => CpuReset::Initial,
            request::CLEAR_RESET => CpuReset::Clear,
            request::SET_INITIAL_PSW => {
                let mut run = self.load()?;
                run.set_psw(Psw::read_from_bytes(&pieces.block).map_err(|_| Errno::EFAULT)?);
                return self.store(&run);
            }
            _ => return Ok(()),
        };
        let mut run = self.load()?;
        run.reset(reset);
        self.store(&run)
    }
}

impl Object for Vcpu {
    fn device(&self) -> &'static str {
        "vcpu"
    }

    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        if call.request == request::RUN {
            return self.run(call);
        }
        let target = Target::Vcpu(self.number);
        let mut pieces = Pieces::fetch(target, call);
        let value = pieces.issue(&self.vm.guest, target, call)?;
        self.after(call.request, &pieces)?;
        self.vm.close_pages(call.line)?;
        Ok(Answer::Value(value))
    }
}

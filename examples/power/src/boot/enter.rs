//! The machine, the VM, and the hypervisor's loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use uv_core::{
    EnterSecureMode as _, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory as _, PageIn as _, PageSize,
    SecureVm as _, SlotId, Vcpu as _,
};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, UvCode};
use uv_power::hypervisor::kernel::{Defects, DevicePool, Host, KvmError, KvmVcpu, Vm, VmConfig};
use uv_power::owner::blob::Blob;
use uv_power::sim::{Machine, MachineConfig};
use uv_sim::HostMemory;
use zeroize::Zeroizing;

use super::guest::{self, GuestFiles, Seen};
use super::watch::{Teller, Watch};
use super::{Input, Layout};
use uv_programs::Failure;

/// The partition of the VM.
const LPID: Lpid = Lpid(1);
/// Where the VM's memory begins in the host's. Not 0: no ultracall takes that address.
const HOST: HostAddr = HostAddr(1 << 24);
/// Secure pages beyond the VM's own, for the ultravisor's needs.
const SPARE_PAGES: u64 = 128;
/// More exits than a boot has.
const MOST_EXITS: u32 = 100_000;

/// How the guest started in secure mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its first instruction.
    pub nip: u64,
    /// R3: the device tree.
    pub r3: u64,
    /// R4: the kernel.
    pub r4: u64,
    /// R5.
    pub r5: u64,
}

/// Why the VM is not secure, as the ultravisor tells the machine's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The step, in one word.
    pub stage: String,
    /// A sentence.
    pub reason: String,
}

/// What came of a boot.
#[derive(Debug)]
pub struct Outcome {
    /// How the guest started; `None` when it is not secure.
    pub entry: Option<Entry>,
    /// Why it is not.
    pub refused: Option<Refused>,
    /// R3 of the guest after `UV_ESM`.
    pub guest_r3: Option<i64>,
    /// Pages that were brought into secure memory.
    pub pages_in: u64,
    /// The files, as the guest read them.
    pub files: GuestFiles,
    /// Pages of the VM by their state in the ultravisor, at the end: the state's name and how many.
    pub pages: BTreeMap<String, u64>,
    /// The guest's mark: as the guest reads it, and the first bytes that the hypervisor finds in the same page.
    pub mark: Option<(Zeroizing<Vec<u8>>, Vec<u8>)>,
}

/// Boots the VM; `tell` gets a line for each step.
///
/// # Errors
/// Status 2 when the input cannot be laid out in guest memory, or the VM cannot run.
pub fn boot(input: &Input, tell: Teller) -> Result<Outcome, Failure> {
    let layout = Layout::new(input)?;
    let memory = Arc::new(HostMemory::new(HOST.0 + layout.memory));
    let pages = layout.memory >> PageSize::K64.shift();
    let config = MachineConfig {
        secure_pages: u32::try_from(pages + SPARE_PAGES).map_err(Failure::unusable)?,
        ..MachineConfig::new(input.machine_key.clone()).with_profile(input.profile)
    };
    let machine = Machine::new(config, memory.clone());
    let watch = Arc::new(Watch::new(machine.clone(), tell));
    layout.load(&*memory, HOST, &input.bootargs)?;
    watch.tell(&format!(
        "hypervisor: {} MiB of guest memory, kernel at {}, initrd at {}, device tree at {}, {} profile",
        layout.memory >> 20,
        layout.kernel.at,
        layout.initrd.at,
        layout.tree,
        input.profile.name()
    ));

    let (program, seen) = guest::program(layout.kernel.at, layout.tree, layout.work, names(&input.blob));
    machine.add_vcpu(LPID, 0, program);
    let vm = vm(&watch, memory.clone(), pages)?;
    let mut cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(layout.kernel.at);
    watch.tell(&format!("guest: UV_ESM, kernel {}, device tree {}", layout.kernel.at, layout.tree));
    let refusal =
        run(&vm, &mut cpu, &watch).map_err(|error| Failure::unusable(format_args!("the VM cannot run: {error}")))?;

    let mut states = BTreeMap::new();
    for state in (0..pages).filter_map(|gfn| machine.gfn_state(LPID, Gfn(gfn))) {
        *states.entry(format!("{state:?}")).or_default() += 1;
    }
    let mut seen = seen.lock().map_err(|_| Failure::unusable("the guest's program ended badly"))?;
    let seen = core::mem::take(&mut *seen);
    let entry = seen.secure().map(|regs| Entry { nip: regs.nip, r3: regs.gpr[3], r4: regs.gpr[4], r5: regs.gpr[5] });
    let refused = entry.is_none().then(|| why(&machine, &seen, refusal));
    let mark = seen.read_back.map(|mine| {
        let theirs = look(&vm, &memory, layout.work, mine.len());
        (mine, theirs)
    });
    Ok(Outcome {
        entry,
        refused,
        guest_r3: seen.after_esm.map(|regs| regs.gpr[3].cast_signed()),
        pages_in: watch.pages_in(),
        files: seen.files,
        pages: states,
        mark,
    })
}

/// The names of the blob's files, as the guest's owner knows them.
fn names(blob: &[u8]) -> Vec<String> {
    let files = Blob::parse(blob).and_then(|blob| blob.files());
    files.map(|files| files.names().map(str::to_owned).collect()).unwrap_or_default()
}

fn vm(watch: &Arc<Watch>, memory: Arc<HostMemory>, pages: u64) -> Result<Arc<Vm>, Failure> {
    let mut slots = MemSlots::new(PageSize::K64);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: HOST }).map_err(Failure::unusable)?;
    let pool = DevicePool::new((pages + SPARE_PAGES) << PageSize::K64.shift()).map(Arc::new);
    let host = Host { uv: watch.clone(), entry: watch.clone(), memory, pool };
    let vm = Vm::new(host, VmConfig { lpid: LPID, radix: true, slots, defects: Defects::empty() });
    vm.enable_secure_guest_capability().map_err(Failure::unusable)?;
    Ok(Arc::new(vm))
}

/// Runs the guest to its end; gives why its wish to become secure was refused, if it was.
fn run(vm: &Vm, cpu: &mut KvmVcpu, watch: &Watch) -> Result<Option<KvmError>, KvmError> {
    let mut refusal = None;
    for _ in 0..MOST_EXITS {
        match cpu.run()? {
            Exit::EnterSecureMode => {
                refusal = vm.enter_secure_mode(cpu).err();
                watch.tell(match refusal {
                    None => "guest: runs in secure mode",
                    Some(_) => "guest: goes on as a normal VM",
                });
            }
            Exit::EnterAborted => {
                watch.tell("ultravisor: gives up");
                refusal = Some(KvmError::Refused(HvCode::H_STATE));
                vm.terminate()?;
            }
            Exit::Halted => break,
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn)?,
            exit => {
                watch.tell(&format!("  guest to hypervisor: {exit:?}"));
                cpu.complete(HvCode::H_FUNCTION, &[]);
            }
        }
    }
    Ok(refusal)
}

fn why(machine: &Machine, seen: &Seen, error: Option<KvmError>) -> Refused {
    if let Some(failure) = machine.esm_failure(LPID) {
        return Refused { stage: failure.stage().to_owned(), reason: failure.to_string() };
    }
    let code = seen.after_esm.as_deref().map(|regs| UvCode::from_register(regs.gpr[3]));
    let reason = match (code, error) {
        (Some(code), _) => format!("UV_ESM returned {code}"),
        (None, Some(error)) => error.to_string(),
        (None, None) => "the guest ended before UV_ESM did".to_owned(),
    };
    Refused { stage: "uv-esm".to_owned(), reason }
}

/// What the hypervisor finds in a page of the guest.
fn look(vm: &Vm, memory: &HostMemory, at: GuestAddr, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let there =
        vm.host_touches(PageSize::K64.gfn(at)).is_ok() && memory.read(HostAddr(HOST.0 + at.0), &mut bytes).is_ok();
    if there { bytes } else { Vec::new() }
}

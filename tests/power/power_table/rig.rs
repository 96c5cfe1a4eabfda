//! A machine, a VM and a small hypervisor for the rows of the table.

use std::sync::Arc;

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId};
use uv_power::abi::entry::GuestEntry;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Msr, Privilege, Profile, UvCode};
use uv_power::owner::digests::RTAS_STUB;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::tree::{Node, Property};
use uv_power::sim::{GfnState, GuestInsn, GuestStep, Machine, MachineConfig, SvmState};
use uv_sim::HostMemory;
use uv_sim::guest::{Outcome, Script, Step, Transcript};

pub(crate) const VM: Lpid = Lpid(7);
/// Normal memory behind guest address 0.
pub(crate) const HOST: u64 = 0x100_0000;
/// Guest memory in bytes.
pub(crate) const GUEST: u64 = 0x200_0000;
pub(crate) const KERNEL: u64 = 0x40_0000;
pub(crate) const RTAS: u64 = 0x60_0000;
pub(crate) const TREE: u64 = 0x70_0000;
pub(crate) const INITRD: u64 = 0x80_0000;
pub(crate) const BLOB: u64 = 0x90_0000;
pub(crate) const PAGE: u64 = 0x1_0000;

macro_rules! fixture {
    ($path:literal) => {
        include_bytes!(concat!("../../fixtures/svm-tool/", $path)).as_slice()
    };
}
pub(crate) use fixture;
pub(crate) const FULL: &[u8] = fixture!("blobs/full.dtb");
pub(crate) const MACHINE1: &[u8] = fixture!("keys/machine1.pem");
pub(crate) const VMLINUX: &[u8] = fixture!("boot/vmlinux.bin");
pub(crate) const INITRD_IMG: &[u8] = fixture!("boot/initrd.img");
pub(crate) const EXPECTED: &str = include_str!("../../fixtures/svm-tool/expected.json");

pub(crate) fn bootargs() -> String {
    let expected: serde_json::Value = serde_json::from_str(EXPECTED).unwrap();
    expected["inputs"]["bootargs"].as_str().unwrap().into()
}

/// What a VM is made of; tests change what they are about.
pub(crate) struct Image {
    pub(crate) tree: Node,
    pub(crate) boot_cpu: u32,
    pub(crate) kernel: Vec<u8>,
    pub(crate) initrd: Vec<u8>,
    pub(crate) blob: Vec<u8>,
    pub(crate) rtas: Vec<u8>,
}

fn cells(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

impl Default for Image {
    fn default() -> Self {
        let mut root = Node::new("");
        root.properties = vec![Property::new("#address-cells", cells(&[2])), Property::new("#size-cells", cells(&[2]))];
        let mut memory = Node::new("memory@0");
        memory.properties = vec![Property::new("reg", [0_u64.to_be_bytes(), GUEST.to_be_bytes()].concat())];
        let mut rtas = Node::new("rtas");
        rtas.properties = vec![
            Property::new("linux,rtas-base", cells(&[RTAS as u32])),
            Property::new("rtas-size", cells(&[PAGE as u32])),
            Property::new("slof,rtas-size", cells(&[RTAS_STUB.len() as u32])),
            Property::new("ibm,lrdr-capacity", cells(&[0, 0, 0, 0x100_0000, 4])),
        ];
        for (name, token) in TOKENS {
            rtas.properties.push(Property::new(name, cells(&[token])));
        }
        let mut chosen = Node::new("chosen");
        let initrd_end = INITRD as u32 + INITRD_IMG.len() as u32;
        chosen.properties = vec![
            Property::text("bootargs", &bootargs()),
            Property::new("linux,initrd-start", cells(&[INITRD as u32])),
            Property::new("linux,initrd-end", cells(&[initrd_end])),
            Property::new("linux,esm-blob-start", BLOB.to_be_bytes()),
            Property::new("linux,esm-blob-end", (BLOB + FULL.len() as u64).to_be_bytes()),
        ];
        let mut cpu = Node::new("PowerPC,POWER9@0");
        cpu.properties =
            vec![Property::text("device_type", "cpu"), Property::new("ibm,ppc-interrupt-server#s", cells(&[0]))];
        let mut cpus = Node::new("cpus");
        cpus.children.push(cpu);
        root.children = vec![memory, cpus, rtas, chosen];
        Self {
            tree: root,
            boot_cpu: 0,
            kernel: VMLINUX.to_vec(),
            initrd: INITRD_IMG.to_vec(),
            blob: FULL.to_vec(),
            rtas: RTAS_STUB.to_vec(),
        }
    }
}

pub(crate) const TOKENS: [(&str, u32); 13] = [
    ("stop-self", 0x2008),
    ("check-exception", 0x2006),
    ("event-scan", 0x2009),
    ("ibm,configure-connector", 0x200a),
    ("ibm,get-system-parameter", 0x200b),
    ("ibm,set-system-parameter", 0x200c),
    ("ibm,slot-error-detail", 0x200d),
    ("ibm,os-term", 0x201f),
    ("nvram-fetch", 0x2002),
    ("nvram-store", 0x2003),
    ("power-off", 0x2004),
    ("start-cpu", 0x2005),
    ("ibm,nmi-register", 0x2010),
];

impl Image {
    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.tree.child_mut(name).unwrap()
    }

    fn tree_bytes(&self) -> Vec<u8> {
        let mut bytes = self.tree.to_bytes(&[]).unwrap();
        bytes[28..32].copy_from_slice(&self.boot_cpu.to_be_bytes());
        bytes
    }
}

/// A hypercall as the hypervisor saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) args: [u64; 4],
    pub(crate) secure: bool,
}

type Hook = Box<dyn FnMut(&Machine, &Seen) -> Option<HvCode>>;

/// Answers `H_SVM_TPM_COMM`: R4 … R8 in; result and R4 out.
pub(crate) type TpmHook = Box<dyn FnMut(&HostMemory, &Machine, [u64; 5]) -> (HvCode, u64)>;

pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) memory: Arc<HostMemory>,
    pub(crate) seen: Vec<Seen>,
    /// Answers a hypercall instead of the hypervisor.
    pub(crate) hook: Option<Hook>,
    /// Answers `H_SVM_TPM_COMM`.
    pub(crate) tpm: Option<TpmHook>,
    /// Slots the hypervisor registers: number, first byte, bytes.
    pub(crate) slots: Vec<(u16, u64, u64)>,
    pub(crate) transcript: Option<Transcript<Box<Regs>>>,
    /// Serves nothing from this hypercall on: number, and R5 where it matters.
    pub(crate) stop_at: Option<u64>,
    /// The last entry of the hypervisor.
    pub(crate) regs: Regs,
}

pub(crate) fn config(profile: Profile) -> MachineConfig {
    let key = PrivateKey::from_pem(MACHINE1, None).unwrap();
    MachineConfig { secure_pages: 2048, ..MachineConfig::new(key).with_profile(profile) }
}

impl Rig {
    pub(crate) fn new(profile: Profile) -> Self {
        Self::with(config(profile))
    }

    pub(crate) fn with(config: MachineConfig) -> Self {
        let memory = Arc::new(HostMemory::new(0x800_0000));
        Self::over(config, memory.clone(), memory)
    }

    /// A machine that reaches `memory` through something else.
    pub(crate) fn over(config: MachineConfig, memory: Arc<HostMemory>, reached: Arc<dyn NormalMemory>) -> Self {
        let machine = Machine::new(config, reached);
        let mut slots = MemSlots::new(PageSize::K64);
        let slot = MemSlot { first: Gfn(0), pages: GUEST / PAGE, host: HostAddr(HOST) };
        slots.insert(SlotId(0), slot).unwrap();
        machine.set_partition_memory(VM, Some(&slots));
        Self {
            machine,
            memory,
            seen: Vec::new(),
            hook: None,
            tpm: None,
            slots: vec![(0, 0, GUEST)],
            transcript: None,
            stop_at: None,
            regs: Regs::default(),
        }
    }

    /// Puts an image into guest memory.
    pub(crate) fn load(&self, image: &Image) {
        let put = |at: u64, bytes: &[u8]| self.memory.write(HostAddr(HOST + at), bytes).unwrap();
        put(KERNEL, &image.kernel);
        put(RTAS, &image.rtas);
        put(INITRD, &image.initrd);
        put(BLOB, &image.blob);
        put(TREE, &image.tree_bytes());
    }

    /// One call as the hypervisor.
    pub(crate) fn call(&self, number: UltracallNumber, args: &[u64]) -> UvCode {
        ultracall::call(&self.machine, number, args).0
    }

    /// Starts the guest with a program: it does these steps after the ones that make it secure.
    pub(crate) fn start(&mut self, steps: Vec<GuestStep>) {
        let (script, transcript) = Script::new(steps);
        self.machine.add_vcpu(VM, 0, Box::new(script));
        self.transcript = Some(transcript);
        self.regs = Regs { lpidr: VM, hsrr0: 0x100, hsrr1: 1 << 63 | 1, ..Regs::hypervisor() };
        self.regs.gpr[31] = 0x3131;
        self.machine.enter(&mut self.regs);
    }

    /// The hypervisor's answer to a hypercall.
    pub(crate) fn answer(&mut self, seen: &Seen) -> Option<HvCode> {
        if let Some(hook) = &mut self.hook
            && let Some(code) = hook(&self.machine, seen)
        {
            return Some(code);
        }
        let [gpa, ..] = seen.args;
        let done = |code: bool| Some(if code { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER });
        match HvCall(seen.number) {
            HvCall::H_SVM_INIT_START => done(self.slots.iter().all(|(id, start, len)| {
                ultracall::register_mem_slot(&self.machine, VM, GuestAddr(*start), *len, 0, *id).is_ok()
            })),
            HvCall::H_SVM_INIT_DONE => done(true),
            HvCall::H_SVM_PAGE_IN => {
                done(ultracall::page_in(&self.machine, VM, HostAddr(HOST + gpa), GuestAddr(gpa), 0).is_ok())
            }
            HvCall::H_SVM_PAGE_OUT => {
                done(ultracall::page_out(&self.machine, VM, HostAddr(HOST + gpa), GuestAddr(gpa), 0).is_ok())
            }
            _ => None,
        }
    }

    /// Serves hypercalls of the ultravisor until something else happens: `regs` hold it.
    pub(crate) fn run(&mut self) {
        while self.regs.nip == 0xc00 {
            let seen = Seen {
                number: self.regs.gpr[3],
                args: core::array::from_fn(|index| self.regs.gpr[4 + index]),
                secure: self.regs.came_from_secure_guest(),
            };
            // A program that has ended waits.
            if seen.number == HvCall::H_CEDE.0 {
                return;
            }
            self.seen.push(seen.clone());
            if self.stop_at == Some(seen.number) {
                return;
            }
            if let (HvCall::H_SVM_TPM_COMM, Some(tpm)) = (HvCall(seen.number), &mut self.tpm) {
                let args = core::array::from_fn(|index| self.regs.gpr[4 + index]);
                let (code, len) = tpm(&self.memory, &self.machine, args);
                self.resume(code, &[len]);
                continue;
            }
            match self.answer(&seen) {
                Some(code) if seen.secure => self.resume(code, &[]),
                _ => return,
            }
        }
    }

    /// `UV_RETURN` with a result and outputs.
    pub(crate) fn resume(&mut self, code: HvCode, out: &[u64]) {
        self.regs.gpr[0] = code.to_register();
        self.regs.gpr[2] = self.regs.srr1;
        self.regs.gpr[3] = UltracallNumber::UV_RETURN.0;
        for (register, value) in self.regs.gpr[4..13].iter_mut().zip(out) {
            *register = *value;
        }
        self.regs.msr = Regs::hypervisor().msr;
        self.machine.ultracall(&mut self.regs);
    }

    /// A normal guest gets a result.
    pub(crate) fn enter(&mut self, code: HvCode) {
        self.regs.gpr[3] = code.to_register();
        self.regs.hsrr0 = self.regs.srr0;
        self.regs.hsrr1 = self.regs.srr1;
        self.machine.enter(&mut self.regs);
    }

    /// A VM that became secure and then did these steps as far as nobody else has to act.
    pub(crate) fn secure(profile: Profile, steps: Vec<GuestStep>) -> Self {
        let mut rig = Self::new(profile);
        rig.load(&Image::default());
        rig.make_secure(steps);
        assert_eq!(rig.machine.esm_failure(VM), None);
        rig
    }

    /// Makes the loaded image secure.
    pub(crate) fn make_secure(&mut self, steps: Vec<GuestStep>) {
        let mut all = vec![Step::Call(GuestInsn::ultracall(UltracallNumber::UV_ESM, &[KERNEL, TREE]))];
        all.extend(steps);
        self.start(all);
        self.run();
    }

    /// A VM whose object is active: `H_SVM_INIT_START` waits for an answer, no slot is registered.
    pub(crate) fn active(profile: Profile) -> Self {
        let mut rig = Self::new(profile);
        rig.load(&Image::default());
        rig.stop_at = Some(HvCall::H_SVM_INIT_START.0);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Active));
        rig
    }

    /// The same with one slot, number 1, over all of guest memory.
    pub(crate) fn active_with_slot(profile: Profile) -> Self {
        let rig = Self::active(profile);
        assert_eq!(rig.register(0, GUEST, 0, 1), UvCode::U_SUCCESS);
        rig
    }

    /// A VM whose transition failed after `H_SVM_INIT_DONE` was refused; the hypervisor has not cleaned up.
    pub(crate) fn aborted(profile: Profile) -> Self {
        let mut rig = Self::new(profile);
        rig.load(&Image::default());
        rig.hook = Some(Box::new(|_, seen| (seen.number == HvCall::H_SVM_INIT_DONE.0).then_some(HvCode::H_STATE)));
        rig.make_secure(vec![]);
        rig.hook = None;
        assert_eq!(rig.state(), Some(SvmState::Abort));
        rig
    }

    pub(crate) fn state(&self) -> Option<SvmState> {
        self.machine.svm_state(VM)
    }

    pub(crate) fn gfn(&self, gfn: u64) -> Option<GfnState> {
        self.machine.gfn_state(VM, Gfn(gfn))
    }

    pub(crate) fn register(&self, start: u64, size: u64, flags: u64, id: u64) -> UvCode {
        self.call(UltracallNumber::UV_REGISTER_MEM_SLOT, &[7, start, size, flags, id])
    }

    pub(crate) fn page_in(&self, ra: u64, gpa: u64) -> UvCode {
        self.call(UltracallNumber::UV_PAGE_IN, &[7, ra, gpa, 0, 16])
    }

    pub(crate) fn page_out(&self, ra: u64, gpa: u64) -> UvCode {
        self.call(UltracallNumber::UV_PAGE_OUT, &[7, ra, gpa, 0, 16])
    }

    pub(crate) fn page_inval(&self, gpa: u64) -> UvCode {
        self.call(UltracallNumber::UV_PAGE_INVAL, &[7, gpa, 16])
    }

    /// One page of normal memory.
    pub(crate) fn normal(&self, ra: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE as usize];
        self.memory.read(HostAddr(ra), &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn fill(&self, ra: u64, byte: u8) {
        self.memory.write(HostAddr(ra), &vec![byte; PAGE as usize]).unwrap();
    }

    /// Lets the guest go on after a hypercall that the hypervisor leaves to the test.
    pub(crate) fn go(&mut self) {
        self.resume(HvCode::H_SUCCESS, &[]);
        self.run();
    }

    /// Numbers of the hypercalls that were seen.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.seen.iter().map(|seen| seen.number).collect()
    }

    /// Number and first two arguments of the hypercalls since a mark.
    pub(crate) fn since(&self, mark: usize) -> Vec<(u64, u64, u64)> {
        self.seen[mark..].iter().map(|seen| (seen.number, seen.args[0], seen.args[1])).collect()
    }

    /// What the guest's step `index` after the ones that made it secure came to.
    pub(crate) fn outcome(&self, index: usize) -> Outcome<Box<Regs>> {
        let transcript = self.transcript.as_ref().unwrap().lock();
        transcript.get(index + 1).unwrap_or_else(|| panic!("step {index} was not reached: {transcript:?}")).clone()
    }

    /// The registers after a step that was an instruction.
    pub(crate) fn returned(&self, index: usize) -> Regs {
        match self.outcome(index) {
            Outcome::Returned(regs) => *regs,
            other => panic!("{other:?}"),
        }
    }

    /// The bytes of a step that was a load.
    pub(crate) fn loaded(&self, index: usize) -> Vec<u8> {
        match self.outcome(index) {
            Outcome::Loaded(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// How many steps after the ones that made it secure are done.
    pub(crate) fn steps(&self) -> usize {
        self.transcript.as_ref().unwrap().lock().len() - 1
    }
}

/// A call with any privilege: result and registers.
pub(crate) fn raw(
    machine: &Machine,
    mode: Privilege,
    lpid: Lpid,
    number: UltracallNumber,
    args: &[u64],
) -> (UvCode, Regs) {
    let mut regs = Regs { lpidr: lpid, ..Regs::default() }.with_call(number, args);
    regs.msr = (mode.msr() | Msr::SF | Msr::ME).bits();
    machine.ultracall(&mut regs);
    (UvCode::from_register(regs.gpr[3]), regs)
}

/// The guest stops here and lets the test act (`H_PUT_TERM_CHAR`).
pub(crate) fn pause() -> GuestStep {
    Step::Call(GuestInsn::hypercall(HvCall(0x58), &[0]))
}

pub(crate) fn sc2(number: UltracallNumber, args: &[u64]) -> GuestStep {
    Step::Call(GuestInsn::ultracall(number, args))
}

pub(crate) fn store(at: u64, bytes: &[u8]) -> GuestStep {
    Step::store(GuestAddr(at), bytes)
}

pub(crate) fn load(at: u64, len: usize) -> GuestStep {
    Step::load(GuestAddr(at), len)
}

/// What the row expects in a profile.
pub(crate) fn pick<T>(profile: Profile, documented: T, firmware: T) -> T {
    match profile {
        Profile::Documented => documented,
        Profile::Firmware => firmware,
    }
}

pub(crate) fn both(row: impl Fn(Profile)) {
    Profile::ALL.into_iter().for_each(row);
}

/// Lists the rows of a family.
macro_rules! rows {
    ($($row:ident)*) => {
        pub(crate) const ROWS: &[(&str, fn())] = &[$((stringify!($row), $row)),*];
    };
}
pub(crate) use rows;

/// A file name as `UV_ESMB_GET_FILE` takes it in R5 … R12.
pub(crate) fn name(text: &str) -> [u64; 8] {
    let mut bytes = [0; 64];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    core::array::from_fn(|index| u64::from_be_bytes(bytes[index * 8..index * 8 + 8].try_into().unwrap()))
}

/// AES-GCM as blobs and the firmware's pages have it: ciphertext and tag.
pub(crate) fn sealed(key: &[u8], iv: &[u8], plain: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let mut data = plain.to_vec();
    let tag = uv_crypto::gcm::seal(key, iv, &[], &mut data).unwrap();
    (data, tag)
}

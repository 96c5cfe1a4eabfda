//! Rows I: the transition to secure mode.

use crate::rig::*;
use uv_core::{Gfn, MemSlots, PageSize};
use uv_power::abi::entry::GuestEntry;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Msr, Privilege, Profile, UvCode};
use uv_power::owner::tree::Property;
use uv_power::sim::{GuestInsn, SvmState};
use uv_sim::guest::Step;

rows! { i01 i02 i03 i04 i05 i06 i07 i08 i09 i10 i11 i12 i13 i14 i15 i16 i17 i18 i19 }

const START: u64 = HvCall::H_SVM_INIT_START.0;
const DONE: u64 = HvCall::H_SVM_INIT_DONE.0;
const ABORT: u64 = HvCall::H_SVM_INIT_ABORT.0;

fn esm(rig: &Rig, lpid: Lpid, args: &[u64]) -> UvCode {
    raw(&rig.machine, Privilege::Supervisor, lpid, UltracallNumber::UV_ESM, args).0
}

/// Loads a changed image; the transition must fail. Gives the rig at `H_SVM_INIT_ABORT`.
fn fails(profile: Profile, stage: &str, change: impl Fn(&mut Image)) -> Rig {
    let mut image = Image::default();
    change(&mut image);
    let mut rig = Rig::new(profile);
    rig.load(&image);
    rig.make_secure(vec![]);
    assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, ABORT));
    assert_eq!(rig.state(), Some(SvmState::Abort));
    assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), stage, "{:?}", rig.machine.esm_failure(VM));
    rig
}

fn i01() {
    both(|p| assert_eq!(esm(&Rig::new(p), VM, &[0, 0]), pick(p, UvCode::U_PARAMETER, UvCode::U_P2)));
}

fn i02() {
    both(|p| assert_eq!(esm(&Rig::new(p), VM, &[KERNEL, 0]), pick(p, UvCode::U_P2, UvCode::U_P3)));
}

fn i03() {
    both(|p| assert_eq!(esm(&Rig::new(p), Lpid(0), &[KERNEL, TREE]), UvCode::U_PERMISSION));
}

fn i04() {
    both(|p| {
        assert_eq!(esm(&Rig::active(p), VM, &[KERNEL, TREE]), UvCode::U_RETRY);
        assert_eq!(esm(&Rig::aborted(p), VM, &[KERNEL, TREE]), UvCode::U_RETRY);
        let rig = Rig::secure(p, vec![sc2(UltracallNumber::UV_ESM, &[KERNEL, TREE])]);
        let code = UvCode::from_register(rig.returned(0).gpr[3]);
        assert_eq!(code, pick(p, UvCode::U_SUCCESS, UvCode::U_RETRY));
    });
}

fn i05() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(rig.seen, [Seen { number: START, args: [0; 4], secure: true }]);
        assert_eq!(rig.regs.gpr[31], rig.regs.srr0);
        assert!(!rig.regs.msr().contains(Msr::S));
    });
}

fn refused(profile: Profile) -> Rig {
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.hook = Some(Box::new(|_, seen| (seen.number == START).then_some(HvCode::H_AUTHORITY)));
    rig.make_secure(vec![]);
    rig
}

fn i06() {
    both(|p| {
        let rig = refused(p);
        assert_eq!((rig.regs.nip, rig.numbers()), (0xc00, vec![START, ABORT]));
        assert_eq!(rig.state(), Some(SvmState::Abort));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "init-start");
    });
}

fn i07() {
    both(|p| {
        let mut rig = refused(p);
        let regs = &rig.regs;
        assert_eq!(regs.srr0, 0x104, "the program began at 0x100");
        assert_eq!(regs.srr1 >> 20 & 3, pick(p, 1, 3));
        assert!(!regs.came_from_secure_guest());
        assert_eq!((regs.gpr[31], regs.gpr[4], regs.gpr[5]), (0x3131, KERNEL, TREE));
        assert!(regs.msr().contains(Msr::HV | Msr::SF | Msr::ME) && !regs.msr().contains(Msr::RI));
        // The hypervisor ends the attempt and the guest sees its answer.
        assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
        rig.enter(HvCode::H_PARAMETER);
        let seen = rig.transcript.as_ref().unwrap().lock();
        let [uv_sim::guest::Outcome::Returned(guest)] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(HvCode::from_register(guest.gpr[3]), HvCode::H_PARAMETER);
        assert!(!guest.msr().contains(Msr::S));
    });
}

fn i08() {
    both(|p| {
        let mut rig = Rig::new(p);
        rig.load(&Image::default());
        rig.slots = vec![(0, 0, TREE)];
        rig.make_secure(vec![]);
        assert_eq!(rig.numbers(), [START, ABORT]);
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "page-in");
    });
}

fn i09() {
    both(|p| {
        fails(p, "device-tree", |image| {
            let reg = [PAGE.to_be_bytes(), GUEST.to_be_bytes()].concat();
            image.node("memory@0").set(Property::new("reg", reg));
        });
    });
}

fn i10() {
    both(|p| {
        for missing in TOKENS.iter().map(|(name, _)| *name).filter(|name| *name != "ibm,nmi-register") {
            fails(p, "device-tree", |image| image.node("rtas").properties.retain(|property| property.name != missing));
        }
    });
}

fn i11() {
    both(|p| {
        let mut image = Image::default();
        image.node("rtas").properties.retain(|property| property.name != "ibm,nmi-register");
        let mut rig = Rig::new(p);
        rig.load(&image);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure));
    });
}

fn vcpus(image: &mut Image, cores: u32, threads: usize) {
    let capacity: Vec<u8> = [0, 0, 0, 0, cores].iter().flat_map(|cell: &u32| cell.to_be_bytes()).collect();
    image.node("rtas").set(Property::new("ibm,lrdr-capacity", capacity));
    let cpu = image.node("cpus").child_mut("PowerPC,POWER9").unwrap();
    cpu.set(Property::new("ibm,ppc-interrupt-server#s", vec![0; threads * 4]));
}

fn i12() {
    both(|p| {
        let rig = fails(p, "rtas", |image| vcpus(image, 1025, 4));
        assert!(!rig.numbers().contains(&DONE));
        fails(p, "rtas", |image| vcpus(image, u32::MAX, 4));
    });
}

fn i13() {
    both(|p| {
        let rig = fails(p, "boot-cpu", |image| vcpus(image, 0, 4));
        assert_eq!(rig.numbers()[rig.seen.len() - 2..], [DONE, ABORT]);
    });
}

fn i14() {
    both(|p| {
        let rig = fails(p, "boot-cpu", |image| {
            vcpus(image, 1, 4);
            image.boot_cpu = 4;
        });
        assert_eq!(rig.numbers()[rig.seen.len() - 2..], [DONE, ABORT]);
        let mut image = Image::default();
        vcpus(&mut image, 1, 4);
        image.boot_cpu = 3;
        let mut rig = Rig::new(p);
        rig.load(&image);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure));
    });
}

fn i15() {
    both(|p| {
        let rig = Rig::secure(p, vec![Step::Call(GuestInsn::Look), load(TREE, 40), load(KERNEL, 16)]);
        let seen = rig.transcript.as_ref().unwrap().lock().first().cloned();
        let Some(uv_sim::guest::Outcome::Returned(regs)) = seen else { panic!("{seen:?}") };
        assert_eq!((regs.nip, regs.gpr[3], regs.gpr[4], regs.gpr[5]), (KERNEL, TREE, KERNEL, 0));
        assert!(regs.msr().contains(Msr::S) && !regs.msr().intersects(Msr::EE | Msr::HV));
        assert_eq!(regs.gpr[31], 0x3131, "all other registers as at the call");
        assert_eq!(rig.returned(0).nip, KERNEL + 4);
        let tree = rig.loaded(1);
        let map = u32::from_be_bytes(tree[16..20].try_into().unwrap());
        let structure = u32::from_be_bytes(tree[8..12].try_into().unwrap());
        assert_eq!((map, structure), (40, 40 + 16 * 5), "four reservations and the end");
        assert_eq!(rig.loaded(2), VMLINUX[..16]);
        assert_eq!(rig.numbers().first(), Some(&START));
        assert_eq!(rig.numbers().last(), Some(&DONE));
    });
}

fn i16() {
    both(|p| {
        let mut rig = Rig::new(p);
        rig.load(&Image::default());
        rig.fill(HOST + 0x100_0000, 0x5a);
        rig.make_secure(vec![load(0x100_0000, 64)]);
        assert_eq!(rig.loaded(0), [0; 64]);
    });
}

fn i17() {
    both(|p| {
        // The kernel's last page and the initrd share a page.
        let initrd = KERNEL + (VMLINUX.len() as u64).next_multiple_of(16);
        let mut image = Image::default();
        let chosen = image.node("chosen");
        chosen.set(Property::new("linux,initrd-start", (initrd as u32).to_be_bytes()));
        chosen.set(Property::new("linux,initrd-end", (initrd as u32 + INITRD_IMG.len() as u32).to_be_bytes()));
        let mut rig = Rig::new(p);
        rig.load(&image);
        uv_core::NormalMemory::write(&*rig.memory, uv_core::HostAddr(HOST + initrd), INITRD_IMG).unwrap();
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure));
        let page = PageSize::K64.gfn(uv_core::GuestAddr(initrd)).0 << 16;
        let asked = rig.seen.iter().filter(|seen| seen.number == HvCall::H_SVM_PAGE_IN.0 && seen.args[0] == page);
        assert_eq!(asked.count(), 1);
    });
}

fn i18() {
    both(|p| {
        let rig = fails(p, "kernel", |image| image.kernel[5] ^= 1);
        assert_eq!(rig.machine.esm_failure(VM).unwrap().code(), UvCode::U_PERMISSION);
        fails(p, "initrd", |image| image.initrd[5] ^= 1);
        fails(p, "rtas", |image| image.rtas[5] ^= 1);
        fails(p, "bootargs", |image| image.node("chosen").set(Property::text("bootargs", "other")));
        // The blob is asked for before the kernel; without one nothing is compared.
        fails(p, "blob", |image| image.node("chosen").properties.retain(|p| !p.name.starts_with("linux,esm")));
    });
}

fn i19() {
    both(|p| {
        let mut image = Image::default();
        image.kernel[5] ^= 1;
        let mut rig = Rig::with(uv_power::sim::MachineConfig { tolerate_failed_check: true, ..config(p) });
        rig.load(&image);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure));
        let asked = rig.seen.iter().filter(|seen| seen.number == HvCall::H_SVM_PAGE_IN.0 && seen.args[1] == 0);
        let shared = 7;
        assert_eq!(asked.count() as u64, GUEST / PAGE - shared, "every page that is not shared, each once");
        // Nothing of a VM is left in normal memory's map when the hypervisor takes it away.
        rig.machine.set_partition_memory(VM, Some(&MemSlots::new(PageSize::K64)));
        assert_eq!(rig.machine.gfn_state(VM, Gfn(GUEST / PAGE)), None);
    });
}

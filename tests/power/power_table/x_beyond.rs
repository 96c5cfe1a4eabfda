//! What no row of the table says and a guest depends on anyway.

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_power::abi::numbers::HvCall;
use uv_power::abi::regs::{Regs, Spr};
use uv_power::abi::ultracall;
use uv_power::abi::{Profile, UvCode};

use super::Row;
use super::rig::{Image, KERNEL, PAGE, Rig, VM, VMLINUX, load};

/// Normal memory of the attacker.
const RA: u64 = 0x400_0000;
const OTHER: u64 = RA + PAGE;

pub(crate) const ROWS: &[Row] = &[
    ("x01_a_measured_page_cannot_be_paged_in_again", x01),
    ("x02_a_measured_page_cannot_be_swapped_while_it_is_out", x02),
    ("x03_a_hypervisor_reaches_its_own_registers_only", x03),
];

/// The guest's first kernel page after a transition in which the hypervisor does `attack` just before `H_SVM_INIT_DONE`.
fn kernel_after(profile: Profile, attack: impl Fn(&uv_power::sim::Machine) -> UvCode + 'static) -> (UvCode, Vec<u8>) {
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.memory.write(HostAddr(RA), &[0xee; PAGE as usize]).unwrap();
    let code = std::rc::Rc::new(std::cell::Cell::new(UvCode::U_FUNCTION));
    let answer = code.clone();
    rig.hook = Some(Box::new(move |machine, seen| {
        if seen.number == HvCall::H_SVM_INIT_DONE.0 {
            answer.set(attack(machine));
        }
        None
    }));
    rig.make_secure(vec![load(KERNEL, 4096)]);
    (code.get(), rig.loaded(0))
}

fn page_in(machine: &uv_power::sim::Machine) -> UvCode {
    let done = ultracall::page_in(machine, VM, HostAddr(RA), GuestAddr(KERNEL), 0);
    done.map_or_else(|e| e.code, |()| UvCode::U_SUCCESS)
}

fn x01() {
    let (code, kernel) = kernel_after(Profile::Documented, page_in);
    assert_eq!(code, UvCode::U_P3);
    assert_eq!(kernel, VMLINUX[..4096]);
    let (code, kernel) = kernel_after(Profile::Firmware, page_in);
    assert_eq!(code, UvCode::U_SUCCESS);
    assert_eq!(kernel, [0xee; 4096], "the published firmware takes the page again");
}

fn x02() {
    let swap = |machine: &uv_power::sim::Machine| {
        let out = OTHER;
        ultracall::page_out(machine, VM, HostAddr(out), GuestAddr(KERNEL), 0).unwrap();
        let code = page_in(machine);
        if code != UvCode::U_SUCCESS {
            ultracall::page_in(machine, VM, HostAddr(out), GuestAddr(KERNEL), 0).unwrap();
        }
        code
    };
    let (code, kernel) = kernel_after(Profile::Documented, swap);
    assert_eq!(code, UvCode::U_P3);
    assert_eq!(kernel, VMLINUX[..4096]);
    let (code, kernel) = kernel_after(Profile::Firmware, swap);
    assert_eq!(code, UvCode::U_SUCCESS);
    assert_eq!(kernel, [0xee; 4096], "the published firmware takes any content");
}

fn x03() {
    for profile in Profile::ALL {
        let machine = Rig::new(profile).machine;
        let at = Regs { nip: 0x1234, ..Regs::hypervisor() };
        let refused = |regs: &Regs| assert_eq!((regs.nip, regs.hsrr0, regs.hsrr1), (0xe40, 0x1234, at.msr));

        // D off, as the firmware leaves it: the debug registers are the hypervisor's, and the ultracall reaches the same ones.
        let mut regs = at.clone();
        assert!(machine.mtspr(&mut regs, Spr::DAWR, 77));
        assert_eq!((regs.nip, machine.mfspr(&mut regs, Spr::DAWR)), (0x1234, Some(77)));
        assert_eq!(ultracall::restricted_spr_read(&machine, Spr::DAWR), Ok(77));
        // D on: by ultracall only.
        machine.claim_debug_registers(true);
        assert!(!machine.mtspr(&mut regs, Spr::DAWR, 78));
        refused(&regs);
        let mut regs = at.clone();
        assert_eq!(machine.mfspr(&mut regs, Spr::CIABR), None);
        refused(&regs);
        ultracall::restricted_spr_write(&machine, Spr::DAWR, 79).unwrap();
        assert_eq!(ultracall::restricted_spr_read(&machine, Spr::DAWR), Ok(79), "the refused write left no trace");

        for spr in [Spr::PTCR, Spr::LDBAR, Spr::IMC, Spr::SMFCTRL, Spr::URMOR] {
            let mut regs = at.clone();
            assert!(!machine.mtspr(&mut regs, spr, 1), "{spr:?}");
            refused(&regs);
        }
        let mut regs = at.clone();
        assert_eq!(machine.mfspr(&mut regs, Spr::PTCR), Some(1 << 48 | 4));
        assert_eq!((machine.mfspr(&mut regs, Spr::SMFCTRL), regs.nip), (None, 0xe40));
    }
}

//! What no row of the table says and a guest depends on all the same.

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_power::numbers::HvCall;
use uv_power::ultracall;
use uv_power::{Profile, UvCode};

use super::Row;
use super::rig::{Image, KERNEL, PAGE, Rig, VM, VMLINUX, load};

/// Normal memory of the attacker.
const RA: u64 = 0x400_0000;
const OTHER: u64 = RA + PAGE;

pub(crate) const ROWS: &[Row] = &[
    ("x01_a_measured_page_cannot_be_paged_in_again", x01),
    ("x02_a_measured_page_cannot_be_swapped_while_it_is_out", x02),
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
    assert_eq!(code, UvCode::U_P2);
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

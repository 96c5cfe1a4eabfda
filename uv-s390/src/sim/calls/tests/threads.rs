//! Calls from many CPUs at once.

extern crate std;

use rand_core::Rng;
use uv_core::NormalMemory;
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;

use super::random::check;
use crate::abi::sie::Sie;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{ConvertFrom, ConvertTo, CpuState, Share, UvCommand};
use crate::sim::Generation;
use crate::sim::rig::{OK, Rig, diag, uvc};

#[test]
fn pages_move_under_a_running_guest_and_nobody_waits_for_ever() {
    let rig = Rig::ready(Generation::Z17);
    let page = |n: u64| 0x8000 + (n << 12);
    let steps = (0..400_u64).flat_map(|n| {
        let at = page(n % 16);
        let command = if n & 16 == 0 { UvCommand::SET_SHARED_ACCESS } else { UvCommand::REMOVE_SHARED_ACCESS };
        let access = Step::store(uv_core::GuestAddr(at), &[7; 64]);
        [access, uvc(&Share::new(command, at)), diag(0x44, [0; 5])]
    });
    let (guest, cpu, _) = rig.booted(0, steps);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (rig, guest) = (&rig, &guest);
            scope.spawn(move || {
                let mut rng = SimRng::from_seed(thread).fork("thread");
                for _ in 0..4000 {
                    let draw = rng.next_u64();
                    let at = page(draw & 15);
                    let frame = guest.base + at;
                    let codes = match draw >> 8 & 7 {
                        0..=2 => rig.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, guest.conf, at)),
                        3 | 4 => rig.call(&mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, frame)),
                        5 => rig.call(&mut ConvertFrom::new(UvCommand::PIN_PAGE_SHARED, frame)),
                        6 => rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, guest.conf, at)),
                        _ => {
                            let _ = rig.host.read(uv_core::HostAddr(frame), &mut [0; 64]);
                            continue;
                        }
                    };
                    assert_ne!(codes.1, UvRc::STORAGE_INTEGRITY, "nobody writes to exported pages");
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..4000 {
                if let Err(interruption) = rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]) {
                    rig.import(&guest, interruption.teid.map_or(0, |teid| teid.page()));
                }
            }
        });
    });
    check(&rig);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    check(&rig);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(rig.machine.secure_frames_in_use(), 0);
}

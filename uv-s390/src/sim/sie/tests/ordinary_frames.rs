//! An ordinary guest whose tables lead to frames of the Ultravisor's.

extern crate std;

use alloc::boxed::Box;
use alloc::sync::Arc;

use spin::Mutex;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Program, Script, Step};
use zerocopy::IntoBytes;

use crate::abi::psw::Psw;
use crate::abi::sie::{AddressSpaces, GuestMap, Sie, StateDescription, Validity};
use crate::abi::uvc::PgmCode;
use crate::sim::rig::{MIB, OK, PLAIN, Rig, Tables, loaded};
use crate::sim::{Generation, GuestInsn, InsnResult};

/// Host address of the state description.
const STATE: HostAddr = HostAddr(8 * MIB);
const ASCE: u64 = (9 * MIB) | 0x107;
const START: u64 = 0x1_0000;

#[test]
fn secure_and_donated_frames_are_closed() {
    // A protected guest with its image, and an ordinary one whose tables lead to the same frames.
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let secure = rig.cpu(&guest, 0);
    rig.verified(&guest);
    let page = guest.base + 0x3000;
    let mut sd = StateDescription::new();
    sd.msl = MIB.into();
    sd.psw = Psw::at(START);
    rig.host.write(STATE, sd.as_bytes()).unwrap();
    rig.machine.attach(ASCE, Arc::new(Tables::new(page, MIB)) as Arc<dyn GuestMap>);
    for (addr, step) in [
        (0x10, Step::load(GuestAddr(0x10), 1)),
        (0x10, Step::store(GuestAddr(0x10), &[1])),
        (0x0, Step::Fetch { at: GuestAddr(0x0) }),
        (0x1000, Step::load(GuestAddr(0x1fff), 1)),
    ] {
        rig.machine.set_guest(STATE, move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            Box::new(Script::new([step.clone()]).0)
        });
        let interruption = rig.machine.enter(STATE, ASCE, &mut [0; 16]).unwrap_err();
        let teid = interruption.teid.unwrap();
        assert_eq!((interruption.code, teid.page()), (PgmCode::SECURE_STORAGE_ACCESS, addr & !0xfff));
        assert!(teid.is_reliable());
    }
    // Exported: ciphertext.
    assert_eq!(rig.export(page), OK);
    let (script, seen) = Script::new([Step::load(GuestAddr(0), 0x1000)]);
    let mut script = Some(script);
    rig.machine.set_guest(STATE, move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(script.take().unwrap())
    });
    rig.machine.enter(STATE, ASCE, &mut [0; 16]).unwrap();
    let bytes = loaded(&seen.lock()[0]);
    assert!(bytes.iter().filter(|byte| **byte == PLAIN[0]).count() < 100, "not one page of plaintext");
    // The donated storage of the secure CPU.
    rig.host.write(STATE, sd.as_bytes()).unwrap();
    rig.machine.attach(ASCE, Arc::new(Tables::new(secure.storage, MIB)) as Arc<dyn GuestMap>);
    rig.machine.set_guest(STATE, |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(Script::new([Step::load(GuestAddr(0), 1)]).0)
    });
    let interruption = rig.machine.enter(STATE, ASCE, &mut [0; 16]).unwrap_err();
    assert_eq!(interruption.code, PgmCode::SECURE_STORAGE_ACCESS);
    // The state description of a secure CPU is none of an ordinary one.
    rig.change(secure, |sd| sd.sdf = 0);
    assert_eq!(rig.enter(&guest, secure).validity(), Some(Validity::FORMAT));
}

#[test]
fn a_page_in_motion_shows_no_plaintext() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    rig.verified(&guest);
    let page = guest.base + 0x3000;
    let mut sd = StateDescription::new();
    sd.msl = MIB.into();
    sd.psw = Psw::at(START);
    rig.host.write(STATE, sd.as_bytes()).unwrap();
    rig.machine.attach(ASCE, Arc::new(Tables::new(page, MIB)) as Arc<dyn GuestMap>);
    let (looks, worst) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (seen, most) = (looks.clone(), worst.clone());
    rig.machine.set_guest(STATE, move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let (seen, most) = (seen.clone(), most.clone());
        Box::new(move |last: Outcome<InsnResult>| {
            if let Outcome::Loaded(bytes) = last {
                *seen.lock() += 1;
                let plain = bytes.iter().filter(|byte| **byte == PLAIN[0]).count();
                let mut most = most.lock();
                *most = plain.max(*most);
            }
            if *seen.lock() < 300 { Step::load(GuestAddr(0), 0x1000) } else { Step::Halt }
        })
    });
    let done = core::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        use core::sync::atomic::Ordering::SeqCst;
        let mover = scope.spawn(|| {
            while !done.load(SeqCst) {
                rig.export(page);
                rig.import(&guest, 0x3000);
                rig.export(page);
            }
        });
        loop {
            match rig.machine.enter(STATE, ASCE, &mut [0; 16]) {
                Ok(()) => break,
                Err(taken) => assert_eq!(taken.code, PgmCode::SECURE_STORAGE_ACCESS),
            }
        }
        done.store(true, SeqCst);
        mover.join().unwrap();
    });
    assert_eq!(*looks.lock(), 300);
    assert!(*worst.lock() < 100, "a page of plaintext has 4096 of these bytes, ciphertext about 16");
}

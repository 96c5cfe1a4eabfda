//! §11.8: DIAG 308 of an ordinary guest under QEMU.

use std::sync::Arc;

use uv_core::GuestAddr;
use uv_s390::abi::diag308::Diag308;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::PgmCode;
use uv_s390::dev::Rig;
use uv_s390::hypervisor::kernel::Vm;
use uv_s390::hypervisor::vmm::diag308::{IplStores, MachineModel, Operand, Outcome, handle};
use uv_s390::hypervisor::vmm::ipl::{AfterReset, IplOptions, NoDevices, reset};

use crate::registry::Tests;
use crate::rig::{GUEST_LEN, RESET_PSW, items};

/// An ordinary VM with two CPUs.
fn vm() -> Arc<Vm> {
    let guest = Rig::new(7).unwrap().vm(GUEST_LEN >> 12, 2).unwrap();
    guest.storage().write(GuestAddr(0), &Psw::at(RESET_PSW).short().unwrap().to_be_bytes()).unwrap();
    guest
}

fn issue(call: Diag308) -> Outcome {
    let guest = vm();
    handle(&mut IplStores::new(), &MachineModel::default(), call, Operand::Guest(guest.storage()))
}

const CALL: Diag308 = Diag308 { problem_state: false, r1: 2, address: 0x4000, subcode: 0 };
const SPECIFICATION: Outcome = Outcome::Program(PgmCode(0x06));

pub(crate) fn register(tests: &mut Tests) {
    tests.row("diag308::r01_problem_state", || {
        for subcode in [0, 1, 3, 5, 6] {
            let call = Diag308 { problem_state: true, subcode, ..CALL };
            assert_eq!(issue(call), Outcome::Program(PgmCode(0x02)));
        }
    });
    tests.each("diag308::r02_reset", items([("subcode_0", 0), ("subcode_1", 1)]), |subcode| {
        let guest = vm();
        let storage = guest.storage();
        let call = Diag308 { subcode, ..CALL };
        let outcome = handle(&mut IplStores::new(), &MachineModel::default(), call, Operand::Guest(storage.clone()));
        let Outcome::Reset(request) = outcome else { panic!("{outcome:?}") };
        let options = IplOptions { others: vec![1], ..IplOptions::default() };
        let after = reset(&mut NoDevices, &*guest, &storage, &options, false, request).unwrap();
        assert_eq!(after, AfterReset::Psw(Some(Psw::at(RESET_PSW))));
    });
    let five_and_six = || items([("subcode_5", 5), ("subcode_6", 6)]);
    tests.each("diag308::r03_odd_register", five_and_six(), |subcode| {
        assert_eq!(issue(Diag308 { r1: 3, subcode, ..CALL }), SPECIFICATION);
    });
    tests.each("diag308::r04_unaligned", five_and_six(), |subcode| {
        assert_eq!(issue(Diag308 { address: 0x4008, subcode, ..CALL }), SPECIFICATION);
    });
    let unknown = [("0x101", 0x101), ("0xffff", 0xffff), ("0x10001", 0x1_0001), ("minus_1", u64::MAX)];
    tests.each("diag308::r05_unknown_subcode", items(unknown), |subcode| {
        assert_eq!(issue(Diag308 { subcode, ..CALL }), SPECIFICATION);
    });
    tests.row("diag308::r06_subcode_2", || assert_eq!(issue(Diag308 { subcode: 2, ..CALL }), SPECIFICATION));
}

//! §6.5: the state description against the creation of the configuration. §6.2: an external interruption that loops.

use uv_core::GuestAddr;
use uv_s390::sie::{InterceptionCode, StateDescription, Validity};
use uv_s390::sim::GuestInsn;
use uv_sim::guest::Step;

use crate::registry::Tests;
use crate::rig::{MIB, Rig, diag, items};

/// PSW bit 7.
const EXTERNAL: u64 = 1 << 56;

type Change = fn(&mut StateDescription);

pub(crate) fn register(tests: &mut Tests) {
    let changes: [(&str, (Change, u16)); 4] = [
        ("extended_sca", (|sd| sd.ecb2 = 0, 0x200c)),
        ("sca", (|sd| sd.set_sca_origin(sd.sca_origin() ^ 0x1000), 0x200d)),
        ("mso", (|sd| sd.mso = (sd.mso.get() + MIB).into(), 0x200e)),
        ("msl", (|sd| sd.msl = (sd.msl.get() - MIB).into(), 0x200f)),
    ];
    tests.each("s605_entry::creation", items(changes), |(change, code)| {
        // With another MSO than 0, so that limit and length of the storage are two numbers.
        let rig = Rig::ready();
        let (guest, cpu, _) = rig.booted_at(0, 16 * MIB, [diag(0x44, [0; 5])]);
        let good = rig.sd(cpu);
        rig.change(cpu, change);
        assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity(code)));
        rig.change(cpu, |sd| {
            (sd.ecb2, sd.sca_high, sd.sca_low) = (good.ecb2, good.sca_high, good.sca_low);
            (sd.mso, sd.msl) = (good.mso, good.msl);
        });
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    });
    let codes = [("clock_comparator", (0x1004, 0x800)), ("cpu_timer", (0x1005, 0x400))];
    tests.each("s602_interception::external_loop", items(codes), |(code, cr0)| {
        let rig = Rig::ready();
        let new = [EXTERNAL | 1, 0x1234].map(u64::to_be_bytes).concat();
        let steps = [
            Step::store(GuestAddr(0x1b0), &new),
            Step::Call(GuestInsn::SetCr { number: 0, value: cr0 }),
            Step::Call(GuestInsn::SetMask { mask: EXTERNAL }),
            diag(0x44, [0; 5]),
            diag(0x9c, [42, 0, 0, 0, 0]),
        ];
        let (guest, cpu, _) = rig.booted(0, steps);
        assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
        rig.change(cpu, |sd| {
            sd.iictl = 0x02;
            sd.ext_code = code.into();
        });
        for _ in 0..2 {
            let sd = rig.enter(&guest, cpu);
            assert_eq!((sd.interception(), sd.ext_code.get()), (InterceptionCode(0x14), code));
            assert_eq!((sd.psw.mask.get(), sd.psw.address.get()), (EXTERNAL, 0));
        }
    });
}

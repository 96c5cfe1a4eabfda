//! §6.5: the state description against the creation of the configuration.

use uv_s390::abi::sie::{StateDescription, Validity};

use crate::registry::Tests;
use crate::rig::{MIB, Rig, diag, items};

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
}

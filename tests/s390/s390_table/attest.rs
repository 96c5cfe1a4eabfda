//! §11.6: what RETR_ATTEST refuses, in the order and with the triggers of §9.3. The request is for another machine's key
//! where the suite has none that opens: sizes are refused before the seal is tried.

use uv_core::GuestAddr;
use uv_s390::abi::uvcb::{Attest, QueryInfo, UvCommand};
use uv_s390::owner::attest::{AttestationFlags, AttestationRequest};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::request::RequestSecrets;
use uv_s390::sim::InsnResult;
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;
use zerocopy::{FromBytes, IntoBytes};

use crate::registry::Tests;
use crate::rig::{GUEST_LEN, Rig, header_only, items, returned, uvc, uvc_bytes};

const REQUEST: u64 = 0x8000;
const ANSWER: u64 = 0xc000;
const ADDITIONAL: u64 = 0xd000;

/// A request as the suite sends it: nobody can open it.
fn sealed_for_nobody() -> Vec<u8> {
    let mut rng = SimRng::from_seed(4).fork("request");
    let mut request = AttestationRequest::random(AttestationFlags::ATTESTATION_PHKH, &mut rng);
    request.nonce = None;
    let stranger = HostPrivateKey::from_scalar(&[6]).unwrap().public();
    request.seal(&RequestSecrets::random(&mut rng), &[stranger]).unwrap()
}

/// cc and rc of the call with this request, both changed.
fn attest(change: fn(&mut Vec<u8>, &mut Attest)) -> (u8, u16) {
    let mut request = sealed_for_nobody();
    let mut block = Attest::new();
    block.arcb_addr = REQUEST.into();
    block.meas_addr = ANSWER.into();
    block.meas_len = 64.into();
    block.add_data_addr = ADDITIONAL.into();
    block.add_data_len = 32.into();
    change(&mut request, &mut block);
    let touch = [ANSWER, ADDITIONAL].map(|page| Step::store(GuestAddr(page), &[0]));
    let steps = [Step::store(GuestAddr(REQUEST), &request), uvc(&block)];
    returned(Rig::ready().run(touch.into_iter().chain(steps)).last().unwrap())
}

fn refused(tests: &mut Tests, name: &str, rc: u16, change: fn(&mut Vec<u8>, &mut Attest)) {
    tests.row(name, move || assert_eq!(attest(change), (1, rc)));
}

pub(crate) fn register(tests: &mut Tests) {
    tests.row("pv_attest::r01_version_bit", || {
        let InsnResult::Data { bytes, .. } = Rig::ready().run([uvc(&QueryInfo::new())]).remove(0) else {
            panic!("a query returns")
        };
        assert_eq!(QueryInfo::read_from_bytes(bytes.as_bytes()).unwrap().supported_attest_versions.get(), 1 << 63);
    });
    let lengths = items([("len_0x187", 0x187), ("len_0x189", 0x189)]);
    tests.each("pv_attest::r02_block_length", lengths, |len| {
        let result = Rig::ready().run([uvc_bytes(&header_only(UvCommand::RETR_ATTEST, len))]).remove(0);
        assert_eq!(returned(&result), (1, 0x0005));
    });
    refused(tests, "pv_attest::r03_0x101_token", 0x101, |_, block| block.cont_token = 0xff.into());
    refused(tests, "pv_attest::r04_0x102_user_data", 0x102, |_, block| block.user_data_len = 257.into());
    refused(tests, "pv_attest::r05_0x103_request_access", 0x103, |_, block| {
        block.arcb_addr = (GUEST_LEN + 0x1000).into();
    });
    refused(tests, "pv_attest::r06_0x106_version", 0x106, |request, _| request[0x0b] = 1);
    refused(tests, "pv_attest::r07_0x107_length::one_more", 0x107, |request, _| request[0x0f] += 1);
    refused(tests, "pv_attest::r07_0x107_length::two_slots", 0x107, |request, _| request[0x27] = 2);
    refused(tests, "pv_attest::r08_0x108_no_slot", 0x108, |request, _| request[0x27] = 0);
    refused(tests, "pv_attest::r09_0x109_encrypted_size::eighty", 0x109, |request, _| request[0x2f] = 80);
    refused(tests, "pv_attest::r09_0x109_encrypted_size::seventeen", 0x109, |request, _| request[0x2f] = 17);
    refused(tests, "pv_attest::r10_0x10a_flag", 0x10a, |request, _| request[0x37] |= 1);
    refused(tests, "pv_attest::r11_0x10b_algorithm", 0x10b, |request, _| request[0x3b] = 2);
    refused(tests, "pv_attest::r12_0x10c_open", 0x10c, |_, _| ());
    refused(tests, "pv_attest::r13_0x10d_measurement_size", 0x10d, |_, block| block.meas_len = 63.into());
    refused(tests, "pv_attest::r14_0x10e_additional_size", 0x10e, |_, block| block.add_data_len = 31.into());
}

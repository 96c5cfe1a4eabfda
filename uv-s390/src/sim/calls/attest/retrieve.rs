//! RETR_ATTEST: measures the guest for its owner.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the continuation token is 0 | 0x0101 |
//! | 2 | at most 256 bytes of user data | 0x0102 |
//! | 3 | the head of the request is in guest storage | 0x0103 |
//! | 4 | version | 0x0106 |
//! | 5 | length, for this number of slots; slots at all | 0x0107; 0x0108 |
//! | 6 | size of the encrypted area | 0x0109 |
//! | 7 | flags | 0x010a |
//! | 8 | algorithm | 0x010b |
//! | 9 | the measurement area is large enough | 0x010d |
//! | 10 | the additional-data area is large enough | 0x010e |
//! | 11 | all of the request is in guest storage | 0x0103 |
//! | 12 | the request opens with a host key of this machine | 0x010c |
//! | 13 | the measurement area is in guest storage | 0x0104 |
//! | 14 | the additional-data area is in guest storage | 0x0105 |
//!
//! A page that is needed and not secure is asked for from the host first (0x3e). That 13 and 14 come last follows from
//! kvm-unit-tests, which cannot reach them without a request that opens (UNSURE, as the order of all others).
//! The firmware state of a simulated machine says that it is one: no verifier of real machines can take it for real.

use uv_core::GuestAddr;
use zerocopy::{FromZeros, IntoBytes};

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Attest;
use crate::owner::attest::{
    AdditionalData, Arcb, ArcbHead, AttestationFlags, FIRMWARE_STATE_SIZE, FirmwareState, MAX_USER_DATA_SIZE,
    MEASUREMENT_SIZE, Measured, secret_store_hash,
};
use crate::owner::request::{ConfigUid, ImageIdentity};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::view::{GuestView, outside};

/// Begins the firmware state.
const FIRMWARE: &[u8] = b"SIMULATED ULTRAVISOR, NOT A MACHINE";

pub(in crate::sim) fn retrieve(view: &GuestView<'_>, block: &mut Attest) -> Answer {
    let (machine, conf) = (view.machine, view.conf);
    if block.cont_token.get() != 0 {
        return Err(UvRc::ATTEST_TOKEN.into());
    }
    let user_len = usize::from(block.user_data_len.get());
    let user_data = block.user_data.get(..user_len).filter(|data| data.len() <= MAX_USER_DATA_SIZE);
    let user_data = user_data.ok_or(UvRc::ATTEST_USER_DATA)?;
    let request = GuestAddr(block.arcb_addr.get());
    let (measurement, meas_len) = (GuestAddr(block.meas_addr.get()), block.meas_len.get());
    let (additional, add_len) = (GuestAddr(block.add_data_addr.get()), block.add_data_len.get());
    let mut head = ArcbHead::new_zeroed();
    view.read(request, head.as_mut_bytes()).map_err(outside(UvRc::ATTEST_ACCESS))?;

    let code = |error: crate::owner::attest::ArcbError| Refusal::from(UvRc(error.rc()));
    let layout = head.check_layout().map_err(code)?;
    let supported = AttestationFlags::from_bits_retain(machine.generation.attest_flags());
    let flags = head.check_flags(supported).map_err(code)?;
    head.check_algorithm().map_err(code)?;
    let size = AdditionalData::expected_size(flags);
    if usize::try_from(meas_len).map_or(true, |len| len < MEASUREMENT_SIZE) {
        return Err(UvRc::ATTEST_MEASUREMENT_SIZE.into());
    }
    if usize::try_from(add_len).map_or(true, |len| len < size) {
        return Err(UvRc::ATTEST_ADDITIONAL_SIZE.into());
    }
    let mut bytes = alloc::vec![0; layout.size];
    view.read(request, &mut bytes).map_err(outside(UvRc::ATTEST_ACCESS))?;
    let (opened, phkh) = Arcb::parse(&bytes).and_then(|arcb| arcb.open(machine.host_keys())).map_err(code)?;
    view.check(measurement, meas_len.into()).map_err(outside(UvRc::ATTEST_MEASUREMENT_ACCESS))?;
    view.check(additional, add_len.into()).map_err(outside(UvRc::ATTEST_ADDITIONAL_ACCESS))?;

    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    let identity = ImageIdentity::from_header(image.header.as_bytes()).map_err(|_| UvRc::STATE)?;
    let cuid = ConfigUid(conf.uid);
    let wants = |flag| opened.flags.contains(flag);
    let store = conf.secrets.lock();
    let data = AdditionalData {
        image_phkh: wants(AttestationFlags::IMAGE_PHKH).then_some(image.opened.host_key),
        attestation_phkh: wants(AttestationFlags::ATTESTATION_PHKH).then_some(phkh),
        secret_store_hash: wants(AttestationFlags::SECRET_STORE_HASH)
            .then(|| secret_store_hash(&store.tags, store.locked)),
        firmware_state: wants(AttestationFlags::FIRMWARE_STATE).then(firmware_state),
        ..AdditionalData::default()
    };
    drop(store);
    let data = data.encode();
    let measured =
        Measured { image: &identity, cuid: &cuid, user_data, nonce: opened.nonce.as_ref(), additional: &data };
    let result = measured.measure(&opened.measurement_key).map_err(|_| UvRc::ATTEST_USER_DATA)?;
    view.write(measurement, &result.0).map_err(outside(UvRc::ATTEST_MEASUREMENT_ACCESS))?;
    view.write(additional, &data).map_err(outside(UvRc::ATTEST_ADDITIONAL_ACCESS))?;
    block.config_uid = conf.uid;
    Ok(())
}

fn firmware_state() -> FirmwareState {
    let mut state = [0; FIRMWARE_STATE_SIZE];
    state[..FIRMWARE.len()].copy_from_slice(FIRMWARE);
    FirmwareState(state)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use uv_sim::guest::Step;
    use uv_sim::rng::SimRng;

    use super::*;
    use crate::owner::attest::{AttestationRequest, ExchangeResponse, Verdict, Verification, verify};
    use crate::owner::crypto::HostPrivateKey;
    use crate::owner::request::RequestSecrets;
    use crate::sim::Generation;
    use crate::sim::rig::{ANSWER, GUEST_LEN, REQUEST, Rig, loaded, requesting, returned};

    const ADDITIONAL: u64 = ANSWER + 0x1000;

    fn request(rig: &Rig, flags: AttestationFlags, nonce: bool) -> (Vec<u8>, RequestSecrets) {
        let mut rng = SimRng::from_seed(4).fork("request");
        let secrets = RequestSecrets::random(&mut rng);
        let mut request = AttestationRequest::random(flags, &mut rng);
        request.nonce = request.nonce.filter(|_| nonce);
        (request.seal(&secrets, &[rig.machine.host_key.public()]).unwrap(), secrets)
    }

    fn block() -> Attest {
        let mut block = Attest::new();
        block.arcb_addr = REQUEST.into();
        block.meas_addr = ANSWER.into();
        block.meas_len = 64.into();
        block.add_data_addr = ADDITIONAL.into();
        block.add_data_len = 512.into();
        block
    }

    fn rc(change: impl FnOnce(&mut Vec<u8>, &mut Attest)) -> u16 {
        let rig = Rig::ready(Generation::Z17);
        let (mut bytes, _) = request(&rig, AttestationFlags::ATTESTATION_PHKH, false);
        let mut block = block();
        change(&mut bytes, &mut block);
        returned(rig.run(0, requesting(&bytes, &block)).last().unwrap()).1
    }

    /// What the owner finds who asked with these flags.
    fn verified(flags: AttestationFlags, user_data: &[u8]) -> (Rig, Verification) {
        let rig = Rig::ready(Generation::Z17);
        let (bytes, secrets) = request(&rig, flags, true);
        let mut block = block();
        block.user_data_len = u16::try_from(user_data.len()).unwrap().into();
        block.user_data[..user_data.len()].copy_from_slice(user_data);
        let mut steps = requesting(&bytes, &block);
        let size = AdditionalData::expected_size(flags);
        steps.extend([Step::load(GuestAddr(ANSWER), 64), Step::load(GuestAddr(ADDITIONAL), 512)]);
        let seen = rig.run(0, steps);
        let [.., call, measurement, additional] = &seen[..] else { panic!("too short") };
        let (cc, rc, block) = returned(call);
        assert_eq!((cc, rc), (0, 1));
        let additional = loaded(additional);
        assert!(additional[size..].iter().all(|byte| *byte == 0), "not more than was asked for");
        let response = ExchangeResponse {
            arcb: bytes,
            measurement: loaded(measurement),
            additional: additional[..size].to_vec(),
            user_data: user_data.to_vec(),
            cuid: ConfigUid(*block[0x148..].first_chunk().unwrap()),
        };
        let pcf = crate::abi::se_header::PlaintextControlFlags::PCKMO
            | crate::abi::se_header::PlaintextControlFlags::ALLOW_DUMP;
        let (header, _) = rig.image(&[&rig.machine.host_key], pcf);
        let image = ImageIdentity::from_header(header.as_bytes()).unwrap();
        (rig, verify(&response, &secrets.key, &image).unwrap())
    }

    #[test]
    fn the_owner_can_verify_what_was_asked_for() {
        use AttestationFlags as Flags;
        let fields = [Flags::IMAGE_PHKH, Flags::ATTESTATION_PHKH, Flags::SECRET_STORE_HASH, Flags::FIRMWARE_STATE];
        for flags in fields.into_iter().chain([Flags::KNOWN, Flags::empty()]) {
            let (rig, result) = verified(flags, b"hello");
            assert_eq!(result.verdict, Verdict::Verified, "{flags:?}");
            let phkh = |flag| flags.contains(flag).then(|| rig.machine.host_key.public().phkh());
            let found = result.fields;
            assert_eq!(found.image_phkh, phkh(Flags::IMAGE_PHKH));
            assert_eq!(found.attestation_phkh, phkh(Flags::ATTESTATION_PHKH));
            let hash = flags.contains(Flags::SECRET_STORE_HASH).then(|| secret_store_hash([], false));
            assert_eq!(found.secret_store_hash, hash);
            assert_eq!(found.firmware_state.is_some(), flags.contains(Flags::FIRMWARE_STATE));
            assert!(found.firmware_state.is_none_or(|state| state.0.starts_with(FIRMWARE)));
        }
        assert_eq!(verified(Flags::empty(), &[7; 256]).1.verdict, Verdict::Verified, "the longest user data");
    }

    #[test]
    fn an_area_that_cannot_be_had_leaves_the_other_one_alone() {
        let rig = Rig::ready(Generation::Z17);
        let (bytes, _) = request(&rig, AttestationFlags::ATTESTATION_PHKH, false);
        let mut block = block();
        block.add_data_addr = (GUEST_LEN - 64).into();
        let mut steps = requesting(&bytes, &block);
        steps.push(Step::load(GuestAddr(ANSWER), 64));
        let seen = rig.run(0, steps);
        let [.., call, measurement] = &seen[..] else { panic!("too short") };
        assert_eq!(
            (returned(call).1, loaded(measurement)),
            (0x105, [0; 64].to_vec()),
            "all 512 bytes have to be there"
        );
    }

    #[test]
    fn codes() {
        assert_eq!(rc(|_, block| block.cont_token = 0xff.into()), 0x101);
        assert_eq!(rc(|_, block| block.user_data_len = 257.into()), 0x102);
        assert_eq!(rc(|_, block| block.arcb_addr = GUEST_LEN.into()), 0x103);
        assert_eq!(rc(|_, block| block.arcb_addr = (GUEST_LEN - 64).into()), 0x106, "zeros");
        assert_eq!(rc(|_, block| block.meas_addr = GUEST_LEN.into()), 0x104);
        assert_eq!(rc(|_, block| block.add_data_addr = GUEST_LEN.into()), 0x105);
        assert_eq!(rc(|bytes, _| bytes[10] = 0), 0x106);
        assert_eq!(rc(|bytes, _| bytes[15] ^= 1), 0x107);
        assert_eq!(rc(|bytes, _| bytes[39] = 2), 0x107);
        assert_eq!(rc(|bytes, _| bytes[39] = 0), 0x108);
        assert_eq!(rc(|bytes, _| bytes[47] = 80), 0x109);
        assert_eq!(rc(|bytes, _| bytes[47] = 17), 0x109);
        assert_eq!(rc(|bytes, _| bytes[55] = 1), 0x10a);
        assert_eq!(rc(|bytes, _| bytes[59] = 0), 0x10b);
        assert_eq!(rc(|_, block| block.meas_len = 63.into()), 0x10d);
        assert_eq!(rc(|_, block| block.add_data_len = 31.into()), 0x10e);
        assert_eq!(rc(|bytes, _| bytes[300] ^= 1), 0x10c);
        let both = |bytes: &mut Vec<u8>, block: &mut Attest| {
            bytes[300] ^= 1;
            block.add_data_len = 0.into();
        };
        assert_eq!(rc(both), 0x10e, "sizes before the seal");
        let closed = |bytes: &mut Vec<u8>, block: &mut Attest| {
            bytes[300] ^= 1;
            (block.meas_addr, block.add_data_addr) = (GUEST_LEN.into(), GUEST_LEN.into());
        };
        assert_eq!(rc(closed), 0x10c, "the seal before the areas");
        let areas = |_: &mut Vec<u8>, block: &mut Attest| {
            (block.meas_addr, block.add_data_addr) = (GUEST_LEN.into(), GUEST_LEN.into());
        };
        assert_eq!(rc(areas), 0x104, "the measurement before the additional data");
        assert_eq!(rc(|_, _| ()), 1);
    }

    #[test]
    fn all_of_the_request_is_in_guest_storage() {
        let rig = Rig::ready(Generation::Z17);
        let (bytes, _) = request(&rig, AttestationFlags::ATTESTATION_PHKH, false);
        let mut block = block();
        block.arcb_addr = (GUEST_LEN - 64).into();
        block.meas_addr = GUEST_LEN.into();
        let steps = [Step::store(GuestAddr(GUEST_LEN - 64), &bytes[..64]), crate::sim::rig::uvc(&block)];
        assert_eq!(returned(rig.run(0, steps).last().unwrap()).1, 0x103, "the head alone is");
    }

    #[test]
    fn a_request_for_another_machine_does_not_open() {
        let rig = Rig::ready(Generation::Z16);
        let mut rng = SimRng::from_seed(4).fork("request");
        let request = AttestationRequest::random(AttestationFlags::IMAGE_PHKH, &mut rng);
        let stranger = HostPrivateKey::from_scalar(&[6]).unwrap().public();
        let bytes = request.seal(&RequestSecrets::random(&mut rng), &[stranger]).unwrap();
        assert_eq!(returned(rig.run(0, requesting(&bytes, &block())).last().unwrap()).1, 0x10c);
    }
}

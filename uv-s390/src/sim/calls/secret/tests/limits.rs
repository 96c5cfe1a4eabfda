//! Types, limits, flags and buffers, one by one.

use super::*;

/// A request with another type and length of the secret, sealed as the owner would.
fn of_kind(rig: &Rig, kind: u16, len: u32) -> Vec<u8> {
    const SECRET_HEAD: usize = 1048 + 160 + 80;
    let secrets = RequestSecrets::random(&mut SimRng::from_seed(9).fork("request"));
    let mut bytes = sealed(rig, &request(rig, GuestSecret::association(SecretId::of_name("a"), &[1; 32])));
    crate::owner::request::reseal(&mut bytes, 64, &secrets, |aad| {
        aad[SECRET_HEAD + 2..SECRET_HEAD + 4].copy_from_slice(&kind.to_be_bytes());
        aad[SECRET_HEAD + 4..SECRET_HEAD + 8].copy_from_slice(&len.to_be_bytes());
        Ok::<(), crate::owner::secret::SignatureError>(())
    })
    .unwrap();
    bytes
}

#[test]
fn types_and_lengths_are_judged_after_the_seal() {
    let with = |kind, len| rc(Generation::Z17, |rig| of_kind(rig, kind, len));
    assert_eq!(with(2, 32), 1);
    assert_eq!([0, 0xb, 0x17, 0x3f, 0x40, 0x41, 0x42, 0xffff].map(|kind| with(kind, 32)), [0x109; 8]);
    assert_eq!([with(2, 31), with(4, 32), with(3, 31)], [0x10a; 3]);
}

#[test]
fn requests_come_one_after_the_other() {
    let rig = Rig::ready(Generation::Z17);
    let bytes = sealed(&rig, &request(&rig, plaintext("a")));
    let (guest, cpu, seen) = rig.booted(0, requesting(&bytes, &AddSecret::new(REQUEST)));
    let conf = rig.machine.conf(guest.conf).unwrap();
    let at_work = conf.secrets.lock();
    rig.serve(&guest, cpu);
    assert_eq!(returned(seen.lock().last().unwrap()).0, 2);
    drop(at_work);
    assert!(conf.secrets.lock().secrets.is_empty());
}

#[test]
fn association_and_retrievable_secrets_have_rooms_of_their_own() {
    let rig = Rig::ready(Generation::Z17);
    let association = || GuestSecret::association(SecretId::of_name("a"), &[5; 32]);
    let requests = [plaintext("a"), association(), association()].map(|secret| sealed(&rig, &request(&rig, secret)));
    let stop = || crate::sim::rig::diag(0x44, [0; 5]);
    let mut steps = adding([&requests[0][..], &requests[1]]);
    steps.push(stop());
    steps.extend(adding([&requests[0][..], &requests[2]]).split_off(8));
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    let conf = rig.machine.conf(guest.conf).unwrap();
    let fill = |store: &mut crate::sim::secrets::SecretStore| {
        let first = &store.secrets[0];
        let (entry, secret) = (first.entry, first.secret.clone());
        let more = (1..128).map(|_| crate::sim::secrets::Stored { entry, secret: secret.clone() });
        let more: Vec<_> = more.collect();
        store.secrets.extend(more);
    };
    fill(&mut conf.secrets.lock());
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    assert_eq!([9, 11, 14, 16].map(|n| returned(&seen[n]).1), [1, 1, 0x10b, 1]);
}

#[test]
fn each_control_flag_of_the_owner_allows_one_thing() {
    use SecretControlFlags as Flags;
    for (flags, bound, update) in [(Flags::CCK_EXTENSION_SECRET, true, false), (Flags::CCK_UPDATE, false, true)] {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        let pcf = PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP;
        let (header, stored) =
            rig.image_with(&[&rig.machine.host_key], pcf, |area| area.secret_flags = flags.bits().into());
        rig.unpacked_image(&guest, header.as_bytes(), &stored);
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
        let image = ImageIdentity::from_header(header.as_bytes()).unwrap();
        let make = |secret, extension: &ExtensionSecret| {
            sealed(&rig, &AddSecretRequest { image, extension: extension.clone(), ..request(&rig, secret) })
        };
        let cck = Cck::new([9; 32]);
        let extension = if bound { ExtensionSecret::Derived(cck) } else { ExtensionSecret::None };
        let (null, change) = (GuestSecret::null(), GuestSecret::update_cck(&Cck::new([1; 32])));
        let other = ExtensionSecret::Given(SecretBytes::new([4; 32]));
        let requests = [make(null.clone(), &extension), make(null, &other), make(change, &extension)];
        let seen = rig.script(cpu, adding(requests.iter().map(Vec::as_slice)));
        assert_eq!(rig.set_state(cpu, crate::abi::uvcb::CpuState::OPERATING_LOAD), OK);
        assert_eq!((rig.import(&guest, 0), rig.import(&guest, 0x1000)), (OK, OK));
        rig.serve(&guest, cpu);
        let codes = [9, 11, 13].map(|n| returned(&seen.lock()[n]).1);
        assert_eq!(codes, [1, 0x10c, if update { 1 } else { 0x10c }], "{flags:?}");
    }
}

#[test]
fn buffers_are_looked_at_as_a_whole_and_first() {
    let rig = Rig::ready(Generation::Z17);
    let bytes = sealed(&rig, &request(&rig, plaintext("hello")));
    let end = GUEST_LEN - 16;
    let mut steps = adding([]);
    steps.push(uvc(&RetrieveSecret::new(0, GUEST_LEN, 16)));
    steps.extend(adding([&bytes[..]]).split_off(8));
    steps.extend([
        uvc(&RetrieveSecret::new(0, end, 17)),
        uvc(&ListSecrets::new(0, end)),
        Step::load(GuestAddr(end), 16),
        uvc(&RetrieveSecret::new(0, end, 16)),
        Step::load(GuestAddr(end), 16),
    ]);
    let seen = rig.run(0, steps);
    assert_eq!([8, 10, 11, 12, 14].map(|n| returned(&seen[n]).1), [0x102, 1, 0x102, 0x32, 1]);
    assert_eq!(loaded(&seen[13]), [0; 16], "no part was stored");
    assert_eq!(decode_plaintext(&loaded(&seen[15])), Some(&b"hello"[..]));
}

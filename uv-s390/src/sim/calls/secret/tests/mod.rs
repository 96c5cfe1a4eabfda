mod limits;

use crate::abi::se_header::{PlaintextControlFlags, SecretControlFlags};
use crate::abi::secret::{SecretId, SecretList, SecretType};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::DumpComplete;
use crate::abi::uvcb::{AddSecret, ListSecrets, NoData, RetrieveSecret, UvCommand};
use crate::owner::crypto::{Cck, SecretBytes, gcm};
use crate::owner::dump::CompletionBlock;
use crate::owner::request::{ConfigUid, ImageIdentity, RequestSecrets};
use crate::owner::secret::{
    AddSecretFlags, AddSecretRequest, ExtensionSecret, GuestSecret, UserData, decode_plaintext,
};
use crate::sim::rig::{ANSWER, GUEST_LEN, OK, REQUEST, Rig, loaded, refused, requesting, returned, uvc};
use crate::sim::{Generation, GuestInsn};
use alloc::vec::Vec;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;

pub(in crate::sim) fn request(rig: &Rig, secret: GuestSecret) -> AddSecretRequest {
    let (header, _) = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO | may_dump(rig));
    AddSecretRequest {
        image: ImageIdentity::from_header(header.as_bytes()).unwrap(),
        cuid: ConfigUid::ANY,
        flags: AddSecretFlags::empty(),
        secret,
        extension: ExtensionSecret::None,
    }
}

fn may_dump(rig: &Rig) -> PlaintextControlFlags {
    rig.machine.generation().plaintext_flags() & PlaintextControlFlags::ALLOW_DUMP
}

pub(in crate::sim) fn sealed(rig: &Rig, request: &AddSecretRequest) -> Vec<u8> {
    let mut rng = SimRng::from_seed(9).fork("request");
    request.seal(&UserData::None, &RequestSecrets::random(&mut rng), &[rig.machine.host_key.public()]).unwrap()
}

pub(in crate::sim) fn plaintext(name: &str) -> GuestSecret {
    GuestSecret::plaintext(SecretId::of_name(name), name.as_bytes()).unwrap()
}

/// The guest stores requests and adds them one after the other.
pub(in crate::sim) fn adding<'a>(requests: impl IntoIterator<Item = &'a [u8]>) -> Vec<Step<GuestInsn>> {
    let pages = (0x8..0x10).map(|page| Step::store(GuestAddr(page << 12), &[0]));
    let adds =
        requests.into_iter().flat_map(|bytes| [Step::store(GuestAddr(REQUEST), bytes), uvc(&AddSecret::new(REQUEST))]);
    pages.chain(adds).collect()
}

/// rc of one request.
fn rc(generation: Generation, change: impl FnOnce(&Rig) -> Vec<u8>) -> u16 {
    let rig = Rig::ready(generation);
    let bytes = change(&rig);
    returned(rig.run(0, requesting(&bytes, &AddSecret::new(REQUEST))).last().unwrap()).1
}

fn changed(at: usize, value: u8) -> u16 {
    rc(Generation::Z17, |rig| {
        let mut bytes = sealed(rig, &request(rig, plaintext("a")));
        bytes[at] = value;
        bytes
    })
}

#[test]
fn codes_of_a_malformed_request() {
    assert_eq!(rc(Generation::Z17, |rig| sealed(rig, &request(rig, plaintext("a")))), 1);
    assert_eq!(changed(10, 2), 0x104);
    assert_eq!(changed(0, b'x'), 0x104);
    assert_eq!(changed(15, 1), 0x105);
    assert_eq!(changed(39, 0), 0x106);
    assert_eq!(changed(55, 1), 0x107);
    assert_eq!(changed(1208, 0xee), 0x108, "another machine's slot");
    assert_eq!(changed(600, 1), 0x108, "the tag does not match");
    let with = |generation, secret: GuestSecret| rc(generation, |rig| sealed(rig, &request(rig, secret)));
    assert_eq!(with(Generation::Z16, plaintext("a")), 0x109, "no retrievable secrets on z16");
    assert_eq!(with(Generation::Z16, GuestSecret::association(SecretId::of_name("a"), &[1; 32])), 1);
    assert_eq!(with(Generation::Z15, plaintext("a")), 2, "no secrets on z15");
    let outside = AddSecret::new(GUEST_LEN);
    let rig = Rig::ready(Generation::Z17);
    assert_eq!(returned(rig.run(0, [uvc(&outside)]).last().unwrap()).1, 0x103);
    let rig = Rig::ready(Generation::Z17);
    let head = sealed(&rig, &request(&rig, plaintext("a")))[..1048].to_vec();
    let at = GUEST_LEN - 1048;
    let steps = [Step::store(GuestAddr(at), &head), uvc(&AddSecret::new(at))];
    assert_eq!(returned(rig.run(0, steps).last().unwrap()).1, 0x103, "the head alone is in guest storage");
}

#[test]
fn requests_for_others_are_not_added() {
    let with = |change: &dyn Fn(&mut AddSecretRequest)| {
        rc(Generation::Z17, |rig| {
            let mut request = request(rig, plaintext("a"));
            change(&mut request);
            sealed(rig, &request)
        })
    };
    assert_eq!(with(&|request| request.image.tld[0] ^= 1), 0x10c);
    assert_eq!(with(&|request| request.cuid = ConfigUid([1; 16])), 0x10c);
    assert_eq!(with(&|request| request.secret = GuestSecret::update_cck(&Cck::new([1; 32]))), 0x10c, "no SCF bit 2");
    assert_eq!(with(&|request| request.extension = ExtensionSecret::Given(SecretBytes::new([4; 32]))), 1);
}

#[test]
fn the_first_request_fixes_the_extension_secret() {
    let rig = Rig::ready(Generation::Z17);
    let first = sealed(&rig, &request(&rig, GuestSecret::null()));
    let mut other = request(&rig, plaintext("a"));
    other.extension = ExtensionSecret::Given(SecretBytes::new([4; 32]));
    let other = sealed(&rig, &other);
    let seen = rig.run(0, adding([&first[..], &other, &first]));
    let codes: Vec<u16> = [9, 11, 13].map(|n| returned(&seen[n]).1).to_vec();
    assert_eq!(codes, [1, 0x10c, 1]);
}

#[test]
fn owners_with_a_cck_bind_every_request_to_it() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    let flags = SecretControlFlags::CCK_EXTENSION_SECRET | SecretControlFlags::CCK_UPDATE;
    let pcf = PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP;
    let (header, stored) = rig.image_with(&[&rig.machine.host_key], pcf, |area| {
        area.secret_flags = flags.bits().into();
    });
    rig.unpacked_image(&guest, header.as_bytes(), &stored);
    assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    let make = |secret, extension| {
        let image = ImageIdentity::from_header(header.as_bytes()).unwrap();
        sealed(&rig, &AddSecretRequest { image, extension, ..request(&rig, secret) })
    };
    let (old, new) = (Cck::new([9; 32]), Cck::new([1; 32]));
    let requests = [
        make(plaintext("a"), ExtensionSecret::None),
        make(plaintext("a"), ExtensionSecret::Derived(old.clone())),
        make(GuestSecret::update_cck(&new), ExtensionSecret::Derived(old.clone())),
        make(plaintext("b"), ExtensionSecret::Derived(old)),
        make(plaintext("b"), ExtensionSecret::Derived(new)),
    ];
    let seen = rig.script(cpu, adding(requests.iter().map(Vec::as_slice)));
    assert_eq!(rig.set_state(cpu, crate::abi::uvcb::CpuState::OPERATING_LOAD), OK);
    assert_eq!((rig.import(&guest, 0), rig.import(&guest, 0x1000)), (OK, OK));
    rig.serve(&guest, cpu);
    let codes = [9, 11, 13, 15, 17].map(|n| returned(&seen.lock()[n]).1);
    assert_eq!(codes, [0x10c, 1, 1, 0x10c, 1]);

    let area = 0x50_0000;
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, area)), OK);
    let mut bytes = [0; 0x1000];
    rig.host.read(HostAddr(area), &mut bytes).unwrap();
    let completion = CompletionBlock::parse(&bytes).unwrap();
    assert!(completion.open(&Cck::new([9; 32])).is_err(), "the key of the header is replaced");
    assert!(completion.open(&Cck::new([1; 32])).is_ok());
}

#[test]
fn secrets_are_listed_and_retrieved() {
    let rig = Rig::ready(Generation::Z17);
    let id = SecretId::of_name("key");
    let secrets = [
        GuestSecret::null(),
        GuestSecret::association(SecretId::of_name("assoc"), &[5; 32]),
        plaintext("hello"),
        GuestSecret::key(SecretType::AES_256, id, &[6; 32]).unwrap(),
    ];
    let requests: Vec<Vec<u8>> = secrets.into_iter().map(|secret| sealed(&rig, &request(&rig, secret))).collect();
    let retrieve = |index, size| uvc(&RetrieveSecret::new(index, ANSWER, size));
    let mut steps = adding([]);
    steps.push(retrieve(0, 8192));
    steps.extend(adding(requests.iter().map(Vec::as_slice)).split_off(8));
    steps.extend([
        uvc(&ListSecrets::new(0, ANSWER)),
        Step::load(GuestAddr(ANSWER), 4096),
        uvc(&ListSecrets::new(2, ANSWER)),
        Step::load(GuestAddr(ANSWER), 4096),
        uvc(&ListSecrets::new(0, GUEST_LEN - 8)),
        retrieve(0, 8192),
        retrieve(3, 8192),
        retrieve(1, 15),
        uvc(&RetrieveSecret::new(1, GUEST_LEN, 16)),
        retrieve(1, 16),
        Step::load(GuestAddr(ANSWER), 16),
        retrieve(2, 64),
        Step::load(GuestAddr(ANSWER), 64),
        uvc(&NoData::new(UvCommand::LOCK_SECRETS, 0)),
        uvc(&NoData::new(UvCommand::LOCK_SECRETS, 0)),
        uvc(&AddSecret::new(REQUEST)),
    ]);
    let seen = rig.run(0, steps);
    let code = |n: usize| returned(&seen[n]).1;
    assert_eq!(code(8), 0x10f, "empty");
    assert_eq!([10, 12, 14, 16, 17].map(code), [1; 5]);
    let list = SecretList::decode(&loaded(&seen[18])).unwrap();
    let kinds: Vec<(u16, u16, u32)> =
        list.entries.iter().map(|entry| (entry.index.get(), entry.kind.get(), entry.length.get())).collect();
    assert_eq!((list.total, list.next_index, kinds), (3, 0, [(0, 2, 32), (1, 3, 16), (2, 6, 64)].to_vec()));
    assert_eq!(SecretList::decode(&loaded(&seen[20])).unwrap().entries[0].id, id);
    assert_eq!([21, 22, 23, 24, 25, 26].map(code), [0x32, 0x111, 0x110, 0x109, 0x102, 1]);
    assert_eq!(decode_plaintext(&loaded(&seen[27])), Some(&b"hello"[..]));
    assert_eq!(code(28), 1);
    assert!(!loaded(&seen[29]).windows(8).any(|window| window == [6; 8]), "a key is wrapped");
    assert_eq!([30, 31, 32].map(code), [1, 0x102, 0x102]);
}

#[test]
fn a_wrapped_key_is_bound_to_its_id_and_type() {
    let rig = Rig::ready(Generation::Z17);
    let ids = ["one", "two"].map(SecretId::of_name);
    let key = |id| GuestSecret::key(SecretType::AES_256, id, &[6; 32]).unwrap();
    let requests = ids.map(|id| sealed(&rig, &request(&rig, key(id))));
    let mut steps = adding(requests.iter().map(Vec::as_slice));
    let retrieve = || [uvc(&RetrieveSecret::new(0, ANSWER, 64)), Step::load(GuestAddr(ANSWER), 64)];
    steps.extend(retrieve().into_iter().chain(retrieve()));
    let seen = rig.run(0, steps);
    assert_eq!([9, 11, 12].map(|n| returned(&seen[n]).1), [1; 3]);
    let wrapped = loaded(&seen[13]);
    assert_ne!(wrapped[..12], loaded(&seen[15])[..12], "an initialization vector of its own");
    assert_eq!(wrapped[12..16], [0; 4], "behind the initialization vector");
    let open = |kind: SecretType, id: &SecretId| {
        let mut key = wrapped[16..48].to_vec();
        let aad = [&kind.0.to_be_bytes()[..], &id.0].concat();
        let (iv, tag) = (wrapped.first_chunk().unwrap(), wrapped.last_chunk().unwrap());
        gcm::open(&rig.machine.wrapping_key, iv, &aad, &mut key, tag).map(|()| key)
    };
    assert_eq!(open(SecretType::AES_256, &ids[0]), Ok([6; 32].to_vec()));
    assert!(open(SecretType::AES_256, &ids[1]).is_err(), "another id");
    assert!(open(SecretType::HMAC_SHA_256, &ids[0]).is_err(), "another type");
}

#[test]
fn a_long_list_goes_on_and_a_full_store_refuses() {
    let rig = Rig::ready(Generation::Z17);
    let request = sealed(&rig, &request(&rig, GuestSecret::association(SecretId::of_name("a"), &[5; 32])));
    let null = sealed(&rig, &super::tests::request(&rig, GuestSecret::null()));
    let mut steps = adding(core::iter::repeat_n(&request[..], 129).chain([&null[..]]));
    let list = |start| [uvc(&ListSecrets::new(start, ANSWER)), Step::load(GuestAddr(ANSWER), 4096)];
    steps.extend(list(0).into_iter().chain(list(85)));
    let seen = rig.run(0, steps);
    let adds: Vec<u16> = (0..130).map(|n| returned(&seen[9 + 2 * n]).1).collect();
    assert!(adds[..128].iter().all(|rc| *rc == 1) && adds[128] == 0x10b);
    assert_eq!(adds[129], 1, "a null secret takes no room");
    let at = 8 + 2 * 130;
    assert_eq!(returned(&seen[at]).1, 0x100);
    assert_eq!(SecretList::decode(&loaded(&seen[at + 1])).unwrap().next_index, 85);
    assert_eq!(returned(&seen[at + 2]).1, 1);
    assert_eq!(SecretList::decode(&loaded(&seen[at + 3])).unwrap().entries.len(), 43);
}

#[test]
fn a_request_can_forbid_dumps() {
    let rig = Rig::ready(Generation::Z17);
    let mut asked = request(&rig, GuestSecret::null());
    asked.flags = AddSecretFlags::DISABLE_DUMP;
    let after = sealed(&rig, &request(&rig, plaintext("a")));
    let (guest, cpu, seen) = rig.booted(0, adding([&sealed(&rig, &asked)[..], &after]));
    rig.serve(&guest, cpu);
    assert_eq!([9, 11].map(|n| returned(&seen.lock()[n]).1), [1, 1]);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), refused(UvRc::NOT_ALLOWED));
}

#[test]
fn a_dump_in_progress_takes_no_secrets() {
    let rig = Rig::ready(Generation::Z17);
    let bytes = sealed(&rig, &request(&rig, GuestSecret::null()));
    let (guest, cpu, _) = rig.booted(0, requesting(&bytes, &AddSecret::new(REQUEST)));
    let conf = rig.machine.conf(guest.conf).ok().unwrap();
    rig.serve(&guest, cpu);
    conf.life.lock().dumping = true;
    let view = crate::sim::view::GuestView::new(&rig.machine, &conf);
    let answer = super::add(&view, &mut AddSecret::new(REQUEST));
    assert_eq!(answer, Err(UvRc::SECRET_DUMPING.into()));
}

#[test]
fn the_operator_may_close_the_store() {
    let rig = Rig::ready(Generation::Z17);
    let bytes = sealed(&rig, &request(&rig, plaintext("a")));
    let calls = [
        uvc(&AddSecret::new(REQUEST)),
        uvc(&NoData::new(UvCommand::LOCK_SECRETS, 0)),
        crate::sim::rig::diag(0x44, [0; 5]),
        uvc(&NoData::new(UvCommand::LOCK_SECRETS, 0)),
        uvc(&AddSecret::new(REQUEST)),
    ];
    let pages = [Step::store(GuestAddr(REQUEST), &bytes)];
    let (guest, cpu, seen) = rig.booted(0, pages.into_iter().chain(calls));
    assert!(rig.machine.set_secret_changes(guest.conf, false));
    assert!(!rig.machine.set_secret_changes(guest.conf + 1, false));
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    assert!(rig.machine.set_secret_changes(guest.conf, true));
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    let rc = |index: usize| returned(&seen[index]).1;
    assert_eq!([rc(1), rc(2)], [0x101; 2], "closed before locked");
    assert_eq!([rc(4), rc(5)], [1, 0x102]);
}

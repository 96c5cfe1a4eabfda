//! Dumps from both ends: files of the real format, the machine's calls in and out of order, the program's subcommands.

use std::fs;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::owner::{Owned, each_flip, fixture, image_fixture, options, text};
use sha2::{Digest as _, Sha256};
use tempfile::{TempDir, tempdir, tempfile};
use uv_s390::abi::Errno;
use uv_s390::abi::dump::BlockError;
use uv_s390::abi::uvc::UvRc;
use uv_s390::hypervisor::uapi::client;
use uv_s390::hypervisor::vmm::dump::{DumpError, GuestDump};
use uv_s390::owner::crypto::Cck;
use uv_s390::owner::dump::elf::{DecryptedDump, DumpPageCounts, DumpReader};
use uv_s390::owner::dump::{CompletionBlock, CpuNote, DumpKey};
use uv_s390::owner::request::{ConfigUid, RequestSecrets};
use uv_s390::owner::secret::{AddSecretFlags, AddSecretRequest, ExtensionSecret, GuestSecret, UserData};
use uv_s390::sim::Generation;
use uv_s390_programs::dump::{Create, Decrypt, Info, busy_guest, dump, read_memory};
use uv_s390_programs::guest::Booted;
use uv_s390_programs::secret::Store;
use zerocopy::{FromBytes as _, IntoBytes as _};

fn decrypt(key: &Path, dump: &Path, out: &Path, format: &str) -> Result<ExitCode, uv_programs::Failure> {
    options::<Decrypt>(&["--key", text(key), "--format", format, "--overwrite", text(dump), text(out)]).run()
}

/// Bytes of the only memory segment of an ordinary dump.
fn memory_of(elf: &[u8]) -> &[u8] {
    let word = |at: usize| {
        usize::try_from(u64::from_be_bytes(elf[at..at + 8].try_into().expect("the test's own input works")))
            .expect("the test's own input works")
    };
    let count = usize::from(u16::from_be_bytes([elf[56], elf[57]]));
    let headers = (0..count).map(|index| word(32) + index * 56);
    let load = headers.into_iter().find(|at| elf[*at..*at + 4] == [0, 0, 0, 1]).expect("the test's own input works");
    &elf[word(load + 8)..][..word(load + 32)]
}

#[test]
fn a_dump_that_the_real_reader_takes() {
    let out = tempdir().unwrap();
    let plain = out.path().join("plain");
    let (dump, key) = (fixture("pvdump/p1-mixed/dump.elf"), fixture("pvdump/p1-mixed/cck.bin"));
    assert_eq!(decrypt(&key, &dump, &plain, "raw").unwrap(), ExitCode::SUCCESS);
    let expected = fs::read_to_string(fixture("pvdump/p1-mixed/memory.sha256")).unwrap();
    let raw = fs::read(&plain).unwrap();
    assert_eq!(hex::encode(Sha256::digest(&raw)), expected.split_whitespace().next().unwrap());
    assert_eq!(decrypt(&key, &dump, &plain, "elf").unwrap(), ExitCode::SUCCESS);
    assert!(memory_of(&fs::read(&plain).unwrap()) == raw);
    assert_eq!(options::<Info>(&["--key", text(&key), text(&dump)]).run().unwrap(), ExitCode::SUCCESS);
    let wrong = image_fixture("keys/hdr_key.bin");
    fs::remove_file(&plain).unwrap();
    assert_eq!(decrypt(&wrong, &dump, &plain, "raw").unwrap_err().status(), 1, "a wrong key");
    assert!(!plain.exists());
}

#[test]
fn a_dump_that_the_real_reader_refuses() {
    let out = tempdir().unwrap();
    let plain = out.path().join("plain");
    let (dump, key) = (fixture("pvdump/bad-no-flag/dump.elf"), fixture("pvdump/bad-no-flag/cck.bin"));
    for format in ["raw", "elf"] {
        assert_eq!(decrypt(&key, &dump, &plain, format).unwrap_err().status(), 2);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is left behind");
    }
    assert_eq!(options::<Info>(&["--key", text(&key), text(&dump)]).run().unwrap_err().status(), 2);
}

fn create(folder: &TempDir, more: &[&str]) -> (PathBuf, PathBuf, Result<ExitCode, uv_programs::Failure>) {
    let (out, plain) = (folder.path().join("dump"), folder.path().join("plain"));
    let arguments: Vec<&str> =
        ["--out", text(&out), "--plain", text(&plain), "--overwrite"].into_iter().chain(more.iter().copied()).collect();
    let result = options::<Create>(&arguments).run();
    (out, plain, result)
}

#[test]
fn what_the_guest_sees_is_what_its_owner_gets() {
    let folder = tempdir().unwrap();
    let (image, host) = (crate::owner::real_image(), crate::owner::real_key());
    for (more, key) in [
        (vec![], folder.path().join("dump.cck")),
        (vec!["--image", text(&image), "--host-key", text(&host)], fixture("pvsecret/cck.bin")),
    ] {
        let (dump, plain, result) = create(&folder, &more);
        assert_eq!(result.unwrap(), ExitCode::SUCCESS);
        let back = folder.path().join("back");
        assert_eq!(decrypt(&key, &dump, &back, "raw").unwrap(), ExitCode::SUCCESS);
        let seen = fs::read(&plain).unwrap();
        assert!(fs::read(&back).unwrap() == seen, "the memory as the guest reads it");
        assert_eq!(decrypt(&key, &dump, &back, "elf").unwrap(), ExitCode::SUCCESS);
        assert!(memory_of(&fs::read(&back).unwrap()) == seen);
        let file = fs::read(&dump).unwrap();
        assert!(!file.windows(24).any(|window| window == b"page 0 of the guest's wo"), "private: ciphertext");
        assert!(file.windows(24).any(|window| window == b"page 96 of the guest's w"), "shared: in clear");
        let wrong = image_fixture("keys/hdr_key.bin");
        assert_eq!(decrypt(&wrong, &dump, &back, "raw").unwrap_err().status(), 1);
    }
}

#[test]
fn no_dump_without_the_owners_leave_and_no_file() {
    let folder = tempdir().unwrap();
    let (image, host) = (image_fixture("a-kernel-only/image.bin"), crate::owner::real_key());
    let (_, _, result) = create(&folder, &["--image", text(&image), "--host-key", text(&host)]);
    assert_eq!(result.unwrap_err().status(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn request(owned: &Owned, flags: AddSecretFlags, secret: GuestSecret) -> Vec<u8> {
    let mut rng = uv_programs::random::rng(None).expect("the test's own input works");
    let (image, cuid, extension) = (owned.identity, ConfigUid::ANY, ExtensionSecret::None);
    let request = AddSecretRequest { image, cuid, flags, secret, extension };
    request
        .seal(&UserData::None, &RequestSecrets::random(&mut rng), &[owned.host.public()])
        .expect("the test's own input works")
}

#[test]
fn a_secret_request_ends_the_leave() {
    let owned = Owned::dumpable();
    let mut store = Store::new(owned.boot());
    assert!(store.add(&request(&owned, AddSecretFlags::empty(), GuestSecret::null())).unwrap().is_done());
    dump(&store.booted().vm, &mut tempfile().unwrap()).unwrap();
    assert!(store.add(&request(&owned, AddSecretFlags::DISABLE_DUMP, GuestSecret::null())).unwrap().is_done());
    let refused = GuestDump::begin(&**store.booted().vm.guest()).unwrap_err();
    assert_eq!((refused.errno, refused.rc), (Errno::EINVAL, UvRc::NOT_ALLOWED));
    assert_eq!(dump(&store.booted().vm, &mut tempfile().unwrap()).unwrap_err().status(), 1);
    store.booted().session.store(0x1000, b"the guest goes on").unwrap();
}

fn dump_bytes(booted: &Booted) -> Vec<u8> {
    let mut file = tempfile().expect("the test's own input works");
    dump(&booted.vm, &mut file).expect("the test's own input works");
    file.rewind().expect("the test's own input works");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).expect("the test's own input works");
    bytes
}

#[test]
fn an_updated_key_opens_later_dumps() {
    let owned = Owned::dumpable();
    let mut store = Store::new(owned.boot());
    let before = dump_bytes(store.booted());
    let fresh = Cck::new([0x77; 32]);
    let update = request(&owned, AddSecretFlags::empty(), GuestSecret::update_cck(&fresh));
    assert!(store.add(&update).unwrap().is_done());
    let after = dump_bytes(store.booted());
    let opens = |file: &[u8], key: &Cck| DecryptedDump::open(DumpReader::open(file).unwrap(), key).is_ok();
    assert!(opens(&before, &owned.cck) && !opens(&before, &fresh));
    assert!(opens(&after, &fresh) && !opens(&after, &owned.cck));
    assert_eq!(store.list().unwrap().total, 0, "an update is no secret");
}

#[test]
fn registers_pages_and_a_second_dump() {
    let owned = Owned::dumpable();
    let mut booted = owned.boot();
    let busy = busy_guest(&mut booted).unwrap();
    for again in [false, true] {
        let file = dump_bytes(&booted);
        let dump = DecryptedDump::open(DumpReader::open(file.as_slice()).unwrap(), &owned.cck).unwrap();
        let [cpu] = dump.cpus() else { panic!("one CPU") };
        assert!(
            (5..16).all(|number: u64| cpu.gprs[usize::try_from(number).unwrap()] == 0x5a5a_0000_0000_0000 | number)
        );
        let DumpPageCounts { encrypted, shared, zero } = dump.page_counts().unwrap();
        assert_eq!(shared, busy.shared);
        assert!(encrypted >= busy.dirty + busy.zero);
        // The guest has touched every page in between.
        assert_eq!(zero == 0, again);
        let mut plain = Vec::new();
        dump.write_raw(&mut plain).unwrap();
        let mut seen = Vec::new();
        let bytes = u64::try_from(plain.len()).unwrap();
        let mut keep = |part: &[u8]| {
            seen.extend_from_slice(part);
            Ok(())
        };
        read_memory(&mut booted.session, bytes, &mut keep).unwrap();
        assert!(plain == seen);
    }
}

#[test]
fn the_order_of_the_calls() {
    let owned = Owned::dumpable();
    let mut booted = owned.boot();
    booted.session.store(0x8000, b"x").unwrap();
    let guest = booted.vm.guest().clone();
    let kvm = &*guest;
    let sizes = client::info_dump(kvm).unwrap();
    let (cpu, state, last) =
        (sizes.cpu_buffer_len.get(), sizes.config_mem_buffer_per_1m.get(), sizes.config_finalize_len.get());
    let refused = |result: Result<(), client::PvError>| result.unwrap_err().errno;
    let discard = |result: Result<Vec<u8>, client::PvError>| result.map(|_| ());
    assert_eq!(refused(discard(client::dump_cpu(kvm, 0, cpu))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_storage_state(kvm, 0, state))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_complete(kvm, last))), Errno::EINVAL);
    client::dump_init(kvm).unwrap();
    assert_eq!(refused(client::dump_init(kvm)), Errno::EINVAL, "second initiation");
    assert!(booted.session.load(0x8000, 1).is_err(), "no CPU runs");
    assert_eq!(refused(discard(client::dump_cpu(kvm, 0, cpu + 1))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_cpu(kvm, 1, cpu))), Errno::EINVAL, "no such CPU");
    assert_eq!(refused(discard(client::dump_storage_state(kvm, 0x1000, state))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_storage_state(kvm, 0, state + 1))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_storage_state(kvm, 1 << 40, state))), Errno::EINVAL);
    assert_eq!(refused(discard(client::dump_complete(kvm, last - 1))), Errno::EINVAL);
    assert_eq!(client::dump_storage_state(kvm, 0, 2 * state).unwrap().len(), usize::try_from(2 * state).unwrap());
    assert_eq!(client::dump_cpu(kvm, 0, cpu).unwrap().len(), usize::try_from(cpu).unwrap());
    client::dump_complete(kvm, last).unwrap();
    assert_eq!(refused(discard(client::dump_complete(kvm, last))), Errno::EINVAL);
    client::dump_init(kvm).unwrap();
    client::disable(kvm).unwrap();
    assert!(!guest.is_dumping(), "the end of protection ends the dump");
}

#[test]
fn the_first_machines_cannot_dump() {
    let owned = Owned::plain();
    let booted = owned.boot_on(Generation::Z15, None);
    assert!(GuestDump::begin(&**booted.vm.guest()).is_err());
    assert!(!booted.vm.guest().can_dump());
}

#[test]
fn a_writer_that_fails_leaves_a_guest_that_runs() {
    let owned = Owned::dumpable();
    let mut booted = owned.boot();
    let guest = booted.vm.guest().clone();
    let begun = GuestDump::begin(&*guest).unwrap();
    let blocks = [uv_s390::abi::dump::elf::MemoryBlock { address: 0, size: 1 << 20 }];
    let mut read = |_, _: &mut [u8]| Err(std::io::Error::other("gone"));
    begun.write(&[], &blocks, &mut read, Vec::new(), &mut |_| {}).unwrap_err();
    booted.session.store(0x8000, b"x").unwrap();
    // Blocks that a protected guest's memory cannot be cut into.
    for (address, size) in [(0, 0x1000), (0x1000, 1 << 20), (0, 0)] {
        let begun = GuestDump::begin(&*guest).unwrap();
        let blocks = [uv_s390::abi::dump::elf::MemoryBlock { address, size }];
        let mut read = |at, into: &mut [u8]| guest.host_read(at, into);
        let error = begun.write(&[], &blocks, &mut read, Vec::new(), &mut |_| {}).unwrap_err();
        assert_eq!(error, DumpError::Alignment);
        assert!(!guest.is_dumping());
    }
    dump(&booted.vm, &mut tempfile().unwrap()).unwrap();
}

#[test]
fn every_single_bit_of_completion_data_and_cpu_notes_counts() {
    let owned = Owned::dumpable();
    let file = dump_bytes(&owned.boot());
    let reader = DumpReader::open(file.as_slice()).unwrap();
    let completion = reader.completion().unwrap();
    let (key, _): (DumpKey, _) = completion.open(&owned.cck).unwrap();
    each_flip(completion.as_bytes(), |at, bit, changed| {
        let error = CompletionBlock::parse(changed).and_then(|block| block.open(&owned.cck).map(|_| ())).unwrap_err();
        let as_expected = match at {
            0..4 => matches!(error, BlockError::Version(_)),
            4..8 => matches!(error, BlockError::Length(_)),
            _ => error == BlockError::Authentication,
        };
        assert!(as_expected, "byte {at}, bit {bit}: {error}");
    });
    let [note] = &reader.cpu_notes().unwrap()[..] else { panic!("one note") };
    assert!(CpuNote::read_from_bytes(note.as_bytes()).unwrap().open(&key).is_ok());
    each_flip(note.as_bytes(), |at, bit, changed| {
        let error = CpuNote::parse(changed).and_then(|note| note.open(&key).map(|_| ())).unwrap_err();
        let as_expected = match at {
            0..4 => matches!(error, BlockError::Version(_)),
            _ => error == BlockError::Authentication,
        };
        assert!(as_expected, "byte {at}, bit {bit}: {error}");
    });
}

use alloc::vec::Vec;

use super::{FileStore, Measured, Node, Opened, Part, PrivateKey, Profile, Refusal, open};
use crate::owner::blob::Blob;
use crate::owner::cpio;
use crate::owner::digests::{RTAS_STUB, Sha512Digest};
use crate::owner::files::FileError;
use crate::owner::keys::PublicKey;
use crate::owner::samples::*;
use crate::owner::sealed;
use crate::owner::tree::Property;

const DOC: Profile = Profile::Documented;
const FW: Profile = Profile::Firmware;

fn machine(pem: &[u8]) -> PrivateKey {
    PrivateKey::from_pem(pem, None).unwrap()
}

fn bootargs() -> Vec<u8> {
    let mut property = Vec::from(expected()["inputs"]["bootargs"].as_str().unwrap());
    property.push(0);
    property
}

/// The VM that `full.dtb` was made for.
fn found() -> Measured {
    Measured {
        rtas: Sha512Digest::of(&RTAS_STUB),
        kernel: Sha512Digest::of(VMLINUX_FLAT),
        initrd: Sha512Digest::of(INITRD),
        bootargs: Measured::bootargs(&bootargs()),
    }
}

fn check(profile: Profile, blob: &[u8], pem: &[u8]) -> Result<FileStore, Refusal> {
    open(profile, blob, &machine(pem))?.check(&found())
}

fn outcome(blob: &[u8], pem: &[u8]) -> [Result<(), Refusal>; 2] {
    [DOC, FW].map(|profile| check(profile, blob, pem).map(drop))
}

const ACCEPTED: [Result<(), Refusal>; 2] = [Ok(()), Ok(())];

fn both(refusal: Refusal) -> [Result<(), Refusal>; 2] {
    [Err(refusal.clone()), Err(refusal)]
}

/// `full.dtb` with a change made to its tree.
fn changed(change: impl FnOnce(&mut Node)) -> Vec<u8> {
    let mut root = Node::parse(FULL).unwrap();
    change(&mut root);
    root.to_bytes(&[]).unwrap()
}

fn sealed_digests(root: &mut Node) -> &mut Node {
    root.child_mut("digest").unwrap().child_mut("digests-fdt").unwrap()
}

fn master_key() -> Vec<u8> {
    hex(&expected()["blobs"]["full.dtb"]["symkey_hex"])
}

/// `full.dtb` with its digests opened, changed and sealed again with this iv and this key.
fn resealed_with(key: &[u8], iv: &[u8], change: impl FnOnce(&mut Node)) -> Vec<u8> {
    changed(|root| {
        let mut inner = Node::parse(INNER_DIGESTS).unwrap();
        change(inner.child_mut("digests").unwrap());
        let (ciphertext, mac) = sealed::seal(key, iv, &inner.to_bytes(&[]).unwrap()).unwrap();
        let node = sealed_digests(root);
        node.set(Property::new("ciphertext", ciphertext));
        node.set(Property::new("mac", mac));
        node.set(Property::new("iv", iv));
    })
}

fn resealed(change: impl FnOnce(&mut Node)) -> Vec<u8> {
    resealed_with(&master_key(), &[7; 16], change)
}

fn with_digest(name: &'static str, value: &[u8]) -> Vec<u8> {
    resealed(|node| node.set(Property::new(name, value)))
}

#[test]
fn full_blob_is_accepted_and_its_files_are_served() {
    let expected = expected();
    let files = expected["blobs"]["full.dtb"]["files_fdt"]["files"].as_array().unwrap();
    for profile in Profile::ALL {
        let opened = open(profile, FULL, &machine(MACHINE1)).unwrap();
        assert_eq!(u64::from(opened.kernel_size()), expected["inputs"]["kernel_flat_size"].as_u64().unwrap());
        let store = opened.check(&found()).unwrap();
        for file in files {
            let plain = store.read(file["name"].as_str().unwrap()).unwrap();
            assert_eq!(*plain, hex(&file["plaintext_hex"]));
        }
    }
}

#[test]
fn tampered_blobs_end_as_expected() {
    let expected = expected();
    for (name, bytes) in TAMPERED {
        let listed = &expected["tampered"][name];
        assert_eq!(listed["firmware_result"], "abort", "{name}");
        let [documented, firmware] = outcome(bytes, MACHINE1);
        assert_eq!(documented, firmware, "{name}");
        match listed["reason"].as_str().unwrap() {
            "lockbox unwrap fails (U_PARAMETER)" => assert_eq!(firmware, Err(Refusal::Unwrap)),
            "FDT lookups fail" => assert!(matches!(firmware, Err(Refusal::Blob(_)))),
            "kernel hash mismatch" => {
                assert_eq!(firmware, Err(Refusal::Mismatch([Part::Kernel].into())))
            }
            _ => assert_eq!(firmware, Err(Refusal::DigestsTag)),
        }
    }
}

#[test]
fn each_part_is_compared_and_all_are_reported() {
    for profile in Profile::ALL {
        let other = Sha512Digest::of(b"other");
        for (part, found) in [
            (Part::Rtas, Measured { rtas: other, ..found() }),
            (Part::Kernel, Measured { kernel: other, ..found() }),
            (Part::Initrd, Measured { initrd: other, ..found() }),
            (Part::Bootargs, Measured { bootargs: other, ..found() }),
        ] {
            let refusal = open(profile, FULL, &machine(MACHINE1)).unwrap().check(&found).unwrap_err();
            assert_eq!(refusal, Refusal::Mismatch([part].into()));
            assert_eq!(refusal.stage(), part.name());
        }
        let all = Measured { rtas: other, kernel: other, initrd: other, bootargs: other };
        let refusal = open(profile, FULL, &machine(MACHINE1)).unwrap().check(&all).unwrap_err();
        assert_eq!(refusal, Refusal::Mismatch(Part::ALL.into()));
        assert_eq!(alloc::format!("{refusal}"), "not what the owner measured: rtas, kernel, initrd, bootargs");
    }
}

#[test]
fn n10_extra_root_node_is_accepted_by_the_ultravisor() {
    assert_eq!(outcome(&changed(|root| root.children.insert(1, Node::new("extra"))), MACHINE1), ACCEPTED);
}

#[test]
fn n11_only_lockbox_2_for_this_machine() {
    // machine 2 has lockbox-2: firmware tries lockbox-1 and fails, the document's ultravisor finds its own.
    assert_eq!(outcome(FULL, MACHINE2), [Ok(()), Err(Refusal::Unwrap)]);
    let without_first = changed(|root| {
        root.child_mut("lockboxes").unwrap().children.retain(|lockbox| lockbox.name != "lockbox-1");
    });
    assert_eq!(outcome(&without_first, MACHINE2), [Ok(()), Err(Refusal::NoLockbox)]);
    assert_eq!(outcome(&without_first, MACHINE1), both(Refusal::NoLockbox));
}

#[test]
fn n12_lockbox_1_with_wrong_fingerprint_and_right_key() {
    let blob = changed(|root| {
        let lockbox = root.child_mut("lockboxes").unwrap().child_mut("lockbox-1").unwrap();
        lockbox.child_mut("pubkey-fingerprint").unwrap().set(Property::new("hash", [0; 32]));
    });
    // The fingerprint is a hint: a machine that no lockbox names tries them all.
    assert_eq!(outcome(&blob, MACHINE1), ACCEPTED);
}

#[test]
fn n13_wrong_digests_algorithm_text() {
    let blob = changed(|root| sealed_digests(root).set(Property::text("algorithm", "none")));
    assert_eq!(outcome(&blob, MACHINE1), ACCEPTED);
    let blob = changed(|root| sealed_digests(root).properties.retain(|property| property.name != "algorithm"));
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::DigestsProperty("algorithm")));
}

/// `full.dtb` with the digests' tag cut to so many bytes.
fn with_tag(length: usize) -> Vec<u8> {
    changed(|root| {
        let node = sealed_digests(root);
        let mac = node.value("mac").unwrap()[..length].to_vec();
        node.set(Property::new("mac", mac));
    })
}

#[test]
fn n14_tag_cut_to_8_right_bytes() {
    for length in [8, 15] {
        assert_eq!(outcome(&with_tag(length), MACHINE1), ACCEPTED);
    }
    for length in [4, 7] {
        assert_eq!(outcome(&with_tag(length), MACHINE1), [Err(Refusal::DigestsProperty("mac")), Ok(())]);
    }
    let wrong = changed(|root| sealed_digests(root).set(Property::new("mac", [0; 8])));
    assert_eq!(outcome(&wrong, MACHINE1), both(Refusal::DigestsTag));
}

#[test]
fn n15_tag_of_3_bytes_aborts() {
    for length in [3, 0] {
        assert_eq!(outcome(&with_tag(length), MACHINE1), both(Refusal::DigestsProperty("mac")));
    }
    let long = changed(|root| sealed_digests(root).set(Property::new("mac", [0; 17])));
    assert_eq!(outcome(&long, MACHINE1), both(Refusal::DigestsProperty("mac")));
}

#[test]
fn n16_iv_of_12_bytes_is_accepted() {
    for length in [1, 8, 12, 16, 17, 40] {
        let blob = resealed_with(&master_key(), &alloc::vec![3; length], |_| {});
        assert_eq!(outcome(&blob, MACHINE1), ACCEPTED, "{length}");
    }
    let empty = changed(|root| sealed_digests(root).set(Property::new("iv", [])));
    assert_eq!(outcome(&empty, MACHINE1), both(Refusal::DigestsProperty("iv")));
}

#[test]
fn n17_bootargs_digest_with_nul_aborts() {
    let blob = with_digest("bootargs", &Sha512Digest::of(&bootargs()).0);
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::Mismatch([Part::Bootargs].into())));
    let blob = with_digest("bootargs", &Sha512Digest::of(bootargs().strip_suffix(&[0]).unwrap()).0);
    assert_eq!(outcome(&blob, MACHINE1), ACCEPTED);
}

#[test]
fn n18_initrd_digest_over_the_archive_aborts() {
    let carried = [cpio::carrier(FULL, "b").unwrap().as_slice(), INITRD].concat();
    let start = cpio::scan(&carried, 0).unwrap().initrd;
    let measured = Measured { initrd: Sha512Digest::of(&carried[start..]), ..found() };
    for profile in Profile::ALL {
        let with = |blob: &[u8]| open(profile, blob, &machine(MACHINE1)).unwrap().check(&measured).map(drop);
        assert_eq!(with(FULL), Ok(()));
        let over_all = with_digest("initrd", &Sha512Digest::of(&carried).0);
        assert_eq!(with(&over_all), Err(Refusal::Mismatch([Part::Initrd].into())));
    }
}

#[test]
fn n20_kernel_digest_over_the_elf_aborts() {
    let blob = with_digest("kernel", &Sha512Digest::of(VMLINUX).0);
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::Mismatch([Part::Kernel].into())));
}

#[test]
fn n21_no_files_fdt_is_accepted_and_get_file_fails() {
    let blob = changed(|root| root.child_mut("file").unwrap().properties.clear());
    for profile in Profile::ALL {
        let store = check(profile, &blob, MACHINE1).unwrap();
        assert_eq!(store.read("rootd"), Err(FileError::NoFiles));
    }
    let no_node = changed(|root| root.children.retain(|node| node.name != "file"));
    assert_eq!(outcome(&no_node, MACHINE1), ACCEPTED);
}

/// `full.dtb` whose lockbox-1 holds this key instead.
fn holding(key: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut root = Node::parse(blob).unwrap();
    let wrapped = PublicKey::from_pem(MACHINE1_PUB).unwrap().wrap(key, &mut rng(3)).unwrap();
    let lockbox = root.child_mut("lockboxes").unwrap().child_mut("lockbox-1").unwrap();
    lockbox.set(Property::new("encrypted-symkey", wrapped));
    root.to_bytes(&[]).unwrap()
}

#[test]
fn firmware_takes_the_key_length_the_lockbox_gives() {
    for length in [16, 24] {
        let key = alloc::vec![9; length];
        let blob = holding(&key, &resealed_with(&key, &[1; 16], |_| {}));
        assert_eq!(outcome(&blob, MACHINE1), [Err(Refusal::KeyLength(length)), Ok(())]);
    }
    for length in [0, 15, 31, 33, 64] {
        let blob = holding(&alloc::vec![9; length], FULL);
        assert_eq!(outcome(&blob, MACHINE1), both(Refusal::KeyLength(length)));
    }
    assert_eq!(outcome(&holding(&[9; 32], FULL), MACHINE1), both(Refusal::DigestsTag));
}

#[test]
fn missing_parts_abort() {
    let gone = |name: &'static str| resealed(|node| node.properties.retain(|property| property.name != name));
    for part in [Part::Rtas, Part::Initrd, Part::Bootargs] {
        assert_eq!(outcome(&gone(part.name()), MACHINE1), both(Refusal::Mismatch([part].into())));
    }
    for name in ["kernel", "kernel-size"] {
        assert_eq!(outcome(&gone(name), MACHINE1), both(Refusal::KernelProperty(name)));
    }
    assert_eq!(outcome(&with_digest("kernel-size", &[0; 3]), MACHINE1), both(Refusal::KernelProperty("kernel-size")));
    for name in ["iv", "mac", "ciphertext"] {
        let blob = changed(|root| sealed_digests(root).properties.retain(|property| property.name != name));
        assert_eq!(outcome(&blob, MACHINE1), both(Refusal::DigestsProperty(name)));
    }
    let blob = changed(|root| root.child_mut("digest").unwrap().children.clear());
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::NoDigests));
    let blob = changed(|root| root.children.retain(|node| node.name != "lockboxes"));
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::NoLockbox));
    let blob = changed(|root| {
        root.child_mut("lockboxes").unwrap().child_mut("lockbox-1").unwrap().properties.clear();
    });
    assert_eq!(outcome(&blob, MACHINE1), both(Refusal::NoWrappedKey));
    // The inner algorithm is never looked at.
    assert_eq!(outcome(&gone("algorithm"), MACHINE1), ACCEPTED);
}

#[test]
fn inner_trees_that_are_none_abort() {
    let sealed = |plain: &[u8]| {
        changed(|root| {
            let (ciphertext, mac) = sealed::seal(&master_key(), &[7; 16], plain).unwrap();
            let node = sealed_digests(root);
            node.set(Property::new("ciphertext", ciphertext));
            node.set(Property::new("mac", mac));
            node.set(Property::new("iv", [7; 16]));
        })
    };
    assert!(matches!(outcome(&sealed(b"no tree"), MACHINE1), [Err(Refusal::InnerTree(_)), Err(Refusal::InnerTree(_))]));
    let empty = Node::new("").to_bytes(&[]).unwrap();
    assert_eq!(outcome(&sealed(&empty), MACHINE1), both(Refusal::NoInnerNode));
    let mut padded = INNER_DIGESTS.to_vec();
    padded.resize(4096, 0);
    assert_eq!(outcome(&sealed(&padded), MACHINE1), ACCEPTED);
    padded.push(0);
    assert_eq!(outcome(&sealed(&padded), MACHINE1), both(Refusal::DigestsLength(4097)));
}

#[test]
fn lengths_of_digests_are_checked_where_documented() {
    let digest = found().kernel.0;
    let longer = [digest.as_slice(), &[1]].concat();
    let mismatch = Refusal::Mismatch([Part::Kernel].into());
    assert_eq!(outcome(&with_digest("kernel", &longer), MACHINE1), [Err(mismatch.clone()), Ok(())]);
    for short in [&digest[..63], &digest[..1], &[]] {
        assert_eq!(outcome(&with_digest("kernel", short), MACHINE1), both(mismatch.clone()));
    }
}

#[test]
fn files_beyond_firmwares_page() {
    let mut blob = Blob::parse(FULL).unwrap();
    let key = blob.unlock(&machine(OWNER)).unwrap();
    blob.attach("long", &[1; 65535], &key, "", &mut rng(4)).unwrap();
    let length = blob.files().unwrap().to_bytes().unwrap().len();
    let bytes = blob.to_bytes().unwrap();
    assert_eq!(outcome(&bytes, MACHINE1), [Ok(()), Err(Refusal::FilesLength(length))]);
    assert_eq!(check(DOC, &bytes, MACHINE1).unwrap().read("long").unwrap().len(), 65535);
}

#[test]
fn trailing_bytes_after_the_blob_do_not_matter() {
    assert_eq!(outcome(&[FULL, &[0xd0; 7]].concat(), MACHINE1), ACCEPTED);
    let cut = outcome(&FULL[..FULL.len() - 1], MACHINE1);
    assert!(matches!(cut, [Err(Refusal::Blob(_)), Err(Refusal::Blob(_))]));
}

#[test]
fn bootargs_lose_their_last_byte_whatever_it_is() {
    assert_eq!(Measured::bootargs(b"ab\0"), Sha512Digest::of(b"ab"));
    assert_eq!(Measured::bootargs(b"ab"), Sha512Digest::of(b"a"));
    assert_eq!(Measured::bootargs(b"\0"), Sha512Digest::of(b""));
    assert_eq!(Measured::bootargs(b""), Sha512Digest::of(b""));
}

#[test]
fn nothing_secret_is_printed() {
    let opened: Opened = open(FW, FULL, &machine(MACHINE1)).unwrap();
    let key = hex::encode(master_key());
    let text = alloc::format!("{opened:?}");
    assert!(!text.contains(&key[..8]) && !text.contains("[122, 61"));
}

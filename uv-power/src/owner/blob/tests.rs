use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Blob, BlobError, Lockbox, LockboxError, LockboxName, Node, PrivateKey, Property, PublicKey};
use crate::owner::digests::Digests;
use crate::owner::files::FilesError;
use crate::owner::keys::KeyError;
use crate::owner::samples::*;
use crate::owner::sealed::GcmError;
use crate::owner::sealed::{CommentError, SealedError};

fn public(pem: &[u8]) -> PublicKey {
    PublicKey::from_pem(pem).unwrap()
}

fn private(pem: &[u8]) -> PrivateKey {
    PrivateKey::from_pem(pem, Some(b"owner-pass")).unwrap()
}

/// A blob of `OWNER` with lockboxes for the two machines.
fn authorized() -> Blob {
    let mut rng = rng(9);
    let mut blob = Blob::create(&public(OWNER_PUB), "owner", &mut rng).unwrap();
    blob.authorize(&public(MACHINE1_PUB), "m1", &private(OWNER), &mut rng).unwrap();
    blob.authorize(&public(MACHINE2_PUB), "m2", &private(OWNER), &mut rng).unwrap();
    blob
}

fn names(blob: &Blob) -> Vec<String> {
    blob.lockboxes().unwrap().iter().map(|lockbox| lockbox.name.to_string()).collect()
}

#[test]
fn every_blob_of_the_tool_reads_as_expected_and_is_rebuilt_byte_for_byte() {
    for (name, bytes) in BLOBS {
        let expected = &expected()["blobs"][name];
        let blob = Blob::parse(bytes).unwrap();
        assert!(blob.to_bytes().unwrap() == zero_padding(bytes), "{name}");
        let lockboxes = blob.lockboxes().unwrap();
        let listed = expected["lockboxes"].as_array().unwrap();
        assert_eq!(lockboxes.len(), listed.len());
        let master = hex(&expected["symkey_hex"]);
        for (lockbox, listed) in lockboxes.iter().zip(listed) {
            assert_eq!(lockbox.name.to_string(), listed["name"].as_str().unwrap());
            assert_eq!(lockbox.untrusted_comment, listed["untrusted_comment"].as_str().unwrap());
            assert_eq!(lockbox.fingerprint, *hex(&listed["fingerprint_sha256"]));
            assert_eq!(lockbox.encrypted_symkey.len(), 256);
            let pem = match listed["unwraps_with"].as_str().unwrap() {
                "owner" => OWNER,
                "owner2" => OWNER2_ENCRYPTED,
                "machine1" => MACHINE1,
                _ => MACHINE2,
            };
            let key = private(pem);
            assert!(lockbox.is_for(key.public()));
            assert_eq!(*lockbox.open(&key).unwrap().as_bytes(), *master);
            assert_eq!(*blob.unlock(&key).unwrap().as_bytes(), *master);
            // The same lockbox built from its parsed values.
            assert_eq!(Lockbox::from_node(&lockbox.to_node()).as_ref(), Ok(lockbox));
        }
        let key = crate::owner::sealed::MasterKey::from_bytes(&master).unwrap();
        match expected.get("digests_fdt") {
            None => assert_eq!(blob.digests(&key), Ok(None)),
            Some(listed) => {
                let sealed = blob.sealed_digests().unwrap().unwrap();
                assert_eq!(sealed.untrusted_comment, listed["untrusted_comment"].as_str().unwrap());
                assert_eq!((sealed.iv, sealed.mac), (hex(&listed["iv_hex"]), hex(&listed["mac_hex"])));
                assert_eq!(blob.digests(&key).unwrap(), Some(Digests::parse(INNER_DIGESTS).unwrap()));
            }
        }
        let files = blob.files().unwrap();
        let listed = expected["files_fdt"]["files"].as_array().cloned().unwrap_or_default();
        assert!(files.names().eq(listed.iter().map(|file| file["name"].as_str().unwrap())));
        for file in listed {
            let name = file["name"].as_str().unwrap();
            let sealed = files.get(name).unwrap();
            assert_eq!(sealed.untrusted_comment, file["untrusted_comment"].as_str().unwrap());
            assert_eq!(sealed.ciphertext, hex(&file["ciphertext_hex"]));
            assert_eq!((sealed.iv, sealed.mac), (hex(&file["iv_hex"]), hex(&file["mac_hex"])));
            assert_eq!(*blob.extract(name, &key).unwrap(), hex(&file["plaintext_hex"]));
        }
    }
}

#[test]
fn a_blob_built_from_nothing_has_the_shape_of_the_tools() {
    // The parts of the same sizes in the same order give the same file but for keys, ivs, tags and ciphertexts.
    let mut rng = rng(5);
    let owner = private(OWNER);
    let mut blob = Blob::create(owner.public(), "owner key 1", &mut rng).unwrap();
    blob.authorize(&public(MACHINE1_PUB), "machine 1 wrapping key", &owner, &mut rng).unwrap();
    blob.authorize(&public(MACHINE2_PUB), "machine 2 wrapping key", &owner, &mut rng).unwrap();
    let key = blob.unlock(&owner).unwrap();
    let digests = Digests::measure(VMLINUX_FLAT, INITRD, expected()["inputs"]["bootargs"].as_str().unwrap()).unwrap();
    blob.set_digests(&digests, &key, "sample digests", &mut rng).unwrap();
    let expected = expected();
    let listed = expected["blobs"]["full.dtb"]["files_fdt"]["files"].as_array().unwrap();
    for file in listed.iter().rev() {
        let comment = file["untrusted_comment"].as_str().unwrap();
        blob.attach(file["name"].as_str().unwrap(), &hex(&file["plaintext_hex"]), &key, comment, &mut rng).unwrap();
    }
    fn blank(node: &mut Node) {
        for property in &mut node.properties {
            match property.name.as_str() {
                "files-fdt" => {
                    let mut inner = Node::parse(&property.value).unwrap();
                    blank(&mut inner);
                    property.value = inner.to_bytes(&[]).unwrap();
                }
                "encrypted-symkey" | "iv" | "mac" | "ciphertext" => property.value.fill(0),
                _ => {}
            }
        }
        node.children.iter_mut().for_each(blank);
    }
    let ours = blob.to_bytes().unwrap();
    let [mut ours_tree, mut theirs] = [ours.as_slice(), FULL].map(|bytes| Node::parse(bytes).unwrap());
    blank(&mut ours_tree);
    blank(&mut theirs);
    assert_eq!(ours_tree, theirs);
    assert_eq!(ours.len(), FULL.len());
    assert_eq!((&ours[..0x40], &ours[0xd48..]), (&FULL[..0x40], &FULL[0xd48..]));
}

#[test]
fn n01_create_gives_origin_lockbox_and_empty_digest_and_file() {
    let blob = Blob::create(&public(OWNER2_PUB), "owner key 2", &mut rng(1)).unwrap();
    assert_eq!(names(&blob), ["origin-lockbox"]);
    let shape: Vec<_> = blob.tree().children.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(shape, ["lockboxes", "digest", "file"]);
    for part in ["digest", "file"] {
        assert_eq!(blob.tree().child(part), Some(&Node::new(part)));
    }
    assert_eq!(blob.sealed_digests(), Ok(None));
    assert_eq!(blob.files().unwrap().names().count(), 0);
    let bytes = blob.to_bytes().unwrap();
    assert_eq!(bytes.len(), STEP_1.len());
    assert_eq!(Blob::parse(&bytes).unwrap(), blob);
}

#[test]
fn n02_create_with_private_key_is_refused() {
    for pem in [OWNER, OWNER2_ENCRYPTED] {
        assert_eq!(PublicKey::from_pem(pem), Err(KeyError::PrivateGiven));
    }
}

#[test]
fn n03_authorize_new_key_puts_the_next_number_in_front() {
    let mut blob = Blob::parse(STEP_1).unwrap();
    let (owner2, mut rng) = (private(OWNER2_ENCRYPTED), rng(1));
    assert_eq!(blob.authorize(&public(MACHINE1_PUB), "", &owner2, &mut rng), Ok(LockboxName::Number(1)));
    // Any key that has a lockbox may authorize.
    let machine1 = private(MACHINE1);
    assert_eq!(blob.authorize(&public(MACHINE2_PUB), "", &machine1, &mut rng), Ok(LockboxName::Number(2)));
    assert_eq!(names(&blob), ["lockbox-2", "lockbox-1", "origin-lockbox"]);
    let again = Blob::parse(&blob.to_bytes().unwrap()).unwrap();
    assert_eq!(again.unlock(&private(MACHINE2)).unwrap(), again.unlock(&owner2).unwrap());
}

#[test]
fn n04_authorize_after_revoking_the_highest_reuses_the_number() {
    let mut blob = authorized();
    assert_eq!(blob.revoke(&public(MACHINE2_PUB)), Ok(LockboxName::Number(2)));
    let name = blob.authorize(&public(OWNER2_PUB), "", &private(OWNER), &mut rng(1));
    assert_eq!(name, Ok(LockboxName::Number(2)));
    assert_eq!(names(&blob), ["lockbox-2", "lockbox-1", "origin-lockbox"]);
}

#[test]
fn n05_authorize_present_key_is_refused() {
    let mut blob = authorized();
    let before = blob.clone();
    for (pem, name) in [(MACHINE1_PUB, LockboxName::Number(1)), (OWNER_PUB, LockboxName::Origin)] {
        let result = blob.authorize(&public(pem), "", &private(OWNER), &mut rng(1));
        assert_eq!(result, Err(BlobError::Present(name)));
    }
    assert_eq!(blob, before);
}

#[test]
fn n06_authorize_with_foreign_private_key_is_refused() {
    let mut blob = authorized();
    let before = blob.clone();
    let result = blob.authorize(&public(OWNER2_PUB), "", &private(OWNER2_ENCRYPTED), &mut rng(1));
    assert_eq!((result, blob), (Err(BlobError::NotYours), before));
}

#[test]
fn n07_revoke_origin_is_refused() {
    let mut blob = authorized();
    let before = blob.clone();
    assert_eq!(blob.revoke(&public(OWNER_PUB)), Err(BlobError::Origin));
    assert_eq!(blob.revoke(&public(OWNER2_PUB)), Err(BlobError::NotAuthorized));
    assert_eq!(blob, before);
}

#[test]
fn n09_comment_with_newline_is_refused_everywhere() {
    let mut rng = rng(1);
    let comment = "a\nb";
    let refused = |name: &str| BlobError::Lockbox(name.into(), LockboxError::Comment(CommentError));
    assert_eq!(Blob::create(&public(OWNER_PUB), comment, &mut rng), Err(refused("origin-lockbox")));
    let mut blob = authorized();
    let before = blob.clone();
    let key = blob.unlock(&private(OWNER)).unwrap();
    let result = blob.authorize(&public(OWNER2_PUB), comment, &private(OWNER), &mut rng);
    assert_eq!(result, Err(refused("lockbox-3")));
    let result = blob.attach("a", b"", &key, comment, &mut rng);
    assert_eq!(result, Err(BlobError::Files(FilesError::Comment(CommentError))));
    let digests = Digests::measure(b"k", b"i", "").unwrap();
    assert_eq!(blob.set_digests(&digests, &key, comment, &mut rng), Err(BlobError::Comment(CommentError)));
    assert_eq!(blob, before);
}

#[test]
fn n10_extra_root_node_is_refused_by_the_owner() {
    let mut root = Node::parse(FULL).unwrap();
    root.children.insert(1, Node::new("extra"));
    assert_eq!(Blob::parse(&root.to_bytes(&[]).unwrap()), Err(BlobError::Unknown("extra".into())));
}

#[test]
fn n22_revoking_lockbox_1_and_authorizing_again_gives_lockbox_3() {
    let mut blob = authorized();
    assert_eq!(blob.revoke(&public(MACHINE1_PUB)), Ok(LockboxName::FIRST));
    assert_eq!(names(&blob), ["lockbox-2", "origin-lockbox"]);
    let name = blob.authorize(&public(MACHINE1_PUB), "", &private(OWNER), &mut rng(1));
    assert_eq!(name, Ok(LockboxName::Number(3)));
    assert_eq!(names(&blob), ["lockbox-3", "lockbox-2", "origin-lockbox"]);
}

#[test]
fn malformed_blobs_are_refused() {
    let refuse = |change: fn(&mut Node)| {
        let mut root = Node::parse(FULL).unwrap();
        change(&mut root);
        Blob::parse(&root.to_bytes(&[]).unwrap()).unwrap_err()
    };
    assert_eq!(refuse(|root| root.set(Property::text("compatible", "ibm,esm2"))), BlobError::Foreign);
    assert_eq!(refuse(|root| root.properties.clear()), BlobError::Foreign);
    assert_eq!(refuse(|root| drop(root.children.remove(0))), BlobError::Missing("/lockboxes"));
    assert_eq!(refuse(|root| drop(root.children.remove(1))), BlobError::Missing("/digest"));
    assert_eq!(refuse(|root| drop(root.children.remove(2))), BlobError::Missing("/file"));
    assert_eq!(refuse(|root| root.children.push(Node::new("file"))), BlobError::Twice("file".into()));
    assert_eq!(refuse(|root| drop(root.children[0].children.pop())), BlobError::Missing("origin-lockbox"));
    let twice = refuse(|root| {
        let first = root.children[0].children[0].clone();
        root.children[0].children.push(first);
    });
    assert_eq!(twice, BlobError::Twice("lockboxes/lockbox-2".into()));
    let full = refuse(|root| root.children[0].children[0].properties.clear());
    assert_eq!(full, BlobError::Lockbox("lockbox-2".into(), LockboxError::Property("encrypted-symkey")));
    let unknown = refuse(|root| root.set(Property::text("note", "")));
    assert_eq!(unknown, BlobError::UnknownProperty("note".into()));
    let unknown = refuse(|root| root.children[0].children[0].set(Property::text("note", "")));
    assert_eq!(unknown, BlobError::Lockbox("lockbox-2".into(), LockboxError::Unknown("note".into())));
    let comment = refuse(|root| drop(root.children[0].children[0].properties.remove(1)));
    assert_eq!(comment, BlobError::Lockbox("lockbox-2".into(), LockboxError::Property("untrusted-comment")));
}

/// A child of `/file`, as early tools attached files.
fn early_file(name: &str) -> Node {
    let mut file = Node::new(name);
    file.properties =
        ["mac", "iv", "ciphertext", "untrusted-comment", "algorithm"].map(|p| Property::text(p, "")).into();
    file
}

#[test]
fn children_of_file_follow_the_rule_of_files() {
    let read = |file: Node| {
        let mut root = Node::parse(FULL).unwrap();
        root.children[2].children.push(file);
        Blob::parse(&root.to_bytes(&[]).unwrap())
    };
    assert!(read(early_file("rootd")).is_ok(), "values are not looked at");
    let refused = read(early_file("1x"));
    assert_eq!(refused, Err(BlobError::Files(FilesError::Name("1x".into()))));
    for missing in 0..5 {
        let mut file = early_file("x");
        file.properties.remove(missing);
        assert!(matches!(read(file), Err(BlobError::Files(FilesError::Sealed(..)))));
    }
    let mut file = early_file("x");
    file.set(Property::text("note", ""));
    assert_eq!(read(file), Err(BlobError::UnknownProperty("file/x/note".into())));
}

#[test]
fn what_the_tool_does_not_look_at_is_found_when_it_is_used() {
    let changed = |change: fn(&mut Node)| {
        let mut root = Node::parse(FULL).unwrap();
        change(&mut root);
        Blob::parse(&root.to_bytes(&[]).unwrap()).unwrap()
    };
    let files = changed(|root| root.children[2].set(Property::new("files-fdt", *b"x"))).files();
    assert!(matches!(files, Err(BlobError::Files(FilesError::Tree(_)))));
    let digests = changed(|root| root.children[1].children[0].properties.clear()).sealed_digests();
    assert_eq!(digests, Err(BlobError::Sealed("digests-fdt", SealedError::Property("mac"))));
    let numbered = changed(|root| root.children[0].children[0].name = "lockbox-01".into());
    assert_eq!(names(&numbered), ["lockbox-1", "lockbox-1", "origin-lockbox"]);
}

#[test]
fn numbers_end() {
    let mut root = Node::parse(FULL).unwrap();
    root.children[0].children[0].name = "lockbox-4294967295".into();
    let mut blob = Blob::parse(&root.to_bytes(&[]).unwrap()).unwrap();
    assert_eq!(blob.authorize(&public(OWNER2_PUB), "", &private(OWNER), &mut rng(1)), Err(BlobError::Full));
}

#[test]
fn lockboxes_with_a_foreign_fingerprint_still_open_and_damaged_ones_are_named() {
    let mut root = Node::parse(STEP_1).unwrap();
    root.children[0].children[0].child_mut("pubkey-fingerprint").unwrap().set(Property::new("hash", [0; 32]));
    let blob = Blob::parse(&root.to_bytes(&[]).unwrap()).unwrap();
    let expected = hex(&expected()["blobs"]["step-1-created.dtb"]["symkey_hex"]);
    assert_eq!(*blob.unlock(&private(OWNER2_ENCRYPTED)).unwrap().as_bytes(), *expected);
    let (_, damaged) = TAMPERED[1];
    let error = Blob::parse(damaged).unwrap().unlock(&private(MACHINE1)).unwrap_err();
    assert_eq!(error, BlobError::Lockbox("lockbox-1".into(), LockboxError::Key(KeyError::Unwrap)));
}

#[test]
fn changed_digests_do_not_open() {
    let blob = Blob::parse(TAMPERED[0].1).unwrap();
    let key = blob.unlock(&private(OWNER)).unwrap();
    let mismatch = SealedError::Gcm(GcmError::TagMismatch);
    assert_eq!(blob.digests(&key), Err(BlobError::Sealed("digests-fdt", mismatch)));
}

#[test]
fn unknown_properties_survive_a_change() {
    let mut root = Node::parse(FULL).unwrap();
    root.child_mut("lockboxes").unwrap().set(Property::text("note", "kept"));
    let mut blob = Blob::parse(&root.to_bytes(&[]).unwrap()).unwrap();
    blob.detach("rootd").unwrap();
    let again = Blob::parse(&blob.to_bytes().unwrap()).unwrap();
    assert_eq!(again.tree().child("lockboxes").unwrap().text("note"), Some("kept"));
    assert_eq!(again.files().unwrap().names().count(), 5);
    assert_eq!(blob.detach("rootd"), Err(BlobError::Files(FilesError::NotFound("rootd".into()))));
}

#[test]
fn messages_are_sentences() {
    assert_eq!(format!("{}", BlobError::Present(LockboxName::FIRST)), "the key is already authorized by lockbox-1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_damage_makes_it_panic(edits in proptest::collection::vec((0..FULL.len(), any::<u8>()), 1..6)) {
        let mut bytes = FULL.to_vec();
        for (at, value) in edits {
            bytes[at] = value;
        }
        if let Ok(blob) = Blob::parse(&bytes) {
            let _ = blob.to_bytes();
        }
    }
}

//! Rows N01–N09 and N22: what the owner of an ESM blob may do with it. Both profiles share this side.

use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::digests::Digests;
use uv_power::owner::files::FilesError;
use uv_power::owner::keys::{KeyError, PrivateKey, PublicKey};
use uv_power::owner::lockbox::{LockboxError, LockboxName};
use uv_power::owner::sealed::CommentError;
use uv_power::owner::tree::Node;
use uv_sim::rng::SimRng;

use crate::rig::*;

rows! { n01 n02 n03 n04 n05 n06 n07 n08 n09 n22 }

const OWNER: &[u8] = fixture!("keys/owner.pem");
const OWNER_PUB: &[u8] = fixture!("keys/ownerpub.pem");
const OWNER2: &[u8] = fixture!("keys/owner2-encrypted.pem");
const OWNER2_PUB: &[u8] = fixture!("keys/owner2pub.pem");
const MACHINE1_PUB: &[u8] = fixture!("keys/machine1pub.pem");
const MACHINE2_PUB: &[u8] = fixture!("keys/machine2pub.pem");

fn random() -> SimRng {
    SimRng::from_seed(14)
}

fn public(pem: &[u8]) -> PublicKey {
    PublicKey::from_pem(pem).unwrap()
}

fn private(pem: &[u8]) -> PrivateKey {
    PrivateKey::from_pem(pem, Some(b"owner-pass")).unwrap()
}

/// A blob of one owner with no one else in it.
fn created() -> Blob {
    Blob::create(&public(OWNER_PUB), "", &mut random()).unwrap()
}

/// The same with lockboxes 1 and 2 for two machines.
fn authorized() -> Blob {
    let (mut blob, owner, mut random) = (created(), private(OWNER), random());
    for machine in [MACHINE1_PUB, MACHINE2_PUB] {
        blob.authorize(&public(machine), "", &owner, &mut random).unwrap();
    }
    blob
}

/// Names of the lockboxes as they stand in the written blob.
fn lockboxes(blob: &Blob) -> Vec<String> {
    let read = Blob::parse(&blob.to_bytes().unwrap()).unwrap();
    read.lockboxes().unwrap().iter().map(|lockbox| lockbox.name.to_string()).collect()
}

/// Nothing of the blob is different after what was refused.
fn refused<T: core::fmt::Debug>(mut blob: Blob, act: impl FnOnce(&mut Blob) -> Result<T, BlobError>) -> BlobError {
    let before = blob.clone();
    let error = act(&mut blob).unwrap_err();
    assert_eq!(blob, before);
    error
}

fn n01() {
    let blob = Blob::create(&public(OWNER2_PUB), "owner key 2", &mut random()).unwrap();
    let bytes = blob.to_bytes().unwrap();
    let root = Node::parse(&bytes).unwrap();
    let names: Vec<_> = root.children.iter().map(|node| node.name.as_str()).collect();
    assert_eq!((names, root.text("compatible")), (vec!["lockboxes", "digest", "file"], Some("ibm,esm")));
    assert_eq!([root.child("digest"), root.child("file")], [Some(&Node::new("digest")), Some(&Node::new("file"))]);
    assert_eq!(lockboxes(&blob), ["origin-lockbox"]);
    assert_eq!(bytes.len(), fixture!("blobs/step-1-created.dtb").len());
}

fn n02() {
    for pem in [OWNER, OWNER2] {
        assert_eq!(PublicKey::from_pem(pem), Err(KeyError::PrivateGiven));
    }
}

fn n03() {
    let blob = authorized();
    assert_eq!(lockboxes(&blob), ["lockbox-2", "lockbox-1", "origin-lockbox"]);
    assert_eq!(blob.unlock(&private(fixture!("keys/machine2.pem"))), blob.unlock(&private(OWNER)));
}

fn n04() {
    let mut blob = authorized();
    assert_eq!(blob.revoke(&public(MACHINE2_PUB)), Ok(LockboxName::Number(2)));
    let name = blob.authorize(&public(OWNER2_PUB), "", &private(OWNER), &mut random());
    assert_eq!((name, lockboxes(&blob)[0].as_str()), (Ok(LockboxName::Number(2)), "lockbox-2"));
}

fn n05() {
    for (pem, present) in [(MACHINE1_PUB, LockboxName::FIRST), (OWNER_PUB, LockboxName::Origin)] {
        let error = refused(authorized(), |blob| blob.authorize(&public(pem), "", &private(OWNER), &mut random()));
        assert_eq!(error, BlobError::Present(present));
    }
}

fn n06() {
    let foreign = private(OWNER2);
    let error = refused(authorized(), |blob| blob.authorize(&public(OWNER2_PUB), "", &foreign, &mut random()));
    assert_eq!(error, BlobError::NotYours);
}

fn n07() {
    assert_eq!(refused(authorized(), |blob| blob.revoke(&public(OWNER_PUB))), BlobError::Origin);
}

fn n08() {
    let key = created().unlock(&private(OWNER)).unwrap();
    let attach = |blob: &mut Blob, name: &str| blob.attach(name, b"pass", &key, "", &mut random());
    for name in ["1x", &"x".repeat(32), "", "a/b", "a b", "a\n", ".x"] {
        let error = refused(created(), |blob| attach(blob, name));
        assert_eq!(error, BlobError::Files(FilesError::Name(name.into())));
    }
    let (mut blob, longest) = (created(), "x".repeat(31));
    attach(&mut blob, &longest).unwrap();
    let read = Blob::parse(&blob.to_bytes().unwrap()).unwrap();
    assert_eq!(**read.extract(&longest, &key).unwrap(), *b"pass");
}

fn n09() {
    let comment = "a\nb";
    let lockbox = |name: &str| BlobError::Lockbox(name.into(), LockboxError::Comment(CommentError));
    let create = Blob::create(&public(OWNER_PUB), comment, &mut random());
    assert_eq!(create, Err(lockbox("origin-lockbox")));
    let owner = private(OWNER);
    let error = refused(created(), |blob| blob.authorize(&public(OWNER2_PUB), comment, &owner, &mut random()));
    assert_eq!(error, lockbox("lockbox-1"));
    let key = created().unlock(&owner).unwrap();
    let error = refused(created(), |blob| blob.attach("x", b"", &key, comment, &mut random()));
    assert_eq!(error, BlobError::Files(FilesError::Comment(CommentError)));
    let digests = Digests::measure(b"kernel", b"initrd", "").unwrap();
    let error = refused(created(), |blob| blob.set_digests(&digests, &key, comment, &mut random()));
    assert_eq!(error, BlobError::Comment(CommentError));
}

fn n22() {
    let mut blob = authorized();
    assert_eq!(blob.revoke(&public(MACHINE1_PUB)), Ok(LockboxName::FIRST));
    let name = blob.authorize(&public(MACHINE1_PUB), "", &private(OWNER), &mut random());
    assert_eq!(name, Ok(LockboxName::Number(3)));
    assert_eq!(lockboxes(&blob), ["lockbox-3", "lockbox-2", "origin-lockbox"]);
}

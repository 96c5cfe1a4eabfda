//! Rows N10–N21: which blobs an ultravisor takes, each through a whole `UV_ESM`.

use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{Profile, UvCode};
use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::cpio;
use uv_power::owner::digests::Sha512Digest;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::tree::{Node, Property};
use uv_power::sim::{GuestStep, MachineConfig, SvmState, Tpm, WrappingKey};

use crate::rig::*;
use crate::x_tpm;

rows! { n10 n11 n12 n13 n14 n15 n16 n17 n18 n19 n20 n21 }

/// What becomes of an image: nothing to tell when the VM is secure, else the stage that ended the transition.
type Verdict = Option<&'static str>;
const SECURE: Verdict = None;

/// A whole transition on the machine with this key. A machine whose key is in the host's TPM comes to the same.
fn transition(config: MachineConfig, image: &Image, steps: Vec<GuestStep>) -> (Verdict, Rig) {
    let WrappingKey::Held(key) = &config.key else { panic!("the key is held") };
    let (tpm, key) = Tpm::provision(PrivateKey::clone(key), 9);
    let through_tpm = one_transition(MachineConfig { key: key.into(), ..config.clone() }, image, vec![], Some(tpm)).0;
    let held = one_transition(config, image, steps, None);
    assert_eq!(through_tpm, held.0, "by the TPM and by the ultravisor itself");
    held
}

fn one_transition(config: MachineConfig, image: &Image, steps: Vec<GuestStep>, tpm: Option<Tpm>) -> (Verdict, Rig) {
    let mut rig = Rig::with(config);
    rig.tpm = tpm.map(x_tpm::honest);
    rig.load(image);
    rig.make_secure(steps);
    let stage = rig.machine.esm_failure(VM).map(|failure| failure.stage());
    let aborted = rig.seen.last().is_some_and(|seen| seen.number == HvCall::H_SVM_INIT_ABORT.0);
    let state = if stage.is_some() { SvmState::Abort } else { SvmState::Secure };
    assert_eq!((rig.state(), aborted), (Some(state), stage.is_some()));
    (stage, rig)
}

/// The image with a blob of any length where the device tree says it is.
fn image(blob: Vec<u8>) -> Image {
    let mut image = Image::default();
    let end = BLOB + blob.len() as u64;
    image.node("chosen").set(Property::new("linux,esm-blob-end", end.to_be_bytes()));
    image.blob = blob;
    image
}

fn verdict(profile: Profile, blob: Vec<u8>) -> Verdict {
    transition(config(profile), &image(blob), vec![]).0
}

/// The same on the machine that has lockbox-2.
fn on_machine2(profile: Profile, blob: Vec<u8>) -> Verdict {
    let key = PrivateKey::from_pem(fixture!("keys/machine2.pem"), None).unwrap();
    transition(MachineConfig { key: key.into(), ..config(profile) }, &image(blob), vec![]).0
}

/// The tool's blob with its tree changed.
fn changed(change: impl FnOnce(&mut Node)) -> Vec<u8> {
    let mut root = Node::parse(FULL).unwrap();
    change(&mut root);
    root.to_bytes(&[]).unwrap()
}

fn lockboxes(root: &mut Node) -> &mut Node {
    root.child_mut("lockboxes").unwrap()
}

fn sealed_digests(root: &mut Node) -> &mut Node {
    root.child_mut("digest").unwrap().child_mut("digests-fdt").unwrap()
}

/// The tool's blob with its digests changed and sealed again.
fn resealed(iv: &[u8], change: impl FnOnce(&mut Node)) -> Vec<u8> {
    let key = Blob::parse(FULL).unwrap().unlock(&PrivateKey::from_pem(MACHINE1, None).unwrap()).unwrap();
    changed(|root| {
        let mut inner = Node::parse(fixture!("inner/full.digests.dtb")).unwrap();
        change(inner.child_mut("digests").unwrap());
        let (ciphertext, mac) = sealed(key.as_bytes(), iv, &inner.to_bytes(&[]).unwrap());
        let node = sealed_digests(root);
        for (name, value) in [("ciphertext", ciphertext), ("mac", mac.to_vec()), ("iv", iv.to_vec())] {
            node.set(Property::new(name, value));
        }
    })
}

fn with_digest(name: &'static str, measured: &[u8]) -> Vec<u8> {
    resealed(&[9; 16], |node| node.set(Property::new(name, Sha512Digest::of(measured).0)))
}

fn n10() {
    let extra = changed(|root| root.children.insert(1, Node::new("extra")));
    assert_eq!(Blob::parse(&extra), Err(BlobError::Unknown("extra".into())));
    both(|p| assert_eq!(verdict(p, extra.clone()), SECURE));
}

fn n11() {
    let without_first = changed(|root| lockboxes(root).children.retain(|lockbox| lockbox.name != "lockbox-1"));
    both(|p| {
        assert_eq!(on_machine2(p, without_first.clone()), pick(p, SECURE, Some("lockbox")));
        assert_eq!(on_machine2(p, FULL.to_vec()), pick(p, SECURE, Some("lockbox")));
        assert_eq!(verdict(p, without_first.clone()), Some("lockbox"));
    });
}

fn n12() {
    let blob = changed(|root| {
        let lockbox = lockboxes(root).child_mut("lockbox-1").unwrap();
        lockbox.child_mut("pubkey-fingerprint").unwrap().set(Property::new("hash", [0; 32]));
    });
    both(|p| assert_eq!(verdict(p, blob.clone()), SECURE));
}

fn n13() {
    let blob = changed(|root| sealed_digests(root).set(Property::text("algorithm", "none")));
    both(|p| assert_eq!(verdict(p, blob.clone()), SECURE));
}

fn with_tag(length: usize) -> Vec<u8> {
    changed(|root| {
        let mac = sealed_digests(root).value("mac").unwrap()[..length].to_vec();
        sealed_digests(root).set(Property::new("mac", mac));
    })
}

fn n14() {
    both(|p| {
        assert_eq!(verdict(p, with_tag(8)), SECURE);
        assert_eq!(verdict(p, with_tag(4)), pick(p, Some("digests"), SECURE));
        let wrong = changed(|root| sealed_digests(root).set(Property::new("mac", [0; 8])));
        assert_eq!(verdict(p, wrong), Some("digests"));
    });
}

fn n15() {
    both(|p| assert_eq!(verdict(p, with_tag(3)), Some("digests")));
}

fn n16() {
    both(|p| assert_eq!(verdict(p, resealed(&[3; 12], |_| ())), SECURE));
}

fn n17() {
    both(|p| {
        assert_eq!(verdict(p, with_digest("bootargs", format!("{}\0", bootargs()).as_bytes())), Some("bootargs"));
        assert_eq!(verdict(p, with_digest("bootargs", bootargs().as_bytes())), SECURE);
    });
}

/// The blob travels in front of the initrd; the device tree names only the initrd.
fn carried(archive: &[u8]) -> Image {
    let mut image = Image { initrd: [archive, INITRD_IMG].concat(), blob: vec![], ..Image::default() };
    let end = INITRD as u32 + image.initrd.len() as u32;
    let chosen = image.node("chosen");
    chosen.properties.retain(|property| !property.name.starts_with("linux,esm"));
    chosen.set(Property::new("linux,initrd-end", end.to_be_bytes()));
    image
}

fn n18() {
    // No digest can cover the archive that carries it: an archive of the same length stands in for that one.
    let archive = cpio::carrier(FULL, "blob").unwrap();
    let over_all = with_digest("initrd", &[&archive, INITRD_IMG].concat());
    let over_initrd = with_digest("initrd", INITRD_IMG);
    both(|p| {
        for (blob, expected) in [(&over_all, Some("initrd")), (&over_initrd, SECURE)] {
            let image = carried(&cpio::carrier(blob, "blob").unwrap());
            assert_eq!(transition(config(p), &image, vec![]).0, expected);
        }
    });
}

/// An archive of one member.
fn archive(name: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in [(name, data), ("TRAILER!!!", &[][..])] {
        let fields = [0, 0o100_644, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let fields: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        out.extend(format!("070701{fields}{name}\0").bytes());
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(data);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out.resize(out.len().next_multiple_of(cpio::BLOCK), 0);
    out
}

fn n19() {
    both(|p| {
        let verdict = |name| transition(config(p), &carried(&archive(name, FULL)), vec![]).0;
        assert_eq!(verdict("./opt/ibm/pef/x"), Some("blob"));
        assert_eq!(verdict("opt/ibm/pef/x"), SECURE);
    });
}

fn n20() {
    let over_elf = with_digest("kernel", fixture!("boot/vmlinux"));
    both(|p| {
        assert_eq!(verdict(p, over_elf.clone()), Some("kernel"));
        assert_eq!(verdict(p, with_digest("kernel", VMLINUX)), SECURE);
    });
}

fn n21() {
    let blob = changed(|root| root.child_mut("file").unwrap().properties.clear());
    both(|p| {
        let mut args = vec![0];
        args.extend(name("rootd"));
        let steps = vec![sc2(UltracallNumber::UV_ESMB_GET_FILE, &args)];
        let (verdict, rig) = transition(config(p), &image(blob.clone()), steps);
        assert_eq!(verdict, SECURE);
        assert_eq!(UvCode::from_register(rig.returned(0).gpr[3]), UvCode(-9));
    });
}

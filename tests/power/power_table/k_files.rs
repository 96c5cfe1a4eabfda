//! Rows K: files of the blob.

use uv_power::abi::UvCode;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::{Privilege, Profile};
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::Digests;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::tree::{Node, Property};
use uv_power::sim::{GuestInsn, GuestStep};
use uv_sim::guest::Step;

use crate::rig::*;

rows! { k01 k02 k03 k04 k05 k06 k07 k08 k09 }

fn get(offset: u64, file: &str) -> GuestStep {
    let mut args = vec![offset];
    args.extend(name(file));
    sc2(UltracallNumber::UV_ESMB_GET_FILE, &args)
}

/// What R4 … hold, as bytes.
fn data(regs: &Regs) -> Vec<u8> {
    regs.gpr[4..12].iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn code(regs: &Regs) -> UvCode {
    UvCode::from_register(regs.gpr[3])
}

fn plain(file: &str) -> Vec<u8> {
    let expected: serde_json::Value = serde_json::from_str(EXPECTED).unwrap();
    let files = expected["blobs"]["full.dtb"]["files_fdt"]["files"].as_array().unwrap();
    let entry = files.iter().find(|entry| entry["name"] == file).unwrap();
    hex::decode(entry["plaintext_hex"].as_str().unwrap()).unwrap()
}

/// A secure VM from a blob with one more file of `len` bytes.
fn with_file(profile: Profile, file: &str, content: &[u8], steps: Vec<GuestStep>) -> Rig {
    let mut random = uv_sim::rng::SimRng::from_seed(5);
    let mut blob = Blob::parse(FULL).unwrap();
    let key = blob.unlock(&PrivateKey::from_pem(MACHINE1, None).unwrap()).unwrap();
    blob.attach(file, content, &key, "", &mut random).unwrap();
    let bytes = blob.to_bytes().unwrap();
    run_with(profile, bytes, steps)
}

fn run_with(profile: Profile, blob: Vec<u8>, steps: Vec<GuestStep>) -> Rig {
    let mut image = Image::default();
    let end = BLOB + blob.len() as u64;
    image.node("chosen").set(Property::new("linux,esm-blob-end", end.to_be_bytes()));
    image.blob = blob;
    let mut rig = Rig::new(profile);
    rig.load(&image);
    rig.make_secure(steps);
    assert_eq!(rig.machine.esm_failure(VM), None);
    rig
}

fn k01() {
    both(|p| {
        let rig = Rig::secure(p, vec![get(0, "rootd")]);
        let regs = rig.returned(0);
        let file = plain("rootd");
        assert_eq!((regs.gpr[3], file.len()), (28, 28));
        assert_eq!(data(&regs)[..28], file);
        assert_eq!(data(&regs)[28..], [0; 36]);
    });
}

fn k02() {
    both(|p| {
        let rig = Rig::secure(p, vec![get(0, "rootd"), get(28, "rootd")]);
        let regs = rig.returned(1);
        assert_eq!((regs.gpr[3], regs.gpr[4], regs.gpr[5]), (0, 28, name("rootd")[0]));
    });
}

fn k03() {
    both(|p| {
        let rig = Rig::secure(p, vec![get(0, "rootd"), get(0, "rootd"), get(65536, "rootd")]);
        assert_eq!(code(&rig.returned(1)), UvCode::U_PARAMETER);
        assert_eq!(code(&rig.returned(2)), UvCode::U_PARAMETER);
    });
}

fn k04() {
    both(|p| {
        let content: Vec<u8> = (0..65).collect();
        let rig = with_file(p, "long", &content, vec![get(0, "long"), get(64, "long")]);
        assert_eq!((rig.returned(0).gpr[3], data(&rig.returned(0))), (64, content[..64].to_vec()));
        assert_eq!((rig.returned(1).gpr[3], data(&rig.returned(1))[0]), (1, 64));
    });
}

fn k05() {
    both(|p| {
        let other = Regs { pidr: 9, ..Regs::default() };
        let steps = vec![get(0, "rootd"), Step::Call(GuestInsn::Load(Box::new(other))), get(28, "rootd")];
        let rig = Rig::secure(p, steps);
        assert_eq!(code(&rig.returned(2)), UvCode::U_PARAMETER);
    });
}

fn k06() {
    both(|p| {
        let rig = Rig::secure(p, vec![get(0, "nope"), get(0, "")]);
        assert_eq!(code(&rig.returned(0)), UvCode(-1));
        assert_eq!(code(&rig.returned(1)), UvCode::U_PARAMETER);
    });
}

fn k07() {
    both(|p| {
        // The files are a tree of their own inside of the blob: one bit of one ciphertext.
        let mut root = Node::parse(FULL).unwrap();
        let node = root.child_mut("file").unwrap();
        let mut files = Node::parse(node.value("files-fdt").unwrap()).unwrap();
        let file = files.child_mut("files").unwrap().child_mut("rootd").unwrap();
        let mut ciphertext = file.value("ciphertext").unwrap().to_vec();
        ciphertext[3] ^= 1;
        file.set(Property::new("ciphertext", ciphertext));
        node.set(Property::new("files-fdt", files.to_bytes(&[]).unwrap()));
        let rig = run_with(p, root.to_bytes(&[]).unwrap(), vec![get(0, "rootd"), get(0, "nul.bin")]);
        assert_eq!(code(&rig.returned(0)), UvCode::U_PARAMETER);
        assert_eq!(rig.returned(1).gpr[3], 14);
    });
}

fn k08() {
    both(|p| {
        let rig = Rig::new(p);
        for mode in [Privilege::SecureSupervisor, Privilege::SecureProblem] {
            let (code, _) = raw(&rig.machine, mode, Lpid(9), UltracallNumber::UV_ESMB_GET_FILE, &[0]);
            assert_eq!(code, UvCode::U_PARAMETER);
        }
        let (code, _) = raw(&rig.machine, Privilege::Supervisor, Lpid(9), UltracallNumber::UV_ESMB_GET_FILE, &[0]);
        assert_eq!(code, pick(p, UvCode::U_PERMISSION, UvCode::U_PARAMETER));
    });
}

fn k09() {
    both(|p| {
        let rig = Rig::secure(p, vec![get(0, "nul.bin")]);
        let file = plain("nul.bin");
        assert!(file.contains(&0));
        assert_eq!(data(&rig.returned(0))[..file.len()], file);
        // Digests of a sample that owners measure themselves: the same as in the blob.
        assert_eq!(Digests::measure(VMLINUX, INITRD_IMG, &bootargs()).unwrap().kernel_size, 83968);
    });
}

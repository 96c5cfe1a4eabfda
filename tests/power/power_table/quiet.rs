//! Nothing that is secret is told: all events, at every level, of transitions, runs, paging, aborts and ends of secure VMs, and what
//! `Debug` prints of everything that holds a secret.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::Regs;
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::owner::blob::Blob;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::verify;
use uv_power::sim::{GuestInsn, GuestStep, MachineConfig, Tpm};
use uv_sim::guest::Step;

use crate::l_reflection::{answer_word, rtas};
use crate::rig::*;
use crate::x_tpm;

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const SEED: u64 = 0x5eed_0bad_cafe_f00d;
const PRIVATE: [u8; 32] = [0x9e; 32];
const REGISTER: u64 = 0xd5c3_b1a2_9384_7566;

/// What events say.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The ways in which a number or a few bytes may be printed.
fn forms(secret: &[u8]) -> Vec<String> {
    let bytes = &secret[..8];
    let word = u64::from_be_bytes(bytes.try_into().unwrap());
    let inner = |text: String| text[1..text.len() - 1].to_owned();
    let mut forms = vec![inner(format!("{bytes:?}")), inner(format!("{bytes:x?}"))];
    forms.extend([format!("{word:x}"), format!("{word:X}"), word.to_string()]);
    forms.extend(std::str::from_utf8(bytes).map(str::to_owned));
    forms
}

fn holds_nothing(text: &str, secrets: &[(&str, Vec<u8>)]) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{name} is told as {form}");
        }
    }
    let pem = str::from_utf8(MACHINE1).unwrap();
    assert!(pem.lines().filter(|line| line.len() > 40).all(|line| !text.contains(line)), "the machine's key is told");
}

fn config(profile: Profile) -> MachineConfig {
    MachineConfig { seed: SEED, ..crate::rig::config(profile) }
}

/// A guest that stores, reads a file, shares, takes back, calls RTAS, and ends in an instruction that kills it.
fn steps() -> Vec<GuestStep> {
    let mut regs = Regs::default();
    regs.gpr[14..].fill(REGISTER);
    let mut file = vec![0];
    file.extend(name("rootd"));
    let mut steps = vec![
        store(GPA, &PRIVATE.repeat(64)),
        Step::Call(GuestInsn::Load(Box::new(regs))),
        sc2(UltracallNumber::UV_ESMB_GET_FILE, &file),
        pause(),
        load(GPA, 64),
        sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN + 1, 1]),
        sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN + 1, 1]),
        sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[]),
    ];
    steps.extend(rtas(&[0x2004, 1, 1, 7], 1));
    steps.extend([Step::Call(GuestInsn::Transaction), Step::Call(GuestInsn::Emulate)]);
    steps
}

/// A VM from its transition to its end; what `Debug` prints of it.
fn whole_life(profile: Profile) -> String {
    let mut rig = Rig::with(config(profile));
    rig.load(&Image::default());
    rig.make_secure(steps());
    assert_eq!((rig.machine.esm_failure(VM), rig.steps()), (None, 3));
    assert_eq!(rig.returned(2).gpr[3], UvCode(28).to_register(), "the file was read");
    assert_eq!(rig.page_out(HOST + GPA, GPA), UvCode::U_SUCCESS);
    rig.go();
    answer_word(&rig, 4, 0);
    rig.go();
    let told = format!("{:?}{:#?}{:?}", rig.machine, rig.machine.guest_regs(VM, 0), rig.transcript);
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
    told
}

/// A VM that became secure by the host's TPM; what `Debug` prints of it, of the TPM and of what the ultravisor knows of it.
fn by_the_tpm(profile: Profile) -> String {
    let (tpm, key) = Tpm::provision(PrivateKey::from_pem(MACHINE1, None).unwrap(), SEED);
    let mut told = format!("{tpm:?}{tpm:#?}{key:?}{key:#?}{key:x?}");
    let config = MachineConfig { key: key.into(), ..config(profile) };
    told += &format!("{config:?}{:?}{:x?}", config.key, config.key);
    let mut rig = Rig::with(config);
    rig.tpm = Some(x_tpm::honest(tpm));
    rig.load(&Image::default());
    rig.make_secure(vec![]);
    assert_eq!(rig.machine.esm_failure(VM), None);
    told + &format!("{:?}", rig.machine)
}

/// Transitions that fail, and what is told of why.
fn aborted(profile: Profile) -> String {
    let mut rig = Rig::with(config(profile));
    let image = Image { kernel: vec![0x5a; VMLINUX.len()], ..Image::default() };
    rig.load(&image);
    rig.make_secure(vec![]);
    let failure = rig.machine.esm_failure(VM).unwrap();
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
    let mut rig = Rig::with(config(profile));
    rig.load(&Image::default());
    rig.hook = Some(Box::new(|_, seen| (seen.args[0] == KERNEL).then_some(HvCode::H_PARAMETER)));
    rig.make_secure(vec![]);
    format!("{failure} {failure:?} {0} {0:?}", rig.machine.esm_failure(VM).unwrap())
}

/// Lets every event be heard by whoever listens, from the first one on: what a thread without a listener meets first would stay
/// switched off for the others.
pub(crate) fn hear_all() {
    tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::TRACE).init();
}

pub(crate) fn quiet() {
    let heard = Heard::default();
    let writer = heard.clone();
    let level = tracing_subscriber::filter::LevelFilter::TRACE;
    let listener = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(move || writer.clone());
    let guard = listener.finish().set_default();
    let mut told = String::new();
    for profile in Profile::ALL {
        told += &whole_life(profile);
        told += &aborted(profile);
        told += &by_the_tpm(profile);
        let key = PrivateKey::from_pem(MACHINE1, None).unwrap();
        let blob = Blob::parse(FULL).unwrap();
        let master = blob.unlock(&key).unwrap();
        let opened = verify::open(profile, FULL, &key).unwrap();
        let config = config(profile);
        told += &format!("{config:?}{config:#?}{config:x?}{key:?}{master:?}{master:x?}{opened:?}{blob:?}{:?}", steps());
    }
    drop(guard);
    let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    for message in
        ["esm blob opened", "transition to secure mode failed", "secure VM killed", "secure VM ended", "UV_PAGE_OUT"]
    {
        assert!(heard.contains(message), "{message:?} was not heard");
    }
    let expected: serde_json::Value = serde_json::from_str(EXPECTED).unwrap();
    let master = hex::decode(expected["blobs"]["full.dtb"]["symkey_hex"].as_str().unwrap()).unwrap();
    let secrets = [
        ("seed", SEED.to_be_bytes().to_vec()),
        ("master key", master),
        ("private page", PRIVATE.to_vec()),
        ("register", REGISTER.to_be_bytes().to_vec()),
        ("file", fixture!("attachments/rootd").to_vec()),
    ];
    holds_nothing(&heard, &secrets);
    holds_nothing(&told, &secrets);
    let word = u64::from_be_bytes([0x9e; 8]);
    let shown = format!("{PRIVATE:?}{PRIVATE:x?} {word:x} {word:X} {word}");
    assert!(forms(&PRIVATE).iter().all(|form| shown.contains(form)), "the search finds what is there");
}

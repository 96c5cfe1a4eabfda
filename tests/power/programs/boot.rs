//! The program `power_boot` on real files and on broken ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use uv_power::owner::keys::PrivateKey;
use uv_test_support::example;

fn fixture(name: &str) -> PathBuf {
    uv_test_support::file("tests/fixtures/svm-tool").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(fixture("expected.json")).unwrap()).unwrap()
}

/// Status 0 or 1 with what was shown, or status 2 with the sentence.
fn run(arguments: &[String]) -> (i32, String) {
    let output = Command::new(example("power_boot")).args(arguments).output().unwrap();
    let [shown, sentence] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let status = output.status.code().unwrap();
    if status == 2 {
        assert!(shown.is_empty(), "an unusable input shows nothing but its sentence");
        return (status, sentence);
    }
    assert!(sentence.is_empty(), "{sentence}");
    (status, shown)
}

/// The options of the reference boot.
struct Options(Vec<(&'static str, String)>, Vec<&'static str>);

impl Options {
    fn new() -> Self {
        let path = |name| fixture(name).display().to_string();
        let options = vec![
            ("--blob", path("blobs/full.dtb")),
            ("--machine-key", path("keys/machine1.pem")),
            ("--kernel", path("boot/vmlinux")),
            ("--initrd", path("boot/initrd.img")),
            ("--bootargs", "root=/dev/sda1 rw svm=on console=hvc0".to_owned()),
        ];
        Self(options, Vec::new())
    }

    fn with(mut self, option: &'static str, value: impl Into<String>) -> Self {
        self.0.retain(|(name, _)| *name != option);
        self.0.push((option, value.into()));
        self
    }

    fn file(self, option: &'static str, path: &Path) -> Self {
        self.with(option, path.display().to_string())
    }

    fn flag(mut self, flag: &'static str) -> Self {
        self.1.push(flag);
        self
    }

    fn run(&self) -> (i32, String) {
        let options = self.0.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]);
        run(&options.chain(self.1.iter().map(|flag| (*flag).to_owned())).collect::<Vec<_>>())
    }

    fn json(self) -> (i32, Value) {
        let (status, shown) = self.flag("--json").run();
        (status, serde_json::from_str(&shown).unwrap_or_else(|_| panic!("status {status}, no JSON: {shown}")))
    }
}

const PROFILES: [&str; 2] = ["documented", "firmware"];

#[test]
fn the_reference_blob_makes_a_secure_vm_with_every_file() {
    let all = expected();
    let files = all["blobs"]["full.dtb"]["files_fdt"]["files"].as_array().unwrap();
    for profile in PROFILES {
        for in_initrd in [false, true] {
            let options = Options::new().with("--profile", profile);
            let options = if in_initrd { options.flag("--blob-in-initrd") } else { options };
            let (status, shown) = options.json();
            assert_eq!((status, &shown["result"]), (0, &"secure".into()), "{profile} {shown}");
            assert!(shown.get("stage").is_none() && shown.get("reason").is_none());
            assert_eq!(shown["files"].as_object().unwrap().len(), files.len());
            for file in files {
                let name = file["name"].as_str().unwrap();
                assert_eq!(shown["files"][name], file["plaintext_hex"], "{name}");
            }
            let entry = |register: &str| {
                let text = shown["entry"][register].as_str().unwrap();
                assert_eq!(text.len(), 18, "{text}");
                u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
            };
            assert_eq!((entry("nip"), entry("r4"), entry("r5")), (0x40_0000, 0x40_0000, 0));
            assert_eq!(Some(entry("r3")), shown["guest_r3"].as_u64());
            // Device tree, RTAS, two pages of kernel, one of initrd, and one of blob if it is not in front of the initrd.
            assert_eq!(shown["pages_in"], if in_initrd { 5 } else { 6 });
        }
    }
}

#[test]
fn the_second_machine_opens_its_own_lockbox_if_the_documents_are_followed() {
    let options = || Options::new().file("--machine-key", &fixture("keys/machine2.pem"));
    assert_eq!(options().json().0, 0);
    // The firmware looks at lockbox-1 only.
    let (status, shown) = options().with("--profile", "firmware").json();
    assert_eq!((status, &shown["stage"]), (1, &"lockbox".into()));
}

#[test]
fn tampered_blobs_are_refused_at_the_step_that_finds_out() {
    let all = expected();
    let tampered = all["tampered"].as_object().unwrap();
    assert_eq!(tampered.len(), 4);
    for (name, about) in tampered {
        assert_eq!(about["firmware_result"], "abort");
        for profile in PROFILES {
            let path = fixture("tampered").join(name);
            let (status, shown) = Options::new().file("--blob", &path).with("--profile", profile).json();
            let stage = match &name[..3] {
                "t01" => "digests",
                "t04" => "lockbox",
                "t08" => "blob",
                "t14" => "kernel",
                other => panic!("no stage known for {other}"),
            };
            assert_eq!((status, &shown["result"]), (1, &"refused".into()), "{name}");
            assert_eq!((&shown["stage"], &shown["guest_r3"]), (&stage.into(), &Value::from(-4)), "{name} {profile}");
            assert!(!shown["reason"].as_str().unwrap().is_empty());
            assert!(shown.get("entry").is_none() && shown.get("files").is_none());
        }
    }
}

#[test]
fn what_the_owner_did_not_measure_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let changed = |name: &str, file: &str, at: usize| {
        let mut bytes = fs::read(fixture(file)).unwrap();
        bytes[at] ^= 1;
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let other_machine = folder.path().join("other.pem");
    let key = PrivateKey::generate(&mut uv_programs::random::rng(Some(7)).unwrap()).unwrap();
    fs::write(&other_machine, key.to_pem().unwrap().as_bytes()).unwrap();
    let rtas = folder.path().join("rtas");
    fs::write(&rtas, [0; 20]).unwrap();
    for profile in PROFILES {
        let options = || Options::new().with("--profile", profile);
        let refused = |options: Options, stage: &str| {
            let (status, shown) = options.json();
            assert_eq!((status, &shown["stage"]), (1, &stage.into()), "{shown}");
        };
        refused(options().file("--machine-key", &other_machine), "lockbox");
        refused(options().file("--kernel", &changed("vmlinux.bin", "boot/vmlinux.bin", 83967)), "kernel");
        refused(options().file("--initrd", &changed("initrd", "boot/initrd.img", 0)), "initrd");
        refused(options().with("--bootargs", "root=/dev/sda1 rw svm=on console=hvc1"), "bootargs");
        refused(options().with("--bootargs", ""), "bootargs");
        refused(options().file("--rtas", &rtas), "rtas");
        assert_eq!(options().file("--kernel", &fixture("boot/vmlinux.bin")).json().0, 0, "the flat kernel");
    }
}

#[test]
fn broken_files_end_with_status_2_and_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let blob = fs::read(fixture("blobs/full.dtb")).unwrap();
    let elf = fs::read(fixture("boot/vmlinux")).unwrap();
    let noise: Vec<u8> = (0..4096_u32).map(|i| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let empty = write("empty", &[]);
    let random = write("random", &noise);
    let missing = folder.path().join("missing");
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();

    let unusable = |options: Options, what: &str| {
        let (status, sentence) = options.flag("--json").run();
        assert_eq!(status, 2, "{what}: {sentence}");
        assert!(sentence.len() > 10 && !sentence.contains("panick"), "{what}: {sentence}");
    };
    for option in ["--blob", "--machine-key", "--kernel", "--initrd", "--rtas"] {
        for file in [&empty, &missing, &huge, &folder.path().to_path_buf()] {
            unusable(Options::new().file(option, file), &format!("{option} {}", file.display()));
        }
    }
    for option in ["--blob", "--machine-key"] {
        unusable(Options::new().file(option, &random), &format!("{option} random"));
    }
    for len in (1..blob.len()).step_by(97).chain([39, 40, blob.len() - 1]) {
        unusable(Options::new().file("--blob", &write("cut", &blob[..len])), &format!("a blob cut to {len} bytes"));
    }
    unusable(Options::new().file("--blob", &write("long", &[&blob[..], &noise].concat())), "a blob with a tail");
    for len in [5, 63, 64, 200, elf.len() / 2, elf.len() - 1] {
        unusable(Options::new().file("--kernel", &write("cut", &elf[..len])), &format!("a kernel cut to {len} bytes"));
    }
    let key = fs::read(fixture("keys/machine1.pem")).unwrap();
    unusable(Options::new().file("--machine-key", &write("cut", &key[..key.len() / 2])), "half a key");
    unusable(Options::new().file("--machine-key", &fixture("keys/machine1pub.pem")), "a public key");
    unusable(Options::new().with("--profile", "other"), "no such profile");
    unusable(Options(vec![("--blob", "x".into())], Vec::new()), "a blob without the rest");
}

#[test]
fn without_options_a_sample_becomes_secure() {
    for profile in PROFILES {
        let (status, shown) = Options(Vec::new(), Vec::new()).with("--profile", profile).json();
        assert_eq!((status, &shown["result"]), (0, &"secure".into()));
        assert_eq!(shown["files"]["rootd"], hex::encode("a pass phrase for the disk"));
    }
}

#[test]
fn the_text_tells_the_steps_and_what_each_party_sees() {
    let (status, shown) = Options::new().run();
    assert_eq!(status, 0);
    let mut rest = shown.as_str();
    for step in [
        "guest: UV_ESM",
        "H_SVM_INIT_START",
        "UV_REGISTER_MEM_SLOT",
        "H_SVM_PAGE_IN",
        "H_SVM_INIT_DONE",
        "guest: runs in secure mode",
        "secure: the guest started at 0x400000",
        "pages of the VM by state",
        "file rootd: the guest read 28 bytes",
        "what the guest sees in its page:      only the guest may read this line",
        "what the hypervisor sees of the page: ",
    ] {
        let at = rest.find(step).unwrap_or_else(|| panic!("no line {step:?} in:\n{shown}"));
        rest = &rest[at + step.len()..];
    }
    assert!(!rest.contains(&hex::encode("only the guest")), "the hypervisor sees plaintext");
    let tampered = fixture("tampered/t14-resealed-kernel-digest.dtb");
    let (status, shown) = Options::new().file("--blob", &tampered).run();
    assert_eq!(status, 1);
    let told = ["H_SVM_INIT_ABORT", "UV_SVM_TERMINATE", "refused at kernel", "the guest was told -4"];
    assert!(told.iter().all(|line| shown.contains(line)), "{shown}");
}

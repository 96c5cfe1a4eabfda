//! Debian's `qemu-system-s390x` boots protected guests from an image of a real kernel, with `/dev/kvm` of the simulated machine.
//!
//! `UV_DEVICES_ROOT` names the folder that `.ci/fetch-s390x.sh` fills: QEMU, zgetdump, a kernel, the boot loader's stages.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use uv_test_support::{example, file};

/// What a test that ends with it was not about.
const WORKS: &str = "the test's own means work";
const CCK: &[u8; 32] = b"the customer communication key..";

fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("UV_DEVICES_ROOT").expect("UV_DEVICES_ROOT: see .ci/fetch-s390x.sh"))
}

fn key(name: &str) -> PathBuf {
    file("uv-s390/tests/fixtures/keys").join(name)
}

fn kernel() -> PathBuf {
    let boot = fs::read_dir(root().join("boot")).expect("a kernel").flatten().map(|entry| entry.path());
    boot.into_iter().find(|path| path.to_str().is_some_and(|path| path.contains("vmlinuz-"))).expect("a kernel")
}

/// Images of the kernel: one that may be dumped, and one that may not.
struct Images {
    folder: TempDir,
}

impl Images {
    fn get() -> &'static Self {
        static IMAGES: OnceLock<Images> = OnceLock::new();
        IMAGES.get_or_init(|| {
            let folder = tempdir().expect(WORKS);
            fs::write(folder.path().join("cck"), CCK).expect(WORKS);
            for (name, dump) in [("dumpable", "--enable-dump"), ("plain", "--disable-dump")] {
                let done = Command::new(example("s390_image"))
                    .args(["create", "--no-verify", "-i"])
                    .arg(kernel())
                    .args([Path::new("-k"), &key("host1.crt.pem"), Path::new("--cck"), Path::new("cck")])
                    .arg("--bootloader-dir")
                    .arg(root().join("usr/share/s390-tools/pvimg"))
                    .args([dump, "-o", name])
                    .current_dir(folder.path())
                    .output()
                    .expect(WORKS);
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
            Images { folder }
        })
    }

    fn path(name: &str) -> PathBuf {
        Self::get().folder.path().join(name)
    }
}

/// A QEMU with its monitor.
struct Qemu {
    folder: TempDir,
    child: Child,
    monitor: BufReader<UnixStream>,
}

/// How a QEMU is started.
struct Setup<'a> {
    image: PathBuf,
    /// Whether the machine has the host key that the images are for.
    right_machine: bool,
    script: &'a str,
    more: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        let script = "load,store,share,sclp,print:a protected guest runs,io";
        Self { image: Images::path("dumpable"), right_machine: true, script, more: &[] }
    }
}

impl Qemu {
    fn start(setup: &Setup<'_>) -> Self {
        let folder = tempdir().expect(WORKS);
        let file = |name: &str| fs::File::create(folder.path().join(name)).expect(WORKS);
        let host_key = [PathBuf::from("--host-key"), key("host1.key.pem")];
        let child = Command::new(env!("CARGO_BIN_EXE_uv-devices"))
            .args(["run", "--log", "log", "--script", setup.script])
            .args(host_key.iter().filter(|_| setup.right_machine))
            .arg("--root")
            .arg(root())
            .args(["--", "qemu-system-s390x", "-m", "256", "-nographic", "-nodefaults"])
            .args(["-machine", "s390-ccw-virtio,accel=kvm,confidential-guest-support=pv0"])
            .args(["-object", "s390-pv-guest,id=pv0", "-qmp", "unix:qmp,server=on,wait=off"])
            .args(["-chardev", "stdio,id=c0,signal=off", "-device", "sclpconsole,chardev=c0", "-kernel"])
            .arg(&setup.image)
            .args(setup.more)
            .current_dir(folder.path())
            // What is left of it when it is killed goes with the test's own folder.
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect(WORKS);
        let socket = folder.path().join("qmp");
        let monitor = until("the monitor", || UnixStream::connect(&socket).ok());
        monitor.set_read_timeout(Some(Duration::from_secs(60))).expect(WORKS);
        let mut qemu = Self { folder, child, monitor: BufReader::new(monitor) };
        qemu.line();
        qemu.monitor("qmp_capabilities", json!({}));
        qemu
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.monitor.read_line(&mut line).expect(WORKS);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line} {}", self.text("err")))
    }

    /// A monitor command and what it returns; events are passed over.
    fn monitor(&mut self, command: &str, arguments: Value) -> Value {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        self.monitor.get_mut().write_all(text.as_bytes()).expect(WORKS);
        loop {
            let line = self.line();
            if line.get("return").is_some() || line.get("error").is_some() {
                return line;
            }
        }
    }

    fn status(&mut self) -> Value {
        self.monitor("query-status", json!({}))["return"]["status"].clone()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(name)).expect(WORKS)).into_owned()
    }

    fn log(&self) -> Vec<Value> {
        self.text("log").lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the log says of a call, each time it was made.
    fn calls(&self, name: &str) -> Vec<Value> {
        self.log()
            .into_iter()
            .filter(|line| line["ioctl"].as_str().is_some_and(|ioctl| ioctl.ends_with(name)))
            .collect()
    }

    /// Waits until a call was made so often.
    fn wait_for(&self, name: &str, times: usize) -> Vec<Value> {
        until(&format!("{name}: {} {}", self.text("err"), self.text("log")), || {
            let calls = self.calls(name);
            (calls.len() >= times).then_some(calls)
        })
    }

    /// Physical memory, as the monitor sees it.
    fn memory(&mut self, at: u64, length: usize) -> Vec<u8> {
        let path = self.folder.path().join("memory");
        let saved = self.monitor("pmemsave", json!({ "val": at, "size": length, "filename": path }));
        assert!(saved.get("return").is_some(), "{saved}");
        fs::read(path).expect(WORKS)
    }

    /// Ends QEMU by its monitor; gives what it and the daemon wrote.
    fn quit(mut self) -> String {
        self.monitor("quit", json!({}));
        self.ended()
    }

    /// Waits for the end: a guest that waits with all interruptions masked has crashed, and QEMU with it.
    fn ended(mut self) -> String {
        let ended = until("the end", || self.child.try_wait().expect(WORKS));
        assert_eq!(ended.code(), Some(0), "{}", self.text("err"));
        self.text("err")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(120) {
        if let Some(done) = done() {
            return done;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within two minutes: {what}");
}

/// End of the image: the pages behind it are the guest's to store to.
fn behind(image: &Path) -> u64 {
    let image = uv_s390::guest::stage3a::BootImage::find(fs::read(image).expect(WORKS)).expect(WORKS);
    let ends = image.components().iter().map(|component| component.address.get() + component.length.get());
    ends.max().expect(WORKS).next_multiple_of(0x1000)
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_protected_guest_boots_and_only_what_it_shares_is_seen() {
    let mut qemu = Qemu::start(&Setup::default());
    qemu.wait_for("STSCH", 1);
    let codes = |name: &str| qemu.calls(name).iter().map(|call| call["rc"].clone()).collect::<Vec<_>>();
    assert_eq!(codes("KVM_PV_ENABLE"), ["0x1"]);
    assert_eq!(codes("KVM_PV_SET_SEC_PARMS"), ["0x1"]);
    assert!(codes("KVM_PV_UNPACK").iter().all(|rc| rc == "0x1"));
    assert_eq!(codes("KVM_PV_VERIFY"), ["0x1"]);
    assert_eq!(codes("SET_SHARED_ACCESS"), ["0x1"]);
    let intercepted = qemu.calls("KVM_RUN");
    let intercepted = |ipa: &str| intercepted.iter().any(|run| run["arguments"]["ipa"] == ipa);
    assert!(intercepted("0xb220") && intercepted("0xb234"), "SERVC and STSCH went through QEMU");
    assert!(qemu.text("out").contains("a protected guest runs"), "by QEMU's console");
    assert!(!qemu.calls("KVM_S390_MEM_OP").is_empty(), "by the SIDA");
    let at = behind(&Images::path("dumpable"));
    assert!(qemu.memory(at + 0x1000, 0x1000).starts_with(b"shared with the host"));
    let secure = qemu.memory(at, 0x1000);
    assert!(!secure.starts_with(b"private to the guest") && secure.iter().any(|byte| *byte != 0), "ciphertext");
    // What the monitor read is imported again, whole.
    assert_eq!(qemu.status(), "running");
    qemu.monitor("stop", json!({}));
    assert_eq!(qemu.status(), "paused");
    qemu.monitor("cont", json!({}));
    assert_eq!(qemu.status(), "running");
    let summary = qemu.quit();
    assert!(summary.contains("KVM_PV_VERIFY"), "{summary}");
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_dump_opens_in_zgetdump_and_is_the_guest_s_memory() {
    let mut qemu = Qemu::start(&Setup { more: &["-smp", "2"], ..Setup::default() });
    qemu.wait_for("STSCH", 1);
    let (dump, plain) = (qemu.folder.path().join("dump"), qemu.folder.path().join("plain"));
    let protocol = format!("file:{}", dump.display());
    let dumped = qemu.monitor("dump-guest-memory", json!({ "paging": false, "protocol": protocol }));
    assert!(dumped.get("return").is_some(), "{dumped} {}", qemu.text("err"));
    assert_eq!(qemu.status(), "running");
    // Of the VM: begin, storage state, end; of each of the two CPUs.
    assert!(qemu.calls("KVM_PV_DUMP").len() >= 5);
    assert!(qemu.calls("KVM_PV_DUMP").iter().all(|call| call["rc"] == "0x1"));
    let opened = Command::new("qemu-s390x-static")
        .arg("-L")
        .arg(root())
        .arg(root().join("usr/sbin/zgetdump"))
        .arg("-k")
        .args([&Images::path("cck"), &dump, &plain])
        .output()
        .expect(WORKS);
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let plain = fs::read(&plain).expect(WORKS);
    let (bytes, at) = memory_of(&plain);
    assert_eq!(at, 0);
    let private = usize::try_from(behind(&Images::path("dumpable"))).expect(WORKS);
    assert!(bytes[private..].starts_with(b"private to the guest"));
    assert!(bytes[private + 0x1000..].starts_with(b"shared with the host"));
    let image =
        uv_s390::guest::stage3a::BootImage::find(fs::read(Images::path("dumpable")).expect(WORKS)).expect(WORKS);
    let first = usize::try_from(image.components()[0].address.get()).expect(WORKS);
    let kernel = fs::read(kernel()).expect(WORKS);
    assert!(
        bytes[first..first + kernel.len()] == kernel[..],
        "the kernel is in the guest's memory as Debian packed it"
    );
    qemu.quit();
}

/// Content and address of the memory in an ELF dump.
fn memory_of(elf: &[u8]) -> (&[u8], u64) {
    let word = |at: usize| u64::from_be_bytes(elf[at..at + 8].try_into().expect(WORKS));
    let size = |at: usize| usize::try_from(word(at)).expect(WORKS);
    let count = usize::from(u16::from_be_bytes([elf[56], elf[57]]));
    let headers = (0..count).map(|index| size(32) + 56 * index);
    let load = headers.into_iter().find(|at| elf[*at..at + 4] == [0, 0, 0, 1]).expect(WORKS);
    (&elf[size(load + 8)..size(load + 8) + size(load + 32)], word(load + 24))
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_guest_boots_again_after_a_reset_of_the_machine() {
    let mut qemu = Qemu::start(&Setup { script: "load,store", ..Setup::default() });
    qemu.wait_for("store", 1);
    qemu.monitor("system_reset", json!({}));
    qemu.wait_for("store", 2);
    assert_eq!(qemu.calls("KVM_PV_ENABLE").len(), 2);
    assert!(qemu.calls("KVM_PV_VERIFY").iter().all(|call| call["rc"] == "0x1"));
    qemu.quit();
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_guest_loads_anew_and_boots_anew_by_diag_308() {
    // Subcode 1 begins at the PSW in absolute 0, protected; subcode 3 ends protection, and the image boots again.
    for (subcode, boots) in [(1, 1), (3, 2)] {
        let script = format!("store,reset:{subcode},load");
        let qemu = Qemu::start(&Setup { script: &script, ..Setup::default() });
        qemu.wait_for("load", 1);
        assert_eq!(qemu.calls("store").len(), 2, "subcode {subcode}");
        for command in ["KVM_PV_ENABLE", "KVM_PV_VERIFY"] {
            let calls = qemu.calls(command);
            assert!(calls.len() == boots && calls.iter().all(|call| call["rc"] == "0x1"), "{command}: {calls:?}");
        }
        for command in ["KVM_PV_PREP_RESET", "KVM_PV_UNSHARE_ALL"] {
            assert_eq!(qemu.calls(command).len(), usize::from(subcode == 1), "{command}");
        }
        qemu.quit();
    }
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn an_image_for_another_machine_does_not_start() {
    let qemu = Qemu::start(&Setup { right_machine: false, ..Setup::default() });
    let refused = qemu.wait_for("DIAG 308 subcode 10", 1);
    assert_eq!(refused[0]["value"], 0xa02, "what the guest is told");
    assert_eq!(qemu.calls("KVM_PV_SET_SEC_PARMS")[0]["rc"], "0x108");
    assert!(qemu.calls("KVM_PV_UNPACK").is_empty());
    let said = qemu.ended();
    assert!(said.contains("KVM PV command 2 (KVM_PV_SET_SEC_PARMS) failed"), "QEMU's own words: {said}");
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_tampered_image_does_not_start() {
    let folder = tempdir().expect(WORKS);
    let path = folder.path().join("tampered");
    let mut bytes = fs::read(Images::path("dumpable")).expect(WORKS);
    bytes[0x12_3456] ^= 1;
    fs::write(&path, bytes).expect(WORKS);
    let qemu = Qemu::start(&Setup { image: path, ..Setup::default() });
    let refused = qemu.wait_for("DIAG 308 subcode 10", 1);
    assert_eq!(refused[0]["value"], 0xa02);
    let verify = &qemu.calls("KVM_PV_VERIFY")[0];
    assert_eq!((&verify["errno"], &verify["rc"]), (&"EINVAL".into(), &"0x102".into()));
    assert!(qemu.calls("load").is_empty(), "the guest never ran protected");
    let said = qemu.ended();
    assert!(said.contains("KVM PV command 4 (KVM_PV_VERIFY) failed"), "{said}");
}

#[test]
#[ignore = "needs UV_DEVICES_ROOT"]
fn a_dump_that_the_image_forbids_fails_and_the_guest_goes_on() {
    let mut qemu = Qemu::start(&Setup { image: Images::path("plain"), ..Setup::default() });
    qemu.wait_for("STSCH", 1);
    let protocol = format!("file:{}", qemu.folder.path().join("dump").display());
    let dumped = qemu.monitor("dump-guest-memory", json!({ "paging": false, "protocol": protocol }));
    assert!(dumped.get("return").is_some(), "QEMU dumps what it sees, which is ciphertext: {dumped}");
    let [refused] = &qemu.calls("KVM_PV_DUMP")[..] else { panic!("nothing comes after the refusal") };
    assert_eq!((&refused["errno"], &refused["rc"]), (&"EINVAL".into(), &"0x1f5".into()));
    assert_eq!(qemu.status(), "running");
    let said = qemu.quit();
    assert!(said.contains("KVM PV command 8 (KVM_PV_DUMP) failed: header rc 1f5"), "QEMU's own words: {said}");
}

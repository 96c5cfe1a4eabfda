//! Images of the real builder boot, and nothing else does.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, proptest};
use serde_json::Value;
use uv_core::{HostAddr, NormalMemory as _, SecureVm as _, VmState};
use uv_s390::abi::diag308::Response;
use uv_s390::abi::uvc::{UvRc, UvRrc};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::guest::uvdevice::{AttestArgument, Ioctl, UvDevice, UvioNr};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{ImageBuilder, ImageLayout};
use uv_s390_programs::vm::{Boot, DeviceGuest, Platform, Refusal, Vm};
use uv_test_support::example;
use zerocopy::IntoBytes as _;

const CASES: [&str; 3] = ["a-kernel-only", "b-odd-sizes", "d-all-keys-flags"];

fn fixture(name: &str) -> PathBuf {
    uv_test_support::file("tests/fixtures/pvimg").join(name)
}

fn expected(case: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(case).join("expected.json")).expect("the fixture is there and well"))
        .expect("the fixture is there and well")
}

fn image(case: &str) -> Vec<u8> {
    fs::read(fixture(case).join("image.bin")).expect("the fixture is there and well")
}

fn host_key(number: u32) -> HostPrivateKey {
    let text =
        fs::read_to_string(fixture(&format!("keys/host{number}.key.pem"))).expect("the fixture is there and well");
    HostPrivateKey::from_pem(&text).expect("the fixture is there and well")
}

/// A machine with host key 1 and an ordinary VM on it.
fn machine(case: &str) -> (Platform, Vm) {
    let file = image(case);
    let mut platform = Platform::new(host_key(1), 7, file.len()).expect("the fixture is there and well");
    let vm = platform
        .load(&BootImage::find(file).expect("the fixture is there and well"))
        .expect("the fixture is there and well");
    (platform, vm)
}

fn refusal(vm: &mut Vm) -> Refusal {
    match vm.boot(&mut |_| {}) {
        Boot::Refused(refusal) => refusal,
        Boot::Running(_) => panic!("the guest runs"),
    }
}

fn codes(refusal: &Refusal) -> (UvRc, UvRrc) {
    let start = refusal.start.expect("the start was tried");
    assert_eq!(refusal.response, Some(start.response));
    assert_eq!(start.response.code(), Response::CANNOT_ENTER);
    (start.rc, start.rrc)
}

// The program.

fn run(arguments: &[&str]) -> Output {
    Command::new(example("s390_boot")).args(arguments).output().expect("the program starts")
}

fn boot(image: &str, key: u32) -> (Option<i32>, Value) {
    let key = fixture(&format!("keys/host{key}.key.pem"));
    let output = run(&["--image", image, "--host-key", key.to_str().expect("the fixture is there and well"), "--json"]);
    let text = String::from_utf8(output.stdout).expect("the fixture is there and well");
    (output.status.code(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[test]
fn every_image_runs_as_expected_json_says() {
    for case in CASES {
        let path = fixture(case).join("image.bin");
        let (status, json) = boot(path.to_str().unwrap(), 1);
        assert_eq!(status, Some(0), "{case}: {json}");
        let expected = expected(case);
        let hex = |value: &Value| Value::from(format!("0x{}", value.as_str().unwrap()));
        assert_eq!(json["result"], "running");
        assert_eq!(
            (&json["rc"], &json["rrc"], &json["diag308"]),
            (&"0x0001".into(), &"0x0000".into(), &"0x0001".into())
        );
        assert_eq!(json["pages"], expected["header"]["nep"]);
        assert_eq!(json["psw"]["mask"], hex(&expected["secret"]["psw_mask_hex"]));
        assert_eq!(json["psw"]["address"], hex(&expected["secret"]["psw_addr_hex"]));
        assert_eq!(json["pcf"], hex(&expected["header"]["pcf_hex"]));
        assert_eq!(json["scf"], hex(&expected["secret"]["scf_hex"]));
        let components = json["components"].as_array().unwrap();
        let wanted = expected["components"].as_array().unwrap();
        assert_eq!(components.len(), wanted.len());
        for (component, wanted) in components.iter().zip(wanted) {
            assert_eq!(component["address"], format!("{:#018x}", wanted["addr"].as_u64().unwrap()));
            assert_eq!(component["length"], wanted["padded_len"]);
            assert_eq!(component["sha256"], wanted["sha256_plain_padded"]);
        }
    }
}

#[test]
fn another_machine_refuses_with_0108_0005() {
    for case in CASES {
        let path = fixture(case).join("image.bin");
        for key in [2, 3] {
            let (status, json) = boot(path.to_str().unwrap(), key);
            assert_eq!(status, Some(1));
            assert_eq!(json["result"], "refused");
            assert_eq!((&json["rc"], &json["rrc"]), (&"0x0108".into(), &"0x0005".into()));
            assert_eq!(json["diag308"], "0x0a02");
            for unknown in ["psw", "pcf", "scf", "components"] {
                assert!(json.get(unknown).is_none(), "{unknown}");
            }
        }
    }
}

#[test]
fn flipped_files_are_refused_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.bin");
    let mut file = image("a-kernel-only");
    file[0x15000] ^= 1;
    fs::write(&path, &file).unwrap();
    let (status, json) = boot(path.to_str().unwrap(), 1);
    assert_eq!((status, &json["rc"], &json["rrc"]), (Some(1), &"0x0102".into(), &"0x001b".into()));
    assert_eq!(json["pages"], 19);
}

#[test]
fn unusable_files_end_with_status_2_and_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.bin");
    let key = fixture("keys/host1.key.pem");
    let whole = image("b-odd-sizes");
    let mut noise = vec![0; 300_000];
    for (index, byte) in (0_u32..).zip(&mut noise) {
        *byte = index.wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
    }
    let inputs = [
        Vec::new(),
        noise,
        whole[..1].to_vec(),
        whole[..0xc010].to_vec(),
        whole[..0x14100].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
    ];
    for (number, input) in inputs.iter().enumerate() {
        fs::write(&path, input).unwrap();
        let output = run(&["--image", path.to_str().unwrap(), "--host-key", key.to_str().unwrap(), "--json"]);
        assert_eq!(output.status.code(), Some(2), "input {number}");
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end().lines().count(), 1);
    }
    // A sparse giant, a missing file, a key that is none.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let giant = run(&["--image", path.to_str().unwrap(), "--host-key", key.to_str().unwrap()]);
    assert_eq!(giant.status.code(), Some(2));
    let missing = folder.path().join("missing");
    assert_eq!(
        run(&["--image", missing.to_str().unwrap(), "--host-key", key.to_str().unwrap()]).status.code(),
        Some(2)
    );
    let good = fixture("a-kernel-only/image.bin");
    let no_key = run(&["--image", good.to_str().unwrap(), "--host-key", good.to_str().unwrap()]);
    assert_eq!(no_key.status.code(), Some(2));
    assert_eq!(run(&["--image", good.to_str().unwrap()]).status.code(), Some(2));
}

#[test]
fn the_sample_runs_and_tells_the_story() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in
        ["DIAG 308 subcode 10", "unpack component", "running:", "what each party sees", "reads nothing", "pages:"]
    {
        assert!(text.contains(line), "{line}");
    }
    let json: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(json["result"], "running");
}

// The same boot as a library.

#[test]
fn one_bit_of_any_component_is_0102_001b() {
    for case in CASES {
        let (_platform, mut vm) = machine(case);
        let whole = image(case);
        for component in BootImage::find(whole.clone()).unwrap().components() {
            let start = usize::try_from(component.address.get()).unwrap();
            let length = usize::try_from(component.length.get()).unwrap();
            for (at, bit) in [(start, 0), (start + length / 2, 3), (start + length - 1, 7)] {
                let mut file = whole.clone();
                file[at] ^= 1 << bit;
                vm.reload(&BootImage::find(file).unwrap()).unwrap();
                assert_eq!(codes(&refusal(&mut vm)), (UvRc::VERIFY_MISMATCH, UvRrc::PAGE_LIST), "{case} at {at:#x}");
            }
        }
        vm.reload(&BootImage::find(whole).unwrap()).unwrap();
        assert!(vm.boot(&mut |_| {}).is_running(), "{case}: the same VM boots the right image");
    }
}

#[test]
fn every_byte_of_the_header_matters() {
    let (_platform, mut vm) = machine("a-kernel-only");
    let whole = image("a-kernel-only");
    let found = BootImage::find(whole.clone()).unwrap();
    let start = usize::try_from(found.header_address()).unwrap();
    for offset in 0..usize::try_from(found.header_length()).unwrap() {
        let mut file = whole.clone();
        file[start + offset] ^= 1 << (offset * 5 % 8);
        vm.reload(&BootImage::find(file).unwrap()).unwrap();
        let (rc, _) = codes(&refusal(&mut vm));
        let wanted = match offset {
            0..12 => UvRc::HEADER_VERSION,
            12..16 | 32..48 => UvRc::HEADER_CORRUPT,
            416..448 => UvRc::HEADER_KEY,
            _ => rc,
        };
        assert_eq!(rc, wanted, "offset {offset:#x}");
        assert!((0x0103..0x0110).contains(&rc.0), "offset {offset:#x}: {rc}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bits_of_the_header_are_refused(flips in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4)) {
        static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| image("d-all-keys-flags"));
        let found = BootImage::find(whole.clone()).unwrap();
        let start = usize::try_from(found.header_address()).unwrap();
        let bits = usize::try_from(found.header_length()).unwrap() * 8;
        let mut file = whole.clone();
        for bit in flips.iter().map(|flip| flip.index(bits)).collect::<std::collections::BTreeSet<_>>() {
            file[start + bit / 8] ^= 1 << (bit % 8);
        }
        let mut platform = Platform::new(host_key(1), 7, file.len()).unwrap();
        let mut vm = platform.load(&BootImage::find(file).unwrap()).unwrap();
        let boot = vm.boot(&mut |_| {});
        prop_assert!(!boot.is_running());
        prop_assert!(!vm.guest().is_protected());
    }
}

#[test]
fn a_refused_start_leaves_nothing_behind() {
    let (platform, mut vm) = machine("a-kernel-only");
    let whole = image("a-kernel-only");
    let memory = platform.machine().host_memory();
    let closed = |platform: &Platform| {
        let end = platform.end_of_kernel_storage().0;
        (0x8000_0000..end).step_by(0x1000).filter(|at| memory.check(HostAddr(*at), 0x1000).is_err()).count()
    };
    let (free, donated) = (platform.host().free_storage(), closed(&platform));
    let base = platform.host().info().uv_base_stor_len.get();
    assert_eq!(u64::try_from(donated).unwrap(), base / 0x1000, "only the storage of INIT_UV");

    for change in [0x14000 + 420, 0x15000] {
        let mut file = whole.clone();
        file[change] ^= 0x10;
        vm.reload(&BootImage::find(file).unwrap()).unwrap();
        refusal(&mut vm);
        assert_eq!(vm.guest().vm_state(), VmState::Normal);
        assert_eq!(platform.host().protected_count(), 0);
        assert_eq!((platform.host().free_storage(), closed(&platform)), (free, donated), "storage came back");
        assert_eq!(platform.machine().secure_frames_in_use(), 0);
        assert_eq!(vm.run_to_halt().unwrap(), None, "an ordinary CPU, which has nothing to do");
        let storage = vm.guest().storage();
        assert!(
            storage.check(uv_core::GuestAddr(0), vm.guest().slots().end().0 << 12).is_ok(),
            "all memory is the host's"
        );
    }
    // Unpacked pages are gone, not decrypted.
    let mut page = [1; 0x1000];
    vm.guest().storage().read(uv_core::GuestAddr(0x15000), &mut page).unwrap();
    assert!(page.iter().all(|byte| *byte == 0));

    vm.reload(&BootImage::find(whole).unwrap()).unwrap();
    let facts = vm.set_measuring_guest().unwrap();
    assert!(vm.boot(&mut |_| {}).is_running());
    vm.run_to_halt().unwrap();
    assert_eq!(facts.take().components.len(), 2);
    assert!(closed(&platform) > donated);
    vm.guest().terminate().unwrap();
    assert_eq!((platform.host().free_storage(), closed(&platform)), (free, donated));
}

#[test]
fn a_spoiled_ipib_is_refused_by_the_hypervisor() {
    let (_platform, mut vm) = machine("b-odd-sizes");
    let mut file = image("b-odd-sizes");
    let ipib = usize::try_from(vm.image().ipib_address()).unwrap();
    // Second component: the tweak prefix of the first.
    let first: [u8; 8] = file[ipib + 0x88..ipib + 0x90].try_into().unwrap();
    file[ipib + 0xa0..ipib + 0xa8].copy_from_slice(&first);
    vm.reload(&BootImage::find(file).unwrap()).unwrap();
    let refusal = refusal(&mut vm);
    assert_eq!((refusal.response, refusal.start.is_none()), (Some(Response::INVALID_IPIB), true));
}

#[test]
fn images_of_the_older_generator_boot() {
    let mut rng = uv_programs::random::rng(Some(5)).unwrap();
    let key = HostPrivateKey::generate(&mut rng);
    let built = ImageBuilder::new(&[7; 9000])
        .command_line(b"quiet")
        .ramdisk(&[9; 5000])
        .host_key(key.public())
        .layout(ImageLayout::Older)
        .skip_component_check()
        .build(&mut rng)
        .unwrap();
    let found = BootImage::find(built.bytes).unwrap();
    assert_eq!(found.components()[0].tweak_prefix.get() >> 48, 0);
    let mut vm = Platform::new(key, 7, found.file().len()).unwrap().load(&found).unwrap();
    assert!(vm.boot(&mut |_| {}).is_running());
}

#[test]
fn a_running_guest_has_its_uv_device() {
    let (platform, mut vm) = machine("a-kernel-only");
    let calls = platform.machine().generation().query(uv_s390::abi::uvcb::Role::Guest).calls;
    let device = UvDevice::new(uv_core::GuestAddr(0x3_0000), calls);
    let ioctls = vec![
        Ioctl::new(UvioNr::INFO, vec![0; 16]),
        Ioctl::new(UvioNr::LIST_SECRETS, vec![0; 4096]),
        Ioctl::new(UvioNr::ATTEST, AttestArgument::new(8, 64, 0, b"").as_bytes().to_vec()),
        Ioctl::new(UvioNr::RETR_SECRET, vec![0; 32]),
        Ioctl { request: 0, ..Ioctl::new(UvioNr::INFO, Vec::new()) },
    ];
    let ioctls =
        ioctls.into_iter().map(|ioctl| Ioctl { areas: [vec![0; 8], vec![0; 64], Vec::new()], ..ioctl }).collect();
    let (guest, replies) = DeviceGuest::new(device, ioctls);
    vm.set_guest_code(guest).unwrap();
    assert!(vm.boot(&mut |_| {}).is_running());
    vm.run_to_halt().unwrap();
    let replies = replies.lock().unwrap();
    let codes: Vec<_> =
        replies.iter().map(|reply| reply.as_ref().map(|ioctl| ioctl.control.uv_rc.get()).ok()).collect();
    // Nothing is listed yet; the request is none (unknown version); the store is empty.
    assert_eq!(codes, [Some(1), Some(1), Some(0x106), Some(0x10f), None]);
    let info = replies[0].as_ref().unwrap();
    assert_eq!(info.argument.last(), Some(&0x3e));
}

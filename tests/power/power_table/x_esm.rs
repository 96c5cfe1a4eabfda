//! What no row of the table says of `UV_ESM` and paging: memory that does not suffice, a VM larger than secure memory, the
//! initialisation vectors of the firmware, the access list in its byte format.

use uv_core::PageSize;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::Digests;
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::tree::Property;
use uv_power::sim::{MachineConfig, ScomList, SvmState};
use uv_sim::rng::SimRng;
use uv_sim::seal::SealMaterial;
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig};

use crate::l_reflection::look;
use crate::rig::*;

rows! {
    uv_esm_without_memory_leaves_r3_and_an_object an_image_larger_than_secure_memory_becomes_secure
    an_image_larger_than_secure_memory_needs_the_hypervisor page_out_n_is_sealed_with_iv_n
    the_access_list_is_read_from_its_region
}

fn uv_esm_without_memory_leaves_r3_and_an_object() {
    let mut rig = Rig::with(MachineConfig { secure_pages: 16, ..config(Profile::Firmware) });
    rig.load(&Image::default());
    rig.make_secure(vec![sc2(UltracallNumber::UV_ESM, &[KERNEL, TREE]), look()]);
    let first = rig.transcript.as_ref().unwrap().lock().first().cloned();
    let Some(uv_sim::guest::Outcome::Returned(regs)) = first else { panic!("{first:?}") };
    assert_eq!((regs.gpr[3], regs.nip), (UltracallNumber::UV_ESM.0, 0x104), "the guest goes on as it was");
    assert_eq!((rig.state(), rig.seen.len()), (Some(SvmState::Active), 0));
    assert_eq!(UvCode::from_register(rig.returned(0).gpr[3]), UvCode::U_RETRY, "the object is left behind");
    assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
    assert_eq!(rig.state(), None);
}

/// Secure pages of the small machine, fewer than the initrd has.
const FEW: u32 = 24;
const INITRD_PAGES: u64 = 40;

/// An image whose initrd alone is larger than secure memory, with a blob that measures it.
fn large() -> Image {
    let initrd: Vec<u8> =
        (0..INITRD_PAGES * PAGE / 8).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    let mut blob = Blob::parse(FULL).unwrap();
    let key = blob.unlock(&PrivateKey::from_pem(MACHINE1, None).unwrap()).unwrap();
    let digests = Digests::measure(VMLINUX, &initrd, &bootargs()).unwrap();
    blob.set_digests(&digests, &key, "", &mut SimRng::from_seed(3)).unwrap();
    let blob = blob.to_bytes().unwrap();
    let mut image = Image::default();
    // Behind the initrd, which is longer than the usual place for it.
    let at = INITRD + INITRD_PAGES * PAGE;
    let chosen = image.node("chosen");
    chosen.set(Property::new("linux,initrd-end", (INITRD as u32 + initrd.len() as u32).to_be_bytes()));
    chosen.set(Property::new("linux,esm-blob-start", at.to_be_bytes()));
    chosen.set(Property::new("linux,esm-blob-end", (at + blob.len() as u64).to_be_bytes()));
    Image { initrd: [initrd, blob].concat(), blob: vec![], ..image }
}

fn an_image_larger_than_secure_memory_becomes_secure() {
    let image = large();
    let mut rig = Rig::with(MachineConfig { secure_pages: FEW, ..config(Profile::Documented) });
    rig.load(&image);
    let mut steps: Vec<_> = (0..INITRD_PAGES).map(|page| load(INITRD + page * PAGE + 8 * page, 8)).collect();
    steps.extend([load(KERNEL, 64), load(TREE, 40)]);
    rig.make_secure(steps);
    assert_eq!((rig.machine.esm_failure(VM), rig.state()), (None, Some(SvmState::Secure)));
    let done = rig.numbers().iter().position(|number| *number == HvCall::H_SVM_INIT_DONE.0).unwrap();
    let out = rig.numbers()[..done].iter().filter(|number| **number == HvCall::H_SVM_PAGE_OUT.0).count() as u64;
    assert!(out >= INITRD_PAGES - u64::from(FEW), "pages went out during the transition: {out}");
    for page in 0..INITRD_PAGES {
        let at = (page * PAGE + 8 * page) as usize;
        assert_eq!(rig.loaded(page as usize), image.initrd[at..at + 8], "page {page}");
    }
    assert_eq!(rig.loaded(INITRD_PAGES as usize), VMLINUX[..64]);
    assert_eq!(rig.loaded(INITRD_PAGES as usize + 1)[..4], [0xd0, 0x0d, 0xfe, 0xed]);
    let (used, all) = rig.machine.secure_pages();
    assert_eq!((used, all), (rig.machine.page_counts(VM).unwrap().secure, u64::from(FEW)));
}

fn an_image_larger_than_secure_memory_needs_the_hypervisor() {
    // A hypervisor that pages nothing out gets an abort, not a VM without its pages; one that loses a page too.
    for loses in [false, true] {
        let mut rig = Rig::with(MachineConfig { secure_pages: FEW, ..config(Profile::Documented) });
        rig.load(&large());
        rig.hook = Some(Box::new(move |machine, seen| {
            if seen.number != HvCall::H_SVM_PAGE_OUT.0 {
                return None;
            }
            let gone = uv_core::HostAddr(0x600_0000);
            let gpa = uv_core::GuestAddr(seen.args[0]);
            if loses {
                uv_power::abi::ultracall::page_out(machine, VM, gone, gpa, 0).unwrap();
                return Some(HvCode::H_SUCCESS);
            }
            Some(HvCode::H_PARAMETER)
        }));
        rig.make_secure(vec![]);
        assert_eq!(rig.numbers().last(), Some(&HvCall::H_SVM_INIT_ABORT.0));
        assert_eq!((rig.state(), rig.machine.esm_failure(VM).unwrap().stage()), (Some(SvmState::Abort), "page-in"));
    }
}

/// Page-outs of one guest page, compared with what AES-128-GCM makes of its content with IV = F ‖ be64(n).
fn page_out_n_is_sealed_with_iv_n() {
    let first = 0x100_0000;
    let content = |n: u64| -> Vec<u8> { (n + 1).to_be_bytes().repeat(PAGE as usize / 8) };
    let steps: Vec<_> = (0..3).flat_map(|n| [store(first, &content(n)), pause()]).collect();
    let config = MachineConfig { seed: 77, ..config(Profile::Firmware) };
    // The machine's random numbers come from its seed, so a tester knows the key of its first VM.
    let engine = Engine::new(EngineConfig { page_size: PageSize::K64, frames: config.secure_pages, seed: config.seed });
    let owner = engine.create_space(1, Suite::Aes128Gcm).owner();
    let material = SealMaterial::generate(Suite::Aes128Gcm, &mut engine.rng(&format!("vm {}", owner.0)));
    let SealMaterial::Aes128Gcm { key, fixed } = &material else { panic!("{material:?}") };
    let mut rig = Rig::with(config);
    rig.load(&Image::default());
    rig.make_secure(steps);
    assert_eq!(rig.machine.esm_failure(VM), None);
    let out = 0x400_0000;
    for n in 0..3_u64 {
        assert_eq!(rig.page_out(out, first), UvCode::U_SUCCESS);
        let iv = [fixed.as_slice(), &n.to_be_bytes()].concat();
        let (expected, _) = sealed(key, &iv, &content(n));
        assert!(rig.normal(out) == expected, "page-out {n}");
        assert_eq!(rig.page_in(out, first), UvCode::U_SUCCESS);
        rig.go();
    }
}

fn the_access_list_is_read_from_its_region() {
    both(|p| {
        let rig = Rig::with(MachineConfig { enforce_scom_list: Some(true), ..config(p) });
        // White 0x20000001 to 0x22000001, black 0x0a00ffff, grey 0x11223344.
        let mut region: Vec<u8> = [1, 1, 1, 1, 1, 1, 1].iter().flat_map(|count: &u16| count.to_be_bytes()).collect();
        region.extend([0x20, 0x22, 1, 0, 0, 1, 0, 1, 0xa, 0xa, 1, 0, 0, 1, 0xff, 0xff]);
        region.extend([0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        let all = [0x2000_0001, 0x2200_0001, 0x2300_0001, 0x0a00_ffff, 0x1122_3344, 0x0006_c081];
        rig.machine.with_scom(|scom| all.iter().for_each(|address| scom.add_register(8, *address, 5)));
        let codes = |call| all.map(|address| rig.call(call, &[8, address, 6]));
        let no = UvCode::U_PERMISSION;
        assert_eq!(codes(UltracallNumber::UV_READ_SCOM), [no; 6], "no list: nothing is allowed");
        rig.machine.with_scom(|scom| scom.load_list(ScomList::parse(&region).unwrap()));
        let ok = UvCode::U_SUCCESS;
        assert_eq!(codes(UltracallNumber::UV_WRITE_SCOM), [ok, ok, no, no, ok, ok]);
        assert_eq!(codes(UltracallNumber::UV_READ_SCOM), [ok, ok, ok, pick(p, no, ok), ok, ok]);
    });
}

//! Dumps: made by the hypervisor of a running guest, opened by the guest's owner.

use std::convert::Infallible;
use std::error::Error;

use rand_core::Rng as _;
use uv_core::GuestAddr;
use uv_s390::abi::dump::elf::{DumpSink, MemoryBlock};
use uv_s390::abi::se_header::PlaintextControlFlags;
use uv_s390::guest::stage3a::BootImage;
use uv_s390::hypervisor::vmm::dump::GuestDump;
use uv_s390::owner::crypto::{Cck, HostPrivateKey};
use uv_s390::owner::dump::elf::{DecryptedDump, DumpReader};
use uv_s390::owner::image::ImageBuilder;
use uv_s390_programs::vm::{Platform, Vm};

use crate::harness::{Arena, Measured, PAGE, Turn};
use crate::openssl_pages::{Way, Xts};
use crate::table::Row;

/// Bytes of the kernel, nearly all of the guest's memory.
const KERNEL: usize = 255 << 20;
const ROUNDS: usize = 5;

/// Keeps the last MiB: the file is somebody else's time.
#[derive(Default)]
struct Latest(Vec<u8>);

impl DumpSink for Latest {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.clear();
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Making and opening.
pub(crate) fn rows(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rng = uv_programs::random::rng(Some(8))?;
    let key = HostPrivateKey::generate(&mut rng);
    let cck = Cck::random(&mut rng);
    let mut kernel = vec![0; KERNEL];
    rng.fill_bytes(&mut kernel);
    let built = ImageBuilder::new(&kernel)
        .host_key(key.public())
        .cck(cck.clone())
        .pcf(PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP)
        .skip_component_check()
        .build(&mut rng)?;
    drop(kernel);
    let image = BootImage::find(built.bytes)?;
    let mut platform = Platform::new(key, 1, image.file().len())?;
    // A dump takes every page out of secure memory: each is of a guest of its own.
    let mut vms = Vec::new();
    for _ in 0..=ROUNDS.min(2) {
        let mut vm = platform.load(&image)?;
        assert!(vm.boot(&mut |_| {}).is_running());
        vms.push(vm);
    }
    let bytes = vms[0].guest().slots().end().0 * PAGE as u64;
    let megabytes = f64::from(u32::try_from(bytes >> 10)?) * 1.024e-3;
    let mut seal = Xts::new(Way::Seal, &std::array::from_fn(|at| at.to_le_bytes()[0]))?;
    let mut open = Xts::new(Way::Open, &std::array::from_fn(|at| at.to_le_bytes()[0]))?;
    let peer = |cipher: &mut Xts, arena: &mut Arena| {
        for _ in 0..bytes / crate::harness::SPAN as u64 {
            let (src, dst) = arena.next();
            for ((from, to), index) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).zip(0_u64..) {
                cipher.page(&u128::from(index).to_be_bytes(), from, to).expect("OpenSSL ciphers a page");
            }
        }
    };
    let mut parties: Vec<Turn<'_>> = vec![
        Box::new(|_, round| {
            dump(&vms[round], Latest::default()).expect("a dump");
        }),
        Box::new(|arena, _| peer(&mut seal, arena)),
    ];
    let seconds = arena.turns(ROUNDS.min(2), &mut parties);
    let create = Measured::only(&seconds, &[0, 1], megabytes);
    drop(parties);
    let file = dump(&vms[0], Vec::new())?;
    let mut parties: Vec<Turn<'_>> = vec![
        Box::new(|_, _| {
            let reader = DumpReader::open(file.as_slice()).expect("a dump");
            let opened = DecryptedDump::open(reader, &cck).expect("our key");
            let mut sum = 0;
            opened
                .for_each_chunk(|_, bytes| {
                    sum ^= bytes[0];
                    Ok(())
                })
                .expect("every page");
            std::hint::black_box(sum);
        }),
        Box::new(|arena, _| peer(&mut open, arena)),
    ];
    let seconds = arena.turns(ROUNDS, &mut parties);
    let decrypt = Measured::only(&seconds, &[0, 1], megabytes);
    let peers = ["openssl xts"];
    Ok(vec![Row::new("dump create", &peers, 1.0, &create), Row::new("dump decrypt", &peers, 1.0, &decrypt)])
}

fn dump<K: DumpSink>(vm: &Vm, sink: K) -> Result<K, Box<dyn Error>> {
    let guest = vm.guest();
    let size = guest.slots().end().0 * PAGE as u64;
    let mut memory = |at: GuestAddr, into: &mut [u8]| guest.host_read(at, into);
    let begun = GuestDump::begin(&**guest)?;
    Ok(begun.write(&[], &[MemoryBlock { address: 0, size }], &mut memory, sink, &mut |_| {})?)
}

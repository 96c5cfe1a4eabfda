//! Images: unpack and verify, boot, build.
//!
//! The wall of an unpack is SHA-512, one serial hash over all pages. For `pvimg create` stands its work on the bytes of the image:
//! OpenSSL's XTS over all pages, then OpenSSL's SHA-512 over the result, and one copy.

use std::cell::RefCell;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use openssl::sha::Sha512;
use rand_core::Rng as _;
use uv_s390::abi::uvcb::{NoData, UvCommand};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::ImageBuilder;
use uv_s390::sim::MachineConfig;
use uv_s390_programs::vm::Platform;

use crate::harness::{Arena, Measured, PAGE, SPAN, Turn, thread_seconds};
use crate::openssl_pages::{Way, Xts};
use crate::table::Row;
use crate::z::Z;

/// Bytes of the kernel in the image that is unpacked and booted.
const KERNEL: usize = 256 << 20;
const ROUNDS: usize = 5;

/// All rows about images.
pub(crate) fn rows(arena: &mut Arena, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    if !["unpack", "s390_boot", "image build"].iter().any(|work| wanted(work)) {
        return Ok(rows);
    }
    let mut rng = uv_programs::random::rng(Some(5))?;
    let key = HostPrivateKey::generate(&mut rng);
    let mut kernel = vec![0; KERNEL];
    rng.fill_bytes(&mut kernel);
    if wanted("image build") {
        rows.push(build(arena, &kernel, &key)?);
    }
    let file = builder(&kernel, &key).build(&mut rng)?.bytes;
    drop(kernel);
    let image = BootImage::find(file)?;
    if wanted("unpack") {
        rows.extend(unpack(arena, &image, &key)?);
    }
    if wanted("s390_boot") {
        rows.push(boot(arena, &image, &key)?);
    }
    Ok(rows)
}

fn builder<'a>(kernel: &'a [u8], key: &HostPrivateKey) -> ImageBuilder<'a> {
    ImageBuilder::new(kernel).host_key(key.public()).skip_component_check()
}

fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1.024e-3
}

fn hash(image: &BootImage) {
    let mut hash = Sha512::new();
    for component in image.components() {
        let start = usize::try_from(component.address.get()).unwrap_or(0);
        let bytes = &image.file()[start..][..usize::try_from(component.length.get()).unwrap_or(0)];
        bytes.chunks(PAGE).for_each(|page| hash.update(page));
    }
    std::hint::black_box(hash.finish());
}

/// A machine whose VM has the image in its memory, and whose secure memory has been used before.
fn loaded(image: &BootImage, key: &HostPrivateKey) -> Result<Z, Box<dyn Error>> {
    let bytes = (image.file().len() as u64).next_multiple_of(1 << 20);
    let mut z = Z::new(MachineConfig { host_key: key.clone(), ..MachineConfig::new(1) }, bytes)?;
    load(&z, image)?;
    unpack_all(&z, image);
    z.renew()?;
    load(&z, image)?;
    Ok(z)
}

fn load(z: &Z, image: &BootImage) -> Result<(), Box<dyn Error>> {
    z.set_params(image.header_bytes().ok_or("no header")?)?;
    z.write(0, image.file())
}

fn unpack_all(z: &Z, image: &BootImage) {
    for component in image.components() {
        let (address, length) = (component.address.get(), component.length.get());
        for offset in (0..length).step_by(PAGE) {
            z.unpack((address + offset) >> 12, component.tweak_prefix.get(), offset);
        }
    }
    z.call(&mut NoData::new(UvCommand::VERIFY_IMG, z.handle())).expect("the image is the header's");
}

fn unpack(arena: &mut Arena, image: &BootImage, key: &HostPrivateKey) -> Result<Vec<Row>, Box<dyn Error>> {
    let bytes = megabytes(image.file().len());
    let machine = RefCell::new(loaded(image, key)?);
    let renew = || {
        let mut z = machine.borrow_mut();
        z.renew().expect("a VM in the place of the last one");
        load(&z, image).expect("the image fits");
    };
    let mut parties: Vec<Turn<'_>> = vec![
        Box::new(|_, _| renew()),
        Box::new(|_, _| unpack_all(&machine.borrow(), image)),
        Box::new(|_, _| hash(image)),
    ];
    let seconds = arena.turns(ROUNDS, &mut parties);
    let peers = ["openssl sha512"];
    let one = Row::new("unpack + verify, one thread", &peers, 1.0, &Measured::only(&seconds, &[1, 2], bytes));
    drop(parties);
    let (mut ours, mut cpu, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        renew();
        let z = machine.borrow();
        let start = Instant::now();
        cpu.push(two_threads(&z, image));
        ours.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        hash(image);
        theirs.push(start.elapsed().as_secs_f64());
    }
    let elapsed = Measured::only(&[ours, theirs], &[0, 1], bytes);
    let hashes = seconds[2].clone();
    let busiest = Measured::only(&[cpu, hashes], &[0, 1], bytes);
    Ok(vec![
        one,
        Row::new("unpack + verify, two threads, elapsed", &peers, 1.0, &elapsed),
        Row::new("unpack + verify, two threads, the busier one", &peers, 1.0, &busiest),
    ])
}

/// A second thread measures what this one unpacks. Gives the CPU time of the one that took more; waiting for the other counts.
fn two_threads(z: &Z, image: &BootImage) -> f64 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        z.machine.set_helped(true);
        let helper = scope.spawn(|| {
            thread_seconds(|| {
                while !done.load(Ordering::Relaxed) {
                    if !z.machine.help() {
                        std::thread::yield_now();
                    }
                }
            })
        });
        let here = thread_seconds(|| unpack_all(z, image));
        z.machine.set_helped(false);
        done.store(true, Ordering::Relaxed);
        here.max(helper.join().unwrap_or(f64::NAN))
    })
}

/// What the program `s390_boot` does after it has read the file: machine, VM, start, and the guest reading itself.
fn boot(arena: &mut Arena, image: &BootImage, key: &HostPrivateKey) -> Result<Row, Box<dyn Error>> {
    let run = || -> Result<(), Box<dyn Error>> {
        let mut platform = Platform::new(key.clone(), 1, image.file().len())?;
        let mut vm = platform.load(image)?;
        let facts = vm.set_measuring_guest()?;
        assert!(vm.boot(&mut |_| {}).is_running());
        vm.run_to_halt()?;
        assert_eq!(facts.take().components.len(), 2);
        Ok(())
    };
    let mut parties: Vec<Turn<'_>> =
        vec![Box::new(|_, _| run().expect("the image boots")), Box::new(|_, _| hash(image))];
    let seconds = arena.turns(3, &mut parties);
    let measured = Measured::only(&seconds, &[0, 1], megabytes(image.file().len()));
    Ok(Row::new("s390_boot of 256 MiB", &["openssl sha512"], 1.0, &measured))
}

fn build(arena: &mut Arena, kernel: &[u8], key: &HostPrivateKey) -> Result<Row, Box<dyn Error>> {
    let mut rng = uv_programs::random::rng(Some(6))?;
    let mut xts = Xts::new(Way::Seal, &std::array::from_fn(|at| at.to_le_bytes()[0]))?;
    let mut parties: Vec<Turn<'_>> = vec![
        Box::new(move |_, _| {
            std::hint::black_box(builder(kernel, key).build(&mut rng).expect("an image"));
        }),
        Box::new(move |_, _| {
            let mut file = vec![0; kernel.len()];
            for (part, to) in kernel.chunks(SPAN).zip(file.chunks_mut(SPAN)) {
                to.copy_from_slice(part);
                for (page, index) in to.chunks_mut(PAGE).zip(0_u64..) {
                    xts.page_in_place(&u128::from(index).to_be_bytes(), page).expect("OpenSSL ciphers a page");
                }
            }
            let mut hash = Sha512::new();
            file.chunks(PAGE).for_each(|page| hash.update(page));
            std::hint::black_box(hash.finish());
        }),
    ];
    let seconds = arena.turns(ROUNDS, &mut parties);
    let measured = Measured::only(&seconds, &[0, 1], megabytes(kernel.len()));
    Ok(Row::new("image build", &["openssl (for pvimg)"], 1.0, &measured))
}

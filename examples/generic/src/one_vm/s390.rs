//! A VM of IBM Z, with an image made on the spot.

use std::sync::Arc;

use uv_core::{Gfn, GuestAddr, PageSize};
use uv_s390::abi::ipib::{self, IpibForm};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::hypervisor::vmm::{VmmVcpu, VmmVm};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::sim::{GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes as _;

use super::{Guest, Memory, Op, Ready, WORK, work};
use uv_programs::Failure;
use uv_s390::guest::stage3a::BootImage;
use uv_s390_programs::vm::Platform;

/// First page behind the image that the guest uses.
const FREE: u64 = 160;
/// Where the boot loader puts the IPIB.
const IPIB: GuestAddr = GuestAddr((FREE + 2 * WORK) << 12);
/// A byte of the SE header that its tag covers.
const COVERED: u64 = 0xe0;

/// A VM of a machine of the newest generation.
///
/// # Errors
/// Status 2 if machine or image cannot be made.
pub fn s390() -> Result<Ready<VmmVm>, Failure> {
    let mut rng = SimRng::from_seed(1);
    let host_key = HostPrivateKey::generate(&mut rng);
    let kernel = vec![0x6b; 70_000];
    let built = ImageBuilder::new(&kernel).host_key(host_key.public()).skip_component_check().build(&mut rng);
    let file = built.map_err(Failure::unusable)?.bytes;
    let image = Image::parse(&file).map_err(Failure::unusable)?;
    let components: Vec<_> = image.components().map(|(component, _)| component).collect();
    let (header, length) = (image.header_offset(), image.header().as_bytes().len() as u64);
    let ipib = ipib::build(IpibForm::Exact, header, length, &components).map_err(Failure::unusable)?;
    let byte = image.header().as_bytes().get(usize::try_from(COVERED).unwrap_or(0)).copied().unwrap_or(0);

    let diag = |subcode, address| Op::Do(Step::Call(GuestInsn::Diag308 { subcode, address, ipib: Vec::new() }));
    let set = |byte| Op::Do(Step::store(GuestAddr(header + COVERED), &[byte]));
    let mut ops = vec![Op::Do(Step::store(IPIB, &ipib)), diag(8, IPIB.0)];
    ops.extend([set(byte ^ 1), diag(10, 0), set(byte), diag(10, 0)]);
    let (size, shared) = (PageSize::K4, PageSize::K4.addr(Gfn(FREE + WORK)));
    let block = Share::new(UvCommand::SET_SHARED_ACCESS, shared.0).as_bytes().to_vec();
    ops.extend(work(size.addr(Gfn(FREE)), size, GuestInsn::Uvc { block }));

    let mut platform = Platform::new(host_key, 1, file.len())?;
    let loaded = platform.load(&BootImage::find(file).map_err(Failure::unusable)?)?;
    let guest = Guest::new(ops);
    let found = guest.found.clone();
    loaded.set_guest_code(move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let mut guest = guest.clone();
        Box::new(move |last: Outcome<InsnResult>| guest.next(last))
    })?;
    let vm = VmmVm::new(Arc::clone(loaded.guest()));
    let mut cpu = vm.inner().vcpu(0).map_err(Failure::unusable)?;
    cpu.change_registers(|_, state| state.psw = Psw::at(IPIB.0 + 0x1000)).map_err(Failure::unusable)?;
    let memory = Memory(Arc::new(platform.machine().host_memory()));
    Ok(Ready { vm, cpu: VmmVcpu::new(cpu, Arc::default()), memory, shared, found })
}

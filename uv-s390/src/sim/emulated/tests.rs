use alloc::sync::Arc;
use alloc::vec::Vec;

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::HostMemory;
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

use super::EmulatedGuest;
use crate::abi::diag308::{Diag308, Response, StartFailure, Subcode};
use crate::abi::psw::Psw;
use crate::abi::uvc::{Block, Cc, PgmCode, UvRc};
use crate::abi::uvcb::{Attest, ListSecrets, NoData, QueryInfo, Share, UvCommand};
use crate::guest::stage3a::{BootImage, Loader, LoaderStep};
use crate::hypervisor::vmm::diag308::{Outcome, ResetRequest};
use crate::owner::attest::{AttestationFlags, AttestationRequest, Measured};
use crate::owner::crypto::HostPrivateKey;
use crate::owner::image::Image;
use crate::owner::request::{ConfigUid, ImageIdentity, RequestSecrets};
use crate::sim::{MachineConfig, Uvc};

const IMAGE: &[u8] = include_bytes!("../../../../tests/fixtures/pvimg/b-odd-sizes/image.bin");
const HOST1: &str = include_str!("../../../tests/fixtures/keys/host1.key.pem");
const SIZE: u64 = 0x40_0000;
const BLOCK: u64 = 0x30_0000;

fn key() -> HostPrivateKey {
    HostPrivateKey::from_pem(HOST1).unwrap()
}

fn guest_with(host_key: HostPrivateKey, file: &[u8]) -> (EmulatedGuest, Arc<HostMemory>) {
    let memory = Arc::new(HostMemory::new(SIZE));
    memory.write(HostAddr(0), file).unwrap();
    let config = MachineConfig { memory: SIZE, host_key, ..MachineConfig::new(3) };
    (EmulatedGuest::new(config, Arc::clone(&memory) as Arc<dyn NormalMemory>), memory)
}

/// What the boot loader of the image does; gives what comes of its last DIAG 308.
fn load(guest: &EmulatedGuest, memory: &HostMemory) -> Outcome {
    let mut loader = Loader::new(&BootImage::find(IMAGE.to_vec()).unwrap());
    let mut answer = None;
    loop {
        match loader.next(answer.take()) {
            LoaderStep::Store { at, bytes } => memory.write(HostAddr(at.0), &bytes).unwrap(),
            LoaderStep::Diag308(call) => match guest.diag308(call) {
                Outcome::Response(response) => answer = Some(response),
                other => return other,
            },
            LoaderStep::Wait => panic!("the loader gave up"),
        }
    }
}

fn booted() -> (EmulatedGuest, Arc<HostMemory>, Psw) {
    let (guest, memory) = guest_with(key(), IMAGE);
    assert_eq!(load(&guest, &memory), Outcome::Reset(ResetRequest::Protected));
    let psw = guest.reset(ResetRequest::Protected).unwrap().unwrap();
    (guest, memory, psw)
}

fn read(memory: &HostMemory, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = alloc::vec![0; len];
    memory.read(HostAddr(at), &mut bytes).unwrap();
    bytes
}

/// A UVC on a block in guest storage: cc and rc.
fn uvc<B: Block>(guest: &EmulatedGuest, memory: &HostMemory, block: &mut B) -> (Cc, UvRc) {
    memory.write(HostAddr(BLOCK), block.as_bytes()).unwrap();
    let cc = guest.uv_call(Uvc::default(), GuestAddr(BLOCK)).unwrap();
    memory.read(HostAddr(BLOCK), block.as_mut_bytes()).unwrap();
    (cc, block.header().rc())
}

#[test]
fn an_image_is_unpacked_where_it_lies() {
    let (guest, memory, psw) = booted();
    let image = Image::parse(IMAGE).unwrap();
    let opened = image.header().open(&key()).unwrap();
    assert_eq!(psw, opened.confidential.psw);
    let components = image.extract(&opened.confidential).unwrap();
    assert!(components.len() > 2);
    for component in components {
        let at = component.entry().address.get();
        assert!(read(&memory, at, component.pages().len()) == component.pages(), "component at {at:#x}");
    }
    assert!(guest.is_protected());
    assert_eq!(guest.se_header().unwrap(), image.header().as_bytes());
    assert!(guest.closed_frames().is_closed(HostAddr(0)) && guest.closed_frames().is_closed(HostAddr(SIZE - 1)));
}

#[test]
fn what_is_refused_is_told_and_lost() {
    let image = BootImage::find(IMAGE.to_vec()).unwrap();
    let component = image.components()[1];
    let at = usize::try_from(component.address.get()).unwrap();
    let header = usize::try_from(image.header_address()).unwrap();
    let refused = |host_key, change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = IMAGE.to_vec();
        change(&mut file);
        let (guest, memory) = guest_with(host_key, &file);
        assert_eq!(load(&guest, &memory), Outcome::Reset(ResetRequest::Protected));
        let response = guest.reset(ResetRequest::Protected).unwrap_err();
        assert!(!guest.is_protected() && guest.se_header().is_none() && guest.closed_frames().changes() == 0);
        (response.start_failure().unwrap(), read(&memory, component.address.get(), 4096), file)
    };
    let (failure, page, _) = refused(key(), &|file| file[at + 5] ^= 1);
    assert_eq!(failure, StartFailure { command: 4, rc: 0x102, rrc: 0x1b });
    assert_eq!(page, [0; 4096], "unpacked, and gone");
    let (failure, page, file) = refused(HostPrivateKey::from_scalar(&[9]).unwrap(), &|_| ());
    assert_eq!(failure, StartFailure { command: 2, rc: 0x108, rrc: 5 });
    assert_eq!(page, file[at..at + 4096], "nothing was unpacked");
    let (failure, ..) = refused(key(), &|file| file[header + 0x10] ^= 1);
    assert_eq!(failure, StartFailure { command: 2, rc: 0x10a, rrc: 0 });
    let ipib = usize::try_from(image.ipib_address()).unwrap();
    let (failure, ..) = refused(key(), &|file| file[ipib + 0x90..ipib + 0x98].copy_from_slice(&SIZE.to_be_bytes()));
    assert_eq!(failure, StartFailure { command: 3, rc: UvRc::ADDRESS.0, rrc: 0 });
}

#[test]
fn an_ordinary_guest_has_no_ultravisor_and_no_configuration() {
    let (guest, memory) = guest_with(key(), IMAGE);
    let call = |subcode, address| guest.diag308(Diag308::new(subcode, address));
    assert_eq!(guest.uv_call(Uvc::default(), GuestAddr(0)).unwrap_err().code, PgmCode::OPERATION);
    assert_eq!(call(Subcode::START_PV, 0), Outcome::Response(Response::NO_PV_CONFIGURATION));
    assert_eq!(call(Subcode::STORE_PV, 0x1000), Outcome::Response(Response::NO_CONFIGURATION));
    assert_eq!(guest.reset(ResetRequest::Protected), Err(Response::NO_PV_CONFIGURATION));
    assert_eq!(load(&guest, &memory), Outcome::Reset(ResetRequest::Protected));
    assert_eq!(call(Subcode::STORE_PV, BLOCK), Outcome::Response(Response::OK));
    let ipib = BootImage::find(IMAGE.to_vec()).unwrap().ipib_address();
    assert_eq!(read(&memory, BLOCK, 0x100), read(&memory, ipib, 0x100));
}

#[test]
fn sharing_opens_pages_and_a_reset_closes_them() {
    let (guest, memory, _) = booted();
    let closed = guest.closed_frames();
    let share = |command, at| uvc(&guest, &memory, &mut Share::new(command, at));
    assert_eq!(share(UvCommand::SET_SHARED_ACCESS, 0x5000), (Cc::Done, UvRc::EXECUTED));
    assert!(!closed.is_closed(HostAddr(0x5fff)) && closed.is_closed(HostAddr(0x6000)));
    assert_eq!(share(UvCommand::SET_SHARED_ACCESS, SIZE), (Cc::Error, UvRc::SHARE_RANGE));
    assert_eq!(share(UvCommand::SET_SHARED_ACCESS, 0x5008), (Cc::Error, UvRc::SHARE_RANGE));
    assert_eq!(share(UvCommand::REMOVE_SHARED_ACCESS, 0x5000), (Cc::Done, UvRc::EXECUTED));
    assert!(closed.is_closed(HostAddr(0x5000)));
    assert_eq!(share(UvCommand::SET_SHARED_ACCESS, 0x7000), (Cc::Done, UvRc::EXECUTED));
    memory.write(HostAddr(0), &Psw::at(0x11000).short().unwrap().to_be_bytes()).unwrap();
    let reset = Diag308::new(Subcode::LOAD_NORMAL_RESET, 0);
    assert_eq!(guest.diag308(reset), Outcome::Reset(ResetRequest::LoadNormal));
    assert_eq!(guest.reset(ResetRequest::LoadNormal), Ok(Some(Psw::at(0x11000))));
    assert!(closed.is_closed(HostAddr(0x7000)) && guest.is_protected());
    for subcode in [Subcode::SET_PV, Subcode::STORE_PV, Subcode::START_PV] {
        assert_eq!(guest.diag308(Diag308::new(subcode, 0x1000)), Outcome::Program(PgmCode::SPECIFICATION));
    }
}

#[test]
fn a_re_ipl_leaves_nothing_private_behind() {
    let (guest, memory, _) = booted();
    assert_eq!(uvc(&guest, &memory, &mut Share::new(UvCommand::SET_SHARED_ACCESS, 0x7000)).0, Cc::Done);
    memory.write(HostAddr(0x7000), b"shared").unwrap();
    memory.write(HostAddr(0x9000), b"private").unwrap();
    assert_eq!(guest.diag308(Diag308::new(Subcode::LOAD_CLEAR, 0)), Outcome::Reset(ResetRequest::ReIpl));
    assert_eq!(guest.reset(ResetRequest::ReIpl), Ok(None));
    assert_eq!((read(&memory, 0x7000, 6).as_slice(), read(&memory, 0x9000, 7)), (&b"shared"[..], alloc::vec![0; 7]));
    assert!(!guest.is_protected() && !guest.closed_frames().is_closed(HostAddr(0x9000)));
    // The boot loader is loaded anew, and the guest becomes protected a second time.
    memory.write(HostAddr(0), IMAGE).unwrap();
    assert_eq!(load(&guest, &memory), Outcome::Reset(ResetRequest::Protected));
    assert!(guest.reset(ResetRequest::Protected).unwrap().is_some());
}

#[test]
fn protected_from_the_first_instruction() {
    let memory = Arc::new(HostMemory::new(SIZE));
    let config = MachineConfig { memory: SIZE, host_key: key(), ..MachineConfig::new(3) };
    let guest = EmulatedGuest::protected(config, Arc::clone(&memory) as Arc<dyn NormalMemory>).unwrap();
    let mut query = QueryInfo::new();
    assert_eq!(uvc(&guest, &memory, &mut query), (Cc::Done, UvRc::EXECUTED));
    assert!(query.calls.is_guest() && !query.calls.is_host());
    assert_eq!(uvc(&guest, &memory, &mut NoData::new(UvCommand::LOCK_SECRETS, 0)).1, UvRc::EXECUTED);
    assert_eq!(uvc(&guest, &memory, &mut NoData::new(UvCommand::LOCK_SECRETS, 0)).1, UvRc::SECRET_LOCKED);
    let mut list = ListSecrets::new(0, BLOCK + 0x1000);
    assert_eq!(uvc(&guest, &memory, &mut list).1, UvRc::EXECUTED);
    list.list_addr = SIZE.into();
    assert_eq!(uvc(&guest, &memory, &mut list).1, UvRc::INVALID_ABSOLUTE);
    assert_eq!(uvc(&guest, &memory, &mut NoData::new(UvCommand::VERIFY_IMG, 0)).1, UvRc::INVALID_COMMAND);
}

#[test]
fn its_owner_attests_it_by_its_header() {
    let (guest, memory, _) = booted();
    let mut rng = SimRng::from_seed(4).fork("request");
    let secrets = RequestSecrets::random(&mut rng);
    let request = AttestationRequest::random(AttestationFlags::empty(), &mut rng);
    let bytes = request.seal(&secrets, &[key().public()]).unwrap();
    memory.write(HostAddr(BLOCK + 0x1000), &bytes).unwrap();
    let mut block = Attest::new();
    block.arcb_addr = (BLOCK + 0x1000).into();
    block.meas_addr = (BLOCK + 0x3000).into();
    block.meas_len = 64.into();
    block.add_data_addr = (BLOCK + 0x4000).into();
    block.add_data_len = 512.into();
    assert_eq!(uvc(&guest, &memory, &mut block), (Cc::Done, UvRc::EXECUTED));
    let identity = ImageIdentity::from_header(&guest.se_header().unwrap()).unwrap();
    let measured = Measured {
        image: &identity,
        cuid: &ConfigUid(block.config_uid),
        user_data: &[],
        nonce: request.nonce.as_ref(),
        additional: &[],
    };
    let expected = measured.measure(&request.measurement_key).unwrap();
    assert_eq!(read(&memory, BLOCK + 0x3000, 64), expected.0);
}

#[test]
fn operands_that_are_not_there() {
    let (guest, memory, _) = booted();
    let code = |instruction, at| guest.uv_call(instruction, GuestAddr(at)).map_err(|interruption| interruption.code);
    let problem = Uvc { problem_state: true, i3: 1, ..Uvc::default() };
    assert_eq!(code(problem, SIZE), Err(PgmCode::PRIVILEGED_OPERATION));
    assert_eq!(code(Uvc { i3: 1, ..Uvc::default() }, SIZE), Err(PgmCode::SPECIFICATION));
    assert_eq!(code(Uvc::default(), SIZE - 7), Err(PgmCode::ADDRESSING));
    let share = Share::new(UvCommand::SET_SHARED_ACCESS, 0x5000);
    memory.write(HostAddr(SIZE - 8), &share.as_bytes()[..8]).unwrap();
    assert_eq!(code(Uvc::default(), SIZE - 8), Err(PgmCode::ADDRESSING), "the rest of the block");
    memory.write(HostAddr(SIZE - 8), &[0x40, 0, 0x42, 0x42, 0, 0, 0, 0]).unwrap();
    assert_eq!(code(Uvc::default(), SIZE - 8), Ok(Cc::Error), "an unknown command has no rest");
    assert_eq!(read(&memory, SIZE - 4, 2), [0, 2]);
}

//! Nothing that is secret is told: all `tracing` events of a whole boot, run, dump and end of a protected VM, at every level,
//! and what `Debug` prints of everything that holds a secret.

#![cfg(feature = "sim")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata};
use uv_core::{DestroyPages, Gfn, GuestAddr, PageIn, PageOut, PageRange, SecureVm};
use uv_s390::abi::ap::Apqn;
use uv_s390::abi::ipib::{self, IpibForm};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::se_header::{PlaintextControlFlags, SeHeader};
use uv_s390::abi::secret::{SecretId, SecretType};
use uv_s390::abi::uvc::Block;
use uv_s390::abi::uvcb::{AddSecret, Attest, ListSecrets, RetrieveSecret, Share, UvCommand};
use uv_s390::dev::{Rig, RigConfig};
use uv_s390::owner::attest::{Arcb, AttestationFlags, AttestationRequest};
use uv_s390::owner::crypto::{Cck, HostPrivateKey, PageKey, RequestKey, SecretBytes};
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::owner::request::{ConfigUid, ImageIdentity, RequestSecrets};
use uv_s390::owner::secret::{AddSecretFlags, AddSecretRequest, ExtensionSecret, GuestSecret, UserData};
use uv_s390::sim::{GuestInsn, InsnResult, MachineConfig};
use uv_sim::guest::{Outcome, Program, Script, Step};
use uv_sim::rng::SimRng;

const PAGES: u64 = 1024;
const SEED: u64 = 0x5eed_0bad_cafe_f00d;
const PSW_ADDRESS: u64 = 0x1b_2c3d_4e5e;
const IMAGE_KEY: [u8; 64] = [0xa7; 64];
const CCK: [u8; 32] = [0xb3; 32];
const HEADER_KEY: [u8; 32] = [0xc9; 32];
const SCALAR: [u8; 32] = [0x5d; 32];
const ASSOCIATION: [u8; 32] = [0x61; 32];
const KEY: [u8; 32] = [0xd5; 32];
const EXTENSION: [u8; 32] = [0xe4; 32];
const PRIVATE: [u8; 32] = [0x9e; 32];

/// Everything that events and spans say.
struct Listener;

static HEARD: Mutex<String> = Mutex::new(String::new());

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} {value:x?} {value:#?};").unwrap();
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut HEARD.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut HEARD.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut heard = HEARD.lock().unwrap();
        event.record(&mut Fields(&mut heard));
        heard.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The ways in which a number or a few bytes of a key may be printed.
fn forms(secret: &[u8]) -> Vec<String> {
    let bytes = &secret[..8];
    let word = u64::from_be_bytes(bytes.try_into().unwrap());
    let list = format!("{bytes:?}");
    let hexes = format!("{bytes:x?}");
    let inner = |text: &str| text[1..text.len() - 1].to_owned();
    vec![inner(&list), inner(&hexes), format!("{word:x}"), format!("{word:X}"), word.to_string()]
}

fn holds_nothing(text: &str, secrets: &[(&str, Vec<u8>)]) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{name} is told as {form}");
        }
    }
}

fn uvc(block: &impl Block) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Uvc { block: block.as_bytes().to_vec() })
}

/// What the guest does: it writes to private and shared pages, adds secrets, retrieves one and is measured.
fn steps(requests: &[Vec<u8>], arcb: &[u8]) -> Vec<Step<GuestInsn>> {
    let (request, answer) = (0x9_0000, 0xa_0000);
    let mut steps: Vec<_> =
        (0x80..0xb0_u64).map(|page| Step::store(GuestAddr(page << 12), &PRIVATE.repeat(128))).collect();
    steps.push(uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0xb_0000)));
    for bytes in requests {
        steps.extend([Step::store(GuestAddr(request), bytes), uvc(&AddSecret::new(request))]);
    }
    let mut attest = Attest::new();
    (attest.arcb_addr, attest.meas_addr, attest.meas_len) = (request.into(), answer.into(), 64.into());
    (attest.add_data_addr, attest.add_data_len) = ((answer + 0x1000).into(), 512.into());
    steps.extend([
        uvc(&ListSecrets::new(0, answer)),
        uvc(&RetrieveSecret::new(1, answer, 4096)),
        Step::load(GuestAddr(answer), 64),
        Step::store(GuestAddr(request), arcb),
        uvc(&attest),
        Step::Call(GuestInsn::SetGr { number: 7, value: u64::from_be_bytes([0x9e; 8]) }),
    ]);
    steps
}

#[test]
fn no_event_and_no_debug_tells_a_secret() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let key = HostPrivateKey::from_scalar(&SCALAR).unwrap();
    let mut rng = SimRng::from_seed(11);
    let builder = ImageBuilder::new(&[0x77; 20_000])
        .host_key(key.public())
        .skip_component_check()
        .pcf(PlaintextControlFlags::ALLOW_DUMP)
        .header_key(RequestKey::new(HEADER_KEY))
        .image_key(PageKey::new(IMAGE_KEY))
        .cck(Cck::new(CCK))
        .psw_address(PSW_ADDRESS);
    let built = builder.build(&mut rng).unwrap();
    let image = Image::parse(&built.bytes).unwrap();
    let components: Vec<_> = image.components().map(|(component, _)| component).collect();
    let header = image.header().as_bytes().to_vec();
    let length = u64::try_from(header.len()).unwrap();
    let block = ipib::build(IpibForm::Exact, image.header_offset(), length, &components).unwrap();

    let host_key = key.clone();
    let config = RigConfig::with_machine(MachineConfig {
        host_key,
        backup_key: Some(key.clone()),
        seed: SEED,
        ..MachineConfig::new(1)
    });
    let printed_config = format!("{config:?}{config:#?}{config:x?}");
    let rig = Rig::with(config).unwrap();
    let guest = rig.vm(PAGES, 1).unwrap();
    let machine = rig.machine;
    guest.storage().write(GuestAddr(0), &built.bytes).unwrap();

    let id = SecretId::of_name("key");
    let secrets =
        [GuestSecret::association(id, &ASSOCIATION), GuestSecret::key(SecretType::AES_256, id, &KEY).unwrap()];
    let drawn = RequestSecrets::random(&mut rng);
    let asked: Vec<_> = secrets
        .into_iter()
        .map(|secret| AddSecretRequest {
            image: ImageIdentity::from_header(&header).unwrap(),
            cuid: ConfigUid::ANY,
            flags: AddSecretFlags::empty(),
            secret,
            extension: ExtensionSecret::Given(SecretBytes::new(EXTENSION)),
        })
        .collect();
    let sealed = |request: &AddSecretRequest| request.seal(&UserData::None, &drawn, &[key.public()]).unwrap();
    let requests: Vec<_> = asked.iter().map(sealed).collect();
    let attestation = AttestationRequest::random(AttestationFlags::KNOWN, &mut rng);
    let arcb = attestation.seal(&drawn, &[key.public()]).unwrap();

    let (script, seen) = Script::new(steps(&requests, &arcb));
    let mut first = Some(script);
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(first.take().unwrap_or_else(|| Script::new([]).0))
    };
    machine.set_guest(guest.state_address(0).unwrap(), code);
    guest.start_protected(&block).unwrap();
    guest.vcpu(0).unwrap().run_served().unwrap();
    let done = |outcome: &Outcome<InsnResult>| matches!(outcome, Outcome::Returned(InsnResult::Data { cc: 0, .. }));
    assert_eq!(seen.lock().iter().filter(|outcome| done(outcome)).count(), 6, "all of the guest's calls");
    let pages = PageRange::new(Gfn(0x80), 0x10);
    guest.page_out_range(pages).unwrap();
    guest.page_in_range(pages).unwrap();
    guest.dump_init().unwrap();
    let parts = [guest.dump_cpu(0), guest.dump_storage_state(GuestAddr(0)), guest.dump_complete()];
    assert!(parts.iter().all(Result::is_ok));
    guest.destroy_range(PageRange::new(Gfn(0x80), 1)).unwrap();
    guest.terminate().unwrap();

    let opened = SeHeader::parse(&header).unwrap().open(&key).unwrap();
    let arcb = Arcb::parse(&arcb).unwrap().open([&key]).unwrap().0;
    let debug = format!("{asked:#x?}{attestation:x?}{drawn:?}{opened:x?}{arcb:?}{machine:?}{key:?}{seen:?}");
    let word = u64::from_be_bytes([0x9e; 8]);
    let told = [
        GuestInsn::Diag { code: 0x500, gr: [word; 5] },
        GuestInsn::Diag308 { subcode: 5, address: word, ipib: PRIVATE.to_vec() },
        GuestInsn::Uvc { block: PRIVATE.to_vec() },
        GuestInsn::Servc { command: 5, sccb: PRIVATE.to_vec() },
        GuestInsn::Sigp { order: 6, cpu: 1, parameter: word },
        GuestInsn::ChannelIo { opcode: 0xb232, subchannel: 1, operand: PRIVATE.to_vec() },
        GuestInsn::Nqap { queue: Apqn::new(1, 7), psmid: word, message: PRIVATE.to_vec() },
        GuestInsn::SetCr { number: 3, value: word },
        GuestInsn::SetGr { number: 3, value: word }.in_problem_state(),
    ];
    let results = [InsnResult::Registers([word; 5]), InsnResult::Data { cc: 0, bytes: PRIVATE.to_vec().into() }];
    let debug = format!("{debug}{told:?}{told:#x?}{results:?}{results:x?}{:?}", steps(&requests, &[]));
    let measurement = attestation.measurement_key.expose()[..8].to_vec();
    let nonce = attestation.nonce.as_ref().unwrap().expose()[..8].to_vec();
    let secrets = [
        ("seed", SEED.to_be_bytes().to_vec()),
        ("address of the PSW", PSW_ADDRESS.to_be_bytes().to_vec()),
        ("image key", IMAGE_KEY.to_vec()),
        ("CCK", CCK.to_vec()),
        ("header key", HEADER_KEY.to_vec()),
        ("host key", SCALAR.to_vec()),
        ("association secret", ASSOCIATION.to_vec()),
        ("retrievable key", KEY.to_vec()),
        ("extension secret", EXTENSION.to_vec()),
        ("private page", PRIVATE.to_vec()),
        ("request key", drawn.key.expose()[..8].to_vec()),
        ("measurement key", measurement),
        ("nonce", nonce),
    ];
    let heard = HEARD.lock().unwrap().clone();
    for message in ["secure configuration created", "PSW loaded", "guest UVC", "SIE exit", "secret added"] {
        assert!(heard.contains(message), "{message:?} was not heard");
    }
    holds_nothing(&heard, &secrets);
    holds_nothing(&printed_config, &secrets);
    holds_nothing(&debug, &secrets);
    assert!(
        forms(&PRIVATE).iter().all(|form| format!(
            "{PRIVATE:?}{PRIVATE:x?} {0:x} {0:X} {0}",
            u64::from_be_bytes([0x9e; 8])
        )
        .contains(form))
    );
}

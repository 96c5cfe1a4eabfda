//! The lockbox by the host's TPM (power-pef §4.7, §13): the machine's key is in a TPM that only the hypervisor reaches, and the hypervisor
//! does what it likes with commands and responses.

use std::sync::{Arc, Mutex};

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::owner::blob::Blob;
use uv_power::owner::keys::PrivateKey;
use uv_power::sim::{EsmFailure, MachineConfig, SvmState, Tpm, TpmFailure};
use uv_sim::HostMemory;

use crate::rig::*;

rows! {
    a_lockbox_is_opened_by_the_hosts_tpm a_recording_hypervisor_learns_neither_key_nor_password
    every_refusal_of_h_svm_tpm_comm_ends_the_transition every_error_of_the_tpm_ends_the_transition
    no_changed_byte_of_the_tpms_answer_is_taken no_changed_byte_of_the_command_is_answered_with_the_key
    an_answer_of_an_earlier_transition_is_refused answers_too_short_too_long_or_too_late_are_refused
    a_tpm_with_another_key_or_password_is_refused a_bounce_page_taken_away_is_asked_back
    a_machine_that_tolerates_goes_on_without_the_tpm
}

/// `H_SVM_TPM_COMM` of a transition: seven commands and the close.
const COMMANDS: usize = 7;
const CLOSE: usize = COMMANDS;
const READ_PUBLIC: usize = 0;
const START_SESSION: usize = 1;
const RSA_DECRYPT: usize = 5;
/// A command or response in the order of the calls.
type Log = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

/// A machine whose key is in the TPM, and that TPM.
fn machine(profile: Profile) -> (MachineConfig, Tpm) {
    let (tpm, key) = Tpm::provision(PrivateKey::from_pem(MACHINE1, None).unwrap(), 9);
    (MachineConfig { key: key.into(), ..config(profile) }, tpm)
}

fn read(memory: &HostMemory, gpa: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    memory.read(HostAddr(HOST + gpa), &mut bytes).unwrap();
    bytes
}

/// What a hypervisor does with the call of this number: gets command and TPM, gives result, response and the length it tells.
type Deed = Box<dyn FnMut(usize, Vec<u8>, &mut Tpm) -> (HvCode, Vec<u8>, u64)>;

fn passed(response: Vec<u8>) -> (HvCode, Vec<u8>, u64) {
    let len = response.len() as u64;
    (HvCode::H_SUCCESS, response, len)
}

/// A hypervisor with this TPM that does this with every command.
fn hypervisor(mut tpm: Tpm, mut deed: Deed) -> TpmHook {
    let mut number = 0;
    Box::new(move |memory, _, [operation, from, len, to, room]| {
        let command = if operation == 1 { read(memory, from, len) } else { vec![] };
        if operation == 1 {
            assert_eq!((from, room), (to, 4096), "one buffer for both directions");
        }
        let (code, response, len) = deed(number, command, &mut tpm);
        memory.write(HostAddr(HOST + to), &response).unwrap();
        number += 1;
        (code, len)
    })
}

/// A hypervisor that passes on what it is given.
pub(crate) fn honest(tpm: Tpm) -> TpmHook {
    hypervisor(tpm, Box::new(|_, command, tpm| passed(relay(command, tpm))))
}

fn relay(command: Vec<u8>, tpm: &mut Tpm) -> Vec<u8> {
    if command.is_empty() { vec![] } else { tpm.respond(&command) }
}

/// A transition with this hypervisor. A failed one ends as every other: at `H_SVM_INIT_ABORT`.
fn transition(config: MachineConfig, tpm: Tpm, deed: Deed) -> Rig {
    let mut rig = Rig::with(config);
    rig.load(&Image::default());
    rig.tpm = Some(hypervisor(tpm, deed));
    rig.make_secure(vec![]);
    if rig.machine.esm_failure(VM).is_some() {
        assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, HvCall::H_SVM_INIT_ABORT.0));
        assert_eq!(rig.state(), Some(SvmState::Abort));
    }
    rig
}

fn failure(rig: &Rig) -> TpmFailure {
    let failure = rig.machine.esm_failure(VM);
    assert_eq!(failure.as_ref().map(EsmFailure::stage), Some("tpm"), "{failure:?}");
    assert_eq!(failure.as_ref().map(EsmFailure::code), Some(UvCode::U_NO_KEY));
    match failure {
        Some(EsmFailure::Tpm(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

fn fails(profile: Profile, deed: Deed) -> TpmFailure {
    let (config, tpm) = machine(profile);
    failure(&transition(config, tpm, deed))
}

fn tpm_calls(rig: &Rig) -> Vec<[u64; 2]> {
    let calls = rig.seen.iter().filter(|seen| seen.number == HvCall::H_SVM_TPM_COMM.0);
    calls.map(|seen| [seen.args[0], seen.args[2]]).collect()
}

/// A transition whose commands and responses are noted.
fn recorded(profile: Profile) -> (Rig, Log) {
    let log = Log::default();
    let noted = log.clone();
    let (config, tpm) = machine(profile);
    let deed = move |_: usize, command: Vec<u8>, tpm: &mut Tpm| {
        let response = relay(command.clone(), tpm);
        noted.lock().unwrap().push((command, response.clone()));
        passed(response)
    };
    (transition(config, tpm, Box::new(deed)), log)
}

fn a_lockbox_is_opened_by_the_hosts_tpm() {
    both(|p| {
        let (rig, log) = recorded(p);
        assert_eq!((rig.state(), rig.machine.esm_failure(VM)), (Some(SvmState::Secure), None));
        let calls = tpm_calls(&rig);
        assert_eq!(calls.iter().map(|call| call[0]).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 2]);
        let codes: Vec<u32> = log.lock().unwrap()[..COMMANDS]
            .iter()
            .map(|(command, _)| u32::from_be_bytes(command[6..10].try_into().unwrap()))
            .collect();
        assert_eq!(codes, [0x173, 0x176, 0x16c, 0x16b, 0x171, 0x159, 0x165]);
        // The page is left clean, and stays the ultravisor's.
        let at = rig.seen.iter().find(|seen| seen.number == HvCall::H_SVM_TPM_COMM.0).unwrap().args[1];
        assert!(rig.normal(HOST + at).iter().all(|byte| *byte == 0));
        // All of it lies between the transfer of the initrd and the end of the transition.
        assert_eq!(rig.numbers().last(), Some(&HvCall::H_SVM_INIT_DONE.0));
    });
}

fn a_recording_hypervisor_learns_neither_key_nor_password() {
    both(|p| {
        let (rig, log) = recorded(p);
        let machine = PrivateKey::from_pem(MACHINE1, None).unwrap();
        let master = Blob::parse(FULL).unwrap().unlock(&machine).unwrap();
        let master = master.as_bytes();
        let holds = |bytes: &[u8], secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        let log = log.lock().unwrap();
        for (command, response) in log.iter() {
            for half in master.chunks(8) {
                assert!(!holds(command, half) && !holds(response, half));
            }
        }
        // The response is the key, though: as long, and encrypted anew each time.
        let message = |log: &[(Vec<u8>, Vec<u8>)]| log[RSA_DECRYPT].1[14..14 + 2 + 32].to_vec();
        assert_eq!(message(&log)[..2], [0, 32]);
        let (again, second) = recorded(p);
        assert_eq!(again.state(), rig.state());
        let second = second.lock().unwrap();
        assert_eq!(message(&log), message(&second), "the same machine from the same seed");
        drop((rig, again));
        let (config, tpm) = machine_of_seed(p, 1234);
        let other = Log::default();
        let noted = other.clone();
        let deed = move |_: usize, command: Vec<u8>, tpm: &mut Tpm| {
            let response = relay(command.clone(), tpm);
            noted.lock().unwrap().push((command, response.clone()));
            passed(response)
        };
        assert_eq!(transition(config, tpm, Box::new(deed)).state(), Some(SvmState::Secure));
        assert_ne!(message(&log), message(&other.lock().unwrap()), "another nonce of the ultravisor alone");
    });
}

fn machine_of_seed(profile: Profile, seed: u64) -> (MachineConfig, Tpm) {
    let (config, tpm) = machine(profile);
    (MachineConfig { seed, ..config }, tpm)
}

fn every_refusal_of_h_svm_tpm_comm_ends_the_transition() {
    // Not one of them is tried again: the hypervisor's interface has no answer that asks for it.
    let codes = [
        HvCode::H_FUNCTION,
        HvCode::H_PARAMETER,
        HvCode::H_P2,
        HvCode::H_P3,
        HvCode::H_P4,
        HvCode::H_P5,
        HvCode::H_RESOURCE,
        HvCode(1),
        HvCode(5),
        HvCode(-77),
    ];
    both(|p| {
        for refused in codes {
            let deed = move |_, command, tpm: &mut Tpm| (refused, relay(command, tpm), 0);
            assert_eq!(fails(p, Box::new(deed)), TpmFailure::Hypercall(refused));
        }
        for at in 0..=CLOSE {
            let (config, tpm) = machine(p);
            let deed = move |number, command, tpm: &mut Tpm| {
                let response = relay(command, tpm);
                if number == at { (HvCode::H_RESOURCE, vec![], 0) } else { passed(response) }
            };
            let rig = transition(config, tpm, Box::new(deed));
            assert_eq!(failure(&rig), TpmFailure::Hypercall(HvCode::H_RESOURCE), "call {at}");
            // A session that was opened is given back, and the TPM is closed.
            let calls = tpm_calls(&rig);
            assert_eq!(calls.last().unwrap()[0], 2);
            let flushed = at > START_SESSION && at < CLOSE;
            assert_eq!(calls.len(), at + 1 + usize::from(at < CLOSE) + usize::from(flushed && at != COMMANDS - 1));
        }
        // Nobody answers it at all: as a host without the device.
        let (config, _) = machine(p);
        let mut rig = Rig::with(config);
        rig.load(&Image::default());
        rig.hook = Some(Box::new(|_, seen| (seen.number == HvCall::H_SVM_TPM_COMM.0).then_some(HvCode::H_FUNCTION)));
        rig.make_secure(vec![]);
        assert_eq!(failure(&rig), TpmFailure::Hypercall(HvCode::H_FUNCTION));
        assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
    });
}

fn every_error_of_the_tpm_ends_the_transition() {
    let refuse = |code: u32| [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
    for at in 0..COMMANDS {
        // Busy: no answer asks the ultravisor to wait.
        let deed = move |number, command, tpm: &mut Tpm| {
            passed(if number == at { refuse(0x922) } else { relay(command, tpm) })
        };
        let TpmFailure::Refused { code, .. } = fails(Profile::Documented, Box::new(deed)) else { panic!("call {at}") };
        assert_eq!(code, 0x922);
    }
    // What a TPM says of a wrapped key that is not for it: the lockbox does not open.
    for code in [0x1c4, 0x1d5] {
        let (config, tpm) = machine(Profile::Documented);
        let deed = move |number, command, tpm: &mut Tpm| {
            passed(if number == RSA_DECRYPT { refuse(code) } else { relay(command, tpm) })
        };
        let failure = transition(config, tpm, Box::new(deed)).machine.esm_failure(VM).unwrap();
        assert_eq!((failure.stage(), failure.code()), ("lockbox", UvCode::U_NO_KEY));
    }
}

/// Changes one byte of the response to the call `at`, and says what came of it; `None` past its end.
fn with_byte_changed(profile: Profile, at: usize, byte: usize) -> Option<TpmFailure> {
    let reached = Arc::new(Mutex::new(false));
    let told = reached.clone();
    let deed = move |number, command, tpm: &mut Tpm| {
        let mut response = relay(command, tpm);
        if number == at
            && let Some(byte) = response.get_mut(byte)
        {
            *byte ^= 1;
            *told.lock().unwrap() = true;
        }
        passed(response)
    };
    let (config, tpm) = machine(profile);
    let rig = transition(config, tpm, Box::new(deed));
    let reached = *reached.lock().unwrap();
    reached.then(|| failure(&rig))
}

fn no_changed_byte_of_the_tpms_answer_is_taken() {
    let mut bytes = 0;
    while let Some(failure) = with_byte_changed(Profile::Documented, RSA_DECRYPT, bytes) {
        let expected = match bytes {
            // Tag, length and code; lengths inside.
            0..6 | 10..14 | 48 | 49 | 83 | 84 => TpmFailure::Malformed("TPM2_RSA_Decrypt"),
            6..10 => TpmFailure::Malformed("TPM2_RSA_Decrypt"),
            _ => TpmFailure::Authentication,
        };
        assert_eq!(failure, expected, "byte {bytes}");
        bytes += 1;
    }
    assert_eq!(bytes, 10 + 4 + 34 + 34 + 1 + 34);
    // The public key is the one that firmware named, in every byte that is looked at.
    for byte in [12, 20, 50, 100, 300, 330, 350] {
        assert_eq!(with_byte_changed(Profile::Firmware, READ_PUBLIC, byte), Some(TpmFailure::Name), "byte {byte}");
    }
    // Another session, another nonce: the TPM does not know the command.
    for (byte, code) in [(13, 0x18b), (16, 0x9a2), (47, 0x9a2)] {
        let Some(TpmFailure::Refused { code: refused, .. }) = with_byte_changed(Profile::Firmware, START_SESSION, byte)
        else {
            panic!("byte {byte}")
        };
        assert_eq!(refused, code, "byte {byte}");
    }
}

fn no_changed_byte_of_the_command_is_answered_with_the_key() {
    let command = recorded(Profile::Documented).1.lock().unwrap()[RSA_DECRYPT].0.clone();
    let attributes = 10 + 4 + 4 + 4 + 34;
    assert_eq!(command[attributes], 0x41, "the answer is asked for encrypted");
    for (byte, bit) in
        (10..100).chain([command.len() - 5, command.len() - 1]).map(|byte| (byte, 1)).chain([(attributes, 0x40)])
    {
        let (config, tpm) = machine(Profile::Documented);
        let log = Log::default();
        let noted = log.clone();
        let deed = move |number, mut command: Vec<u8>, tpm: &mut Tpm| {
            if number == RSA_DECRYPT {
                command[byte] ^= bit;
            }
            let response = relay(command.clone(), tpm);
            noted.lock().unwrap().push((command, response.clone()));
            passed(response)
        };
        let rig = transition(config, tpm, Box::new(deed));
        assert!(matches!(failure(&rig), TpmFailure::Refused { command: "TPM2_RSA_Decrypt", .. }), "byte {byte}");
        assert_eq!(log.lock().unwrap()[RSA_DECRYPT].1.len(), 10, "byte {byte}: an error and nothing else");
    }
}

fn an_answer_of_an_earlier_transition_is_refused() {
    both(|p| {
        for whole in [true, false] {
            let log = Log::default();
            let noted = log.clone();
            let (config, tpm) = machine(p);
            let deed = move |number: usize, command: Vec<u8>, tpm: &mut Tpm| {
                let mut log = noted.lock().unwrap();
                let second = number > CLOSE;
                let call = number % (CLOSE + 1);
                if second && (whole || call == RSA_DECRYPT) {
                    return passed(log[call].1.clone());
                }
                let response = relay(command.clone(), tpm);
                log.push((command, response.clone()));
                passed(response)
            };
            let mut rig = transition(config, tpm, Box::new(deed));
            assert_eq!(rig.state(), Some(SvmState::Secure));
            assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
            rig.load(&Image::default());
            rig.make_secure(vec![]);
            assert_eq!(failure(&rig), TpmFailure::Authentication, "all answers: {whole}");
        }
    });
}

fn answers_too_short_too_long_or_too_late_are_refused() {
    let malformed = |failure| assert!(matches!(failure, TpmFailure::Malformed(_)), "{failure:?}");
    for at in 0..COMMANDS {
        for len in [0, 9, 4096, 4097, 65536, u64::MAX] {
            let deed = move |number, command, tpm: &mut Tpm| {
                let response = relay(command, tpm);
                if number == at { (HvCode::H_SUCCESS, response, len) } else { passed(response) }
            };
            malformed(fails(Profile::Documented, Box::new(deed)));
        }
        for more in [false, true] {
            let deed = move |number, command, tpm: &mut Tpm| {
                let mut response = relay(command, tpm);
                if number == at {
                    if more { response.push(0) } else { assert!(response.pop().is_some()) }
                }
                passed(response)
            };
            malformed(fails(Profile::Documented, Box::new(deed)));
        }
        // Too late: the call is answered, the response is not there yet; the one before is.
        let previous = Arc::new(Mutex::new(vec![]));
        let deed = move |number, command, tpm: &mut Tpm| {
            let response = relay(command, tpm);
            let before = core::mem::replace(&mut *previous.lock().unwrap(), response.clone());
            if number == at { (HvCode::H_SUCCESS, before, response.len() as u64) } else { passed(response) }
        };
        let (config, tpm) = machine(Profile::Documented);
        let rig = transition(config, tpm, Box::new(deed));
        match at {
            // Answers without content are alike.
            3 | 4 => assert_eq!(rig.state(), Some(SvmState::Secure)),
            _ => malformed(failure(&rig)),
        }
        // What stands in the buffer is the command itself.
        let deed = move |number, command: Vec<u8>, tpm: &mut Tpm| {
            let response = relay(command.clone(), tpm);
            if number == at { (HvCode::H_SUCCESS, vec![], command.len() as u64) } else { passed(response) }
        };
        let failure = fails(Profile::Documented, Box::new(deed));
        assert!(matches!(failure, TpmFailure::Malformed(_)), "{failure:?}");
    }
}

fn a_tpm_with_another_key_or_password_is_refused() {
    both(|p| {
        let (config, _) = machine(p);
        let pass_on = || Box::new(|_: usize, command, tpm: &mut Tpm| passed(relay(command, tpm)));
        let other = PrivateKey::from_pem(fixture!("keys/machine2.pem"), None).unwrap();
        let (tpm, _) = Tpm::provision(other, 9);
        assert_eq!(failure(&transition(config.clone(), tpm, pass_on())), TpmFailure::Name);
        let (tpm, _) = Tpm::provision(PrivateKey::from_pem(MACHINE1, None).unwrap(), 10);
        let refused = TpmFailure::Refused { command: "TPM2_RSA_Decrypt", code: 0x9a2 };
        assert_eq!(failure(&transition(config, tpm, pass_on())), refused);
    });
}

fn a_bounce_page_taken_away_is_asked_back() {
    both(|p| {
        for given_back in [true, false] {
            let (config, mut tpm) = machine(p);
            let mut rig = Rig::with(config);
            rig.load(&Image::default());
            let bounce = Arc::new(Mutex::new(None));
            let taken = bounce.clone();
            rig.tpm = Some(Box::new(move |memory, machine, [operation, from, len, to, _]| {
                if operation == 2 {
                    return (HvCode::H_SUCCESS, 0);
                }
                let response = tpm.respond(&read(memory, from, len));
                memory.write(HostAddr(HOST + to), &response).unwrap();
                let args = [7, from, 16];
                assert_eq!(
                    uv_power::abi::ultracall::call(machine, UltracallNumber::UV_PAGE_INVAL, &args).0,
                    UvCode::U_SUCCESS
                );
                *taken.lock().unwrap() = Some(from);
                (HvCode::H_SUCCESS, response.len() as u64)
            }));
            rig.hook = Some(Box::new(move |_, seen| {
                let asked = seen.number == HvCall::H_SVM_PAGE_IN.0 && *bounce.lock().unwrap() == Some(seen.args[0]);
                (asked && !given_back).then_some(HvCode::H_PARAMETER)
            }));
            rig.make_secure(vec![]);
            if given_back {
                assert_eq!((rig.state(), rig.machine.esm_failure(VM)), (Some(SvmState::Secure), None));
            } else {
                assert_eq!(failure(&rig), TpmFailure::Buffer("bounce page not given back"));
            }
        }
    });
}

fn a_machine_that_tolerates_goes_on_without_the_tpm() {
    both(|p| {
        let (config, tpm) = machine(p);
        let deed = |_: usize, _, _: &mut Tpm| (HvCode::H_RESOURCE, vec![], 0);
        let tolerant = MachineConfig { tolerate_failed_check: true, ..config };
        let rig = transition(tolerant, tpm, Box::new(deed));
        assert_eq!((rig.state(), rig.machine.esm_failure(VM)), (Some(SvmState::Secure), None));
    });
}

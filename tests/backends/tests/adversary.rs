//! The adversary finds no disagreement between machine and model, and would find one.

use std::process::Command;
use std::time::Duration;

use uv_models::s390::Z;
use uv_models::s390::calls::{Answer, Call, Init};
use uv_models::{Adversary, Machine, Seed};
use uv_test_support::example;

#[test]
fn ibm_z_and_its_model_agree() {
    let run = Adversary { seed: 1 }.run::<Z>(Duration::from_secs(10));
    assert!(run.disagreement.is_none(), "{:#?}", run.disagreement);
    assert!(run.calls > 100 && run.reached.len() > 40, "{} calls, {} pairs", run.calls, run.reached.len());
}

/// A model that forgets one thing: that a private page cannot be pinned.
struct Forgets(Z);

impl Machine for Forgets {
    type Call = Call;
    type Answer = Answer;

    const VARIANTS: u8 = Z::VARIANTS;

    fn new(variant: u8) -> Self {
        Self(Z::new(variant))
    }

    fn choose(&self, seed: &mut Seed) -> Call {
        self.0.choose(seed)
    }

    fn call(&mut self, call: &Call) -> (Answer, Answer, Option<String>) {
        let (machine, model, other) = self.0.call(call);
        let wrong = matches!((call, model), (Call::Pin(_), Answer::Codes(1, 0x01f0, 0)));
        (machine, if wrong { Answer::Codes(0, 1, 0) } else { model }, other)
    }

    fn pair(call: &Call, answer: &Answer) -> Option<(String, String)> {
        Z::pair(call, answer)
    }

    fn table() -> Vec<(String, String)> {
        Z::table()
    }
}

#[test]
fn a_disagreement_is_found_and_made_short() {
    let run = Adversary { seed: 3 }.run::<Forgets>(Duration::from_secs(120));
    let found = run.disagreement.expect("the model is wrong");
    // The Ultravisor must be there, and a page must be pinned that is not shared.
    assert!(matches!(found.calls.as_slice(), [Call::Init(Init::Good), Call::Pin(_)]), "{:#?}", found.calls);
    assert!(found.what.contains("the machine answers Codes(1, 496, 0), the model Codes(0, 1, 0)"), "{}", found.what);
    let again = Adversary { seed: found.seed }.replay::<Forgets>().expect("the seed gives the sequence again");
    assert_eq!((again.calls, again.what), (found.calls, found.what));
}

#[test]
fn the_program_tells_what_it_reached() {
    let output = Command::new(example("adversary"))
        .args(["--arch", "s390", "--seconds", "2", "--seed", "5", "--json"])
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(told["calls"].as_u64() > Some(0) && told["pairs"].as_u64() > Some(100), "{told}");
    assert_eq!(told["disagreement"], serde_json::Value::Null);
}

//! How it ended.

use serde_json::{Map, Value, json};
use uv_s390::abi::diag308::Response;
use uv_s390::abi::se_header::SeHeader;
use uv_s390_programs::vm::{Boot, GuestFacts, Refusal};

use crate::input::Input;

/// The outcome, with what the guest's owner knows of a guest that runs.
pub(crate) struct Report {
    outcome: Outcome,
    pages: u64,
}

enum Outcome {
    Running { facts: GuestFacts, pcf: Option<u64>, scf: Option<u64> },
    Refused(Refusal),
}

impl Report {
    /// `facts` are the running guest's own; the flags are the owner's, who can open the header with the host key.
    pub(crate) fn new(input: &Input, boot: &Boot, facts: Option<GuestFacts>, pages: u64) -> Self {
        let outcome = match boot {
            Boot::Refused(refusal) => Outcome::Refused(*refusal),
            Boot::Running(_) => {
                Outcome::Running { facts: facts.unwrap_or_default(), pcf: input.image.pcf(), scf: secret_flags(input) }
            }
        };
        Self { outcome, pages }
    }

    /// The object of `--json`. What is not known in a refusal is absent.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        match &self.outcome {
            Outcome::Running { facts, pcf, scf } => {
                put("result", json!("running"));
                put("rc", json!("0x0001"));
                put("rrc", json!("0x0000"));
                put("diag308", json!(code(Response::OK)));
                put("pages", json!(self.pages));
                if let Some(psw) = facts.psw {
                    put("psw", json!({ "mask": wide(psw.mask.get()), "address": wide(psw.address.get()) }));
                }
                pcf.map(|flags| put("pcf", json!(wide(flags))));
                scf.map(|flags| put("scf", json!(wide(flags))));
                let components = facts.components.iter().map(|component| {
                    json!({
                        "address": wide(component.address),
                        "length": component.length,
                        "sha256": hex::encode(component.sha256),
                    })
                });
                put("components", components.collect());
            }
            Outcome::Refused(refusal) => {
                put("result", json!("refused"));
                // Where the Ultravisor was not asked there is no code of its.
                if let Some(start) = refusal.start.filter(|start| start.rc.0 != 0) {
                    put("rc", json!(format!("{:#06x}", start.rc.0)));
                    put("rrc", json!(format!("{:#06x}", start.rrc.0)));
                }
                refusal.response.map(|response| put("diag308", json!(code(response))));
                put("pages", json!(self.pages));
            }
        }
        Value::Object(object)
    }

    /// The same for a reader.
    pub(crate) fn text(&self) -> String {
        match &self.outcome {
            Outcome::Running { facts, pcf, scf } => {
                let mut text = format!("running: {} pages unpacked and verified", self.pages);
                if let Some(psw) = facts.psw {
                    text += &format!("\n  PSW {:#018x} {:#018x}", psw.mask.get(), psw.address.get());
                }
                for (name, flags) in [("PCF", pcf), ("SCF", scf)] {
                    if let Some(flags) = flags {
                        text += &format!("\n  {name} {flags:#018x}");
                    }
                }
                for component in &facts.components {
                    text += &format!(
                        "\n  component at {:#x}, {} bytes, sha256 {}",
                        component.address,
                        component.length,
                        hex::encode(component.sha256)
                    );
                }
                text
            }
            Outcome::Refused(refusal) => {
                let response = refusal.response.map_or_else(|| "nothing".to_owned(), code);
                format!("refused: {refusal}\n  the guest goes on as an ordinary one; DIAG 308 answered {response}")
            }
        }
    }
}

fn code(response: Response) -> String {
    format!("{:#06x}", response.code().0)
}

fn wide(value: u64) -> String {
    format!("{value:#018x}")
}

/// Secret flags from the encrypted part of the header.
fn secret_flags(input: &Input) -> Option<u64> {
    let header = SeHeader::parse(input.image.header_bytes()?).ok()?;
    Some(header.open(&input.host_key).ok()?.confidential.scf().bits())
}

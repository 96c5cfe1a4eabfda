//! What the program shows at its end.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json as value};
use uv_core::Gfn;
use uv_power::abi::UvCode;
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::hypervisor::kernel::KvmError;
use uv_power::sim::{EsmFailure, Machine};
use zeroize::Zeroizing;

use crate::guest::{GuestFiles, Seen};

/// Pages of the VM by their state in the ultravisor: the state's name and how many.
pub(crate) fn page_states(machine: &Machine, lpid: Lpid, pages: u64) -> BTreeMap<String, u64> {
    let mut states = BTreeMap::new();
    for state in (0..pages).filter_map(|gfn| machine.gfn_state(lpid, Gfn(gfn))) {
        *states.entry(format!("{state:?}")).or_default() += 1;
    }
    states
}

/// What the ultravisor tells the machine's owner of a VM that is not secure, and what its hypervisor was told.
pub(crate) struct Stop {
    failure: Option<EsmFailure>,
    error: Option<KvmError>,
}

impl Stop {
    pub(crate) fn new(machine: &Machine, lpid: Lpid, error: Option<KvmError>) -> Self {
        Self { failure: machine.esm_failure(lpid), error }
    }

    /// The step in one word, and a sentence.
    fn why(&self, after_esm: Option<&Regs>) -> (String, String) {
        if let Some(failure) = &self.failure {
            return (failure.stage().to_owned(), failure.to_string());
        }
        let reason = match (after_esm, &self.error) {
            (Some(regs), _) => format!("UV_ESM returned {}", UvCode::from_register(regs.gpr[3])),
            (None, Some(error)) => error.to_string(),
            (None, None) => "the guest ended before UV_ESM did".to_owned(),
        };
        ("uv-esm".to_owned(), reason)
    }
}

/// How the guest started in secure mode: its first instruction, the device tree, the kernel, R5.
struct Entry {
    nip: u64,
    r3: u64,
    r4: u64,
    r5: u64,
}

/// What came of a boot.
pub(crate) struct Report {
    /// `None` when the VM is not secure.
    entry: Option<Entry>,
    /// Why it is not: the step and a sentence.
    refused: Option<(String, String)>,
    /// R3 of the guest after `UV_ESM`.
    guest_r3: Option<i64>,
    /// Pages that were brought into secure memory.
    pages_in: u64,
    /// The files, as the guest read them.
    files: GuestFiles,
    states: BTreeMap<String, u64>,
    /// The guest's mark: as the guest reads it, and what the hypervisor finds in the same page.
    mark: Option<(Zeroizing<Vec<u8>>, Vec<u8>)>,
}

impl Report {
    pub(crate) fn new(
        seen: Seen,
        stop: Stop,
        states: BTreeMap<String, u64>,
        found: Option<Vec<u8>>,
        pages_in: u64,
    ) -> Self {
        let started = |regs: &Regs| Entry { nip: regs.nip, r3: regs.gpr[3], r4: regs.gpr[4], r5: regs.gpr[5] };
        let entry = seen.secure().map(started);
        let refused = entry.is_none().then(|| stop.why(seen.after_esm.as_deref()));
        let guest_r3 = seen.after_esm.map(|regs| regs.gpr[3].cast_signed());
        Self { entry, refused, guest_r3, pages_in, files: seen.files, states, mark: seen.read_back.zip(found) }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.entry.is_some()
    }

    /// The one object of `--json`. Keys that are not known are absent.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
        set("result", value!(if self.entry.is_some() { "secure" } else { "refused" }));
        if let Some((stage, reason)) = &self.refused {
            set("stage", value!(stage));
            set("reason", value!(reason));
        }
        if let Some(r3) = self.guest_r3 {
            set("guest_r3", value!(r3));
        }
        if let Some(Entry { nip, r3, r4, r5 }) = &self.entry {
            let hex = |register: &u64| format!("{register:#018x}");
            set("entry", value!({ "nip": hex(nip), "r3": hex(r3), "r4": hex(r4), "r5": hex(r5) }));
        }
        set("pages_in", value!(self.pages_in));
        if self.entry.is_some() {
            let files = self.files.iter().map(|(name, bytes)| (name.clone(), value!(bytes.as_ref().map(hex::encode))));
            set("files", files.collect::<Map<_, _>>().into());
        }
        Value::Object(object)
    }

    /// The end of the text.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        match (&self.entry, &self.refused) {
            (Some(Entry { nip, r3, r4, r5 }), _) => {
                lines.push(format!("secure: the guest started at {nip:#x} with r3 {r3:#x}, r4 {r4:#x}, r5 {r5:#x}"));
            }
            (None, Some((stage, reason))) => lines.push(format!("refused at {stage}: {reason}")),
            (None, None) => {}
        }
        if self.entry.is_none()
            && let Some(r3) = self.guest_r3
        {
            lines.push(format!("the guest was told {r3} in r3 and runs on as a normal VM"));
        }
        lines.push(format!("pages brought in: {}", self.pages_in));
        if !self.states.is_empty() {
            let states: Vec<_> = self.states.iter().map(|(state, pages)| format!("{pages} {state}")).collect();
            lines.push(format!("pages of the VM by state: {}", states.join(", ")));
        }
        for (name, bytes) in &self.files {
            lines.push(match bytes {
                Some(bytes) => format!("file {name}: the guest read {} bytes", bytes.len()),
                None => format!("file {name}: the guest could not read it"),
            });
        }
        if let Some((mine, theirs)) = &self.mark {
            lines.push(format!("what the guest sees in its page:      {}", String::from_utf8_lossy(mine)));
            lines.push(format!("what the hypervisor sees of the page: {}", hex::encode(theirs)));
            lines.push("the ultravisor sees both, and gives the page back to this guest only".to_owned());
        } else {
            lines.push("all of the guest's memory is the hypervisor's to read".to_owned());
        }
        lines.join("\n")
    }
}

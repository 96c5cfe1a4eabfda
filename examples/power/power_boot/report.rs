//! What the program shows at its end.

use serde_json::{Map, Value, json as value};

use super::{Entry, Outcome};

/// The one object of `--json`. Keys that are not known are absent.
#[must_use]
pub fn json(outcome: &Outcome) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
    set("result", value!(if outcome.entry.is_some() { "secure" } else { "refused" }));
    if let Some(refused) = &outcome.refused {
        set("stage", value!(refused.stage));
        set("reason", value!(refused.reason));
    }
    if let Some(r3) = outcome.guest_r3 {
        set("guest_r3", value!(r3));
    }
    if let Some(Entry { nip, r3, r4, r5 }) = outcome.entry {
        let hex = |register: u64| format!("{register:#018x}");
        set("entry", value!({ "nip": hex(nip), "r3": hex(r3), "r4": hex(r4), "r5": hex(r5) }));
    }
    set("pages_in", value!(outcome.pages_in));
    if outcome.entry.is_some() {
        let files = outcome.files.iter().map(|(name, bytes)| (name.clone(), value!(bytes.as_ref().map(hex::encode))));
        set("files", files.collect::<Map<_, _>>().into());
    }
    Value::Object(object)
}

/// The end of the text.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut lines = Vec::new();
    match (&outcome.entry, &outcome.refused) {
        (Some(Entry { nip, r3, r4, r5 }), _) => {
            lines.push(format!("secure: the guest started at {nip:#x} with r3 {r3:#x}, r4 {r4:#x}, r5 {r5:#x}"));
        }
        (None, Some(refused)) => lines.push(format!("refused at {}: {}", refused.stage, refused.reason)),
        (None, None) => {}
    }
    if outcome.entry.is_none()
        && let Some(r3) = outcome.guest_r3
    {
        lines.push(format!("the guest was told {r3} in r3 and runs on as a normal VM"));
    }
    lines.push(format!("pages brought in: {}", outcome.pages_in));
    if !outcome.pages.is_empty() {
        let states: Vec<_> = outcome.pages.iter().map(|(state, pages)| format!("{pages} {state}")).collect();
        lines.push(format!("pages of the VM by state: {}", states.join(", ")));
    }
    for (name, bytes) in &outcome.files {
        lines.push(match bytes {
            Some(bytes) => format!("file {name}: the guest read {} bytes", bytes.len()),
            None => format!("file {name}: the guest could not read it"),
        });
    }
    if let Some((mine, theirs)) = &outcome.mark {
        lines.push(format!("what the guest sees in its page:      {}", String::from_utf8_lossy(mine)));
        lines.push(format!("what the hypervisor sees of the page: {}", hex::encode(theirs)));
        lines.push("the ultravisor sees both, and gives the page back to this guest only".to_owned());
    } else {
        lines.push("all of the guest's memory is the hypervisor's to read".to_owned());
    }
    lines.join("\n")
}

//! What the program shows at its end.

use serde_json::{Value, json};

use crate::guest::Tally;
use crate::host::Running;
use crate::live::Counts;

/// What came of the load.
pub(crate) struct Report {
    /// Pages of each VM.
    vm_pages: u64,
    /// Secure pages of the machine.
    secure_pages: u64,
    pages_in: u64,
    pages_out: u64,
    /// Pages that the ultravisor asked to take out.
    asked_out: u64,
    most_in_use: u64,
    /// What the guests found.
    guests: [Tally; 2],
}

impl Report {
    pub(crate) fn new(vm_pages: u64, secure_pages: u64, counts: &Counts, most_in_use: u64, vms: &[Running; 2]) -> Self {
        let [pages_in, pages_out, asked_out] = counts.all();
        let guests = vms.each_ref().map(|vm| *vm.tally.lock());
        Self { vm_pages, secure_pages, pages_in, pages_out, asked_out, most_in_use, guests }
    }

    /// Both guests compared everything and found nothing wrong.
    pub(crate) fn is_right(&self) -> bool {
        self.guests.iter().all(|guest| guest.secure && guest.finished && guest.wrong == 0)
    }

    /// The object of `--json`.
    pub(crate) fn json(&self) -> Value {
        let guest = |guest: &Tally| {
            json!({
                "pages_written": guest.written,
                "pages_read": guest.read,
                "bytes_compared": guest.compared,
                "bytes_wrong": guest.wrong,
            })
        };
        json!({
            "result": if self.is_right() { "right" } else { "wrong" },
            "vm_pages": self.vm_pages,
            "secure_pages": self.secure_pages,
            "pages_in": self.pages_in,
            "pages_out": self.pages_out,
            "asked_out": self.asked_out,
            "most_in_use": self.most_in_use,
            "guests": self.guests.iter().map(guest).collect::<Value>(),
        })
    }

    /// The same for a reader.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!(
            "two VMs of {} pages each on {} secure pages: {} pages in, {} pages out ({} asked for by the ultravisor), at most {} secure pages in use",
            self.vm_pages, self.secure_pages, self.pages_in, self.pages_out, self.asked_out, self.most_in_use
        )];
        lines.extend((1..).zip(&self.guests).map(|(number, guest)| {
            format!(
                "VM {number}: {} pages written, {} read under load; then {} bytes compared, {} wrong",
                guest.written, guest.read, guest.compared, guest.wrong
            )
        }));
        lines.push(if self.is_right() { "every byte is as the guests wrote it" } else { "BYTES ARE WRONG" }.to_owned());
        lines.join("\n")
    }
}

//! `info`: shows what a dump holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use uv_s390::owner::dump::elf::{DecryptedDump, DumpPageCounts};

use super::FileSource;
use super::decrypt::{failure, open};
use uv_programs::Failure;
use uv_programs::output::print;

/// Options of `info`.
#[derive(Args, Debug)]
pub struct Info {
    /// Customer communication key, 32 bytes
    #[arg(short, long, value_name = "CCK")]
    pub key: PathBuf,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
    /// Dump of a protected guest
    pub dump: PathBuf,
}

impl Info {
    /// Shows memory, pages by kind, and CPUs.
    ///
    /// # Errors
    /// As [`Decrypt::run`](super::Decrypt::run).
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dump = open(&self.dump, &self.key)?;
        let counts = dump.page_counts().map_err(|error| failure(&self.dump, &error))?;
        if self.json {
            print(&json(&dump, counts).to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = format!("{}: dump of a protected guest, the key fits\n", self.dump.display());
        for block in dump.memory() {
            text.push_str(&format!("memory  {:#014x}, {} bytes\n", block.address, block.size));
        }
        let (encrypted, shared, zero) = (counts.encrypted, counts.shared, counts.zero);
        text.push_str(&format!("pages   {encrypted} encrypted, {shared} shared, {zero} zero\n"));
        for (number, cpu) in dump.cpus().iter().enumerate() {
            let partial = if cpu.partial_instruction { ", an instruction half done" } else { "" };
            text.push_str(&format!(
                "CPU {number:3} PSW {:016x} {:016x}, prefix {:#010x}{partial}\n",
                cpu.psw_mask, cpu.psw_address, cpu.prefix
            ));
        }
        print(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn json(dump: &DecryptedDump<FileSource>, counts: DumpPageCounts) -> Value {
    let wide = |value: u64| format!("{value:#018x}");
    let memory = dump.memory().map(|block| json!({ "address": wide(block.address), "bytes": block.size }));
    let cpus = dump.cpus().iter().map(|cpu| {
        json!({
            "psw": { "mask": wide(cpu.psw_mask), "address": wide(cpu.psw_address) },
            "prefix": format!("{:#010x}", cpu.prefix),
            "partial_instruction": cpu.partial_instruction,
        })
    });
    json!({
        "memory": memory.collect::<Value>(),
        "pages": { "encrypted": counts.encrypted, "shared": counts.shared, "zero": counts.zero },
        "cpus": cpus.collect::<Value>(),
    })
}

//! What was asked and answered: a JSON line for each call, and a table at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use uv_programs::Failure;
use uv_s390::abi::Errno;

/// What is told of one call. Lengths, addresses and codes; never what lies at an address.
#[derive(Debug, Default)]
pub struct Told {
    /// Name of the ioctl, with the command where it has one.
    pub name: String,
    /// Arguments by the names of their fields.
    pub arguments: Vec<(&'static str, u64)>,
    /// rc and rrc of the Ultravisor, where the structure has them.
    pub codes: Option<(u16, u16)>,
}

impl Told {
    /// Tells an argument.
    pub fn argument(&mut self, name: &'static str, value: impl Into<u64>) {
        self.arguments.push((name, value.into()));
    }
}

/// How calls of one kind ended, and how often.
type Counts = BTreeMap<(&'static str, String, String), u64>;

/// The log of a run.
#[derive(Debug)]
pub struct Log {
    file: Option<Mutex<File>>,
    counts: Mutex<Counts>,
}

impl Log {
    /// A log, with a file for the lines where one is wanted.
    ///
    /// # Errors
    /// Status 2 if the file cannot be made.
    pub fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let cannot = |path: &Path, error| Failure::unusable(format_args!("cannot write {}: {error}", path.display()));
        let create = |path: &Path| File::create(path).map_err(|error| cannot(path, error));
        let file = path.map(create).transpose()?.map(Mutex::new);
        Ok(Self { file, counts: Mutex::default() })
    }

    /// Takes a call down.
    pub fn take(&self, device: &'static str, request: u32, told: &Told, result: Result<u64, Errno>) {
        let errno = result.err().map(|errno| errno.name().map_or_else(|| errno.0.to_string(), str::to_owned));
        let ending = match (&errno, told.codes) {
            (Some(errno), Some((rc, rrc))) if rc > 1 => format!("{errno} rc {rc:#06x} rrc {rrc:#06x}"),
            (Some(errno), _) => errno.clone(),
            (None, Some((rc, rrc))) => format!("rc {rc:#06x} rrc {rrc:#06x}"),
            (None, None) => String::from("ok"),
        };
        let key = (device, told.name.clone(), ending);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        let Some(file) = &self.file else { return };
        let hex = |value: u64| Value::from(format!("{value:#x}"));
        let arguments: Map<_, _> =
            told.arguments.iter().map(|(name, value)| ((*name).to_owned(), hex(*value))).collect();
        let mut line = json!({
            "device": device, "ioctl": told.name, "request": hex(request.into()), "arguments": arguments,
            "errno": errno, "value": result.unwrap_or_default(),
        });
        if let Some((rc, rrc)) = told.codes {
            line["rc"] = hex(rc.into());
            line["rrc"] = hex(rrc.into());
        }
        // A log that cannot be written any more stops no program.
        let _ = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
    }

    /// The table: how often each call was made, and how it ended. Empty when nothing was asked.
    #[must_use]
    pub fn summary(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wide = counts.keys().map(|(_, name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for ((device, name, ending), count) in &*counts {
            let _ = writeln!(text, "{count:>7}  {device:<4} {name:<wide$}  {ending}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_ending_and_written_as_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::new(Some(&path)).unwrap();
        let mut told = Told { name: String::from("UVIO_IOCTL_ATT"), codes: Some((1, 0)), ..Told::default() };
        told.argument("arcb_len", 0x100_u32);
        log.take("uv", 0xc040_7501, &told, Ok(0));
        log.take("uv", 0xc040_7501, &told, Ok(0));
        told.codes = None;
        log.take("uv", 0xc040_7501, &told, Err(Errno::EINVAL));
        assert_eq!(
            log.summary(),
            "      1  uv   UVIO_IOCTL_ATT  EINVAL\n      2  uv   UVIO_IOCTL_ATT  rc 0x0001 rrc 0x0000\n"
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["arguments"]["arcb_len"], "0x100");
        assert_eq!((&lines[1]["rc"], &lines[1]["errno"]), (&json!("0x1"), &Value::Null));
        assert_eq!((&lines[2]["errno"], lines[2].get("rc")), (&json!("EINVAL"), None));
        assert!(Log::new(Some(folder.path())).unwrap_err().sentence().starts_with("cannot write"));
    }
}

//! What Linux shows of the Ultravisor in `/sys/firmware/uv`, in a host and in a protected guest (s390-ultravisor §7.5).
//!
//! Who uses it: the kernel of a host or of a guest, for its programs.
//!
//! For tools that read these files, such as those that look for a machine's key hashes or for what its headers may ask
//! for: [`files`] gives them all, as path below the directory and content, each line ended.
//!
//! | file | content |
//! |---|---|
//! | `prot_virt_guest`, `prot_virt_host` | 0 or 1 |
//! | `query/facilities` | four words of installed calls, hexadecimal, a line each |
//! | `query/max_cpus`, `max_guests`, `max_secrets`, `max_assoc_secrets`, `max_retr_secrets` | decimal |
//! | `query/…`, all others | hexadecimal without prefix |
//! | `keys/host_key`, `keys/backup_host_key`, `keys/all` | hashes of 64 hexadecimal digits; only with QUERY_KEYS |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::abi::uvc::{self, CallError, Retries, UvCall};
use crate::abi::uvcb::{QueryInfo, QueryKeys};

/// A file below `/sys/firmware/uv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysFile {
    /// Path below the directory.
    pub path: &'static str,
    /// Content.
    pub content: String,
}

/// Reads what the files show from the Ultravisor, in the role that `uvc` calls in.
///
/// # Errors
/// [`CallError`] of QUI, and of QUERY_KEYS where it is installed.
pub fn read(uvc: &dyn UvCall) -> Result<Vec<SysFile>, CallError> {
    let query = uvc::query(uvc)?;
    let mut keys = QueryKeys::new();
    let has_keys = query.calls.has(crate::abi::uvcb::UvCommand::QUERY_KEYS) == Some(true);
    if has_keys {
        uvc::call(uvc, &mut keys, Retries::PATIENT)?;
    }
    Ok(files(&query, has_keys.then_some(&keys)))
}

/// The files for an answer to QUI, and one to QUERY_KEYS where the machine has that call.
#[must_use]
pub fn files(query: &QueryInfo, keys: Option<&QueryKeys>) -> Vec<SysFile> {
    let hex = |value: u64| format!("{value:x}\n");
    let decimal = |value: u64| format!("{value}\n");
    let (assoc, retr) = (u64::from(query.max_assoc_secrets.get()), u64::from(query.max_retr_secrets.get()));
    let facilities = query.calls.words.iter().fold(String::new(), |mut text, word| {
        let _ = writeln!(text, "{:x}", word.get());
        text
    });
    let mut files = alloc::vec![
        file("prot_virt_guest", decimal(query.calls.is_guest().into())),
        file("prot_virt_host", decimal(query.calls.is_host().into())),
        file("query/facilities", facilities),
        file("query/feature_indications", hex(query.features.get())),
        file("query/max_cpus", decimal(u64::from(query.max_guest_cpu_id.get()) + 1)),
        file("query/max_guests", decimal(query.max_num_sec_conf.get().into())),
        file("query/max_address", hex(query.max_guest_address())),
        file("query/supp_se_hdr_ver", hex(query.supported_header_versions.get())),
        file("query/supp_se_hdr_pcf", hex(query.supported_header_flags.get())),
        file("query/dump_storage_state_len", hex(query.dump_storage_state_len.get())),
        file("query/dump_finalize_len", hex(query.dump_finalize_len.get())),
        file("query/uv_query_dump_cpu_len", hex(query.cpu_stor_len.get())),
        file("query/supp_att_req_hdr_ver", hex(query.supported_attest_versions.get())),
        file("query/supp_att_pflags", hex(query.supported_attest_flags.get())),
        file("query/supp_add_secret_req_ver", hex(query.supported_secret_versions.get())),
        file("query/supp_add_secret_pcf", hex(query.supported_secret_flags.get())),
        file("query/supp_secret_types", hex(query.supported_secret_types.get())),
        file("query/max_secrets", decimal(assoc + retr)),
        file("query/max_assoc_secrets", decimal(assoc)),
        file("query/max_retr_secrets", decimal(retr)),
    ];
    if let Some(keys) = keys {
        let [host, backup, ..] = &keys.hashes;
        files.push(file("keys/host_key", hash(host)));
        files.push(file("keys/backup_host_key", hash(backup)));
        files.push(file("keys/all", keys.hashes.iter().map(hash).collect()));
    }
    files
}

fn file(path: &'static str, content: String) -> SysFile {
    SysFile { path, content }
}

fn hash(bytes: &[u8; 32]) -> String {
    let mut line = bytes.iter().fold(String::with_capacity(65), |mut line, byte| {
        let _ = write!(line, "{byte:02x}");
        line
    });
    line.push('\n');
    line
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::abi::uvcb::Role;
    use crate::sim::{Generation, Machine, MachineConfig};

    fn content<'a>(files: &'a [SysFile], path: &str) -> Option<&'a str> {
        files.iter().find(|file| file.path == path).map(|file| file.content.as_str())
    }

    #[test]
    fn the_host_of_the_newest_machine() {
        let machine = Machine::new(MachineConfig::new(1));
        let info = Generation::Z17.query(Role::Host);
        let files = read(&machine).unwrap();
        let text = |path| content(&files, path).unwrap();
        assert_eq!((text("prot_virt_host"), text("prot_virt_guest")), ("1\n", "0\n"));
        assert_eq!(text("query/facilities").lines().count(), 4);
        let first = u64::from_str_radix(text("query/facilities").lines().next().unwrap(), 16).unwrap();
        assert_eq!(first, info.calls.words[0].get());
        assert_eq!((text("query/max_cpus"), text("query/max_secrets")), ("248\n", "256\n"));
        assert_eq!(text("query/max_address"), "40000000000\n", "rounded up to a page");
        assert_eq!(text("query/uv_query_dump_cpu_len"), format!("{:x}\n", info.cpu_stor_len.get()));
        let line = text("keys/host_key");
        assert_eq!(line, hash(&MachineConfig::new(1).host_key.public().phkh().0));
        assert_eq!(text("keys/backup_host_key"), format!("{:064}\n", 0), "there is none");
        assert!(text("keys/all").starts_with(line) && text("keys/all").lines().count() == 15);
    }

    #[test]
    fn a_guest_and_an_old_machine() {
        let files = files(&Generation::Z15.query(Role::Guest), None);
        assert_eq!(content(&files, "prot_virt_guest"), Some("1\n"));
        assert_eq!(content(&files, "prot_virt_host"), Some("0\n"));
        assert_eq!(content(&files, "query/supp_secret_types"), Some("0\n"));
        assert_eq!(content(&files, "keys/all"), None);
    }
}

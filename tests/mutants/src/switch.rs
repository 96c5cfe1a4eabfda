//! The module that a rewritten library gets: which mutant is on, and which places were reached.

/// The environment variable that has the number of the mutant that is on.
pub(crate) const ACTIVE: &str = "UV_MUTANT";
/// The environment variable that names a file to which all places reached are added: the stamp of the build and the
/// number, four bytes each.
pub(crate) const REACHED: &str = "UV_MUTANT_REACHED";

/// Its text, for mutants with numbers below `count`. The stamp tells builds of different sources apart.
pub(crate) fn module(count: usize, stamp: u32) -> String {
    format!(
        r#"extern crate std;
use std::io::Write as _;
use std::sync::atomic::{{AtomicBool, AtomicU32, Ordering::Relaxed}};

const UNREAD: u32 = u32::MAX;
const RECORDING: u32 = u32::MAX - 1;
const NONE: u32 = u32::MAX - 2;
static ACTIVE: AtomicU32 = AtomicU32::new(UNREAD);
static REACHED: [AtomicBool; {count}] = [const {{ AtomicBool::new(false) }}; {count}];

pub(crate) fn on(n: u32) -> bool {{
    let active = ACTIVE.load(Relaxed);
    if active < RECORDING {{ active == n }} else {{ unread(n) }}
}}

#[cold]
fn unread(n: u32) -> bool {{
    let file = std::env::var_os("{REACHED}");
    let number = std::env::var("{ACTIVE}").ok().and_then(|number| number.parse().ok());
    let active = if file.is_some() {{ RECORDING }} else {{ number.unwrap_or(NONE) }};
    ACTIVE.store(active, Relaxed);
    if let Some(file) = file {{
        if !REACHED[n as usize].swap(true, Relaxed) {{
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).expect("the record opens");
            let record = u64::from(n) << 32 | {stamp};
            file.write_all(&record.to_le_bytes()).expect("the record is written");
        }}
    }}
    active == n
}}
"#
    )
}

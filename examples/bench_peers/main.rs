//! Page cryptography of this library against its peers: OpenSSL (the system's libcrypto), the plain cipher crates, memcpy.
//!
//! The parties work in turn on cold memory (a working set of 1 GiB), timed by the CPU time of the thread; a ratio is the median of
//! the ratios inside the rounds, so that load and clock changes hit both sides.

mod ccm;
mod harness;
mod openssl_pages;
mod table;
mod xts;

use clap::Parser;

/// Compares page cryptography with OpenSSL, the plain crates and memcpy.
#[derive(Parser)]
struct Args {
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Measure only works that begin with this word (xts, ccm)
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let wanted = |work: &str| args.only.as_deref().is_none_or(|only| work.starts_with(only));
    let mut arena = harness::Arena::new();
    let mut rows = Vec::new();
    if wanted("xts") {
        rows.extend(xts::rows(&mut arena)?);
    }
    if wanted("ccm") {
        rows.extend(ccm::rows(&mut arena)?);
    }
    if args.json {
        println!("{}", table::json(&rows));
    } else {
        println!("{}\nworking set 1 GiB, {}", table::text(&rows), openssl::version::version());
    }
    Ok(())
}

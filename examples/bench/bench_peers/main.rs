//! Page cryptography of this library against its peers: OpenSSL (the system's libcrypto), the plain cipher crates, memcpy.
//!
//! The parties work in turn on cold memory (a working set of 1 GiB), timed by the CPU time of the thread; a ratio is the median of
//! the ratios inside the rounds, so that load and clock changes hit both sides.

mod calls;
mod ccm;
mod dump;
mod harness;
mod image;
mod openssl_pages;
mod paging;
mod power;
mod table;
mod xts;
mod z;

use clap::Parser;

/// Compares page cryptography with OpenSSL, the plain crates and memcpy.
#[derive(Parser)]
struct Args {
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Measure only works that begin with this word (xts, ccm, page-out, unpack, s390_boot, dump, image build, calls)
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let wanted = |work: &str| args.only.as_deref().is_none_or(|only| work.starts_with(only) || only.starts_with(work));
    let mut arena = harness::Arena::new();
    let mut rows = Vec::new();
    if wanted("xts") {
        rows.extend(xts::rows(&mut arena)?);
    }
    if wanted("ccm") {
        rows.extend(ccm::rows(&mut arena)?);
    }
    rows.extend(paging::rows(&mut arena, &wanted)?);
    rows.extend(image::rows(&mut arena, &wanted)?);
    if wanted("dump") {
        rows.extend(dump::rows(&mut arena)?);
    }
    if wanted("calls") {
        rows.extend(calls::rows(&mut arena)?);
    }
    if args.json {
        println!("{}", table::json(&rows));
    } else {
        println!("{}\nworking set 1 GiB, {}", table::text(&rows), openssl::version::version());
    }
    Ok(())
}

//! The device tree handlers, in order: blob, RTAS, TPM (power-pef §7.3). The order follows from the image of the published
//! firmware; nobody has watched it run.

use super::tree::GuestTree;
use crate::abi::numbers::PAGE_BYTES;
use crate::owner::tree::Node;
use crate::sim::failure::EsmFailure;
use crate::sim::flow::Uv;
use crate::sim::sharing::step::{Kind, ShareError};
use crate::sim::svm::rtas::Rtas;
use crate::sim::svm::tokens::Tokens;
use core::sync::atomic::Ordering;
use uv_core::{GuestAddr, PageRange, PageSize};

/// Virtual CPUs at the most.
const MAX_VCPUS: u64 = 4096;
/// Pages of RTAS bounce buffers: 64 of 4096 bytes.
const BOUNCE_PAGES: u64 = 4;

/// Gives the TPM's bounce page.
pub(super) async fn run(uv: &Uv, tree: &mut GuestTree) -> Result<GuestAddr, EsmFailure> {
    blob(uv, tree)?;
    rtas(uv, tree).await?;
    tpm(uv, tree).await
}

fn reserve(uv: &Uv, tree: &mut GuestTree, pages: u64) -> Result<GuestAddr, EsmFailure> {
    let covered =
        |at, size| uv.svm.slots.read().cover(PageRange::new(PageSize::K64.gfn(at), size >> PageSize::K64.shift()));
    tree.reserve(pages * PAGE_BYTES, covered)
}

async fn share(uv: &Uv, at: GuestAddr, pages: u64) -> Result<(), EsmFailure> {
    let shared = uv.share(PageRange::new(PageSize::K64.gfn(at), pages), Kind::Implicit).await;
    shared.map_err(|error: ShareError| EsmFailure::Share { at, why: alloc::format!("{error:?}") })
}

/// A page for the key and one for the files. Key and files are kept outside of guest memory here; the pages are reserved all
/// the same, so that the guest finds the same map.
fn blob(uv: &Uv, tree: &mut GuestTree) -> Result<(), EsmFailure> {
    reserve(uv, tree, 1)?;
    reserve(uv, tree, 1)?;
    Ok(())
}

/// RTAS: tokens, number of virtual CPUs, argument and bounce pages.
async fn rtas(uv: &Uv, tree: &mut GuestTree) -> Result<(), EsmFailure> {
    let node = tree.root.find("/rtas").ok_or(EsmFailure::Property("/rtas"))?;
    let tokens = Tokens::read(|name| node.value(name)).map_err(EsmFailure::Property)?;
    let max = max_vcpus(tree)?;
    if max > MAX_VCPUS {
        return Err(EsmFailure::TooManyVcpus(max));
    }
    uv.svm.max_vcpus.store(u32::try_from(max).unwrap_or(u32::MAX), Ordering::Relaxed);
    let args = reserve(uv, tree, 1 + BOUNCE_PAGES + 1)?;
    let bounce = GuestAddr(args.0 + PAGE_BYTES);
    let stop_self = GuestAddr(bounce.0 + BOUNCE_PAGES * PAGE_BYTES);
    share(uv, args, 1).await?;
    share(uv, bounce, BOUNCE_PAGES).await?;
    share(uv, stop_self, 1).await?;
    *uv.svm.rtas.write() = Some(Rtas::new(tokens, args, bounce, stop_self));
    Ok(())
}

/// Cores of `ibm,lrdr-capacity` times threads of a core, as the first node of a CPU tells; one thread if that has no list of them. A
/// look-up that fails counts as too many, as in the published code.
fn max_vcpus(tree: &GuestTree) -> Result<u64, EsmFailure> {
    let capacity = "/rtas ibm,lrdr-capacity";
    let cells = |name| tree.number("/", name, "#address-cells, #size-cells");
    let index = cells("#address-cells")?.saturating_add(cells("#size-cells")?);
    let list = tree.root.find("/rtas").and_then(|rtas| rtas.value("ibm,lrdr-capacity"));
    let at = usize::try_from(index).ok().and_then(|index| index.checked_mul(4));
    let cores = list.ok_or(EsmFailure::Property(capacity))?;
    let cores = at.and_then(|at| cores.get(at..at.checked_add(4)?)).and_then(super::tree::number);
    let cores = cores.ok_or(EsmFailure::Property(capacity))?;
    let cpu = first_cpu(&tree.root).ok_or(EsmFailure::Property("device_type \"cpu\""))?;
    let bytes = cpu.value("ibm,ppc-interrupt-server#s").map_or(4, <[u8]>::len);
    Ok(cores.saturating_mul(bytes as u64) / 4)
}

/// The first node of a CPU, in the order of the tree.
fn first_cpu(node: &Node) -> Option<&Node> {
    if node.text("device_type") == Some("cpu") { Some(node) } else { node.children.iter().find_map(first_cpu) }
}

/// The TPM's bounce page and its secure page. The result of the share is not looked at.
async fn tpm(uv: &Uv, tree: &mut GuestTree) -> Result<GuestAddr, EsmFailure> {
    let bounce = reserve(uv, tree, 2)?;
    if let Err(failure) = share(uv, bounce, 1).await {
        tracing::warn!(%failure, "TPM bounce page");
    }
    Ok(bounce)
}

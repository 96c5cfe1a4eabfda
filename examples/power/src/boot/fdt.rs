//! The guest's device tree, with everything an ultravisor asks of it (power-pef §7.3).

use uv_core::GuestAddr;
use vm_fdt::{Error, FdtReserveEntry, FdtWriter};

use super::layout::{Layout, Piece};

/// Cores the VM can have, of one thread each.
const CORES: u32 = 4;

/// The services of RTAS and their tokens. The ultravisor knows ibm,os-term as 0x201f.
const TOKENS: [(&str, u32); 13] = [
    ("check-exception", 0x2000),
    ("event-scan", 0x2001),
    ("ibm,configure-connector", 0x2002),
    ("ibm,get-system-parameter", 0x2003),
    ("ibm,nmi-register", 0x2004),
    ("ibm,os-term", 0x201f),
    ("ibm,set-system-parameter", 0x2005),
    ("ibm,slot-error-detail", 0x2006),
    ("nvram-fetch", 0x2007),
    ("nvram-store", 0x2008),
    ("power-off", 0x2009),
    ("start-cpu", 0x200a),
    ("stop-self", 0x200b),
];

fn low(at: GuestAddr) -> u32 {
    u32::try_from(at.0).unwrap_or(u32::MAX)
}

fn length(piece: &Piece) -> u32 {
    u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX)
}

/// The tree as the guest finds it.
///
/// # Errors
/// The writer's, for a command line that no property can hold.
pub(super) fn tree(layout: &Layout, bootargs: &str) -> Result<Vec<u8>, Error> {
    // The ultravisor stays away from what is in the reservation map.
    let map: Result<Vec<_>, _> =
        layout.pieces().map(|piece| FdtReserveEntry::new(piece.at.0, piece.bytes.len() as u64)).collect();
    let mut fdt = FdtWriter::new_with_mem_reserv(&map?)?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "qemu,pseries")?;
    fdt.property_string("device_type", "chrp")?;

    let memory = fdt.begin_node("memory@0")?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[0, layout.memory])?;
    fdt.end_node(memory)?;

    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    let cpu = fdt.begin_node("PowerPC,POWER9@0")?;
    fdt.property_string("device_type", "cpu")?;
    fdt.property_u32("reg", 0)?;
    fdt.property_array_u32("ibm,ppc-interrupt-server#s", &[0])?;
    fdt.end_node(cpu)?;
    fdt.end_node(cpus)?;

    let rtas = fdt.begin_node("rtas")?;
    for (service, token) in TOKENS {
        fdt.property_u32(service, token)?;
    }
    fdt.property_u32("linux,rtas-base", low(layout.rtas.at))?;
    fdt.property_u32("rtas-size", length(&layout.rtas).next_multiple_of(4096))?;
    fdt.property_u32("slof,rtas-size", length(&layout.rtas))?;
    // Highest address and granularity of memory, then the most cores.
    let [high, below] = [layout.memory >> 32, layout.memory & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or(0));
    fdt.property_array_u32("ibm,lrdr-capacity", &[high, below, 0, 0x1000_0000, CORES])?;
    fdt.end_node(rtas)?;

    let chosen = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", bootargs)?;
    fdt.property_u64("linux,initrd-start", layout.initrd.at.0)?;
    fdt.property_u64("linux,initrd-end", layout.initrd.end().0)?;
    if let Some(blob) = &layout.blob {
        fdt.property_u64("linux,esm-blob-start", blob.at.0)?;
        fdt.property_u64("linux,esm-blob-end", blob.end().0)?;
    }
    fdt.end_node(chosen)?;
    fdt.end_node(root)?;
    fdt.finish()
}

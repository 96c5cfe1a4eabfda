//! The device tree, with everything an ultravisor asks of it (power-pef §7.3).

use alloc::vec::Vec;
use core::ops::Range;

use vm_fdt::{FdtReserveEntry, FdtWriter};

/// The services of RTAS that an ultravisor wants in the tree, with tokens. It knows ibm,os-term as 0x201f.
pub const RTAS_TOKENS: [(&str, u32); 13] = [
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

/// Why a tree cannot be written.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum EsmTreeError {
    /// RTAS lies or ends above 4 GiB, where its cells do not reach.
    #[error("the RTAS code does not end below 4 GiB")]
    RtasTooHigh,
    /// More than the format holds, or a command line with a NUL byte.
    #[error("a device tree cannot hold it: {0:?}")]
    Write(vm_fdt::Error),
}

impl From<vm_fdt::Error> for EsmTreeError {
    fn from(error: vm_fdt::Error) -> Self {
        Self::Write(error)
    }
}

/// Where the RTAS code is and what it is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtas<'a> {
    /// The code in guest memory.
    pub code: Range<u64>,
    /// Services and their tokens, such as [`RTAS_TOKENS`].
    pub tokens: &'a [(&'a str, u32)],
}

/// What the tree tells of the VM. Addresses are guest addresses, ranges are in bytes.
///
/// ```
/// use uv_power::guest::{EsmTree, RTAS_TOKENS, Rtas};
///
/// let tree = EsmTree {
///     memory: 1 << 30,
///     cores: 4,
///     bootargs: "svm=on",
///     initrd: 0x80_0000..0x88_0000,
///     blob: Some(0x90_0000..0x90_1000),
///     rtas: Rtas { code: 0x60_0000..0x60_0014, tokens: &RTAS_TOKENS },
///     reserved: &[0x40_0000..0x50_0000, 0x80_0000..0x88_0000, 0x90_0000..0x90_1000, 0x60_0000..0x60_0014],
/// };
/// assert!(tree.to_bytes()?.starts_with(&0xd00d_feed_u32.to_be_bytes()));
/// # Ok::<(), uv_power::guest::EsmTreeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EsmTree<'a> {
    /// Bytes of memory, from address 0 on.
    pub memory: u64,
    /// Cores that the VM can have, of one thread each.
    pub cores: u32,
    /// The kernel's command line.
    pub bootargs: &'a str,
    /// The initramfs, with the blob in front if that is where it is.
    pub initrd: Range<u64>,
    /// The ESM blob, if it is not in the initramfs.
    pub blob: Option<Range<u64>>,
    /// RTAS.
    pub rtas: Rtas<'a>,
    /// What is loaded: the ultravisor stays away from it.
    pub reserved: &'a [Range<u64>],
}

impl EsmTree<'_> {
    /// The flattened tree. Boot CPU is number 0.
    ///
    /// # Errors
    /// [`EsmTreeError`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, EsmTreeError> {
        let reserved = self.reserved.iter().map(|range| FdtReserveEntry::new(range.start, length(range)));
        let mut fdt = FdtWriter::new_with_mem_reserv(&reserved.collect::<Result<Vec<_>, _>>()?)?;
        let root = fdt.begin_node("")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_string("compatible", "qemu,pseries")?;
        fdt.property_string("device_type", "chrp")?;

        let memory = fdt.begin_node("memory@0")?;
        fdt.property_string("device_type", "memory")?;
        fdt.property_array_u64("reg", &[0, self.memory])?;
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

        self.rtas(&mut fdt)?;
        let chosen = fdt.begin_node("chosen")?;
        fdt.property_string("bootargs", self.bootargs)?;
        fdt.property_u64("linux,initrd-start", self.initrd.start)?;
        fdt.property_u64("linux,initrd-end", self.initrd.end)?;
        if let Some(blob) = &self.blob {
            fdt.property_u64("linux,esm-blob-start", blob.start)?;
            fdt.property_u64("linux,esm-blob-end", blob.end)?;
        }
        fdt.end_node(chosen)?;
        fdt.end_node(root)?;
        Ok(fdt.finish()?)
    }

    fn rtas(&self, fdt: &mut FdtWriter) -> Result<(), EsmTreeError> {
        let Rtas { code, tokens } = &self.rtas;
        let low = |value: u64| u32::try_from(value).map_err(|_| EsmTreeError::RtasTooHigh);
        low(code.end)?;
        let rtas = fdt.begin_node("rtas")?;
        for (service, token) in *tokens {
            fdt.property_u32(service, *token)?;
        }
        fdt.property_u32("linux,rtas-base", low(code.start)?)?;
        fdt.property_u32("rtas-size", low(length(code).next_multiple_of(4096))?)?;
        fdt.property_u32("slof,rtas-size", low(length(code))?)?;
        // Highest address and granularity of memory, then the most cores.
        let [high, below] = [self.memory >> 32, self.memory & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or(0));
        fdt.property_array_u32("ibm,lrdr-capacity", &[high, below, 0, 0x1000_0000, self.cores])?;
        fdt.end_node(rtas)?;
        Ok(())
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(all(test, feature = "owner"))]
mod tests {
    use super::{EsmTree, EsmTreeError, RTAS_TOKENS, Rtas};
    use crate::owner::tree::Node;

    fn tree(rtas: u64) -> EsmTree<'static> {
        EsmTree {
            memory: 0x1_2000_0000,
            cores: 4,
            bootargs: "a b",
            initrd: 0x80_0000..0x80_0007,
            blob: None,
            rtas: Rtas { code: rtas..rtas + 20, tokens: &RTAS_TOKENS },
            reserved: &[],
        }
    }

    #[test]
    fn the_tree_reads_as_the_ultravisor_reads_it() {
        let root = Node::parse(&tree(0x60_0000).to_bytes().unwrap()).unwrap();
        let cells = |path: &str, name: &str| {
            let value = root.find(path).unwrap().value(name).unwrap();
            value.chunks(4).map(|cell| u32::from_be_bytes(cell.try_into().unwrap())).collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(cells("/memory", "reg"), [0, 0, 1, 0x2000_0000]);
        assert_eq!(cells("/rtas", "ibm,lrdr-capacity"), [1, 0x2000_0000, 0, 0x1000_0000, 4]);
        assert_eq!((cells("/rtas", "rtas-size"), cells("/rtas", "slof,rtas-size")), ([4096].into(), [20].into()));
        assert_eq!(
            (cells("/rtas", "ibm,os-term"), cells("/rtas", "linux,rtas-base")),
            ([0x201f].into(), [0x60_0000].into())
        );
        assert_eq!(cells("/chosen", "linux,initrd-end"), [0, 0x80_0007]);
        assert_eq!(root.find("/chosen").unwrap().text("bootargs"), Some("a b"));
        assert!(root.find("/chosen").unwrap().value("linux,esm-blob-start").is_none());
        let blob = EsmTree { blob: Some(0x90_0000..0x90_1000), ..tree(0x60_0000) };
        let root = Node::parse(&blob.to_bytes().unwrap()).unwrap();
        assert_eq!(root.find("/chosen").unwrap().value("linux,esm-blob-end").unwrap(), 0x90_1000_u64.to_be_bytes());
    }

    #[test]
    fn what_the_format_cannot_say_is_refused() {
        assert_eq!(tree(0xffff_fff0).to_bytes(), Err(EsmTreeError::RtasTooHigh));
        let nul = EsmTree { bootargs: "a\0b", ..tree(0x60_0000) };
        assert!(matches!(nul.to_bytes(), Err(EsmTreeError::Write(_))));
    }
}

//! The digests a machine compares before it makes a VM secure (power-pef §12.4).
//!
//! Who uses it: the owner's tools, which measure; the ultravisor, which compares.

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha512};

use super::tree::{COMPATIBLE, Node, Property, TreeError};

/// Bytes of a digest.
pub const DIGEST: usize = 64;
/// Node of the inner tree.
pub(crate) const NODE: &str = "digests";
/// Text of `/digests/algorithm`.
pub(crate) const ALGORITHM: &str = "SHA512";

/// Property names in the order of the inner tree's strings block.
const NAMES: [&str; 7] = ["compatible", "algorithm", "rtas", "kernel", "kernel-size", "initrd", "bootargs"];

/// The RTAS stub that a pseries VM gets: 20 bytes that pass the call on to the hypervisor.
pub const RTAS_STUB: [u8; 20] = [
    0x7c, 0x64, 0x1b, 0x78, 0x3c, 0x60, 0x00, 0x00, 0x60, 0x63, 0xf0, 0x00, 0x44, 0x00, 0x00, 0x22, 0x4e, 0x80, 0x00,
    0x20,
];

/// Why an inner tree is not one of digests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestsError {
    /// Not a device tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// `/digests` is missing.
    #[error("no node /digests")]
    NoNode,
    /// A property is missing or has not its length.
    #[error("the property {0} is missing or malformed")]
    Property(&'static str),
}

/// A SHA-512.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha512Digest(pub [u8; DIGEST]);

impl Sha512Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha512::digest(bytes).into())
    }
}

impl fmt::Display for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512Digest({self})")
    }
}

/// What the owner measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The RTAS code.
    pub rtas: Sha512Digest,
    /// The flat kernel image.
    pub kernel: Sha512Digest,
    /// Bytes of the flat kernel image: how much of guest memory, from the kernel's base, the digest covers.
    pub kernel_size: u32,
    /// The initramfs, without an archive that carries the blob in front of it.
    pub initrd: Sha512Digest,
    /// The command line, without a NUL.
    pub bootargs: Sha512Digest,
}

impl Digests {
    /// Measures the parts of a VM that has the usual RTAS stub. `kernel` is flat ([`kernel::flatten`](super::kernel::flatten)).
    ///
    /// # Errors
    /// [`DigestsError::Property`] `("kernel-size")` if the kernel is longer than 4 GiB.
    pub fn measure(kernel: &[u8], initrd: &[u8], bootargs: &str) -> Result<Self, DigestsError> {
        Ok(Self {
            rtas: Sha512Digest::of(&RTAS_STUB),
            kernel: Sha512Digest::of(kernel),
            kernel_size: u32::try_from(kernel.len()).map_err(|_| DigestsError::Property("kernel-size"))?,
            initrd: Sha512Digest::of(initrd),
            bootargs: Sha512Digest::of(bootargs.as_bytes()),
        })
    }

    /// Reads the opened inner tree strictly, as an owner does: all properties, in their lengths.
    ///
    /// # Errors
    /// [`DigestsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DigestsError> {
        let root = Node::parse(bytes)?;
        let node = root.child(NODE).ok_or(DigestsError::NoNode)?;
        if node.text("algorithm") != Some(ALGORITHM) {
            return Err(DigestsError::Property("algorithm"));
        }
        let digest = |name: &'static str| {
            let value = node.value(name).and_then(|value| value.try_into().ok());
            value.map(Sha512Digest).ok_or(DigestsError::Property(name))
        };
        let size = node.value("kernel-size").and_then(|value| value.try_into().ok());
        Ok(Self {
            rtas: digest("rtas")?,
            kernel: digest("kernel")?,
            kernel_size: size.map(u32::from_be_bytes).ok_or(DigestsError::Property("kernel-size"))?,
            initrd: digest("initrd")?,
            bootargs: digest("bootargs")?,
        })
    }

    /// The inner tree, as the format's own tool writes it but for padding, which is zero here.
    ///
    /// # Errors
    /// [`DigestsError::Tree`]; never in practice, the tree is small.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DigestsError> {
        let mut node = Node::new(NODE);
        node.properties = [
            Property::new("bootargs", self.bootargs.0),
            Property::new("initrd", self.initrd.0),
            Property::new("kernel-size", self.kernel_size.to_be_bytes()),
            Property::new("kernel", self.kernel.0),
            Property::new("rtas", self.rtas.0),
            Property::text("algorithm", ALGORITHM),
        ]
        .into();
        let mut root = Node::new("");
        root.set(Property::text("compatible", COMPATIBLE));
        root.children.push(node);
        Ok(root.to_bytes(&NAMES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Digests, DigestsError, Node, Property, RTAS_STUB, Sha512Digest};
    use crate::owner::samples::{INITRD, INNER_DIGESTS, VMLINUX_FLAT, expected, hex, zero_padding};

    #[test]
    fn reads_and_rebuilds_the_inner_tree_of_the_tool() {
        let digests = Digests::parse(INNER_DIGESTS).unwrap();
        let expected = &expected()["blobs"]["full.dtb"]["digests_fdt"]["digests"];
        assert_eq!(digests.rtas.0, *hex(&expected["rtas"]));
        assert_eq!(digests.kernel.0, *hex(&expected["kernel"]));
        assert_eq!(digests.initrd.0, *hex(&expected["initrd"]));
        assert_eq!(digests.bootargs.0, *hex(&expected["bootargs"]));
        assert_eq!(u64::from(digests.kernel_size), expected["kernel_size"].as_u64().unwrap());
        assert_eq!(digests.to_bytes().unwrap(), zero_padding(INNER_DIGESTS));
    }

    #[test]
    fn measures_as_the_tool_does() {
        let bootargs = expected()["inputs"]["bootargs"].clone();
        let measured = Digests::measure(VMLINUX_FLAT, INITRD, bootargs.as_str().unwrap()).unwrap();
        assert_eq!(measured, Digests::parse(INNER_DIGESTS).unwrap());
        assert_eq!(measured.rtas, Sha512Digest::of(&RTAS_STUB));
    }

    #[test]
    fn incomplete_trees_are_refused() {
        let good = Node::parse(INNER_DIGESTS).unwrap();
        for name in ["bootargs", "initrd", "kernel-size", "kernel", "rtas", "algorithm"] {
            let mut missing = good.clone();
            missing.children[0].properties.retain(|property| property.name != name);
            let mut short = good.clone();
            short.children[0].set(Property::new(name, [0; 3]));
            for tree in [missing, short] {
                assert_eq!(Digests::parse(&tree.to_bytes(&[]).unwrap()), Err(DigestsError::Property(name)));
            }
        }
        let none = Node { children: [].into(), ..good };
        assert_eq!(Digests::parse(&none.to_bytes(&[]).unwrap()), Err(DigestsError::NoNode));
    }
}

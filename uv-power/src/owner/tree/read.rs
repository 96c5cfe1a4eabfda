//! Bytes to tree.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node as _, Property as _};

use super::{MAX_DEPTH, Node, Property, TreeError};

/// Bytes of a device tree header.
const HEADER: usize = 40;

impl Node {
    /// Reads a flattened device tree (version 17) from the start of `bytes`; what follows `totalsize` is not looked at.
    ///
    /// # Errors
    /// [`TreeError::Truncated`], [`TreeError::Invalid`] and [`TreeError::TooDeep`]; never a panic, and no more memory
    /// than a small multiple of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, TreeError> {
        let available = bytes.len();
        if available < HEADER {
            return Err(TreeError::Truncated { needed: HEADER, available });
        }
        let mut total = [0; 4];
        total.copy_from_slice(&bytes[4..8]);
        let needed = usize::try_from(u32::from_be_bytes(total)).map_err(|_| TreeError::TooLarge)?;
        // The magic is judged before the size, so that a foreign file is called foreign and not short.
        let whole = bytes.get(..needed.max(HEADER));
        match Fdt::new(whole.unwrap_or(bytes)) {
            Ok(fdt) if whole.is_some() => convert(fdt.root(), 1),
            Err(error) if whole.is_some() || bytes[..4] != [0xd0, 0x0d, 0xfe, 0xed] => Err(error.into()),
            _ => Err(TreeError::Truncated { needed, available }),
        }
    }
}

fn convert(from: FdtNode<'_>, depth: usize) -> Result<Node, TreeError> {
    if depth > MAX_DEPTH {
        return Err(TreeError::TooDeep);
    }
    let mut node = Node::new(from.name());
    node.properties.extend(from.properties().map(|property| Property::new(property.name(), property.value())));
    for child in from.children() {
        node.children.push(convert(child, depth + 1)?);
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::{MAX_DEPTH, Node, TreeError};
    use crate::owner::samples::FULL;

    #[test]
    fn trailing_bytes_are_not_looked_at_and_missing_ones_are_named() {
        let mut longer = FULL.to_vec();
        longer.extend([0xff; 9]);
        assert_eq!(Node::parse(&longer), Node::parse(FULL));
        for length in 0..FULL.len() {
            let needed = if length < 40 { 40 } else { FULL.len() };
            assert_eq!(Node::parse(&FULL[..length]), Err(TreeError::Truncated { needed, available: length }));
        }
    }

    #[test]
    fn deep_trees_are_refused() {
        let nest = |depth: usize| {
            let leaf = Node::new("x");
            let mut root = (2..depth).fold(leaf, |child, _| Node { children: [child].into(), ..Node::new("x") });
            root = Node { children: [root].into(), ..Node::new("") };
            root
        };
        assert!(Node::parse(&nest(MAX_DEPTH).to_bytes(&[]).unwrap()).is_ok());
        // One level more, written by hand: the writer refuses it too.
        let mut bytes = Vec::from(&FULL[..56]);
        for _ in 0..10_000 {
            bytes.extend([0, 0, 0, 1, b'x', 0, 0, 0]);
        }
        bytes[60..64].fill(0);
        for _ in 0..10_000 {
            bytes.extend([0, 0, 0, 2]);
        }
        bytes.extend([0, 0, 0, 9]);
        let total = u32::try_from(bytes.len()).unwrap();
        for (at, value) in [(4, total), (12, total), (32, 0), (36, total - 56)] {
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        assert_eq!(Node::parse(&bytes), Err(TreeError::TooDeep));
        assert_eq!(nest(MAX_DEPTH + 1).to_bytes(&[]), Err(TreeError::TooDeep));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Node::parse(&bytes);
        }

        #[test]
        fn no_damage_makes_it_panic(
            edits in proptest::collection::vec((0..FULL.len(), any::<u8>()), 1..8),
            words in proptest::collection::vec((0..FULL.len() / 4, 0u32..16), 0..4),
            length in 0..=FULL.len(),
        ) {
            let mut bytes = FULL.to_vec();
            for (at, value) in edits {
                bytes[at] = value;
            }
            for (word, value) in words {
                bytes[word * 4..word * 4 + 4].copy_from_slice(&value.to_be_bytes());
            }
            bytes.truncate(length);
            if let Ok(tree) = Node::parse(&bytes) {
                let _ = tree.to_bytes(&[]);
            }
            // The same with the header kept whole, so that the damage reaches the structure block.
            if bytes.len() > 40 {
                bytes[..40].copy_from_slice(&FULL[..40]);
                let total = u32::try_from(bytes.len()).unwrap();
                bytes[4..8].copy_from_slice(&total.to_be_bytes());
                let _ = Node::parse(&bytes);
            }
        }
    }
}

//! The size of secure memory, from the host's device tree (power-pef §6.2, §10.4).

use super::DevicePool;
use crate::owner::tree::{Node, TreeError};

impl DevicePool {
    /// The pool of a host by its flattened device tree: the `reg` sizes of all nodes compatible with `ibm,secure-memory`; if they
    /// come to nothing, the sizes in `secure-memory-ranges` of the first `ibm,uv-firmware` node. `None`: the host has no
    /// secure memory.
    ///
    /// # Errors
    /// [`TreeError`] for bytes that are no device tree.
    pub fn from_device_tree(bytes: &[u8]) -> Result<Option<Self>, TreeError> {
        Ok(Self::new(secure_memory(&Node::parse(bytes)?)))
    }
}

/// Bytes of secure memory.
fn secure_memory(root: &Node) -> u64 {
    let nodes = each(root, "ibm,secure-memory");
    let new: u64 = nodes.iter().filter_map(|node| size(node.value("reg")?)).fold(0, u64::saturating_add);
    if new != 0 {
        return new;
    }
    let ranges = each(root, "ibm,uv-firmware").into_iter().next().and_then(|node| node.value("secure-memory-ranges"));
    ranges.map_or(0, |ranges| ranges.chunks_exact(16).filter_map(size).fold(0, u64::saturating_add))
}

/// The size in a pair of start and size, two cells each.
fn size(pair: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(pair.get(8..16)?.try_into().ok()?))
}

/// All nodes that are compatible with a device, in the order of the tree.
fn each<'a>(node: &'a Node, device: &str) -> alloc::vec::Vec<&'a Node> {
    let names = node.value("compatible").unwrap_or(&[]).split(|byte| *byte == 0);
    let mut found = alloc::vec::Vec::new();
    if names.into_iter().any(|name| name == device.as_bytes()) {
        found.push(node);
    }
    node.children.iter().for_each(|child| found.extend(each(child, device)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::tree::Property;

    fn memory(compatible: &str, property: &str, pairs: &[(u64, u64)]) -> Node {
        let mut node = Node::new("secure-memory@1000000000000");
        node.set(Property::text("compatible", compatible));
        let value: alloc::vec::Vec<u8> =
            pairs.iter().flat_map(|(start, size)| [start.to_be_bytes(), size.to_be_bytes()].concat()).collect();
        node.set(Property::new(property, value));
        node
    }

    fn pages(children: impl Into<alloc::vec::Vec<Node>>) -> Option<u64> {
        let mut ultravisor = Node::new("ibm,ultravisor");
        ultravisor.children = children.into();
        let mut root = Node::new("");
        root.children.push(ultravisor);
        let bytes = root.to_bytes(&[]).unwrap();
        DevicePool::from_device_tree(&bytes).unwrap().map(|pool| pool.pages())
    }

    #[test]
    fn the_pool_is_as_large_as_the_nodes_say() {
        const S: u64 = 1 << 48;
        let ranges = || memory("ibm,uv-firmware", "secure-memory-ranges", &[(S, 7 << 16), (S | 1 << 32, 2 << 16)]);
        let new = |bytes| memory("other\0ibm,secure-memory", "reg", &[(S, bytes), (S | 1 << 40, 99 << 16)]);
        assert_eq!(pages([new(3 << 16), ranges(), new(2 << 16)]), Some(5), "the first pair of each node");
        assert_eq!(pages([ranges()]), Some(9));
        assert_eq!(pages([new(0), ranges()]), Some(9), "nodes that come to nothing");
        assert_eq!(pages([memory("ibm,secure-memory", "other", &[]), ranges()]), Some(9));
        assert_eq!(pages([ranges(), ranges()]), Some(9), "the first node");
        assert_eq!(pages([new(0xffff)]), None);
        assert_eq!(pages([memory("ibm,uv-firmware", "reg", &[(0, 1 << 20)])]), None);
        assert_eq!(pages([memory("ibm,secure-memory2", "reg", &[(S, 1 << 20)])]), None);
        assert_eq!(pages([]), None);
        assert!(DevicePool::from_device_tree(b"x").is_err());
    }
}

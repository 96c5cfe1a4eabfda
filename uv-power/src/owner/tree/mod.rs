//! Device trees as ESM blobs use them: the container of the blob and of both inner trees (power-pef §12.1).
//!
//! Who uses it: all of the blob's parts; whoever looks into a blob.
//!
//! [`Node::parse`] reads with the `dtoolkit` crate; [`Node::to_bytes`] writes. Our own writer exists because the
//! order of names in the strings block is fixed by the format's history (docs/decisions/0008-esm-tree-writer.md).

mod read;
mod write;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// `compatible` of a blob and of the digests inside.
pub(crate) const COMPATIBLE: &str = "ibm,esm";

/// The deepest tree that is read or written, in nodes. A blob needs four.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not a device tree, or a tree cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Fewer bytes than a header (40), or than the header's `totalsize`.
    #[error("the device tree is cut off: {needed} bytes needed, {available} present")]
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes present.
        available: usize,
    },
    /// The header, a block or a token is wrong.
    #[error("not a valid device tree: {0}")]
    Invalid(#[from] dtoolkit::error::FdtParseError),
    /// More than [`MAX_DEPTH`] levels.
    #[error("the device tree is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A block or value is longer than a 32-bit field can say.
    #[error("the device tree is too large to be written")]
    TooLarge,
    /// A name holds a NUL byte.
    #[error("a name in the device tree holds a NUL byte")]
    Name,
}

/// One property: a name and its raw value.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Name, as in the strings block.
    pub name: String,
    /// Raw value; a text ends with one NUL.
    pub value: Vec<u8>,
}

impl Property {
    /// A property with a raw value.
    #[must_use]
    pub fn new(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// A property with a text value: `text` and one NUL.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        let mut value = Vec::from(text);
        value.push(0);
        Self { name: name.into(), value }
    }
}

/// Shows the name and the length only: values may be plaintext of a sealed tree.
impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.name, self.value.len())
    }
}

/// One node with its properties and children, both in the order they have on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Name; empty for the root.
    pub name: String,
    /// Properties in on-disk order.
    pub properties: Vec<Property>,
    /// Children in on-disk order.
    pub children: Vec<Node>,
}

impl Node {
    /// An empty node.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The value of a property; the first one where a name stands twice.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|property| property.name == name).map(|property| property.value.as_slice())
    }

    /// The text of a property: its value without the one NUL at its end, if it is UTF-8 and holds no other NUL.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = core::str::from_utf8(self.value(name)?.strip_suffix(&[0])?).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    /// Replaces the value of a property in its place, or puts a new property in front.
    pub fn set(&mut self, property: Property) {
        match self.properties.iter_mut().find(|old| old.name == property.name) {
            Some(old) => *old = property,
            None => self.properties.insert(0, property),
        }
    }

    /// The child that a path component names.
    ///
    /// As in every device tree, a component without `@` also finds a child that has a unit address after it.
    #[must_use]
    pub fn child(&self, component: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.answers_to(component))
    }

    /// The same as [`Node::child`], to change it.
    pub fn child_mut(&mut self, component: &str) -> Option<&mut Self> {
        self.children.iter_mut().find(|child| child.answers_to(component))
    }

    fn answers_to(&self, component: &str) -> bool {
        match self.name.strip_prefix(component) {
            Some("") => true,
            Some(rest) => rest.starts_with('@') && !component.contains('@'),
            None => false,
        }
    }

    /// The node below this one that a path names; empty components are skipped, as `/` separates.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Self> {
        path.split('/').filter(|component| !component.is_empty()).try_fold(self, |node, part| node.child(part))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Property};

    #[test]
    fn lookups_follow_device_tree_rules() {
        let mut root = Node::new("");
        let mut a = Node::new("a");
        a.children.push(Node::new("b@1"));
        root.children.push(a);
        assert_eq!(root.find("/a/b").unwrap().name, "b@1");
        assert_eq!(root.find("a//b@1").unwrap().name, "b@1");
        assert!(root.find("/a/b@").is_none());
        assert!(root.find("/a/c").is_none());
        assert_eq!(root.find("/").unwrap().name, "");
    }

    #[test]
    fn texts_end_with_one_nul() {
        let mut node = Node::new("n");
        node.set(Property::text("t", "x"));
        node.set(Property::new("u", *b"x"));
        node.set(Property::new("v", *b"x\0\0"));
        assert_eq!(node.properties[0].name, "v");
        assert_eq!((node.text("t"), node.text("u"), node.text("v")), (Some("x"), None, None));
        node.set(Property::text("t", ""));
        assert_eq!((node.text("t"), node.properties.len()), (Some(""), 3));
    }
}

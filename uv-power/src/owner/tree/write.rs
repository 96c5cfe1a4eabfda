//! Tree to bytes.

use alloc::vec::Vec;

use super::{MAX_DEPTH, Node, TreeError};

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE: u32 = 16;
const OFF_RESERVATIONS: u32 = 40;
const OFF_STRUCTURE: u32 = 56;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const END: u32 = 9;

impl Node {
    /// Writes the packed form of power-pef §12.1: header, one empty reservation, structure, strings, nothing else.
    ///
    /// `names` says in which order property names stand in the strings block. Names of it that no property
    /// has are left out; names that it lacks follow in order of first use.
    ///
    /// # Errors
    /// [`TreeError::TooDeep`], [`TreeError::TooLarge`], [`TreeError::Name`].
    pub fn to_bytes(&self, names: &[&str]) -> Result<Vec<u8>, TreeError> {
        let mut used = Vec::new();
        collect_names(self, &mut used, 1)?;
        let known = names.iter().copied().filter(|name| used.contains(name));
        let other = used.iter().copied().filter(|name| !names.contains(name));
        let mut strings = Strings::default();
        for name in known.chain(other) {
            strings.add(name)?;
        }
        let mut structure = Vec::new();
        write_node(self, &strings, &mut structure)?;
        put(&mut structure, END);

        let structure_size = length(&structure)?;
        let off_strings = OFF_STRUCTURE.checked_add(structure_size).ok_or(TreeError::TooLarge)?;
        let total = off_strings.checked_add(length(&strings.block)?).ok_or(TreeError::TooLarge)?;
        let header = [
            MAGIC,
            total,
            OFF_STRUCTURE,
            off_strings,
            OFF_RESERVATIONS,
            VERSION,
            LAST_COMPATIBLE,
            0,
            length(&strings.block)?,
            structure_size,
        ];
        let mut bytes = Vec::new();
        for word in header {
            put(&mut bytes, word);
        }
        bytes.extend([0; 16]);
        bytes.extend(structure);
        bytes.extend(strings.block);
        Ok(bytes)
    }
}

/// The strings block, with the place of each name.
#[derive(Default)]
struct Strings<'a> {
    block: Vec<u8>,
    places: Vec<(&'a str, u32)>,
}

impl<'a> Strings<'a> {
    fn add(&mut self, name: &'a str) -> Result<(), TreeError> {
        self.places.push((name, length(&self.block)?));
        put_name(&mut self.block, name)
    }

    fn place(&self, name: &str) -> Option<u32> {
        self.places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
    }
}

fn collect_names<'a>(node: &'a Node, used: &mut Vec<&'a str>, depth: usize) -> Result<(), TreeError> {
    if depth > MAX_DEPTH {
        return Err(TreeError::TooDeep);
    }
    for property in &node.properties {
        if !used.contains(&property.name.as_str()) {
            used.push(&property.name);
        }
    }
    node.children.iter().try_for_each(|child| collect_names(child, used, depth + 1))
}

fn write_node(node: &Node, strings: &Strings<'_>, out: &mut Vec<u8>) -> Result<(), TreeError> {
    put(out, BEGIN_NODE);
    put_name(out, &node.name)?;
    pad(out);
    for property in &node.properties {
        put(out, PROP);
        put(out, length(&property.value)?);
        put(out, strings.place(&property.name).ok_or(TreeError::Name)?);
        out.extend(&property.value);
        pad(out);
    }
    node.children.iter().try_for_each(|child| write_node(child, strings, out))?;
    put(out, END_NODE);
    Ok(())
}

fn length(bytes: &[u8]) -> Result<u32, TreeError> {
    u32::try_from(bytes.len()).map_err(|_| TreeError::TooLarge)
}

fn put(out: &mut Vec<u8>, word: u32) {
    out.extend(word.to_be_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &str) -> Result<(), TreeError> {
    if name.contains('\0') {
        return Err(TreeError::Name);
    }
    out.extend(name.as_bytes());
    out.push(0);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::super::{Node, Property, TreeError};

    #[test]
    fn names_stand_in_the_order_asked_for() {
        let mut root = Node::new("");
        root.properties = ["c", "b", "a", "b"].map(|name| Property::new(name, *b"12345")).into();
        let bytes = root.to_bytes(&["x", "a", "b"]).unwrap();
        assert!(bytes.ends_with(b"a\0b\0c\0"));
        assert_eq!(Node::parse(&bytes).unwrap(), root);
    }

    #[test]
    fn nul_in_a_name_is_refused() {
        assert_eq!(Node::new("a\0b").to_bytes(&[]), Err(TreeError::Name));
        let mut root = Node::new("");
        root.set(Property::new("a\0", *b""));
        assert_eq!(root.to_bytes(&[]), Err(TreeError::Name));
    }
}

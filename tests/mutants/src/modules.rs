//! The source files of a library as the compiler finds them, without what is there for tests only.

use std::io;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, Meta};

/// A parsed source file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

/// Follows `mod` from the root file.
pub(crate) fn sources(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let folder = root.parent().unwrap_or(Path::new(""));
    follow(root, folder, &mut found)?;
    Ok(found)
}

fn follow(path: &Path, children: &Path, found: &mut Vec<Source>) -> io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let syntax = syn::parse_file(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))?;
    let names: Vec<String> = syntax.items.iter().filter_map(outline_module).collect();
    found.push(Source { path: path.to_owned(), text, syntax });
    for name in names {
        let file = children.join(format!("{name}.rs"));
        let file = if file.exists() { file } else { children.join(&name).join("mod.rs") };
        follow(&file, &children.join(&name), found)?;
    }
    Ok(())
}

fn outline_module(item: &Item) -> Option<String> {
    match item {
        Item::Mod(module) if module.content.is_none() && !for_tests(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    }
}

/// `#[test]`, `#[cfg(test)]`.
pub(crate) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

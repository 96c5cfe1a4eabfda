//! Names of constants and variants, as `Type::NAME` is written anywhere in a library, and its names for `Result`.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Path, Type};

use super::body::first_argument;
use crate::modules::Source;

/// What the names of a library are.
#[derive(Default, Debug)]
pub(crate) struct Names {
    of_type: BTreeMap<String, BTreeSet<String>>,
    unit_results: BTreeSet<String>,
}

impl Names {
    /// Collects from all files of a library.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let mut names = Self::default();
        sources.iter().for_each(|source| names.visit_file(&source.syntax));
        names
    }

    /// The same path with the name that follows, in a circle.
    pub(super) fn other(&self, path: &Path, self_type: Option<&str>) -> Option<String> {
        let (of, name) = type_and_name(path)?;
        let known = self.of_type.get(if of == "Self" { self_type? } else { &of })?;
        let same_kind = |other: &&String| is_constant(other) == is_constant(&name);
        let after = known.range::<String, _>((std::ops::Bound::Excluded(&name), std::ops::Bound::Unbounded));
        let other = after.chain(known.iter()).filter(same_kind).find(|other| **other != name)?;
        let mut segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        segments.pop();
        segments.push(other.clone());
        Some(segments.join("::"))
    }

    /// Whether this is a name for a `Result` of nothing.
    pub(super) fn unit_result(&self, alias: &str) -> bool {
        self.unit_results.contains(alias)
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast Path) {
        if let Some((of, name)) = type_and_name(path)
            && of != "Self"
            && of != "Ordering"
        {
            self.of_type.entry(of).or_default().insert(name);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        if let Type::Path(path) = &*item.ty
            && let Some(last) = path.path.segments.last()
            && last.ident == "Result"
            && let Some(Type::Tuple(unit)) = first_argument(&last.arguments)
            && unit.elems.is_empty()
        {
            self.unit_results.insert(item.ident.to_string());
        }
    }
}

/// `Type::NAME` or `Type::Variant` at the end of a path.
fn type_and_name(path: &Path) -> Option<(String, String)> {
    let mut segments = path.segments.iter().rev();
    let (name, of) = (segments.next()?, segments.next()?);
    if !name.arguments.is_none() || !of.arguments.is_none() {
        return None;
    }
    let (name, of) = (name.ident.to_string(), of.ident.to_string());
    let type_like = of.starts_with(char::is_uppercase) && (of == "Self" || !is_constant(&of));
    (type_like && name.starts_with(char::is_uppercase)).then_some((of, name))
}

fn is_constant(name: &str) -> bool {
    name.len() > 1 && !name.contains(char::is_lowercase)
}

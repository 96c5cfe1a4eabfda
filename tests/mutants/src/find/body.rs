//! Bodies of functions replaced by a value that the return type allows.

use syn::{Block, GenericArgument, PathArguments, ReturnType, Signature, Stmt, Type};

use super::Finder;
use crate::site::Shape;

impl Finder<'_> {
    pub(super) fn body(&mut self, signature: &Signature, block: &Block) {
        if block.stmts.is_empty() {
            return;
        }
        let choices = match &signature.output {
            ReturnType::Default => vec!["()"],
            ReturnType::Type(_, output) => self.values(output),
        };
        let only = match block.stmts.as_slice() {
            [Stmt::Expr(only, _)] => self.source(only).to_owned(),
            _ => String::new(),
        };
        let start = self.range(&block.brace_token.span.open()).end;
        let shown = format!("fn {}", signature.ident);
        for choice in choices {
            if only != choice {
                self.add_shown(start..start, Shape::Entry, format!("return {choice};"), shown.clone());
            }
        }
    }

    fn values(&self, output: &Type) -> Vec<&'static str> {
        let Type::Path(path) = output else { return Vec::new() };
        let Some(last) = path.path.segments.last() else { return Vec::new() };
        match last.ident.to_string().as_str() {
            "bool" => vec!["true", "false"],
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => vec!["0", "1"],
            "Option" => vec!["None"],
            "Vec" | "String" => vec!["Default::default()"],
            "Result" => match first_argument(&last.arguments) {
                Some(Type::Tuple(unit)) if unit.elems.is_empty() => vec!["Ok(())"],
                Some(Type::Path(inner)) if inner.path.is_ident("bool") => vec!["Ok(true)", "Ok(false)"],
                Some(_) => vec!["Ok(Default::default())"],
                None => Vec::new(),
            },
            name => self.names.unit_result(name).then_some("Ok(())").into_iter().collect(),
        }
    }
}

/// The first type between the angle brackets.
pub(super) fn first_argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    })
}

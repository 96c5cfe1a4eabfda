//! Finds what can be changed in a file.
//!
//! | change | where |
//! |---|---|
//! | `true`, `false` for the condition, or for one of the parts joined by `&&` and `||` | `if`, `while` (`false`), match guards |
//! | `==` and `!=` swapped, `<` and `<=`, `>` and `>=` | comparisons; equality only where no condition is changed as a whole |
//! | operator swapped | `+ - * / % & \| ^ << >>`, with `=` too |
//! | number one higher | literals outside of comparisons, but for capacities and what buffers begin with |
//! | `!` left out | outside of conditions |
//! | left out | statements that call or assign |
//! | error dropped | `call()?;` |
//! | body replaced | by `true`, `false`, `0`, `1`, `None`, `Ok(())`, or nothing, as the return type allows |
//! | `Type::NAME` replaced by another name used of the type | outside of comparisons |
//! | method swapped | `min`/`max`, `any`/`all`; outside of conditions `is_some`/`is_none`, `is_ok`/`is_err` |
//!
//! Left alone: constants and constant functions, patterns, types, attributes, arguments of macros, tests, `Debug` and `Display`.

mod body;
mod condition;
mod expression;
mod names;
mod statement;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Signature};

use crate::modules::{Source, for_tests};
use crate::site::{Mutant, Shape, Site, one_line};

pub(crate) use names::Names;

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) sites: Vec<Site>,
    pub(crate) mutants: Vec<Mutant>,
}

/// Finds the changes of a file. `file` is its name in reports, `first` the number of the first mutant.
pub(crate) fn find(source: &Source, file: &str, first: u32, names: &Names) -> Found {
    let mut finder = Finder {
        text: &source.text,
        file,
        next: first,
        names,
        function: Vec::new(),
        self_type: None,
        settled: HashSet::new(),
        repeats: HashMap::new(),
        found: Found { sites: Vec::new(), mutants: Vec::new() },
    };
    finder.visit_file(&source.syntax);
    finder.found
}

struct Finder<'a> {
    text: &'a str,
    file: &'a str,
    next: u32,
    names: &'a Names,
    /// Modules, types and functions around.
    function: Vec<String>,
    self_type: Option<String>,
    /// Expressions that need no change of their own: one around them says as much.
    settled: HashSet<Range<usize>>,
    repeats: HashMap<String, usize>,
    found: Found,
}

impl Finder<'_> {
    fn range(&self, node: &impl Spanned) -> Range<usize> {
        node.span().byte_range()
    }

    fn source(&self, node: &impl Spanned) -> &str {
        &self.text[self.range(node)]
    }

    fn settle(&mut self, node: &impl Spanned) {
        let range = self.range(node);
        self.settled.insert(range);
    }

    fn is_settled(&self, node: &impl Spanned) -> bool {
        self.settled.contains(&self.range(node))
    }

    /// Adds a change of the expression or statement `range`.
    fn add(&mut self, range: Range<usize>, shape: Shape, text: impl Into<String>) {
        let original = one_line(&self.text[range.clone()]);
        self.add_shown(range, shape, text.into(), original);
    }

    fn add_shown(&mut self, range: Range<usize>, shape: Shape, text: String, original: String) {
        let id = self.next;
        self.next += 1;
        let mut mutant = Mutant {
            id,
            file: self.file.to_owned(),
            line: self.text[..range.start].matches('\n').count() + 1,
            function: self.function.join("::"),
            original,
            changed: one_line(text.trim_start_matches("return ").trim_end_matches(';')),
            nth: 1,
        };
        let count = self.repeats.entry(mutant.key()).or_default();
        *count += 1;
        mutant.nth = *count;
        self.found.mutants.push(mutant);
        match self.found.sites.iter_mut().find(|site| site.range == range && site.shape == shape) {
            Some(site) => site.choices.push((id, text)),
            None => self.found.sites.push(Site { range, shape, choices: vec![(id, text)] }),
        }
    }

    fn within(&mut self, name: String, inner: impl FnOnce(&mut Self)) {
        self.function.push(name);
        inner(self);
        self.function.pop();
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        if for_tests(attributes) || signature.constness.is_some() {
            return;
        }
        self.within(signature.ident.to_string(), |finder| {
            finder.body(signature, block);
            visit::visit_block(finder, block);
        });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests(&item.attrs) {
            self.within(item.ident.to_string(), |finder| visit::visit_item_mod(finder, item));
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |finder| visit::visit_item_trait(finder, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = item.trait_.as_ref().and_then(|(path, _)| path.segments.last()).map(|s| s.ident.to_string());
        if for_tests(&item.attrs) || matches!(of.as_deref(), Some("Debug" | "Display")) {
            return;
        }
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        let around = std::mem::replace(&mut self.self_type, name.clone());
        self.within(name.unwrap_or_default(), |finder| visit::visit_item_impl(finder, item));
        self.self_type = around;
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        self.statement(statement);
        visit::visit_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        self.expression(expression);
        match expression {
            syn::Expr::Const(_) => {}
            // What a buffer begins with is mostly written over.
            syn::Expr::Repeat(repeat) if matches!(*repeat.expr, syn::Expr::Lit(_)) => {}
            syn::Expr::Repeat(repeat) => self.visit_expr(&repeat.expr),
            // The function of a call is a name, not a value.
            syn::Expr::Call(call) if matches!(*call.func, syn::Expr::Path(_)) => {
                if !expression::is_capacity(self.source(&call.func)) {
                    call.args.iter().for_each(|argument| self.visit_expr(argument));
                }
            }
            _ => visit::visit_expr(self, expression),
        }
    }

    fn visit_pat_guard(&mut self, guard: &'ast syn::PatGuard) {
        self.condition(&guard.guard, &["true", "false"]);
        self.visit_expr(&guard.guard);
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        if let syn::Pat::Guard(guard) = pattern {
            self.visit_pat_guard(guard);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_generics(&mut self, _: &'ast syn::Generics) {}
    fn visit_path(&mut self, _: &'ast syn::Path) {}
    fn visit_angle_bracketed_generic_arguments(&mut self, _: &'ast syn::AngleBracketedGenericArguments) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_macro(&mut self, _: &'ast syn::Macro) {}
}

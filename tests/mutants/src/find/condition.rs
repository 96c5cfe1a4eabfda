//! Conditions: always true, always false, or without one of their parts.

use syn::{BinOp, Expr};

use super::Finder;
use crate::site::Shape;

impl Finder<'_> {
    /// A condition and what may stand for the whole of it.
    pub(super) fn condition(&mut self, condition: &Expr, choices: &[&str]) {
        if holds_let(condition) {
            // A part of a let chain cannot be put into parentheses together with its `let`.
            self.parts_of_chain(condition);
            return;
        }
        let choices: Vec<&str> = choices.iter().copied().filter(|choice| !implied(condition, choice)).collect();
        for choice in choices {
            self.add(self.range(condition), Shape::Expression, choice);
        }
        self.settle(condition);
        // `!x` is settled with `x`.
        if let Expr::Unary(unary) = condition {
            self.settle(&unary.expr);
        }
    }

    fn parts_of_chain(&mut self, condition: &Expr) {
        match condition {
            Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) => {
                self.parts_of_chain(&binary.left);
                self.parts_of_chain(&binary.right);
                self.settle(condition);
            }
            Expr::Let(_) => {}
            part => self.condition(part, &["true", "false"]),
        }
    }

    /// A part of `a && b` (always true is as good as left out) or `a || b` (always false).
    pub(super) fn part(&mut self, part: &Expr, and: bool) {
        match part {
            // The parts of the part say more.
            Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) && and => {}
            Expr::Binary(binary) if matches!(binary.op, BinOp::Or(_)) && !and => {}
            Expr::Let(_) => {}
            _ => {
                self.add(self.range(part), Shape::Expression, if and { "true" } else { "false" });
                self.settle(part);
                if let Expr::Unary(unary) = part {
                    self.settle(&unary.expr);
                }
            }
        }
    }
}

/// Whether leaving out one of the parts says more than this constant does.
fn implied(condition: &Expr, choice: &str) -> bool {
    match condition {
        Expr::Binary(binary) => match binary.op {
            BinOp::And(_) => choice == "true",
            BinOp::Or(_) => choice == "false",
            _ => false,
        },
        Expr::Lit(_) => true,
        _ => false,
    }
}

/// Whether there is a `let` among the parts of a chain.
pub(super) fn holds_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => holds_let(&binary.left) || holds_let(&binary.right),
        _ => false,
    }
}

//! Statements left out, errors dropped.

use syn::{BinOp, Expr, Stmt};

use super::Finder;
use super::expression::swapped_operator;
use crate::site::Shape;

impl Finder<'_> {
    pub(super) fn statement(&mut self, statement: &Stmt) {
        let Stmt::Expr(expression, Some(_)) = statement else { return };
        let range = self.range(statement);
        match expression {
            Expr::Call(call) if self.source(&call.func) == "drop" => {}
            Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => self.add(range, Shape::Statement, ""),
            Expr::Try(attempt) if matches!(*attempt.expr, Expr::Call(_) | Expr::MethodCall(_)) => {
                self.add(range.clone(), Shape::Statement, "");
                let text = format!("let _ = {};", self.source(&attempt.expr));
                self.add(range, Shape::Statement, text);
            }
            Expr::Binary(binary) if is_assignment(&binary.op) => {
                self.add(range.clone(), Shape::Statement, "");
                if let Some(other) = swapped_operator(&binary.op) {
                    let text = format!("{} {other} {};", self.source(&binary.left), self.source(&binary.right));
                    self.add(range, Shape::Statement, text);
                }
                self.settle(expression);
            }
            _ => {}
        }
    }
}

fn is_assignment(operator: &BinOp) -> bool {
    swapped_operator(operator).is_some_and(|text| text.ends_with('='))
}

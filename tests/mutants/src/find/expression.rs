//! Operators, numbers, names and methods.

use syn::{BinOp, Expr, ExprBinary, Lit, UnOp};

use super::Finder;
use super::condition::holds_let;
use crate::site::Shape;

impl Finder<'_> {
    pub(super) fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::If(branch) => self.condition(&branch.cond, &["true", "false"]),
            Expr::While(repeated) => self.condition(&repeated.cond, &["false"]),
            Expr::Binary(binary) => self.binary(expression, binary),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) && !self.is_settled(expression) => {
                let text = self.source(&unary.expr).to_owned();
                self.add(self.range(expression), Shape::Expression, text);
            }
            Expr::Lit(literal) if !self.is_settled(expression) => {
                if let Lit::Int(_) = literal.lit {
                    let text = format!("{} + 1", self.source(expression));
                    self.add(self.range(expression), Shape::Expression, text);
                }
            }
            Expr::Path(path) if path.qself.is_none() && !self.is_settled(expression) => {
                if let Some(text) = self.names.other(&path.path, self.self_type.as_deref()) {
                    self.add(self.range(expression), Shape::Expression, text);
                }
            }
            Expr::MethodCall(call) => {
                let name = call.method.to_string();
                let Some(other) =
                    swapped_method(&name).filter(|_| !name.starts_with("is_") || !self.is_settled(expression))
                else {
                    return;
                };
                let (whole, name) = (self.range(expression), self.range(&call.method));
                let text = format!("{}{other}{}", &self.text[whole.start..name.start], &self.text[name.end..whole.end]);
                self.add(whole, Shape::Expression, text);
            }
            _ => {}
        }
    }

    fn binary(&mut self, expression: &Expr, binary: &ExprBinary) {
        match binary.op {
            BinOp::And(_) | BinOp::Or(_) => {
                let and = matches!(binary.op, BinOp::And(_));
                if !holds_let(expression) {
                    self.part(&binary.left, and);
                    self.part(&binary.right, and);
                }
            }
            BinOp::Eq(_) | BinOp::Ne(_) => {
                // Which name or number is compared with is settled by the comparison.
                self.settle_operand(&binary.left);
                self.settle_operand(&binary.right);
                if !self.is_settled(expression) {
                    let other = if matches!(binary.op, BinOp::Eq(_)) { "!=" } else { "==" };
                    self.swap(expression, binary, other);
                }
            }
            BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) => {
                // One more in the bound is the same as the other operator.
                self.settle_operand(&binary.left);
                self.settle_operand(&binary.right);
                let other = match binary.op {
                    BinOp::Lt(_) => "<=",
                    BinOp::Le(_) => "<",
                    BinOp::Gt(_) => ">=",
                    _ => ">",
                };
                self.swap(expression, binary, other);
            }
            _ => {
                if let Some(other) = swapped_operator(&binary.op)
                    && !self.is_settled(expression)
                {
                    self.swap(expression, binary, other);
                }
            }
        }
    }

    fn swap(&mut self, expression: &Expr, binary: &ExprBinary, other: &str) {
        let text = format!("{} {other} {}", self.source(&binary.left), self.source(&binary.right));
        self.add(self.range(expression), Shape::Expression, text);
    }

    fn settle_operand(&mut self, operand: &Expr) {
        if matches!(operand, Expr::Path(_) | Expr::Lit(_)) {
            self.settle(operand);
        }
    }
}

/// The operator that stands for another.
pub(super) fn swapped_operator(operator: &BinOp) -> Option<&'static str> {
    Some(match operator {
        BinOp::Add(_) => "-",
        BinOp::Sub(_) => "+",
        BinOp::Mul(_) => "+",
        BinOp::Div(_) => "*",
        BinOp::Rem(_) => "/",
        BinOp::BitAnd(_) => "|",
        BinOp::BitOr(_) => "&",
        BinOp::BitXor(_) => "|",
        BinOp::Shl(_) => ">>",
        BinOp::Shr(_) => "<<",
        BinOp::AddAssign(_) => "-=",
        BinOp::SubAssign(_) => "+=",
        BinOp::MulAssign(_) => "+=",
        BinOp::DivAssign(_) => "*=",
        BinOp::RemAssign(_) => "/=",
        BinOp::BitAndAssign(_) => "|=",
        BinOp::BitOrAssign(_) => "&=",
        BinOp::BitXorAssign(_) => "|=",
        BinOp::ShlAssign(_) => ">>=",
        BinOp::ShrAssign(_) => "<<=",
        _ => return None,
    })
}

fn swapped_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" => "max",
        "max" => "min",
        "any" => "all",
        "all" => "any",
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        _ => return None,
    })
}

/// A capacity is a matter of speed.
pub(super) fn is_capacity(function: &str) -> bool {
    function.ends_with("with_capacity")
}

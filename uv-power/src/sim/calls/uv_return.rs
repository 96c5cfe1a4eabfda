//! `UV_RETURN`: the machine goes (back) to a secure VM, which is its business and no call's: see
//! [`run::uv_return`](crate::sim::run::uv_return) for what it checks.

use super::effect::Effect;
use crate::abi::regs::Regs;
use crate::sim::inner::Inner;

pub(super) const fn uv_return(_: &Inner, _: &mut Regs) -> Effect {
    Effect::Return
}

//! Flows: work of the ultravisor in which the hypervisor acts in between.
//!
//! `UV_ESM`, sharing, page faults and RTAS calls need several hypercalls. Each is an `async fn` whose
//! [`Uv::hypercall`] is the way out to the hypervisor and back. There is no executor: the virtual CPU keeps the future and
//! polls it when the hypervisor comes back by `UV_RETURN`. A flow that waits without a hypercall ([`Uv::pause`]) goes out with
//! a decrementer interrupt (0x980).

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use spin::Mutex;
use uv_core::GuestAddr;

use super::platform::Platform;
use super::svm::Svm;
use crate::abi::codes::{HvCode, UvCode};
use crate::abi::numbers::HvCall;

/// A flow that waits or is about to start.
pub(crate) type Flow = Pin<Box<dyn Future<Output = FlowEnd> + Send>>;

/// How a flow ends: what becomes of the guest.
#[derive(Debug)]
pub(crate) enum FlowEnd {
    /// The guest goes on; its instruction, if one was at work, is repeated.
    Retry,
    /// The guest goes on after its instruction with this result in R3.
    Result(UvCode),
    /// The guest goes on after its instruction, R3 as it was.
    Keep,
    /// A load from a device gave a value; `false`: nothing was emulated.
    Loaded { at: GuestAddr, value: Option<u64> },
    /// A store to a device is done, or nothing was emulated.
    Stored { at: GuestAddr },
    /// The VM is secure: it starts here.
    Enter { nip: u64, tree: u64 },
    /// The transition failed: the hypervisor is told as if the guest had made `H_SVM_INIT_ABORT`.
    InitAbort,
    /// The VM cannot go on.
    Kill(&'static str),
    /// The VM was killed and the hypervisor has been told.
    Dead,
    /// An exception goes to the hypervisor.
    Reflect(u64),
}

/// What comes after a step of a virtual CPU.
pub(crate) enum Next {
    /// The guest goes on.
    Guest,
    /// The hypervisor is entered: its registers are made.
    Hypervisor,
    /// Work for a VM ended like this.
    End(Arc<Svm>, FlowEnd),
    /// Work for a VM begins or goes on.
    Flow(Arc<Svm>, Port, Flow),
}

/// A hypercall of the ultravisor.
pub(crate) struct Request {
    pub(crate) number: HvCall,
    pub(crate) args: Vec<u64>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) code: HvCode,
    /// R4 … R12.
    pub(crate) out: [u64; 9],
}

impl Answer {
    /// R0 and R4 … of a `UV_RETURN`: the code is the low 32 bits, signed.
    pub(crate) fn new(r0: u64, out: [u64; 9]) -> Self {
        let [_, _, _, _, low @ ..] = r0.to_be_bytes();
        Self { code: HvCode(i32::from_be_bytes(low).into()), out }
    }
}

/// What waits to be taken, one way and the other.
#[derive(Default)]
struct Exchange {
    request: Option<Request>,
    answer: Option<Answer>,
}

/// The way between a flow and the virtual CPU that polls it.
#[derive(Clone, Default)]
pub(crate) struct Port(Arc<Mutex<Exchange>>);

impl Port {
    pub(crate) fn answer(&self, answer: Answer) {
        self.0.lock().answer = Some(answer);
    }

    pub(crate) fn take_request(&self) -> Option<Request> {
        self.0.lock().request.take()
    }
}

/// Polls a flow once.
pub(crate) fn poll(flow: &mut Flow) -> Poll<FlowEnd> {
    flow.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The ultravisor at work for one virtual CPU of one VM.
pub(crate) struct Uv {
    pub(crate) platform: Arc<Platform>,
    pub(crate) svm: Arc<Svm>,
    pub(crate) port: Port,
}

impl Uv {
    /// With a new way to the hypervisor.
    pub(crate) fn new(platform: &Arc<Platform>, svm: &Arc<Svm>) -> Self {
        Self { platform: Arc::clone(platform), svm: Arc::clone(svm), port: Port::default() }
    }

    /// Makes a hypercall and waits for the hypervisor to come back.
    pub(crate) async fn hypercall(&self, number: HvCall, args: &[u64]) -> Answer {
        self.port.0.lock().request = Some(Request { number, args: args.to_vec() });
        poll_fn(|_| match self.port.0.lock().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    /// Lets the hypervisor have its turn and goes on: for what cannot be done before a guest access on another CPU has ended.
    pub(crate) async fn pause(&self) {
        let mut paused = false;
        poll_fn(|_| if core::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

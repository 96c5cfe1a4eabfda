//! The secret store of a booted guest, through the guest's own calls.

use serde_json::{Value, json};
use uv_s390::abi::secret::{LIST_PAGE_SIZE, SecretEntry, SecretList};
use uv_s390::abi::uvc::{UvRc, UvRrc};
use uv_s390::abi::uvcb::{AddSecret, ListSecrets, NoData, RetrieveSecret, UvCommand};
use uv_s390::owner::secret::{RetrievedSecret, retrieve_buffer};

use crate::guest::{Booted, Called};
use uv_programs::Failure;

/// Where the list page lies behind the first free address.
const LIST: u64 = 0x11_0000;
/// Where retrieved secrets go.
const RETRIEVED: u64 = 0x12_0000;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddResult {
    /// Response code.
    pub rc: UvRc,
    /// Reason code.
    pub rrc: UvRrc,
}

impl AddResult {
    /// Whether the request was taken.
    #[must_use]
    pub fn is_done(self) -> bool {
        self.rc == UvRc::EXECUTED
    }

    /// What the code means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.rc {
            UvRc::EXECUTED => "added",
            UvRc::SECRET_NOT_ALLOWED => "the secret store must not be changed",
            UvRc::SECRET_LOCKED => "the secret store is locked",
            UvRc::SECRET_ACCESS => "the request cannot be read",
            UvRc::SECRET_VERSION => "unsupported version, or no add-secret request",
            UvRc::SECRET_SIZE => "the sizes do not fit",
            UvRc::SECRET_SLOTS => "no key slot",
            UvRc::SECRET_FLAGS => "unsupported flags",
            UvRc::SECRET_OPEN => "not for this machine, or changed",
            UvRc::SECRET_TYPE => "unsupported type of secret",
            UvRc::SECRET_LENGTH => "wrong length of the secret",
            UvRc::SECRET_FULL => "the secret store is full",
            UvRc::SECRET_UNABLE => "not for this image or guest, or not from the owner of the first request",
            UvRc::SECRET_DUMPING => "a dump is in progress",
            _ => "refused",
        }
    }
}

/// The secret store of a guest.
#[derive(Debug)]
pub struct Store {
    booted: Booted,
    /// Longest request so far: what may still lie in the guest's memory.
    longest: usize,
    locked: bool,
}

impl Store {
    /// The store of a booted guest, as it is after the boot: empty and open.
    #[must_use]
    pub const fn new(booted: Booted) -> Self {
        Self { booted, longest: 0, locked: false }
    }

    /// The guest.
    pub const fn booted(&mut self) -> &mut Booted {
        &mut self.booted
    }

    /// Hands a request to the Ultravisor.
    ///
    /// # Errors
    /// Status 1 if the guest cannot go on.
    pub fn add(&mut self, request: &[u8]) -> Result<AddResult, Failure> {
        let mut bytes = request.to_vec();
        // What an earlier request left must not be taken for the end of this one.
        bytes.resize(request.len().max(self.longest).next_multiple_of(0x1000), 0);
        self.longest = bytes.len();
        let at = self.booted.free;
        self.booted.session.store(at, &bytes)?;
        let Called { rc, rrc, .. } = self.booted.session.call(&mut AddSecret::new(at))?;
        Ok(AddResult { rc, rrc })
    }

    /// Locks the store.
    ///
    /// # Errors
    /// Status 1 if the guest cannot go on.
    pub fn lock(&mut self) -> Result<AddResult, Failure> {
        let Called { rc, rrc, .. } = self.booted.session.call(&mut NoData::new(UvCommand::LOCK_SECRETS, 0))?;
        self.locked |= rc == UvRc::EXECUTED;
        Ok(AddResult { rc, rrc })
    }

    /// Whether [`Store::lock`] has locked the store.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Lists the secrets, page by page.
    ///
    /// # Errors
    /// Status 1 if the list is refused or makes no sense.
    pub fn list(&mut self) -> Result<SecretList, Failure> {
        let (at, session) = (self.booted.free + LIST, &mut self.booted.session);
        let (mut entries, mut start) = (Vec::new(), 0);
        loop {
            let called = session.call(&mut ListSecrets::new(start, at))?;
            if !called.is_done() && called.rc != UvRc::MORE_DATA {
                return Err(Failure::refused(format_args!("the list is refused: rc {}", called.rc)));
            }
            let page = SecretList::decode(&session.load(at, LIST_PAGE_SIZE)?).map_err(Failure::refused)?;
            entries.extend(page.entries);
            if called.is_done() {
                return Ok(SecretList { total: page.total, next_index: 0, entries });
            }
            start = page.next_index;
        }
    }

    /// Retrieves a listed secret. `Err` inside is the Ultravisor's refusal.
    ///
    /// # Errors
    /// Status 1 if the guest cannot go on.
    pub fn retrieve(&mut self, entry: &SecretEntry) -> Result<Result<RetrievedSecret, Called>, Failure> {
        let (at, session) = (self.booted.free + RETRIEVED, &mut self.booted.session);
        let buffer = retrieve_buffer(entry);
        session.store(at, &buffer)?;
        let size = u32::try_from(buffer.len()).map_err(Failure::unusable)?;
        let called = session.call(&mut RetrieveSecret::new(entry.index.get(), at, size))?;
        if !called.is_done() {
            return Ok(Err(called));
        }
        Ok(Ok(RetrievedSecret::decode(entry.secret_type(), &session.load(at, buffer.len())?)))
    }
}

/// The list as JSON.
pub(super) fn list_json(list: &SecretList) -> Value {
    let entry = |entry: &SecretEntry| {
        json!({
            "index": entry.index.get(),
            "type": format!("{:#04x}", entry.kind.get()),
            "length": entry.length.get(),
            "id": hex::encode(entry.id.0),
        })
    };
    list.entries.iter().map(entry).collect()
}

/// The list as text.
pub(super) fn list_text(list: &SecretList) -> String {
    let mut text = match list.total {
        1 => String::from("1 secret"),
        total => format!("{total} secrets"),
    };
    for entry in &list.entries {
        let (index, kind, length) = (entry.index.get(), entry.secret_type(), entry.length.get());
        text.push_str(&format!("\n{index:5} {kind}, {length} bytes\n      {}", entry.id));
    }
    text
}

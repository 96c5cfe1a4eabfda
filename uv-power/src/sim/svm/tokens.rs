//! The RTAS services that the ultravisor knows (power-pef §7.3, §9.2).

use alloc::collections::BTreeMap;

/// The services that the ultravisor knows, as the VM's device tree numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    StopSelf,
    CheckException,
    EventScan,
    ConfigureConnector,
    GetSystemParameter,
    SetSystemParameter,
    SlotErrorDetail,
    OsTerm,
    NvramFetch,
    NvramStore,
    PowerOff,
    StartCpu,
    NmiRegister,
}

impl Service {
    /// Property names; every service but the last must be there.
    const NAMES: [(&'static str, Self); 13] = [
        ("stop-self", Self::StopSelf),
        ("check-exception", Self::CheckException),
        ("event-scan", Self::EventScan),
        ("ibm,configure-connector", Self::ConfigureConnector),
        ("ibm,get-system-parameter", Self::GetSystemParameter),
        ("ibm,set-system-parameter", Self::SetSystemParameter),
        ("ibm,slot-error-detail", Self::SlotErrorDetail),
        ("ibm,os-term", Self::OsTerm),
        ("nvram-fetch", Self::NvramFetch),
        ("nvram-store", Self::NvramStore),
        ("power-off", Self::PowerOff),
        ("start-cpu", Self::StartCpu),
        ("ibm,nmi-register", Self::NmiRegister),
    ];
}

/// Tokens of the services. Kept for each VM: the published code keeps one set for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(BTreeMap<u32, Service>);

impl Tokens {
    /// Reads the tokens; fails with the name of a service that must be there and is not.
    pub(crate) fn read<'a>(property: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, &'static str> {
        let mut tokens = BTreeMap::new();
        for (name, service) in Service::NAMES {
            match property(name).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes) {
                Some(token) => {
                    tokens.insert(token, service);
                }
                None if service == Service::NmiRegister => {}
                None => return Err(name),
            }
        }
        Ok(Self(tokens))
    }

    pub(crate) fn service(&self, token: u32) -> Option<Service> {
        self.0.get(&token).copied()
    }
}

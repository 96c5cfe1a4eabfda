//! What a Z machine is made of.

use core::ffi::c_char;

use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::request::ConfigUid;
use uv_s390::sim::{FrameAddress, Generation, MachineConfig};

use crate::guard::guard;
use crate::status::{Failure, UVSIM_E_KEY, UVSIM_E_VERSION};
use crate::{UVSIM_ABI_VERSION, raw};

/// The address of a frame in CONV_FROM_SEC_STOR, DESTR_SEC_STOR and PIN_PAGE_SHARED is host virtual, not absolute.
pub const UVSIM_Z_FRAMES_HOME_VIRTUAL: u32 = 1;
/// An ASCE without a map (uvsim_z_attach) designates translation tables in the machine's memory.
pub const UVSIM_Z_WALK_TABLES: u32 = 2;
/// `config_uid` is valid: the next guest gets it. Else it is random.
pub const UVSIM_Z_CONFIG_UID: u32 = 4;

/// What a machine is made of. uvsim_z_config_init() fills it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct uvsim_z_config {
    /// UVSIM_ABI_VERSION.
    pub version: u32,
    /// 15, 16 or 17: z15, z16, z17.
    pub generation: u32,
    /// UVSIM_Z_ flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Everything random comes from this number, so equal machines do equal things.
    pub seed: u64,
    /// The machine's host key as PEM text (PKCS#8 or SEC1, P-521), not ended by a NUL. NULL: one made from the seed.
    pub host_key: *const c_char,
    /// Bytes of it.
    pub host_key_len: usize,
    /// The backup host key. NULL: none.
    pub backup_key: *const c_char,
    /// Bytes of it.
    pub backup_key_len: usize,
    /// Unique id of the next guest.
    pub config_uid: [u8; 16],
}

/// Fills a configuration: a z17 with a host key made from the seed 1.
///
/// # Safety
/// `config` points to a configuration that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_z_config_init(config: *mut uvsim_z_config) -> i32 {
    guard(|| {
        let filled = uvsim_z_config {
            version: UVSIM_ABI_VERSION,
            generation: 17,
            flags: 0,
            reserved: 0,
            seed: 1,
            host_key: core::ptr::null(),
            host_key_len: 0,
            backup_key: core::ptr::null(),
            backup_key_len: 0,
            config_uid: [0; 16],
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(config, filled, "config") }
    })
}

/// The configuration of a simulated machine.
///
/// # Safety
/// `config` is NULL or points to a configuration whose keys point to as many bytes as they say.
pub(crate) unsafe fn read(config: *const uvsim_z_config, memory: u64) -> Result<Read, Failure> {
    // SAFETY: the caller's promise; every field may hold any bits.
    let config = unsafe { raw::get(config, "config") }?;
    if config.version != UVSIM_ABI_VERSION {
        let text = format!("the configuration is of version {}, not {UVSIM_ABI_VERSION}", config.version);
        return Err(Failure::new(UVSIM_E_VERSION, text));
    }
    let generation = match config.generation {
        15 => Generation::Z15,
        16 => Generation::Z16,
        17 => Generation::Z17,
        other => return Err(Failure::argument(format!("there is no generation {other}: 15, 16 or 17"))),
    };
    let known = UVSIM_Z_FRAMES_HOME_VIRTUAL | UVSIM_Z_WALK_TABLES | UVSIM_Z_CONFIG_UID;
    if config.flags & !known != 0 {
        return Err(Failure::argument(format!("unknown flags {:#x}", config.flags & !known)));
    }
    let has = |flag| config.flags & flag != 0;
    let mut machine = MachineConfig { generation, memory, ..MachineConfig::new(config.seed) };
    if has(UVSIM_Z_FRAMES_HOME_VIRTUAL) {
        machine.frame_address = FrameAddress::HomeVirtual;
    }
    if !config.host_key.is_null() {
        // SAFETY: the caller's promise for the key.
        machine.host_key = unsafe { key(config.host_key, config.host_key_len, "host key") }?;
    }
    if !config.backup_key.is_null() {
        // SAFETY: the caller's promise for the key.
        machine.backup_key = Some(unsafe { key(config.backup_key, config.backup_key_len, "backup host key") }?);
    }
    let uid = has(UVSIM_Z_CONFIG_UID).then_some(ConfigUid(config.config_uid));
    Ok(Read { machine, walk: has(UVSIM_Z_WALK_TABLES), uid })
}

/// A configuration that was read.
pub(crate) struct Read {
    pub(crate) machine: MachineConfig,
    pub(crate) walk: bool,
    pub(crate) uid: Option<ConfigUid>,
}

/// # Safety
/// `pem` points to `len` bytes that may be read.
unsafe fn key(pem: *const c_char, len: usize, name: &str) -> Result<HostPrivateKey, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { raw::bytes(pem.cast(), len, name) }?;
    let text = String::from_utf8_lossy(&bytes);
    HostPrivateKey::from_pem(&text).map_err(|error| Failure::new(UVSIM_E_KEY, format!("{name}: {error}")))
}

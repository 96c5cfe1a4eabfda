//! The flag options of `create`.

use clap::Args;
use uv_programs::Failure;
use uv_s390::abi::se_header::{PlaintextControlFlags, SecretControlFlags};

/// Control flags of the image.
#[derive(Args, Debug)]
pub(crate) struct FlagArgs {
    /// Allow dumping of the guest (needs --cck or --enable-cck-update)
    #[arg(long, overrides_with = "disable_dump")]
    enable_dump: bool,
    /// Do not allow dumping of the guest (default)
    #[arg(long)]
    disable_dump: bool,
    /// Demand the CCK-derived extension secret in every add-secret request (needs --cck)
    #[arg(long, overrides_with = "disable_cck_extension_secret")]
    enable_cck_extension_secret: bool,
    /// Do not demand it (default)
    #[arg(long)]
    disable_cck_extension_secret: bool,
    /// Allow the CCK to be replaced by an update-CCK request
    #[arg(long, overrides_with = "disable_cck_update")]
    enable_cck_update: bool,
    /// Do not allow it (default)
    #[arg(long)]
    disable_cck_update: bool,
    /// Allow the DEA, TDEA, AES and ECC functions of PCKMO (default)
    #[arg(long, overrides_with = "disable_pckmo")]
    enable_pckmo: bool,
    /// Do not allow them
    #[arg(long, overrides_with = "enable_pckmo")]
    disable_pckmo: bool,
    /// Allow the HMAC functions of PCKMO
    #[arg(long, overrides_with = "disable_pckmo_hmac")]
    enable_pckmo_hmac: bool,
    /// Do not allow them (default)
    #[arg(long)]
    disable_pckmo_hmac: bool,
    /// Let backup host keys open the image
    #[arg(long, overrides_with = "disable_backup_keys")]
    enable_backup_keys: bool,
    /// Do not let them (default)
    #[arg(long)]
    disable_backup_keys: bool,
    /// Encrypt the components (default)
    #[arg(long, overrides_with = "disable_image_encryption")]
    enable_image_encryption: bool,
    /// Store the components as plain text; they are measured all the same
    #[arg(long, overrides_with = "enable_image_encryption")]
    disable_image_encryption: bool,
    /// Set the whole word of plaintext control flags (hex)
    #[arg(long, value_name = "HEX", value_parser = hex_word, conflicts_with_all = FLAGS, hide = true)]
    x_pcf: Option<u64>,
    /// Set the whole word of secret control flags (hex)
    #[arg(long, value_name = "HEX", value_parser = hex_word, conflicts_with_all = FLAGS, hide = true)]
    x_scf: Option<u64>,
}

const FLAGS: [&str; 14] = [
    "enable_dump",
    "disable_dump",
    "enable_cck_extension_secret",
    "disable_cck_extension_secret",
    "enable_cck_update",
    "disable_cck_update",
    "enable_pckmo",
    "disable_pckmo",
    "enable_pckmo_hmac",
    "disable_pckmo_hmac",
    "enable_backup_keys",
    "disable_backup_keys",
    "enable_image_encryption",
    "disable_image_encryption",
];

/// A 64-bit word in hex, with or without `0x`.
pub(crate) fn hex_word(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| String::from("not a 64-bit word in hex"))
}

impl FlagArgs {
    /// The two flag words. `has_cck` says whether the user gave the CCK and so knows it.
    pub(crate) fn words(&self, has_cck: bool) -> Result<(PlaintextControlFlags, SecretControlFlags), Failure> {
        if self.enable_dump && !has_cck && !self.enable_cck_update {
            return Err(Failure::unusable(
                "--enable-dump needs --cck or --enable-cck-update, or nobody could decrypt the dump",
            ));
        }
        if self.enable_cck_extension_secret && !has_cck {
            return Err(Failure::unusable("--enable-cck-extension-secret needs --cck"));
        }
        if self.enable_cck_extension_secret && self.enable_cck_update {
            return Err(Failure::unusable("--enable-cck-extension-secret and --enable-cck-update exclude each other"));
        }
        let mut pcf = PlaintextControlFlags::empty();
        pcf.set(PlaintextControlFlags::ALLOW_DUMP, self.enable_dump);
        pcf.set(PlaintextControlFlags::NO_COMPONENT_ENCRYPTION, self.disable_image_encryption);
        pcf.set(PlaintextControlFlags::PCKMO, !self.disable_pckmo);
        pcf.set(PlaintextControlFlags::PCKMO_HMAC, self.enable_pckmo_hmac);
        pcf.set(PlaintextControlFlags::BACKUP_KEYS, self.enable_backup_keys);
        let mut scf = SecretControlFlags::empty();
        scf.set(SecretControlFlags::CCK_EXTENSION_SECRET, self.enable_cck_extension_secret);
        scf.set(SecretControlFlags::CCK_UPDATE, self.enable_cck_update);
        Ok((
            self.x_pcf.map_or(pcf, PlaintextControlFlags::from_bits_retain),
            self.x_scf.map_or(scf, SecretControlFlags::from_bits_retain),
        ))
    }
}

//! A header as text and as JSON.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value, json};
use uv_s390::abi::se_header::{PlaintextControlFlags, SecretControlFlags};
use uv_s390::owner::image::HeaderInfo;

/// The JSON document of the image tool: `meta` and `data`.
pub(crate) fn json(info: &HeaderInfo) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    json!({
        "meta": {
            "api_level": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "host": host.trim_end(),
            "time_epoch": now.as_secs(),
            "time": der::DateTime::from_unix_duration(now).map(|time| time.to_string()).unwrap_or_default(),
        },
        "data": data(info),
    })
}

fn data(info: &HeaderInfo) -> Value {
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| {
        data.insert(name.to_owned(), value);
    };
    put("kind", info.kind().into());
    put("verified", info.verified.into());
    put("magic_hex", info.magic_hex.as_str().into());
    put("version", info.version.as_str().into());
    put("sehs", info.sehs.into());
    put("iv_hex", info.iv_hex.as_str().into());
    put("nks", info.nks.into());
    put("sea", info.sea.into());
    put("nep", info.nep.into());
    put("pcf_hex", info.pcf_hex.as_str().into());
    put("cust_pub_key", json!({"coord_hex": info.coord_hex}));
    put("pld_hex", info.pld_hex.as_str().into());
    put("ald_hex", info.ald_hex.as_str().into());
    put("tld_hex", info.tld_hex.as_str().into());
    let slot = |slot: &uv_s390::owner::image::KeySlotInfo| json!({"phkh_hex": slot.phkh_hex, "wrpk_hex": slot.wrpk_hex, "kst_hex": slot.kst_hex});
    put("keyslots", info.keyslots.iter().map(slot).collect());
    match &info.secret {
        None => put("cipher_data_b64", Base64::encode_string(&info.cipher_data).into()),
        Some(secret) => {
            put("cck_hex", secret.cck_hex.as_str().into());
            put("xts_hex", secret.xts_hex.as_str().into());
            put("psw", json!({"mask_hex": secret.psw_mask_hex, "addr_hex": secret.psw_addr_hex}));
            put("scf_hex", secret.scf_hex.as_str().into());
        }
    }
    put("tag_hex", info.tag_hex.as_str().into());
    Value::Object(data)
}

/// A header for reading; `full` adds the long values.
pub(crate) fn text(info: &HeaderInfo, full: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = |name: &str, value: &str| lines.push(format!("{name:<28}{value}"));
    line("SE header", if info.verified { "verified" } else { "NOT verified (give --hdr-key)" });
    line("Version", &info.version);
    line("Size", &format!("{} bytes", info.sehs));
    line("Key slots", &info.nks.to_string());
    line("Component pages", &info.nep.to_string());
    line("Plaintext control flags", &format!("0x{}", info.pcf_hex));
    if let Ok(bits) = u64::from_str_radix(&info.pcf_hex, 16) {
        for (name, _) in PlaintextControlFlags::from_bits_retain(bits).iter_names() {
            line("", &name.to_lowercase().replace('_', " "));
        }
    }
    for slot in &info.keyslots {
        line("Host key hash", &slot.phkh_hex);
        if full {
            line("    Wrapped key", &slot.wrpk_hex);
            line("    Tag of the slot", &slot.kst_hex);
        }
    }
    line("Page digest (PLD)", &info.pld_hex);
    line("Address digest (ALD)", &info.ald_hex);
    line("Tweak digest (TLD)", &info.tld_hex);
    line("Tag", &info.tag_hex);
    if full {
        line("IV", &info.iv_hex);
        line("Encrypted area", &format!("{} bytes", info.sea));
        line("Customer public key", &info.coord_hex);
    }
    if let Some(secret) = &info.secret {
        line("CCK", &secret.cck_hex);
        line("Image key", &secret.xts_hex);
        line("PSW mask", &format!("0x{}", secret.psw_mask_hex));
        line("PSW address", &format!("0x{}", secret.psw_addr_hex));
        line("Secret control flags", &format!("0x{}", secret.scf_hex));
        if let Ok(bits) = u64::from_str_radix(&secret.scf_hex, 16) {
            for (name, _) in SecretControlFlags::from_bits_retain(bits).iter_names() {
                line("", &name.to_lowercase().replace('_', " "));
            }
        }
    }
    lines.join("\n")
}

//! The text file that tells the guest what a request carries (s390-formats §9.3).

use alloc::format;
use alloc::string::String;

use super::value::GuestSecret;
use crate::abi::secret::SecretType;

/// Characters that, anywhere in it, make a YAML reader take a name for something else.
const SPECIAL: [char; 8] = ['"', '\'', '\\', '\t', '\n', '\r', '#', ':'];
/// Characters that do so in front.
const SPECIAL_IN_FRONT: [char; 18] =
    ['-', '?', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '%', '@', '`', '=', '<', '~'];

/// A name as YAML scalar: plain where that is safe, else in double quotes.
fn scalar(name: &str) -> String {
    let word = |text: &str| ["null", "true", "false", "yes", "no", "on", "off"].contains(&text);
    let number = name.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '.'));
    let plain = !name.is_empty()
        && name.trim() == name
        && !number
        && !word(&name.to_lowercase())
        && !name.starts_with(SPECIAL_IN_FRONT)
        && !name.contains(|character: char| character.is_control() || SPECIAL.contains(&character));
    if plain {
        return name.into();
    }
    let mut quoted = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => quoted.push_str(&format!("\\U{:08x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of the side file of a secret: YAML, tagged with the kind of secret. Null and update-CCK secrets have none.
#[must_use]
pub fn side_file(name: &str, secret: &GuestSecret) -> Option<String> {
    let (name, id, kind) = (scalar(name), secret.id(), secret.kind());
    match kind {
        SecretType::ASSOCIATION => Some(format!("!Association\nname: {name}\nid: {id}\n")),
        kind if kind.is_retrievable() => {
            Some(format!("!Retrievable\nkind: {} ({kind})\nname: {name}\nid: {id}\n", kind.0))
        }
        _ => None,
    }
}

/// Name of the side file: white space of the secret's name becomes `_`.
#[must_use]
pub fn side_file_name(name: &str) -> String {
    let mut file: String =
        name.chars().map(|character| if character.is_whitespace() { '_' } else { character }).collect();
    file.push_str(".yaml");
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(side_file_name("my  secret\t1"), "my__secret_1.yaml");
        for plain in ["my-assoc", "a b", "x,y", "name~1"] {
            assert_eq!(scalar(plain), plain);
        }
        for (name, quoted) in
            [("", "\"\""), ("1", "\"1\""), ("a: b", "\"a: b\""), ("No", "\"No\""), ("-x", "\"-x\""), (" a", "\" a\"")]
        {
            assert_eq!(scalar(name), quoted);
        }
        assert_eq!(scalar("a\"\\\n\u{7}"), "\"a\\\"\\\\\\n\\U00000007\"");
    }
}

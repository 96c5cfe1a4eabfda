//! The YAML file of `power_esmb make` (power-pef §12.6).
//!
//! A list of maps with one key each: `origin` (once), `recipient`, `digest` (once), `file`. The file is read event by event
//! and only to the depth it can have, so that no input makes it costly; anchors and aliases are refused.

use yaml_rust2::parser::{Event, Parser};

use uv_programs::Failure;

/// `origin`: the owner's key pair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Path of the public key.
    pub pubkey: String,
    /// Path of the private key.
    pub seckey: String,
    /// Comment; empty if not given.
    pub comment: String,
}

/// `recipient`: a key that is authorized.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipient {
    /// Path of the public key.
    pub pubkey: String,
    /// Comment; empty if not given.
    pub comment: String,
}

/// `digest`: what is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digest {
    /// The command line.
    pub args: String,
    /// Path of the initramfs.
    pub initramfs: String,
    /// Path of the kernel, ELF or flat.
    pub kernel: String,
    /// Comment; empty if not given.
    pub comment: String,
}

/// `file`: an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// Path of the file.
    pub path: String,
    /// Name in the blob; the last part of `path` if not given.
    pub name: Option<String>,
    /// Comment; empty if not given.
    pub comment: String,
}

/// The whole file. Paths are relative to the working directory, not to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EsmInput {
    /// The owner.
    pub origin: Origin,
    /// Keys to authorize, in the order of the file.
    pub recipients: Vec<Recipient>,
    /// What is measured.
    pub digest: Digest,
    /// Files to attach, in the order of the file.
    pub files: Vec<Attachment>,
}

impl EsmInput {
    /// The files that it names.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        let recipients = self.recipients.iter().map(|recipient| &recipient.pubkey);
        let files = self.files.iter().map(|file| &file.path);
        let own = [&self.origin.pubkey, &self.origin.seckey, &self.digest.kernel, &self.digest.initramfs];
        own.into_iter().chain(recipients).chain(files)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Status 2 with a sentence: not YAML, or not this list; unknown, missing or repeated keys.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut events = Events { parser: Parser::new_from_str(text) };
        let (mut origin, mut digest) = (None, None);
        let (mut recipients, mut files) = (Vec::new(), Vec::new());
        events.expect("a list of entries", |event| matches!(event, Event::StreamStart))?;
        events.expect("a list of entries", |event| matches!(event, Event::DocumentStart))?;
        events.expect("a list of entries", |event| matches!(event, Event::SequenceStart(..)))?;
        while let Some(mut entry) = events.entry()? {
            match entry.kind.as_str() {
                "origin" => {
                    let new = Origin {
                        pubkey: entry.need("pubkey")?,
                        seckey: entry.need("seckey")?,
                        comment: entry.take("comment").unwrap_or_default(),
                    };
                    once(&mut origin, new, "origin")?;
                }
                "recipient" => recipients.push(Recipient {
                    pubkey: entry.need("pubkey")?,
                    comment: entry.take("comment").unwrap_or_default(),
                }),
                "digest" => {
                    let new = Digest {
                        args: entry.need("args")?,
                        initramfs: entry.need("initramfs")?,
                        kernel: entry.need("kernel")?,
                        comment: entry.take("comment").unwrap_or_default(),
                    };
                    once(&mut digest, new, "digest")?;
                }
                "file" => files.push(Attachment {
                    path: entry.need("path")?,
                    name: entry.take("name"),
                    comment: entry.take("comment").unwrap_or_default(),
                }),
                other => return Err(wrong(format_args!("there is no entry {other:?}"))),
            }
            entry.nothing_left()?;
        }
        events.expect("the end of the file", |event| matches!(event, Event::DocumentEnd))?;
        events.expect("the end of the file", |event| matches!(event, Event::StreamEnd))?;
        let missing = |name: &str| wrong(format_args!("the entry {name:?} is missing"));
        Ok(Self {
            origin: origin.ok_or_else(|| missing("origin"))?,
            recipients,
            digest: digest.ok_or_else(|| missing("digest"))?,
            files,
        })
    }
}

fn wrong(what: impl core::fmt::Display) -> Failure {
    Failure::unusable(format_args!("not a usable YAML input: {what}"))
}

fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), Failure> {
    if slot.is_some() {
        return Err(wrong(format_args!("the entry {name:?} stands twice")));
    }
    *slot = Some(value);
    Ok(())
}

/// One entry of the list, before it is known what it is.
struct Entry {
    kind: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    fn need(&mut self, name: &str) -> Result<String, Failure> {
        self.take(name).ok_or_else(|| wrong(format_args!("an entry {:?} has no {name:?}", self.kind)))
    }

    fn nothing_left(&self) -> Result<(), Failure> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(format_args!("an entry {:?} cannot have {name:?}", self.kind))),
        }
    }
}

struct Events<'a> {
    parser: Parser<core::str::Chars<'a>>,
}

impl Events<'_> {
    fn next(&mut self) -> Result<Event, Failure> {
        let (event, marker) = self.parser.next_token().map_err(wrong)?;
        let anchored = match &event {
            Event::Alias(_) => true,
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                *anchor != 0
            }
            _ => false,
        };
        if anchored {
            return Err(wrong(format_args!("line {} has an anchor or an alias", marker.line())));
        }
        Ok(event)
    }

    fn expect(&mut self, what: &str, good: impl Fn(&Event) -> bool) -> Result<(), Failure> {
        if good(&self.next()?) { Ok(()) } else { Err(wrong(format_args!("{what} is expected"))) }
    }

    /// A scalar, or `None` where the map ends.
    fn scalar(&mut self) -> Result<Option<String>, Failure> {
        match self.next()? {
            Event::Scalar(text, ..) => Ok(Some(text)),
            Event::MappingEnd => Ok(None),
            _ => Err(wrong("a plain value is expected, not a list or a map")),
        }
    }

    /// The next `- kind: { name: value, … }`, or `None` where the list ends.
    fn entry(&mut self) -> Result<Option<Entry>, Failure> {
        let one_key = || wrong("each entry is a map with one key");
        match self.next()? {
            Event::SequenceEnd => return Ok(None),
            Event::MappingStart(..) => {}
            _ => return Err(one_key()),
        }
        let kind = self.scalar()?.ok_or_else(one_key)?;
        let mut entry = Entry { kind, fields: Vec::new() };
        self.expect("a map below each entry", |event| matches!(event, Event::MappingStart(..)))?;
        while let Some(name) = self.scalar()? {
            if entry.fields.iter().any(|(other, _)| *other == name) {
                return Err(wrong(format_args!("an entry {:?} has {name:?} twice", entry.kind)));
            }
            let value = self.scalar()?.ok_or_else(|| wrong("a value is missing"))?;
            entry.fields.push((name, value));
        }
        if self.scalar()?.is_some() {
            return Err(one_key());
        }
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, EsmInput, Recipient};

    const SAMPLE: &str = include_str!("../../../../tests/fixtures/svm-tool/svm_blob.yml");

    #[test]
    fn the_sample_of_the_tool_reads() {
        let input = EsmInput::parse(SAMPLE).unwrap();
        assert_eq!((&*input.origin.pubkey, &*input.origin.seckey), ("keys/ownerpub.pem", "keys/owner.pem"));
        let second = Recipient { pubkey: "keys/machine2pub.pem".into(), comment: "machine 2 wrapping key".into() };
        assert_eq!((input.recipients.len(), &input.recipients[1]), (2, &second));
        assert_eq!(input.digest.args, "root=/dev/sda1 rw svm=on console=hvc0");
        let third = Attachment { path: "attachments/f200.txt".into(), ..Attachment::default() };
        assert_eq!((input.files.len(), &input.files[2]), (6, &third));
        assert_eq!(input.files[0].name.as_deref(), Some("rootd"));
    }

    fn refused(text: &str, part: &str) {
        let failure = EsmInput::parse(text).unwrap_err();
        assert_eq!(failure.status(), 2);
        assert!(failure.sentence().contains(part), "{failure}");
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let origin = "- origin: {pubkey: a, seckey: b}\n";
        let digest = "- digest: {args: a, initramfs: b, kernel: c}\n";
        assert!(EsmInput::parse(&format!("{origin}{digest}")).is_ok());
        refused("", "list of entries");
        refused("a: b", "list of entries");
        refused(origin, "\"digest\" is missing");
        refused(digest, "\"origin\" is missing");
        refused(&format!("{origin}{origin}{digest}"), "\"origin\" stands twice");
        refused(&format!("{origin}{digest}{digest}"), "\"digest\" stands twice");
        refused("- origin: {pubkey: a}", "has no \"seckey\"");
        refused("- file: {path: a, mode: b}", "cannot have \"mode\"");
        refused("- file: {path: a, path: b}", "\"path\" twice");
        refused("- other: {}", "no entry \"other\"");
        refused("- file: {path: a}\n  digest: {}", "one key");
        refused("- file: [a]", "map below each entry");
        refused("- file: {path: [a]}", "plain value");
        refused("- file: &x {path: a}", "anchor");
        refused("- file: {path: *x}", "anchor");
        refused("- [", "");
        refused("\u{0}\u{1}", "");
        refused(&format!("{origin}{digest}---\n{digest}"), "end of the file");
    }

    #[test]
    fn deep_nesting_ends_at_once() {
        refused(&"[".repeat(1_000_000), "");
        refused(&"- ".repeat(100_000), "one key");
        refused(&"{a: ".repeat(100_000), "");
    }
}

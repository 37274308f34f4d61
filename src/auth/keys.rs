//! API keys, read from a file. Only their digests stay in memory.

use std::{fmt, os::unix::fs::PermissionsExt, path::Path};

use fer_engine::files::{self, ReadError};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;
/// Longest key, in bytes.
const KEY_MAX: usize = 512;
/// The permission of users who are neither the owner nor of the group.
const WRITABLE_BY_OTHERS: u32 = 0o002;
/// A shorter key is accepted with a warning.
const KEY_SHORT: usize = 16;

pub(crate) type Digest = [u8; 32];

/// Why a file of keys is refused. No message holds anything of a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("is not UTF-8 text")]
    NotText,
    #[error("line {line}: {reason}")]
    Line {
        /// From 1.
        line: usize,
        reason: &'static str,
    },
    #[error("holds no key; put one on each line, or leave out --api-keys to disable authentication")]
    Empty,
}

/// The keys in force. A comparison takes the same time whichever key matches, and however much of it.
pub(crate) struct ApiKeys(Vec<Digest>);

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

impl ApiKeys {
    /// Reads a file: one key on each line, in visible ASCII characters; blank lines and comments (`#`) are skipped. A
    /// file without a key is an error. Warns of a file that every user of the machine can write.
    pub(crate) fn read(path: &Path) -> Result<Self, KeysError> {
        let (file, metadata) = files::open(path, FILE_MAX)?;
        if metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            tracing::warn!(
                file = %path.display(),
                "every user of this machine can write the file of API keys; take that right away (chmod o-w)"
            );
        }
        let bytes = files::read_opened(file, &metadata, FILE_MAX)?;
        Self::parse(std::str::from_utf8(&bytes).map_err(|_| KeysError::NotText)?)
    }

    fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let refuse = |reason| KeysError::Line { line: n + 1, reason };
            let mut words = line.split_ascii_whitespace();
            let Some(key) = words.next().filter(|w| !w.starts_with('#')) else {
                continue;
            };
            if words.next().is_some_and(|w| !w.starts_with('#')) {
                return Err(refuse("a key has no blanks; a comment begins with #"));
            }
            if key.len() > KEY_MAX {
                return Err(refuse("a key has at most 512 characters"));
            }
            if !key.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(refuse("a key has visible ASCII characters only"));
            }
            if key.len() < KEY_SHORT {
                tracing::warn!(
                    line = n + 1,
                    "an API key has fewer than {KEY_SHORT} characters and may be guessed"
                );
            }
            keys.push(digest(key.as_bytes()));
        }
        if keys.is_empty() {
            Err(KeysError::Empty)
        } else {
            Ok(Self(keys))
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The digest of `presented` if it is one of the keys.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<Digest> {
        let presented = digest(presented);
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |found, key| found | key.ct_eq(&presented));
        bool::from(known).then_some(presented)
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_and_comments_are_not() {
        let keys =
            ApiKeys::parse("\u{feff}# ours\r\n\n  alpha-0123456789  # the shop\nbeta#0123456789=\n").unwrap();
        assert_eq!(keys.count(), 2);
        assert!(keys.find(b"alpha-0123456789").is_some());
        assert!(keys.find(b"beta#0123456789=").is_some());
        for wrong in [
            "",
            "alpha",
            "alpha-0123456789 ",
            "ALPHA-0123456789",
            "# ours",
            "#",
        ] {
            assert!(keys.find(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), "ApiKeys(2)");
    }

    #[test]
    fn a_file_that_is_no_list_of_keys_is_refused_without_repeating_it() {
        for (text, words) in [
            ("", "holds no key"),
            ("# nothing\n\n", "holds no key"),
            ("good-key\nsecret with blanks\n", "line 2"),
            ("sécret\n", "line 1"),
            (&"s".repeat(513), "512"),
        ] {
            let message = ApiKeys::parse(text).unwrap_err().to_string();
            assert!(message.contains(words) && !message.contains("cret"), "{message}");
        }
        let dir = tempfile::tempdir().unwrap();
        let message = ApiKeys::read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("cannot be read"), "{message}");
        let file = dir.path().join("keys");
        std::fs::write(&file, [0xFF, 0xFE]).unwrap();
        assert!(matches!(ApiKeys::read(&file), Err(KeysError::NotText)));
    }
}

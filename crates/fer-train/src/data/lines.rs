//! A file's lines, numbered, of bounded length, in one buffer that is reused.

use std::io::{self, BufRead};

/// The longest line accepted, bytes. A row is at most 12 KB unless it has needless blanks.
const MAX_LINE: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Splits at LF, CRLF and CR; strips a UTF-8 byte-order mark.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    /// The line last read, without its end; cut off if it is too long.
    pub(super) bytes: Vec<u8>,
    /// Longer than [`MAX_LINE`].
    too_long: bool,
    /// The number of the line last read, from 1; 0 before the first.
    pub(super) number: u64,
    /// Whether the line last read had a line end, rather than being cut short by the file's.
    pub(super) terminated: bool,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            bytes: Vec::with_capacity(16 * 1024),
            too_long: false,
            number: 0,
            terminated: true,
            after_cr: false,
        }
    }

    /// Reads the next line that is not blank; false at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        while self.read()? {
            if self.too_long || !self.bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        let mut started = false;
        (self.too_long, self.terminated) = (false, false);
        while !self.terminated {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if chunk.is_empty() {
                break;
            }
            if std::mem::take(&mut self.after_cr) && chunk.first() == Some(&b'\n') {
                self.input.consume(1);
                continue;
            }
            started = true;
            let end = chunk.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let part = &chunk[..end.unwrap_or(chunk.len())];
            self.too_long |= self.bytes.len() + part.len() > MAX_LINE;
            if !self.too_long {
                self.bytes.extend_from_slice(part);
            }
            self.after_cr = end.is_some_and(|i| chunk[i] == b'\r');
            self.terminated = end.is_some();
            let used = part.len() + usize::from(self.terminated);
            self.input.consume(used);
        }
        self.number += u64::from(started);
        if self.number == 1 && self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(started)
    }

    /// The line last read, if it is text.
    pub(super) fn text(&self) -> Result<&[u8], String> {
        let line = &self.bytes;
        if self.too_long {
            return Err(
                "the line is longer than 1 MiB, which no row is; line ends may be missing".to_owned(),
            );
        }
        if let Some(i) = line.iter().position(|b| *b == 0) {
            let at = i + 1;
            return Err(format!(
                "a NUL byte at byte {at} of the line; the file is damaged or is not text"
            ));
        }
        std::str::from_utf8(line).map(|_| line.as_slice()).map_err(|e| {
            let i = e.valid_up_to();
            let byte = line.get(i).copied().unwrap_or_default();
            format!("byte 0x{byte:02X} at byte {} of the line is not UTF-8", i + 1)
        })
    }
}

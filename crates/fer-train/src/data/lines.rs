//! A file's lines, numbered, of bounded length, in one buffer that is reused.

use std::io::{self, BufRead};

/// The longest line accepted, bytes. A row is at most 12 KB unless it has needless blanks.
const MAX_LINE: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A line; [`Lines::bytes`] has it.
    Whole,
    /// A line longer than [`MAX_LINE`], skipped.
    TooLong,
}

/// Splits at LF, CRLF and CR; strips a UTF-8 byte-order mark.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: u64,
    terminated: bool,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            buffer: Vec::with_capacity(16 * 1024),
            number: 0,
            terminated: true,
            after_cr: false,
        }
    }

    /// Reads on to the end of the next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        self.buffer.clear();
        let (mut started, mut too_long) = (false, false);
        self.terminated = false;
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
            too_long |= self.buffer.len() + part.len() > MAX_LINE;
            if !too_long {
                self.buffer.extend_from_slice(part);
            }
            self.after_cr = end.is_some_and(|i| chunk[i] == b'\r');
            self.terminated = end.is_some();
            let used = part.len() + usize::from(self.terminated);
            self.input.consume(used);
        }
        if !started {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(if too_long { Line::TooLong } else { Line::Whole }))
    }

    /// The line last read, without its end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether the line last read holds nothing but blanks.
    pub(super) fn is_blank(&self) -> bool {
        self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// The number of the line last read, from 1; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the line last read had a line end, rather than being cut short by the file's.
    pub(super) fn terminated(&self) -> bool {
        self.terminated
    }
}

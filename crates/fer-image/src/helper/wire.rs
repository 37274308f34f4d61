//! The messages between the server and a helper process.
//!
//! A message is two lengths (32 bits each, little-endian), a head of the first length in postcard's encoding, and raw bytes
//! of the second length: the file in a request, 2,304 bytes for each face in a reply. The server trusts no reply: a helper
//! may be in the hands of the image that it decodes.

use std::{
    io::{self, ErrorKind, Read},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::work::{Failure, Grant, Needs, Outcome, Work};
use crate::{
    Face, ImageError, Limits, PIXELS,
    faces::{Found, FoundFace, Options, Rect},
};

/// The longest head of a message in bytes: the faces of a photo, 24 bytes each.
const MAX_HEAD: usize = 16 << 10;
/// The most raw bytes of a reply: one whole image and the most faces of a photo.
const MAX_FACES: usize = (Options::MOST_FACES + 1) * PIXELS;
/// Bytes that are asked for before a message's length is known.
const FIRST_READ: usize = 64 << 10;
/// The largest buffer that is kept for the next message.
const KEPT: usize = 1 << 20;
/// The longest text that is kept of a reply.
const MAX_TEXT: usize = 1 << 10;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) limits: Limits,
    pub(super) grant: Grant,
}

/// The first message of a helper process, once it is confined.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Bytes of address space that it has before its first request.
    pub(super) address_space: u64,
    /// The most that the system will ever grant it.
    pub(super) limit: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    body: ReplyBody,
    /// Processor time that the process has used since its start, in nanoseconds.
    pub(super) processor: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum ReplyBody {
    Face {
        needs: Needs,
        decode: Duration,
    },
    Found {
        width: u32,
        height: u32,
        faces: Vec<(Rect, f32)>,
        whole: bool,
        needs: Needs,
        decode: Duration,
        detect: Duration,
    },
    Heavy(Needs),
    Image(ImageError),
    Detector(String),
    /// The decoder panicked; the process ends itself.
    Panic(String),
}

/// A reply as its receiver understands it.
#[derive(Debug)]
pub(super) enum Received {
    Done(Result<Outcome, Failure>),
    Panic(String),
}

impl Reply {
    pub(super) fn panic(text: String) -> Self {
        Self {
            body: ReplyBody::Panic(short(text)),
            processor: 0,
        }
    }

    /// The reply, and the raw bytes that go with it.
    pub(super) fn new(result: Result<Outcome, Failure>, processor: Duration) -> (Self, Vec<u8>) {
        let mut pixels = Vec::new();
        let body = match result {
            Ok(Outcome::Face { face, needs, decode }) => {
                pixels.extend_from_slice(&face.0);
                ReplyBody::Face { needs, decode }
            }
            Ok(Outcome::Found {
                found,
                needs,
                decode,
                detect,
            }) => {
                let all = found.faces.iter().map(|found| &found.face).chain(&found.whole);
                all.for_each(|face| pixels.extend_from_slice(&face.0));
                ReplyBody::Found {
                    width: found.width,
                    height: found.height,
                    faces: found.faces.iter().map(|face| (face.rect, face.score)).collect(),
                    whole: found.whole.is_some(),
                    needs,
                    decode,
                    detect,
                }
            }
            Ok(Outcome::Heavy(needs)) => ReplyBody::Heavy(needs),
            Err(Failure::Image(error)) => ReplyBody::Image(error),
            Err(Failure::Detector(text)) => ReplyBody::Detector(short(text)),
            Err(failure @ (Failure::Ended(_) | Failure::Unavailable(_))) => {
                ReplyBody::Panic(short(failure.to_string()))
            }
        };
        let processor = u64::try_from(processor.as_nanos()).unwrap_or(u64::MAX);
        (Self { body, processor }, pixels)
    }

    /// Checks the reply against its raw bytes; `None` if they do not fit.
    fn received(self, pixels: &[u8]) -> Option<Received> {
        let result = match self.body {
            ReplyBody::Face { needs, decode } => Ok(Outcome::Face {
                face: Box::new(Face::from_gray(pixels)?),
                needs,
                decode,
            }),
            ReplyBody::Found {
                width,
                height,
                faces,
                whole,
                needs,
                decode,
                detect,
            } => {
                let (cut, rest) = pixels.as_chunks::<PIXELS>();
                if !rest.is_empty() || cut.len() != faces.len() + usize::from(whole) {
                    return None;
                }
                let mut cut = cut.iter().map(|pixels| Face(*pixels));
                let faces = faces
                    .into_iter()
                    .zip(cut.by_ref())
                    .map(|((rect, score), face)| FoundFace { rect, score, face })
                    .collect();
                let found = Box::new(Found {
                    width,
                    height,
                    faces,
                    whole: cut.next(),
                });
                Ok(Outcome::Found {
                    found,
                    needs,
                    decode,
                    detect,
                })
            }
            ReplyBody::Heavy(needs) => Ok(Outcome::Heavy(needs)),
            ReplyBody::Image(error) => Err(error.into()),
            ReplyBody::Detector(text) => Err(Failure::Detector(short(text))),
            ReplyBody::Panic(text) => return Some(Received::Panic(short(text))),
        };
        Some(Received::Done(result))
    }
}

/// The text, cut to [`MAX_TEXT`] bytes.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// Appends a message up to its raw bytes, for a head of this type and that number of raw bytes.
pub(super) fn append(mut to: Vec<u8>, head: &impl Serialize, raw: usize) -> io::Result<Vec<u8>> {
    let start = to.len();
    to.extend_from_slice(&[0; 8]);
    let mut to = postcard::to_extend(head, to).map_err(io::Error::other)?;
    let lengths = [to.len() - start - 8, raw].map(u32::try_from);
    for (place, length) in to[start..].chunks_exact_mut(4).zip(lengths) {
        place.copy_from_slice(&length.map_err(io::Error::other)?.to_le_bytes());
    }
    Ok(to)
}

/// Messages as they arrive. Several small ones take one call of the system.
#[derive(Debug, Default)]
pub(super) struct Messages {
    buffer: Vec<u8>,
    /// The part of the buffer that was received and not yet returned.
    start: usize,
    end: usize,
}

impl Messages {
    /// Waits for the next message with at most that number of raw bytes; returns its head and raw bytes.
    pub(super) fn next<T: DeserializeOwned>(
        &mut self,
        from: &mut impl Read,
        max: usize,
    ) -> io::Result<(T, &[u8])> {
        if self.start == self.end && self.buffer.len() > KEPT {
            *self = Self::default();
        }
        let lengths = self.receive(from, 8)?;
        let [head, raw] = lengths_of(lengths.first_chunk().copied().unwrap_or_default());
        if head > MAX_HEAD || raw > max {
            return Err(invalid("a message is too long"));
        }
        let length = 8 + head + raw;
        self.receive(from, length)?;
        let message = self.start..self.start + length;
        self.start = message.end;
        let (head, raw) = self.buffer[message][8..].split_at(head);
        let head = postcard::from_bytes(head).map_err(|e| invalid(&e.to_string()))?;
        Ok((head, raw))
    }

    /// Whether a part of a further message has arrived.
    pub(super) const fn more(&self) -> bool {
        self.start < self.end
    }

    /// Reads until that number of bytes is there, and returns all there are.
    fn receive(&mut self, from: &mut impl Read, length: usize) -> io::Result<&[u8]> {
        if self.buffer.len() < self.start + length.max(FIRST_READ) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let capacity = length.max(FIRST_READ);
            if self.buffer.len() < capacity {
                self.buffer.reserve_exact(capacity - self.buffer.len());
                self.buffer.resize(capacity, 0);
            }
        }
        while self.end < self.start + length {
            match from.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Waits for a helper's reply; also returns the processor time that the process has used since its start.
    pub(super) fn reply(&mut self, from: &mut impl Read) -> io::Result<(Received, Duration)> {
        let (reply, pixels) = self.next::<Reply>(from, MAX_FACES)?;
        let processor = Duration::from_nanos(reply.processor);
        let received = reply.received(pixels);
        Ok((
            received.ok_or_else(|| invalid("a reply does not fit its faces"))?,
            processor,
        ))
    }
}

fn lengths_of(bytes: [u8; 8]) -> [usize; 2] {
    let (words, _) = bytes.as_chunks::<4>();
    let length = |n: usize| words.get(n).map_or(0, |word| u32::from_le_bytes(*word) as usize);
    [length(0), length(1)]
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

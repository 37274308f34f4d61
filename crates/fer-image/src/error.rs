//! Why bytes are not an image that can be used.

use crate::{Format, Limits, Unread};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why bytes are not an image that can be used. The displayed text is meant for clients and tells nothing about the
/// implementation. The decoder's own message is [`ImageError::detail`], for the log.
#[allow(missing_docs)] // of fields that their names describe
#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum ImageError {
    /// There were no bytes at all.
    #[error("the picture is empty: it has no bytes")]
    Empty,
    /// The bytes begin like none of the supported formats (HTTP 415).
    #[error("this is {0}; send {formats}", formats = Format::listed())]
    UnknownFormat(Unread),
    /// The header asks for more pixels, or a longer side, than is accepted (HTTP 422).
    /// Nothing was decoded.
    #[error("the picture is {width}×{height} pixels; accepted are {limit}")]
    TooManyPixels { width: u32, height: u32, limit: Limits },
    /// The format is supported, the content is not readable, or of a kind that is not read (HTTP 422).
    #[error("the {format} {reason}")]
    Broken {
        format: Format,
        reason: Reason,
        /// The decoder's message.
        #[source]
        #[serde(with = "text")]
        source: Option<Source>,
    },
}

/// What is wrong with an image, in terms a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reason {
    /// Width or height is 0.
    NoPixels,
    /// The bytes end before the image does.
    CutShort,
    /// The content breaks the format's rules.
    Damaged,
    /// Valid, as far as was read, but of a kind that is not read.
    Unsupported(Kind),
    /// Decoding would take more memory than is allowed, though the pixel count is within the limit.
    TooMuchMemory,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPixels => "has no pixels: its width or height is 0",
            Self::CutShort => "is cut short: its data end before the picture does",
            Self::Damaged => "is damaged and cannot be decoded",
            Self::Unsupported(kind) => {
                return write!(
                    f,
                    "is of a kind that is not supported ({kind}); save it as an ordinary 8-bit RGB or gray picture"
                );
            }
            Self::TooMuchMemory => "would take too much memory to decode",
        })
    }
}

/// What makes an image of a supported format one that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // of variants whose text says it
pub enum Kind {
    Arithmetic,
    Lossless,
    Hierarchical,
    JpegLs,
    Precision,
    Channels,
    Sampling,
    /// More than the 65,500 pixels of libjpeg.
    LongSide,
    FloatingPoint,
    Compression,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Arithmetic,
        Self::Lossless,
        Self::Hierarchical,
        Self::JpegLs,
        Self::Precision,
        Self::Channels,
        Self::Sampling,
        Self::LongSide,
        Self::FloatingPoint,
        Self::Compression,
        Self::Other,
    ];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Arithmetic => "arithmetic coding",
            Self::Lossless => "lossless JPEG",
            Self::Hierarchical => "hierarchical JPEG",
            Self::JpegLs => "JPEG-LS",
            Self::Precision => "samples of another number of bits",
            Self::Channels => "this number or combination of channels",
            Self::Sampling => "channels whose sizes are not multiples of each other",
            Self::LongSide => "a side of more than 65,500 pixels",
            Self::FloatingPoint => "floating-point samples",
            Self::Compression => "this compression",
            Self::Other => "something in it that is seldom used",
        })
    }
}

impl ImageError {
    pub(crate) fn broken(format: Format, reason: Reason) -> Self {
        Self::Broken {
            format,
            reason,
            source: None,
        }
    }

    pub(crate) fn broken_by(format: Format, reason: Reason, source: impl Into<Source>) -> Self {
        Self::Broken {
            format,
            reason,
            source: Some(source.into()),
        }
    }

    /// Sorts the `image` crate's error into a [`Reason`].
    pub(crate) fn from_decoder(format: Format, error: image::ImageError) -> Self {
        let reason = match &error {
            image::ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
                Reason::CutShort
            }
            image::ImageError::Unsupported(_) => Reason::Unsupported(Kind::Other),
            image::ImageError::Limits(_) => Reason::TooMuchMemory,
            _ => Reason::Damaged,
        };
        Self::broken_by(format, reason, error)
    }

    /// The decoder's message, for the log and never for a client; `None` if no decoder ran.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        std::error::Error::source(self).map(chain)
    }
}

/// The texts of an error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A decoder's message as text, on its way from the process that decodes.
mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Source, chain};

    /// The longest text that is kept.
    const LONGEST: usize = 1 << 10;

    pub(super) fn serialize<S: Serializer>(source: &Option<Source>, to: S) -> Result<S::Ok, S::Error> {
        let text = source.as_ref().map(|source| {
            let mut text = chain(&**source);
            text.truncate(text.floor_char_boundary(LONGEST));
            text
        });
        text.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Source>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Source::from))
    }
}

//! An image as it was sent.
//!
//! base64 is that of RFC 4648 section 4, with or without padding; white space in it is ignored, and a
//! `data:…;base64,` in front of it is removed.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::DecodeError;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An image as it was sent: a file of any format we read, or its base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EncodedImage {
    Raw(Bytes),
    Base64(Bytes),
}

impl EncodedImage {
    /// The base64 in a string of a JSON body. A string without escapes borrows from the body and is not copied.
    pub(crate) fn from_json(body: &Bytes, text: Cow<'_, str>) -> Self {
        Self::Base64(match text {
            Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        })
    }

    /// Bytes that it holds in memory.
    pub(crate) fn size(&self) -> usize {
        let (Self::Raw(bytes) | Self::Base64(bytes)) = self;
        bytes.len()
    }

    /// The image file.
    pub(crate) fn file(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        match self {
            Self::Raw(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Base64(text) => decode_base64(text).map(Cow::Owned),
        }
    }
}

pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut data = text;
    if text.get(..5).is_some_and(|p| p.eq_ignore_ascii_case(b"data:")) {
        let comma = text.iter().position(|b| *b == b',').ok_or(DecodeError::DataUrl)?;
        if !text[..comma].to_ascii_lowercase().ends_with(b";base64") {
            return Err(DecodeError::DataUrl);
        }
        data = &text[comma + 1..];
    }
    if data.iter().any(u8::is_ascii_whitespace) {
        let mut clean = data.to_vec();
        clean.retain(|b| !b.is_ascii_whitespace());
        return Ok(BASE64.decode(clean)?);
    }
    Ok(BASE64.decode(data)?)
}

//! The values of the input tensor, from JSON or from bytes, as images or faces.

use std::{borrow::Cow, fmt};

use bytes::{Buf, Bytes};
use fer_image::{Face, PIXELS, SIDE};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{http::problem::Problem, pipeline::EncodedImage};

/// Element types the input may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datatype {
    /// An image file an element.
    Bytes,
    /// A gray value an element, 0–255.
    Uint8,
    /// The same as a float; rounded to the nearest whole number.
    Fp32,
}

impl Datatype {
    /// By the protocol's name; 400 for other types.
    pub(crate) fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "BYTES" => Ok(Self::Bytes),
            "UINT8" => Ok(Self::Uint8),
            "FP32" => Ok(Self::Fp32),
            other => Err(Problem::bad_tensor(format!(
                "datatype is {other:?}; it must be BYTES, UINT8 or FP32"
            ))),
        }
    }

    /// N of a shape: `[N]` for images (`[N,1]` works as well), `[N,1,48,48]` for gray values: 400 for
    /// another shape or N = 0, 413 if N is more than `max`.
    pub(crate) fn count(self, shape: &[i64], max: usize) -> Result<usize, Problem> {
        let side = i64::try_from(SIDE).unwrap_or(0);
        let (n, expected) = match (self, shape) {
            (Self::Bytes, [n] | [n, 1]) => (*n, "N of at least 1"),
            (Self::Bytes, _) => (0, "[N] with N of at least 1"),
            (_, [n, 1, h, w]) if (*h, *w) == (side, side) => (*n, "N of at least 1"),
            (..) => (0, "[N,1,48,48] with N of at least 1"),
        };
        match usize::try_from(n) {
            Ok(n) if n > max => Err(Problem::too_many_images(max)),
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Problem::bad_tensor(format!(
                "shape is {shape:?}; it must be {expected}"
            ))),
        }
    }
}

/// What is to be classified, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// To be decoded.
    Images(Vec<EncodedImage>),
    /// Ready for the network.
    Faces(Vec<Face>),
}

/// Values in JSON, flat or nested: 400 if they are not `n` elements of the type, or gray values outside 0–255.
pub(crate) fn from_json(
    data: &RawValue,
    body: &Bytes,
    datatype: Datatype,
    n: usize,
) -> Result<Input, Problem> {
    let mut json = serde_json::Deserializer::from_str(data.get());
    let bad = |e: serde_json::Error| Problem::bad_tensor(format!("data of {}: {e}", super::INPUT));
    if datatype == Datatype::Bytes {
        let mut texts: Vec<Cow<'_, str>> = Vec::new();
        Flat(&mut texts, n).deserialize(&mut json).map_err(bad)?;
        exact(texts.len(), n, "elements")?;
        let images = texts.into_iter().map(|text| EncodedImage::from_json(body, text));
        return Ok(Input::Images(images.collect()));
    }
    let mut values: Vec<f64> = Vec::new();
    Flat(&mut values, n * PIXELS)
        .deserialize(&mut json)
        .map_err(bad)?;
    exact(values.len(), n * PIXELS, "elements")?;
    if datatype == Datatype::Uint8
        && let Some(value) = values.iter().find(|v| v.fract() != 0.0)
    {
        return Err(Problem::bad_tensor(format!(
            "{value} is not a whole number, which UINT8 requires"
        )));
    }
    faces(values.iter().copied())
}

/// Values as bytes, little-endian. Each element of `BYTES` has its length in four bytes before it; with `base64` it is text.
pub(crate) fn from_bytes(
    mut data: Bytes,
    datatype: Datatype,
    n: usize,
    base64: bool,
) -> Result<Input, Problem> {
    match datatype {
        Datatype::Uint8 => {
            exact(data.len(), n * PIXELS, "elements")?;
            faces(data.iter().map(|v| f64::from(*v)))
        }
        Datatype::Fp32 => {
            exact(data.len(), n * PIXELS * 4, "bytes")?;
            let value = |b: &[u8]| b.try_into().map_or(f32::NAN, f32::from_le_bytes);
            faces(data.chunks_exact(4).map(|b| f64::from(value(b))))
        }
        Datatype::Bytes => {
            let mut images = Vec::with_capacity(n);
            while data.has_remaining() {
                let length = data
                    .try_get_u32_le()
                    .ok()
                    .and_then(|l| usize::try_from(l).ok())
                    .filter(|l| *l <= data.remaining())
                    .ok_or_else(|| {
                        Problem::bad_tensor("an element of BYTES is longer than what is left of the body")
                    })?;
                if images.len() == n {
                    return Err(Problem::bad_tensor(format!(
                        "the data hold more than the {n} elements that the shape asks for"
                    )));
                }
                let bytes = data.split_to(length);
                images.push(if base64 {
                    EncodedImage::Base64(bytes)
                } else {
                    EncodedImage::Raw(bytes)
                });
            }
            exact(images.len(), n, "elements")?;
            Ok(Input::Images(images))
        }
    }
}

fn exact(got: usize, asked: usize, unit: &str) -> Result<(), Problem> {
    if got == asked {
        return Ok(());
    }
    Err(Problem::bad_tensor(format!(
        "the data hold {got} {unit}; the shape asks for {asked}"
    )))
}

/// Gray values, row by row, as faces.
fn faces(values: impl Iterator<Item = f64>) -> Result<Input, Problem> {
    let mut pixels = Vec::new();
    for value in values {
        if !(0.0..=255.0).contains(&value) {
            return Err(Problem::bad_tensor(format!(
                "{value} is not a gray value, 0 to 255"
            )));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 255
        pixels.push(value.round() as u8);
    }
    let faces = pixels.chunks_exact(PIXELS).filter_map(Face::from_gray);
    Ok(Input::Faces(faces.collect()))
}

/// Collects the scalars of nested lists, at most that number: a longer list is an error before it takes memory.
struct Flat<'a, T>(&'a mut Vec<T>, usize);

impl<T> Flat<'_, T> {
    fn push<E: Error>(self, value: T) -> Result<(), E> {
        if self.0.len() == self.1 {
            return Err(E::custom(format!(
                "there are more than the {} elements that the shape asks for",
                self.1
            )));
        }
        self.0.push(value);
        Ok(())
    }
}

impl<'de, 'a, T> DeserializeSeed<'de> for Flat<'a, T>
where
    Flat<'a, T>: Visitor<'de, Value = ()>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flat<'_, f64> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, flat or nested")
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        self.push(v)
    }

    #[allow(clippy::cast_precision_loss)] // nothing above 2⁵³ is a gray value
    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        self.push(v as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        self.push(v as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Flat(&mut *self.0, self.1))?.is_some() {}
        Ok(())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Flat<'_, Cow<'a, str>> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 strings, flat or nested")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<(), E> {
        self.push(Cow::Borrowed(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<(), E> {
        self.push(Cow::Owned(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Flat(&mut *self.0, self.1))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! The values of the input tensor, from JSON or from bytes, as pictures or faces.

use std::{borrow::Cow, fmt};

use bytes::{Buf, Bytes};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    http::{input::Picture, problem::Problem},
    image::{Face, PIXELS, SIDE},
};

/// Element types the input may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// A picture file an element.
    Bytes,
    /// A gray value an element, 0–255.
    Uint8,
    /// The same as a float; rounded to the nearest whole number.
    Fp32,
}

impl Datatype {
    /// By the protocol's name.
    ///
    /// # Errors
    /// 400 for other types.
    pub fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "BYTES" => Ok(Self::Bytes),
            "UINT8" => Ok(Self::Uint8),
            "FP32" => Ok(Self::Fp32),
            other => Err(Problem::bad_tensor(format!(
                "datatype is {other:?}; BYTES, UINT8 or FP32 is wanted"
            ))),
        }
    }

    /// N of a shape: `[N]` for pictures (`[N,1]` is taken, too), `[N,1,48,48]` for gray values.
    ///
    /// # Errors
    /// 400 for another shape or N = 0, 413 if N is more than `max`.
    pub fn count(self, shape: &[i64], max: usize) -> Result<usize, Problem> {
        let side = i64::try_from(SIDE).unwrap_or(0);
        let (n, wanted) = match (self, shape) {
            (Self::Bytes, [n] | [n, 1]) => (*n, ""),
            (Self::Bytes, _) => (0, "[N] with N of at least 1"),
            (_, [n, 1, h, w]) if (*h, *w) == (side, side) => (*n, ""),
            (..) => (0, "[N,1,48,48] with N of at least 1"),
        };
        match usize::try_from(n) {
            Ok(n) if n > max => Err(Problem::too_many_images(max)),
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Problem::bad_tensor(format!(
                "shape is {shape:?}; {} is wanted",
                if wanted.is_empty() {
                    "N of at least 1"
                } else {
                    wanted
                }
            ))),
        }
    }
}

/// What is to be classified, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// To be decoded.
    Pictures(Vec<Picture>),
    /// Ready for the network.
    Faces(Vec<Face>),
}

/// Values in JSON, flat or nested.
///
/// # Errors
/// 400 if they are not `n` elements of the type, or gray values outside 0–255.
pub fn from_json(data: &RawValue, body: &Bytes, datatype: Datatype, n: usize) -> Result<Input, Problem> {
    let mut json = serde_json::Deserializer::from_str(data.get());
    let bad = |e: serde_json::Error| Problem::bad_tensor(format!("data of {}: {e}", super::INPUT));
    if datatype == Datatype::Bytes {
        let mut texts: Vec<Cow<'_, str>> = Vec::new();
        Flat(&mut texts, n).deserialize(&mut json).map_err(bad)?;
        exact(texts.len(), n)?;
        let picture = |text| {
            Picture::Base64(match text {
                Cow::Borrowed(s) => body.slice_ref(str::as_bytes(s)),
                Cow::Owned(s) => Bytes::from(s),
            })
        };
        return Ok(Input::Pictures(texts.into_iter().map(picture).collect()));
    }
    let mut values: Vec<f64> = Vec::new();
    Flat(&mut values, n * PIXELS)
        .deserialize(&mut json)
        .map_err(bad)?;
    exact(values.len(), n * PIXELS)?;
    if datatype == Datatype::Uint8
        && let Some(value) = values.iter().find(|v| v.fract() != 0.0)
    {
        return Err(Problem::bad_tensor(format!(
            "{value} is not a whole number, which UINT8 wants"
        )));
    }
    faces(values.iter().copied())
}

/// Values as bytes: little-endian; of `BYTES` each element with its length in four bytes before it. With `base64` its
/// elements are text.
///
/// # Errors
/// As [`from_json`].
pub fn from_bytes(mut data: Bytes, datatype: Datatype, n: usize, base64: bool) -> Result<Input, Problem> {
    match datatype {
        Datatype::Uint8 => {
            exact(data.len(), n * PIXELS)?;
            faces(data.iter().map(|v| f64::from(*v)))
        }
        Datatype::Fp32 => {
            exact_bytes(data.len(), n * PIXELS * 4)?;
            let value = |b: &[u8]| b.try_into().map_or(f32::NAN, f32::from_le_bytes);
            faces(data.chunks_exact(4).map(|b| f64::from(value(b))))
        }
        Datatype::Bytes => {
            let mut pictures = Vec::with_capacity(n);
            while data.has_remaining() {
                let length = data
                    .try_get_u32_le()
                    .ok()
                    .and_then(|l| usize::try_from(l).ok())
                    .filter(|l| *l <= data.remaining())
                    .ok_or_else(|| {
                        Problem::bad_tensor("an element of BYTES is longer than what is left of the body")
                    })?;
                exact_at_most(pictures.len(), n)?;
                let bytes = data.split_to(length);
                pictures.push(if base64 {
                    Picture::Base64(bytes)
                } else {
                    Picture::Raw(bytes)
                });
            }
            exact(pictures.len(), n)?;
            Ok(Input::Pictures(pictures))
        }
    }
}

fn exact(got: usize, want: usize) -> Result<(), Problem> {
    if got == want {
        return Ok(());
    }
    Err(Problem::bad_tensor(format!(
        "the data hold {got} elements; the shape asks for {want}"
    )))
}

fn exact_bytes(got: usize, want: usize) -> Result<(), Problem> {
    if got == want {
        return Ok(());
    }
    Err(Problem::bad_tensor(format!(
        "the data hold {got} bytes; shape and datatype ask for {want}"
    )))
}

fn exact_at_most(have: usize, want: usize) -> Result<(), Problem> {
    if have < want {
        return Ok(());
    }
    Err(Problem::bad_tensor(format!(
        "the data hold more than the {want} elements that the shape asks for"
    )))
}

/// Gray values, row by row, as faces.
fn faces(values: impl Iterator<Item = f64>) -> Result<Input, Problem> {
    let mut pixels = Vec::new();
    for value in values {
        if !(0.0..=255.0).contains(&value) {
            return Err(Problem::bad_tensor(format!(
                "{value} is not a gray value: 0 to 255 is wanted"
            )));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 255
        pixels.push(value.round() as u8);
    }
    let faces = pixels.chunks_exact(PIXELS).filter_map(Face::from_gray);
    Ok(Input::Faces(faces.collect()))
}

/// Collects the scalars of nested lists, at most so many: a longer list is an error before it takes memory.
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

impl<'de> DeserializeSeed<'de> for Flat<'_, f64> {
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

    #[allow(clippy::cast_precision_loss)] // what is past 2⁵³ is no gray value anyway
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

impl<'de: 'a, 'a> DeserializeSeed<'de> for Flat<'_, Cow<'a, str>> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
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

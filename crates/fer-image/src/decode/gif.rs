//! GIF: its first frame, on the logical screen.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, MemoryLimit};
use image::{ColorType, metadata::Orientation};

use super::{
    luma::{self, Alpha, LumaImage},
    source::Source,
};
use crate::{Format, ImageError, Reason};

/// A GIF whose first frame's header is read.
pub(super) struct Gif<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    /// Of the result.
    width: usize,
    height: usize,
    /// Where the frame begins in it, and the frame's size.
    left: usize,
    top: usize,
    frame_width: usize,
    frame_height: usize,
}

fn fail(error: DecodingError) -> ImageError {
    let reason = match &error {
        DecodingError::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Reason::CutShort,
        DecodingError::OutOfMemory => Reason::TooMuchMemory,
        _ => Reason::Damaged,
    };
    ImageError::broken_by(Format::Gif, reason, error)
}

impl<'a> Gif<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        // The size is checked by the caller, before the frame is decoded.
        options.set_memory_limit(MemoryLimit::Unlimited);
        let mut decoder = options.read_info(Cursor::new(bytes)).map_err(fail)?;
        let screen = [decoder.width(), decoder.height()].map(usize::from);
        let frame = decoder.next_frame_info().map_err(fail)?;
        let frame = frame.ok_or(ImageError::broken(Format::Gif, Reason::CutShort))?;
        let [frame_width, frame_height] = [frame.width, frame.height].map(usize::from);
        let [left, top] = [frame.left, frame.top].map(usize::from);
        // As browsers do: a screen that the first frame is larger than, as one of 0×0 is, has the frame's size.
        let ([width, height], [left, top]) = if frame_width > screen[0] || frame_height > screen[1] {
            ([frame_width, frame_height], [0, 0])
        } else {
            (screen, [left, top])
        };
        Ok(Self {
            decoder,
            width,
            height,
            left,
            top,
            frame_width,
            frame_height,
        })
    }
}

impl Source for Gif<'_> {
    fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    fn memory(&self, _: u32) -> u64 {
        // The frame in RGBA and gray, and the screen.
        (5 * self.frame_width * self.frame_height + self.width * self.height) as u64
    }

    fn decode(mut self: Box<Self>, _: u32) -> Result<(LumaImage, Orientation), ImageError> {
        let mut frame = vec![0; 4 * self.frame_width * self.frame_height];
        self.decoder.read_into_buffer(&mut frame).map_err(fail)?;
        let gray = luma::from_pixels(ColorType::Rgba8, frame, Alpha::Straight);
        let gray = gray.ok_or(ImageError::broken(Format::Gif, Reason::Damaged))?;
        // Nothing lies around the frame: white, as all transparency is.
        let mut screen = vec![u8::MAX; self.width * self.height];
        let rows = screen.chunks_exact_mut(self.width.max(1)).skip(self.top);
        for (row, frame) in rows.zip(gray.chunks_exact(self.frame_width.max(1))) {
            let visible = row.iter_mut().skip(self.left);
            visible.zip(frame).for_each(|(pixel, value)| *pixel = *value);
        }
        let image = LumaImage::new(self.width as u32, self.height as u32, screen);
        Ok((image, Orientation::NoTransforms))
    }
}

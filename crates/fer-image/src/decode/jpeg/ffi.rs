//! The crate's `unsafe` code: the two calls into `csrc/jpeg.c`.
#![allow(unsafe_code)]

use std::{ffi::c_char, ptr};

// Links libjpeg.
use mozjpeg_sys as _;

/// Why a call failed: the numbers of `enum failure` in `csrc/jpeg.c`, less one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoPixels,
    CutShort,
    Damaged,
    OutOfMemory,
    /// A side is longer than libjpeg's own limit.
    LongSide,
    /// The coding that this marker names.
    Coding(u32),
    Precision,
    Channels,
    Sampling,
}

/// `struct job` in `csrc/jpeg.c`.
#[repr(C)]
struct Job {
    bytes: *const u8,
    length: usize,
    eighths: u32,
    own_scan: u32,
    memory: u64,
    pixels: *mut u8,
    room: usize,
    width: u32,
    height: u32,
    coefficients: u64,
    exif_at: usize,
    exif_length: usize,
    number: u32,
    message: [u8; 200],
}

unsafe extern "C" {
    fn fer_jpeg_open(job: *mut Job) -> i32;
    fn fer_jpeg_decode(job: *mut Job) -> i32;
}

/// What the header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes of the coefficients that the decoder keeps; 0 for a file in one scan.
    pub(super) coefficients: u64,
    /// Start and length of the Exif segment's content, `Exif\0\0` first; the length is 0 if there is none.
    pub(super) exif: (usize, usize),
}

/// A failure, and libjpeg's message.
pub(super) type Failed = (Failure, String);

impl Job {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.as_ptr(),
            length: bytes.len(),
            eighths: 8,
            own_scan: 0,
            memory: 0,
            pixels: ptr::null_mut(),
            room: 0,
            width: 0,
            height: 0,
            coefficients: 0,
            exif_at: 0,
            exif_length: 0,
            number: 0,
            message: [0; 200],
        }
    }

    fn result(&self, code: i32) -> Result<(), Failed> {
        let failure = match code {
            0 => return Ok(()),
            1 => Failure::NoPixels,
            2 => Failure::CutShort,
            4 => Failure::OutOfMemory,
            5 => Failure::LongSide,
            6 => Failure::Coding(self.number),
            7 => Failure::Precision,
            8 => Failure::Channels,
            9 => Failure::Sampling,
            _ => Failure::Damaged,
        };
        let end = self.message.iter().position(|byte| *byte == 0);
        let message = &self.message[..end.unwrap_or(self.message.len())];
        Err((failure, String::from_utf8_lossy(message).into_owned()))
    }
}

/// Reads the header of `bytes`. The size is also given along with a failure, 0 × 0 if it was not read.
pub(super) fn open(bytes: &[u8]) -> (Header, Result<(), Failed>) {
    let mut job = Job::new(bytes);
    // SAFETY: `job` is valid for the call, and `bytes` and `length` in it are those of a slice that outlives it. The
    // function keeps no pointer.
    let code = unsafe { fer_jpeg_open(&raw mut job) };
    let header = Header {
        width: job.width,
        height: job.height,
        coefficients: job.coefficients,
        exif: (job.exif_at, job.exif_length),
    };
    (header, job.result(code))
}

/// Decodes `bytes` to gray at `eighths` (1–8) of the size, rounded up, into `pixels`, which must have that size. If
/// `own_scan` is set, `csrc/scan.c` reads a file that has one scan, and libjpeg else; the pixels are the same.
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    eighths: u32,
    own_scan: bool,
    pixels: &mut [u8],
) -> Result<(), Failed> {
    const _: () = assert!(size_of::<c_char>() == 1);
    let mut job = Job::new(bytes);
    job.eighths = eighths;
    job.own_scan = own_scan.into();
    // What the coefficients need, and what libjpeg allocates besides them.
    job.memory = header.coefficients.saturating_add(super::rows(header.width));
    job.pixels = pixels.as_mut_ptr();
    job.room = pixels.len();
    // SAFETY: as in `open`. The function writes `room` bytes to `pixels` at most, which is its length, and fails without
    // writing if the image has more.
    let code = unsafe { fer_jpeg_decode(&raw mut job) };
    job.result(code)
}

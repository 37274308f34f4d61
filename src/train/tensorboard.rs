//! TensorBoard event files with scalars.
//!
//! An event file is a row of TFRecords, each a length, its checksum, an `Event` protocol buffer and its
//! checksum (`tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/util/event.proto`,
//! `tensorflow/core/framework/summary.proto`). Seven fields are all it takes, so they are encoded here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// What the first event of a file says it is.
const FILE_VERSION: &str = "brain.Event:2";

/// Writes one event file.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Begins a new file in `folder`, which is made if need be. `first_step` is the first step that will be
    /// written: TensorBoard reads all files of a folder as one run and drops what earlier ones hold from
    /// that step on, which is what a run that was killed and resumed means.
    ///
    /// # Errors
    /// What making the folder or the file gives.
    pub fn create(folder: &Path, first_step: i64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = wall_time();
        let (path, file) = new_file(folder, now)?;
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
        };
        writer.write(&Event::new(now, 0).text(3, FILE_VERSION))?;
        writer
            .write(&Event::new(now, first_step).message(7, &Message::default().varint(1, SESSION_START)))?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a point to the curve `tag`.
    ///
    /// # Errors
    /// What writing gives.
    pub fn scalar(&mut self, tag: &str, value: f32, step: i64) -> io::Result<()> {
        self.write(&scalar_event(wall_time(), step, tag, value))
    }

    /// Hands everything to the operating system, for a TensorBoard that looks on.
    ///
    /// # Errors
    /// What writing gives.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn write(&mut self, event: &Message) -> io::Result<()> {
        self.file.write_all(&record(&event.0))
    }
}

/// A file that was not there before. TensorBoard knows it by `tfevents` and reads a folder's files in the
/// order of their names, hence the time first.
fn new_file(folder: &Path, now: f64) -> io::Result<(PathBuf, File)> {
    let pid = std::process::id();
    let mut n = 0u32;
    loop {
        let path = folder.join(format!("events.out.tfevents.{now:010.0}.fer-train.{pid}.{n}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => n += 1,
            opened => return opened.map(|file| (path, file)),
        }
    }
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// `SessionLog.SessionStatus.START`.
const SESSION_START: u64 = 1;

/// Makes `Event` messages.
struct Event;

impl Event {
    #[allow(clippy::new_ret_no_self)]
    fn new(wall_time: f64, step: i64) -> Message {
        Message::default()
            .double(1, wall_time)
            .varint(2, step.cast_unsigned())
    }
}

fn scalar_event(wall_time: f64, step: i64, tag: &str, value: f32) -> Message {
    let value = Message::default().text(1, tag).float(2, value);
    Event::new(wall_time, step).message(5, &Message::default().message(1, &value))
}

/// A protocol buffer being written; each method adds a field by its number.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    const VARINT: u64 = 0;
    const FIXED_64: u64 = 1;
    const BYTES: u64 = 2;
    const FIXED_32: u64 = 5;

    fn varint(self, field: u64, value: u64) -> Self {
        self.raw(field << 3 | Self::VARINT).raw(value)
    }

    fn double(self, field: u64, value: f64) -> Self {
        self.raw(field << 3 | Self::FIXED_64).bytes(&value.to_le_bytes())
    }

    fn float(self, field: u64, value: f32) -> Self {
        self.raw(field << 3 | Self::FIXED_32).bytes(&value.to_le_bytes())
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.raw(field << 3 | Self::BYTES)
            .raw(value.len() as u64)
            .bytes(value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.raw(field << 3 | Self::BYTES)
            .raw(value.0.len() as u64)
            .bytes(&value.0)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn raw(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

/// CRC-32C, rotated and shifted so that the checksum of data that holds checksums stays meaningful.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

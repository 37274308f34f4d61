//! TensorBoard event files with scalars.
//!
//! An event file is a row of TFRecords, each a length, its checksum, an `Event` protocol buffer and its
//! checksum (`tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/util/event.proto`,
//! `tensorflow/core/framework/summary.proto`). It needs seven fields only, so they are encoded here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The first event of a file: its format.
const FILE_VERSION: &str = "brain.Event:2";

#[derive(Debug)]
pub(super) struct EventWriter {
    file: BufWriter<File>,
}

impl EventWriter {
    /// Begins a new file in `folder`, which is created if it is missing. `first_step` is the first step that will be
    /// written: TensorBoard reads all files of a folder as one run and drops points of earlier files from
    /// that step on, as a run that was killed and resumed needs.
    pub(super) fn create(folder: &Path, first_step: i64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = wall_time();
        let mut writer = Self {
            file: BufWriter::new(new_file(folder, now)?),
        };
        writer.write(&version_event(now))?;
        writer.write(&start_event(now, first_step))?;
        writer.flush()?;
        Ok(writer)
    }

    pub(super) fn scalar(&mut self, tag: &str, value: f32, step: i64) -> io::Result<()> {
        self.write(&scalar_event(wall_time(), step, tag, value))
    }

    /// Passes everything to the operating system, so that a running TensorBoard sees it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn write(&mut self, event: &Message) -> io::Result<()> {
        self.file.write_all(&record(&event.0))
    }
}

/// A file that was not there before. TensorBoard knows it by `tfevents` and reads a folder's files in the
/// order of their names, hence the time first.
fn new_file(folder: &Path, now: f64) -> io::Result<File> {
    let pid = std::process::id();
    let mut n = 0u32;
    loop {
        let path = folder.join(format!("events.out.tfevents.{now:010.0}.fer-train.{pid}.{n}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => n += 1,
            opened => return opened,
        }
    }
}

/// Seconds since 1970, which TensorBoard shows.
#[allow(clippy::disallowed_methods)]
fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// `SessionLog.SessionStatus.START`.
const SESSION_START: u64 = 1;

fn version_event(wall_time: f64) -> Message {
    Message::default()
        .double(1, wall_time)
        .bytes(3, FILE_VERSION.as_bytes())
}

fn start_event(wall_time: f64, first_step: i64) -> Message {
    step_event(wall_time, first_step).bytes(7, &Message::default().varint(1, SESSION_START).0)
}

fn scalar_event(wall_time: f64, step: i64, tag: &str, value: f32) -> Message {
    let value = Message::default().bytes(1, tag.as_bytes()).float(2, value);
    step_event(wall_time, step).bytes(5, &Message::default().bytes(1, &value.0).0)
}

fn step_event(wall_time: f64, step: i64) -> Message {
    Message::default()
        .double(1, wall_time)
        .varint(2, step.cast_unsigned())
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
        self.raw(field << 3 | Self::FIXED_64).push(&value.to_le_bytes())
    }

    fn float(self, field: u64, value: f32) -> Self {
        self.raw(field << 3 | Self::FIXED_32).push(&value.to_le_bytes())
    }

    /// A text, or a message within this one.
    fn bytes(self, field: u64, value: &[u8]) -> Self {
        self.raw(field << 3 | Self::BYTES)
            .raw(value.len() as u64)
            .push(value)
    }

    fn push(mut self, bytes: &[u8]) -> Self {
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

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let checksum = |data| masked_crc(data).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// CRC-32C, rotated and shifted so that the checksum of data that holds checksums stays meaningful.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    // The expected bytes were written by TensorBoard 2.21's own RecordWriter.
    #[test]
    fn records_are_what_tensorboard_itself_writes() {
        let now = 1_700_000_000.5;
        assert_eq!(
            hex(&record(&version_event(now).0)),
            "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110"
        );
        assert_eq!(
            hex(&record(&scalar_event(now, 300, "valid/accuracy", 0.655).0)),
            "2500000000000000eabc36f30900002040fc54d94110ac022a170a150a0e76616c69642f6163637572616379\
             1514ae273ff35de24c"
        );
        assert_eq!(
            hex(&record(&start_event(now, 19).0)),
            "0f000000000000006d532b090900002040fc54d94110133a020801e4c8c55c"
        );
    }

    /// The payloads of a file's records, each checksum checked.
    fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc(&bytes[..8]).to_le_bytes());
            let data = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc(data).to_le_bytes());
            payloads.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        payloads
    }

    #[test]
    fn a_resumed_run_adds_a_file_and_leaves_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("made/on/the/way");
        let files = || {
            let entries = fs::read_dir(&folder).unwrap();
            let mut paths: Vec<_> = entries.map(|f| f.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let mut writer = EventWriter::create(&folder, 1).unwrap();
        writer.scalar("loss", 2.0, 1).unwrap();
        writer.scalar("loss", f32::NAN, 2).unwrap();
        writer.flush().unwrap();
        let [first] = &files()[..] else {
            panic!("{:?}", files())
        };
        let before = fs::read(first).unwrap();
        EventWriter::create(&folder, 2).unwrap();
        let both = files();
        assert_eq!((both.len(), &both[0]), (2, first));
        let second = &both[1];
        assert!(second.to_str().unwrap().contains("/events.out.tfevents."));
        assert_eq!(fs::read(first).unwrap(), before);
        assert_eq!(payloads(&before).len(), 4);
        let start = payloads(&fs::read(second).unwrap());
        // Field 2, the step, is 2; then field 7.
        assert_eq!(start[1][9..], [0x10, 2, 0x3A, 2, 8, 1]);
    }

    #[test]
    fn numbers_of_every_length_are_encoded() {
        for (value, bytes) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0x80, 1]),
            (300, vec![0xAC, 2]),
            (u64::MAX, [vec![0xFF; 9], vec![1]].concat()),
        ] {
            assert_eq!(Message::default().raw(value).0, bytes);
        }
    }
}

//! One line → label, usage, face.

use csv_core::{ReadRecordResult, Reader as CsvCore};

use clap::ValueEnum;

use super::{Row, Usage, counted, lines::Lines};
use fer_engine::emotion::Emotion;
use fer_image::{Face, PIXELS};

/// The known layouts, as messages list them.
pub(super) const LAYOUTS: &str = "`emotion,pixels` (train.csv), `pixels` (test.csv), `emotion,pixels,Usage` \
     (fer2013.csv), `emotion, Usage, pixels` (icml_face_data.csv)";
/// How much of a wrong header or value a message repeats, in characters.
const SHOWN_HEADER: usize = 80;
const SHOWN_VALUE: usize = 20;

/// Splits a line into fields by CSV's rules, in buffers that are used again.
pub(super) struct Splitter {
    core: CsvCore,
    line: Vec<u8>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            core: fresh_parser(),
            line: Vec::new(),
            fields: Vec::new(),
            ends: Vec::new(),
            count: 0,
        }
    }
}

impl Splitter {
    /// Splits `line` (without its end) into `count` fields. False if the line ends inside a quoted field: `count` is
    /// then the number of whole fields before it.
    fn split(&mut self, line: &[u8]) -> bool {
        self.line.clear();
        self.line.extend_from_slice(line);
        // The parser yields a record only at a line end outside quotes: that is how an open quote shows.
        self.line.push(b'\n');
        self.fields.resize(self.line.len(), 0);
        let most = line.iter().filter(|b| **b == b',').count() + 2;
        if self.ends.len() < most {
            self.ends.resize(most, 0);
        }
        let (result, _, _, count) = self
            .core
            .read_record(&self.line, &mut self.fields, &mut self.ends);
        self.count = count;
        let whole = matches!(result, ReadRecordResult::Record);
        if !whole {
            self.core = fresh_parser();
        }
        whole
    }

    /// Field `i` without blanks around it. Quotes behind a blank are removed here, because the parser keeps those.
    fn field(&self, i: usize) -> &[u8] {
        let bound = |i: usize| self.ends.get(i).copied().unwrap_or(0);
        let start = i.checked_sub(1).map_or(0, bound);
        let field = self.fields.get(start..bound(i)).unwrap_or_default().trim_ascii();
        match field {
            [b'"', inner @ .., b'"'] => inner.trim_ascii(),
            _ => field,
        }
    }
}

/// A parser that is past the start of its input, where it would skip a byte-order mark:
/// [`super::lines::Lines`] has done that already, in the first line only.
fn fresh_parser() -> CsvCore {
    let mut core = CsvCore::new();
    core.read_record(b"\n", &mut [], &mut []);
    core
}

/// Number of columns, and where the known ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CsvLayout {
    columns: usize,
    pixels: usize,
    pub(super) emotion: Option<usize>,
    pub(super) usage: Option<usize>,
}

impl CsvLayout {
    /// The layout that a header line stands for, or what is wrong with it.
    pub(super) fn from_header(lines: &Lines, splitter: &mut Splitter) -> Result<Self, String> {
        if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] = lines.bytes[..] {
            return Err("the file is UTF-16; UTF-8 is expected".to_owned());
        }
        let line = lines.text()?;
        let header = || shown(line, SHOWN_HEADER);
        if !splitter.split(line) {
            return Err(format!("the header '{}' ends inside a quoted field", header()));
        }
        let (mut pixels, mut emotion, mut usage) = (None, None, None);
        for i in 0..splitter.count {
            let name = splitter.field(i);
            let slot = match name.to_ascii_lowercase().as_slice() {
                b"pixels" => &mut pixels,
                b"emotion" => &mut emotion,
                b"usage" => &mut usage,
                _ => {
                    let name = shown(name, SHOWN_VALUE);
                    return Err(format!(
                        "the header '{}' has an unknown column '{name}'",
                        header()
                    ));
                }
            };
            if slot.replace(i).is_some() {
                let name = shown(name, SHOWN_VALUE);
                return Err(format!("the header '{}' has the column '{name}' twice", header()));
            }
        }
        let pixels = pixels.ok_or_else(|| format!("the header '{}' has no column 'pixels'", header()))?;
        Ok(Self {
            columns: splitter.count,
            pixels,
            emotion,
            usage,
        })
    }

    /// What messages call column `i`.
    fn column_name(&self, i: usize) -> String {
        if i == self.pixels {
            "`pixels`".to_owned()
        } else {
            format!("column {}", i + 1)
        }
    }

    /// The row of the line last read, or what is wrong with it.
    pub(super) fn row(&self, lines: &Lines, splitter: &mut Splitter) -> Result<Row, String> {
        if !splitter.split(lines.text()?) {
            let column = self.column_name(splitter.count);
            return Err(if lines.terminated {
                format!("the line ends inside the quotes of {column}: the closing quote is missing")
            } else {
                format!("the file ends inside the quotes of {column}: its last row is cut off")
            });
        }
        if splitter.count != self.columns {
            let found = counted(splitter.count as u64, "column");
            return Err(format!("{found}; the header has {}", self.columns));
        }
        let label = self.emotion.map(|i| parse_label(splitter.field(i))).transpose()?;
        let usage = self.usage.map(|i| parse_usage(splitter.field(i))).transpose()?;
        let face = parse_pixels(splitter.field(self.pixels), lines.terminated)?;
        let line = lines.number;
        Ok(Row {
            line,
            label,
            usage,
            face,
        })
    }
}

fn parse_label(field: &[u8]) -> Result<Emotion, String> {
    if field.is_empty() {
        return Err("the label is empty; 0–6 is expected".to_owned());
    }
    let text = || shown(field, SHOWN_VALUE);
    if !is_whole_number(field) {
        return Err(format!(
            "label '{}' is not a whole number; 0–6 is expected",
            text()
        ));
    }
    let label = small_number(field).and_then(|n| Emotion::from_index(n.into()));
    label.ok_or_else(|| {
        format!(
            "label {} is outside 0–6 (0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral)",
            text()
        )
    })
}

fn parse_usage(field: &[u8]) -> Result<Usage, String> {
    Usage::from_str(&String::from_utf8_lossy(field), true).map_err(|_| {
        let text = shown(field, SHOWN_VALUE);
        format!("Usage '{text}' is not known; Training, PublicTest or PrivateTest is expected")
    })
}

/// `terminated` says whether the row's line has an end.
fn parse_pixels(field: &[u8], terminated: bool) -> Result<Face, String> {
    let mut face = [0; PIXELS];
    let mut found = 0;
    for token in field
        .split(u8::is_ascii_whitespace)
        .filter(|token| !token.is_empty())
    {
        let Some(value) = small_number(token) else {
            let (value, position) = (shown(token, SHOWN_VALUE), found + 1);
            return Err(if is_whole_number(token) {
                format!("value {value} at position {position} is outside 0–255")
            } else {
                format!("'{value}' at position {position} is not a whole number; 0–255 is expected")
            });
        };
        if let Some(pixel) = face.get_mut(found) {
            *pixel = value;
        }
        found += 1;
    }
    if found == PIXELS {
        return Ok(Face(face));
    }
    let cut = if !terminated && found < PIXELS {
        " (the file ends here without a line end: its last row may be cut off)"
    } else {
        ""
    };
    let found = counted(found as u64, "value");
    Err(format!("{found}; {PIXELS} (48×48) are expected{cut}"))
}

/// A number 0–255 in decimal digits, nothing else, of a token that is not empty.
fn small_number(token: &[u8]) -> Option<u8> {
    token.iter().try_fold(0u8, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(byte - b'0'),
        _ => None,
    })
}

/// Whether it is a whole number of any size, with or without a minus.
fn is_whole_number(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The beginning of a text as a message can show it: control characters escaped, cut off after `limit` characters.
fn shown(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for c in text.chars().take(limit) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

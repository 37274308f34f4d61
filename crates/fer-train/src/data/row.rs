//! One line → label, usage, face.

use csv_core::{ReadRecordResult, Reader as CsvCore};

use super::{BadRow, Usage};
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
    /// Splits `line` (without its end) into `count` fields; false if it ends inside a quoted field, which
    /// comes after `count` whole ones then.
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

    /// Field `i`, without blanks around it nor the quotes that a blank before them keeps the parser from
    /// taking off.
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

/// A parser that has something behind it: at the very start of its input it would pass over a byte-order
/// mark, and [`super::lines::Lines`] has done that already, in the first line only.
fn fresh_parser() -> CsvCore {
    let mut core = CsvCore::new();
    core.read_record(b"\n", &mut [], &mut []);
    core
}

/// Where a file keeps what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    columns: usize,
    pixels: usize,
    emotion: Option<usize>,
    usage: Option<usize>,
}

/// What a row says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) label: Option<Emotion>,
    pub(super) usage: Option<Usage>,
    pub(super) face: Face,
}

impl Layout {
    /// The layout that a header line stands for, or what is wrong with it.
    pub(super) fn from_header(line: &[u8], splitter: &mut Splitter) -> Result<Self, String> {
        if line.starts_with(b"\xFF\xFE") || line.starts_with(b"\xFE\xFF") {
            return Err("the file is UTF-16; UTF-8 is wanted".to_owned());
        }
        check_text(line).map_err(|e| e.to_string())?;
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

    pub(super) fn pixels_only(self) -> Self {
        Self {
            emotion: None,
            usage: None,
            ..self
        }
    }

    pub(super) fn has_labels(&self) -> bool {
        self.emotion.is_some()
    }

    pub(super) fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// What messages call column `i`.
    fn column_name(&self, i: usize) -> String {
        if i == self.pixels {
            "`pixels`".to_owned()
        } else {
            format!("column {}", i + 1)
        }
    }

    /// Reads a line; `terminated` says whether it had a line end.
    pub(super) fn row(
        &self,
        line: &[u8],
        terminated: bool,
        splitter: &mut Splitter,
    ) -> Result<Parsed, BadRow> {
        check_text(line)?;
        if !splitter.split(line) {
            let column = self.column_name(splitter.count);
            return Err(if terminated {
                BadRow::OpenQuote(column)
            } else {
                BadRow::CutInQuote(column)
            });
        }
        if splitter.count != self.columns {
            return Err(BadRow::Columns {
                found: splitter.count,
                wanted: self.columns,
            });
        }
        let label = self.emotion.map(|i| parse_label(splitter.field(i))).transpose()?;
        let usage = self.usage.map(|i| parse_usage(splitter.field(i))).transpose()?;
        let face = parse_pixels(splitter.field(self.pixels)).map_err(|e| match e {
            BadRow::PixelCount { found, .. } => BadRow::PixelCount {
                found,
                cut: !terminated && found < PIXELS,
            },
            other => other,
        })?;
        Ok(Parsed { label, usage, face })
    }
}

fn check_text(line: &[u8]) -> Result<(), BadRow> {
    if let Some(i) = line.iter().position(|b| *b == 0) {
        return Err(BadRow::Nul { at: i + 1 });
    }
    std::str::from_utf8(line).map(|_| ()).map_err(|e| {
        let i = e.valid_up_to();
        BadRow::NotUtf8 {
            byte: line.get(i).copied().unwrap_or_default(),
            at: i + 1,
        }
    })
}

fn parse_label(field: &[u8]) -> Result<Emotion, BadRow> {
    if field.is_empty() {
        return Err(BadRow::LabelEmpty);
    }
    if !is_whole_number(field) {
        return Err(BadRow::LabelText(shown(field, SHOWN_VALUE)));
    }
    small_number(field)
        .and_then(|n| Emotion::from_index(n.into()))
        .ok_or_else(|| BadRow::LabelRange(shown(field, SHOWN_VALUE)))
}

fn parse_usage(field: &[u8]) -> Result<Usage, BadRow> {
    Usage::ALL
        .into_iter()
        .find(|usage| usage.name().as_bytes().eq_ignore_ascii_case(field))
        .ok_or_else(|| BadRow::Usage(shown(field, SHOWN_VALUE)))
}

fn parse_pixels(field: &[u8]) -> Result<Face, BadRow> {
    let mut face = [0; PIXELS];
    let mut found = 0;
    for token in field
        .split(u8::is_ascii_whitespace)
        .filter(|token| !token.is_empty())
    {
        let Some(value) = small_number(token) else {
            let (value, position) = (shown(token, SHOWN_VALUE), found + 1);
            return Err(if is_whole_number(token) {
                BadRow::PixelRange { value, position }
            } else {
                BadRow::PixelText { value, position }
            });
        };
        if let Some(pixel) = face.get_mut(found) {
            *pixel = value;
        }
        found += 1;
    }
    if found == PIXELS {
        Ok(Face(face))
    } else {
        Err(BadRow::PixelCount { found, cut: false })
    }
}

/// A number 0–255 in decimal digits, nothing else.
fn small_number(token: &[u8]) -> Option<u8> {
    if token.is_empty() {
        return None;
    }
    let mut value = 0u16;
    for byte in token {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u16::from(digit);
        if value > 255 {
            return None;
        }
    }
    u8::try_from(value).ok()
}

/// Whether that is a whole number of any size, with or without a minus.
fn is_whole_number(token: &[u8]) -> bool {
    let digits = match token {
        [b'-', digits @ ..] => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The beginning of a text as a message can show it: no control characters, no endless lines.
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

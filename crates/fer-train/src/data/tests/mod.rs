mod dataset;
mod predictions;

use clap::ValueEnum;
use proptest::prelude::*;

use super::*;
use fer_image::PIXELS;

/// 2,304 values that differ from row to row.
fn values(seed: usize) -> Vec<u8> {
    (0..PIXELS).map(|i| ((i * 7 + seed * 31) % 256) as u8).collect()
}

fn pixels(seed: usize) -> String {
    join(&values(seed))
}

fn join(values: &[u8]) -> String {
    values.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
}

fn open(text: impl Into<Vec<u8>>, skip_bad_rows: bool) -> Result<Reader, TrainError> {
    Reader::from_read("d.csv", std::io::Cursor::new(text.into()), skip_bad_rows)
}

fn rows(text: impl Into<Vec<u8>>) -> Vec<Row> {
    open(text, false).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The first error, from the header or a row.
#[track_caller]
fn error(text: impl Into<Vec<u8>>) -> String {
    match open(text, false) {
        Err(e) => e.to_string(),
        Ok(mut reader) => {
            let error = reader.find_map(Result::err).expect("an error").to_string();
            assert!(reader.next().is_none(), "nothing comes after an error");
            error
        }
    }
}

/// What a row says is wrong with it, on line 3 after a good row.
#[track_caller]
fn row_error(row: impl AsRef<[u8]>) -> String {
    let good = format!("emotion,pixels\n3,\"{}\"\n", pixels(1));
    let text = error([good.as_bytes(), row.as_ref()].concat());
    text.strip_prefix("d.csv: line 3: ").expect(&text).to_owned()
}

#[test]
fn reads_the_four_layouts_and_any_order() {
    let p = pixels(1);
    for (text, label, usage) in [
        (format!("emotion,pixels\n5,\"{p}\"\n"), true, None),
        (format!("pixels\n\"{p}\"\n"), false, None),
        (
            format!("emotion,pixels,Usage\n5,\"{p}\",PrivateTest\n"),
            true,
            Some(Usage::PrivateTest),
        ),
        (
            format!("emotion, Usage, pixels\n5,PublicTest,{p}\n"),
            true,
            Some(Usage::PublicTest),
        ),
        (
            format!("emotion, Usage, pixels\n5, Training, \"{p}\"\n"),
            true,
            Some(Usage::Training),
        ),
        (format!(" PIXELS ,\"Emotion\"\n {p} , 5 \n"), true, None),
        (format!("pixels\n{}\n", p.replace(' ', "\t  ")), false, None),
    ] {
        let reader = open(text.clone(), false).unwrap();
        assert_eq!(
            (reader.has_labels(), reader.has_usage()),
            (label, usage.is_some())
        );
        let rows = rows(text);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].line, 2);
        assert_eq!(rows[0].label, label.then_some(Emotion::Surprise));
        assert_eq!(rows[0].usage, usage);
        assert_eq!(rows[0].face.0.as_slice(), values(1));
    }
}

#[test]
fn line_ends_marks_and_blank_lines_make_no_difference() {
    let plain = format!("emotion,pixels\n0,\"{}\"\n6,\"{}\"\n", pixels(1), pixels(2));
    let wanted = rows(plain.clone());
    assert_eq!(wanted.len(), 2);
    for text in [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        format!("\u{feff}{plain}"),
        format!("\u{feff}{}", plain.replace('\n', "\r\n")),
        plain.trim_end().to_owned(),
        format!("{plain}\n \r\n\n"),
    ] {
        assert_eq!(rows(text), wanted);
    }
    // Lines are counted as an editor counts them, blank ones too.
    let spaced = rows(plain.replace('\n', "\r\n\r\n"));
    assert_eq!(spaced.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 5]);
    // A mark is one only at the beginning of the file.
    assert_eq!(row_error("\u{feff}\n"), "1 column; the header has 2");
}

#[test]
fn each_bad_row_has_its_message() {
    let p = pixels(1);
    let (first, rest) = p.split_once(' ').unwrap();
    let short = p.rsplit_once(' ').unwrap().0;
    let count = "values; 2304 (48×48) are expected";
    let cut = "(the file ends here without a line end: its last row may be cut off)";
    for (row, wanted) in [
        (format!("1,\"{short}\"\n"), format!("2303 {count}")),
        (format!("1,\"{p} 9\""), format!("2305 {count}")),
        (format!("1,\"{short}\""), format!("2303 {count} {cut}")),
        ("1,1 2 3".to_owned(), format!("3 {count} {cut}")),
        ("1,\n".to_owned(), format!("0 {count}")),
        (
            format!("1,\"{short}"),
            "the file ends inside the quotes of `pixels`: its last row is cut off".to_owned(),
        ),
        (
            format!("1,\"{short}\n2,\"{p}\"\n"),
            "the line ends inside the quotes of `pixels`: the closing quote is missing".to_owned(),
        ),
        (
            format!("\"1,{p}\n"),
            "the line ends inside the quotes of column 1: the closing quote is missing".to_owned(),
        ),
        (
            format!("1,\"256 {rest}\"\n"),
            "value 256 at position 1 is outside 0–255".to_owned(),
        ),
        (
            format!("1,\"{short} 256\"\n"),
            "value 256 at position 2304 is outside 0–255".to_owned(),
        ),
        (
            format!("1,\"{first} -1 2\"\n"),
            "value -1 at position 2 is outside 0–255".to_owned(),
        ),
        (
            "1,99999999999999999999999\n".to_owned(),
            "value 99999999999999999999… at position 1 is outside 0–255".to_owned(),
        ),
        (
            format!("1,\"{first} 1.5 2\"\n"),
            "'1.5' at position 2 is not a whole number; 0–255 is expected".to_owned(),
        ),
        (
            "1,\"1 2 \u{1b}é\"\n".to_owned(),
            "'\\u{1b}é' at position 3 is not a whole number; 0–255 is expected".to_owned(),
        ),
        (
            format!("7,\"{p}\"\n"),
            "label 7 is outside 0–6 (0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral)"
                .to_owned(),
        ),
        (
            format!(" ,\"{p}\"\n"),
            "the label is empty; 0–6 is expected".to_owned(),
        ),
        (
            format!("happy,\"{p}\"\n"),
            "label 'happy' is not a whole number; 0–6 is expected".to_owned(),
        ),
        (format!("\"{p}\"\n"), "1 column; the header has 2".to_owned()),
        (
            format!("1,{}\n", p.replace(' ', ",")),
            "2305 columns; the header has 2".to_owned(),
        ),
        (
            "1,\"1 2\0 3\"\n".to_owned(),
            "a NUL byte at byte 7 of the line; the file is damaged or is not text".to_owned(),
        ),
    ] {
        assert_eq!(row_error(row), wanted);
    }
    assert_eq!(
        row_error(b"1,\"1 2 \xE9\"\n"),
        "byte 0xE9 at byte 8 of the line is not UTF-8"
    );
    assert_eq!(
        row_error(vec![b'1'; 3 << 20]),
        "the line is longer than 1 MiB, which no row is; line ends may be missing"
    );
    for label in ["-1", "256", "4294967296"] {
        let text = row_error(format!("{label},\"{p}\"\n"));
        assert!(
            text.starts_with(&format!("label {label} is outside 0–6")),
            "{text}"
        );
    }
    assert_eq!(
        error(format!("emotion,pixels,Usage\n1,\"{p}\",Validation\n")),
        "d.csv: line 2: Usage 'Validation' is not known; Training, PublicTest or PrivateTest is expected"
    );
}

#[test]
fn each_bad_header_has_its_message() {
    let known = "known headers: `emotion,pixels` (train.csv), `pixels` (test.csv), `emotion,pixels,Usage` \
                 (fer2013.csv), `emotion, Usage, pixels` (icml_face_data.csv)";
    for (text, wanted) in [
        (
            b"feeling,pixels\n".as_slice(),
            "the header 'feeling,pixels' has an unknown column 'feeling'",
        ),
        (b"emotion\n", "the header 'emotion' has no column 'pixels'"),
        (
            b"emotion;pixels\n",
            "the header 'emotion;pixels' has an unknown column 'emotion;pixels'",
        ),
        (
            b"pixels,Pixels\n",
            "the header 'pixels,Pixels' has the column 'Pixels' twice",
        ),
        (
            b"emotion,\"pixels\n",
            "the header 'emotion,\"pixels' ends inside a quoted field",
        ),
        (b"\xFF\xFEe\0", "the file is UTF-16; UTF-8 is expected"),
        (
            b"PK\x03\x04\0\0",
            "a NUL byte at byte 5 of the line; the file is damaged or is not text",
        ),
        (b"\x89PNG\r\n", "byte 0x89 at byte 1 of the line is not UTF-8"),
    ] {
        assert_eq!(error(text), format!("d.csv: line 1: {wanted}; {known}"));
    }
    // A file without a header: its first row is not repeated whole.
    let text = error(format!("0,\"{}\"\n", pixels(1)));
    assert!(
        text.contains("the header '0,\"31 38 45") && text.contains("…'") && text.len() < 500,
        "{text}"
    );
    assert!(error("\n\nfoo\n").starts_with("d.csv: line 3: "));
    for empty in ["", "\u{feff}", "\n\r\n  \n"] {
        assert!(
            error(empty).starts_with("d.csv: the file is empty; a header line is expected: `emotion,pixels`")
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| Reader::open(path, false).err().unwrap().to_string();
    let missing = dir.path().join("no.csv");
    assert!(open(&missing).starts_with(&format!("cannot open {}: No such file", missing.display())));
    assert_eq!(
        open(dir.path()),
        format!("{} is a folder; a CSV file is expected", dir.path().display())
    );

    struct Breaks(std::io::Cursor<Vec<u8>>);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                n => Ok(n),
            }
        }
    }
    let text = format!("pixels\n{}\n1 2", pixels(1));
    let mut reader = Reader::from_read("d.csv", Breaks(std::io::Cursor::new(text.into())), true).unwrap();
    assert!(reader.next().unwrap().is_ok());
    let broken = reader.next().unwrap().unwrap_err().to_string();
    assert_eq!(broken, "d.csv: reading failed after line 2: the disk is gone");
    assert!(reader.next().is_none());
}

#[test]
fn bad_rows_are_skipped_and_counted_where_asked() {
    let good = |label: usize| format!("{label},\"{}\"\n", pixels(label));
    let bad = "9,\"1\"\n".repeat(7);
    // An open quote takes its own line with it, not the next.
    let text = format!("emotion,pixels\n{}1,\"1 2\n{}{bad}{}", good(0), good(1), good(2));
    let data = Dataset::collect(open(text.clone(), true).unwrap(), None).unwrap();
    assert_eq!(data.labels, [Emotion::Angry, Emotion::Disgust, Emotion::Fear]);
    assert_eq!(data.faces[1].as_slice(), values(1));
    assert_eq!(data.skipped.count, 8);
    assert_eq!(data.skipped.first.len(), KEPT_MESSAGES);
    assert!(data.skipped.first[0].starts_with("d.csv: line 3: the line ends inside"));
    assert!(data.skipped.first[1].starts_with("d.csv: line 5: label 9"));
    assert!(Dataset::collect(open(text, false).unwrap(), None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_makes_it_panic(
        header in prop::sample::select(vec!["", "pixels\n", "emotion,pixels\n", "emotion, Usage, pixels\r\n"]),
        body in prop::collection::vec(prop_oneof![
            any::<u8>().boxed(),
            prop::sample::select(b"0123456789 ,\"\n\r".to_vec()).boxed(),
        ], 0..20_000),
        skip in any::<bool>(),
    ) {
        let text = [header.as_bytes(), &body].concat();
        if let Ok(reader) = open(text, skip) {
            let errors = reader.filter(Result::is_err).count();
            prop_assert!(errors <= usize::from(!skip));
        }
    }

    #[test]
    fn what_a_csv_writer_writes_is_read_back(
        written in prop::collection::vec(
            (0usize..7, 0usize..3, prop::collection::vec(any::<u8>(), PIXELS)), 0..4),
        order in Just(["emotion", "pixels", "Usage"]).prop_shuffle(),
        crlf in any::<bool>(),
        always_quoted in any::<bool>(),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if always_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        writer.write_record(order).unwrap();
        for (label, usage, values) in &written {
            let field = |name: &str| match name {
                "emotion" => label.to_string(),
                "pixels" => join(values),
                _ => format!("{:?}", Usage::value_variants()[*usage]),
            };
            writer.write_record(order.map(field)).unwrap();
        }
        let read = rows(writer.into_inner().unwrap());
        prop_assert_eq!(read.len(), written.len());
        for (i, (row, (label, usage, values))) in read.iter().zip(&written).enumerate() {
            prop_assert_eq!(row.line, i as u64 + 2);
            prop_assert_eq!(row.label, Emotion::from_index(*label));
            prop_assert_eq!(row.usage, Some(Usage::value_variants()[*usage]));
            prop_assert_eq!(row.face.0.as_slice(), values.as_slice());
        }
    }
}

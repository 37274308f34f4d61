use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{
    emotion::{CLASSES, Probabilities},
    image::PIXELS,
};

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

fn open(text: impl Into<Vec<u8>>, skip_bad_rows: bool) -> Result<Reader, DataError> {
    Reader::from_read(
        "d.csv",
        std::io::Cursor::new(text.into()),
        Options { skip_bad_rows },
    )
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
    let count = "values; 2304 (48×48) are wanted";
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
            "'1.5' at position 2 is not a whole number; 0–255 is wanted".to_owned(),
        ),
        (
            "1,\"1 2 \u{1b}é\"\n".to_owned(),
            "'\\u{1b}é' at position 3 is not a whole number; 0–255 is wanted".to_owned(),
        ),
        (
            format!("7,\"{p}\"\n"),
            "label 7 is outside 0–6 (0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral)"
                .to_owned(),
        ),
        (
            format!(" ,\"{p}\"\n"),
            "the label is empty; 0–6 is wanted".to_owned(),
        ),
        (
            format!("happy,\"{p}\"\n"),
            "label 'happy' is not a whole number; 0–6 is wanted".to_owned(),
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
        "d.csv: line 2: Usage 'Validation' is not known; Training, PublicTest or PrivateTest is wanted"
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
        (b"\xFF\xFEe\0", "the file is UTF-16; UTF-8 is wanted"),
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
            error(empty).starts_with("d.csv: the file is empty; a header line is wanted: `emotion,pixels`")
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| Reader::open(path, Options::default()).err().unwrap().to_string();
    let missing = dir.path().join("no.csv");
    assert!(open(&missing).starts_with(&format!("cannot open {}: No such file", missing.display())));
    assert_eq!(
        open(dir.path()),
        format!("{} is a folder; a CSV file is wanted", dir.path().display())
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
    let skip = Options { skip_bad_rows: true };
    let mut reader = Reader::from_read("d.csv", Breaks(std::io::Cursor::new(text.into())), skip).unwrap();
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
    assert_eq!(data.labels(), [Emotion::Angry, Emotion::Disgust, Emotion::Fear]);
    assert_eq!(data.face(1).as_slice(), values(1));
    assert_eq!(data.skipped().count, 8);
    assert_eq!(data.skipped().first.len(), KEPT_MESSAGES);
    assert!(data.skipped().first[0].starts_with("d.csv: line 3: the line ends inside"));
    assert!(data.skipped().first[1].starts_with("d.csv: line 5: label 9"));
    assert!(Dataset::collect(open(text, false).unwrap(), None).is_err());
}

#[test]
fn a_data_set_has_labelled_rows_of_the_set_asked_for() {
    let p = pixels(4);
    let header = "emotion,pixels,Usage\n";
    let text = format!("{header}0,\"{p}\",Training\n1,\"{p}\",PublicTest\n1,\"{p}\",publictest\n");
    let load = |text: &str, usage| Dataset::collect(open(text, false).unwrap(), usage);
    assert_eq!(load(&text, None).unwrap().class_counts(), [1, 2, 0, 0, 0, 0, 0]);
    let public = load(&text, Some(Usage::PublicTest)).unwrap();
    assert_eq!((public.len(), public.label(0)), (2, Emotion::Disgust));

    let error = |text: &str, usage| load(text, usage).unwrap_err().to_string();
    assert_eq!(
        error(&text, Some(Usage::PrivateTest)),
        "d.csv: the file has no rows with Usage PrivateTest"
    );
    assert_eq!(error(header, None), "d.csv: the file has a header but no rows");
    let missing = |column| format!("d.csv: the file has no `{column}` column, which is needed here");
    assert_eq!(error("emotion,pixels\n", Some(Usage::Training)), missing("Usage"));
    assert_eq!(error("pixels\n", None), missing("emotion"));
    let all_bad = Dataset::collect(open("emotion,pixels\n8,1\n", true).unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(
        all_bad.starts_with("d.csv: the file has no good rows; 1 bad row skipped, the first: d.csv: line 2"),
        "{all_bad}"
    );
}

/// `counts[i]` rows of label `i`, labels in turn, each row with a first pixel of its own.
fn labelled(counts: [usize; CLASSES]) -> Dataset {
    let mut text = "emotion,pixels\n".to_owned();
    let rest = " 0".repeat(PIXELS - 2);
    let mut n = 0;
    for turn in 0..counts.into_iter().max().unwrap() {
        for (label, _) in counts.iter().enumerate().filter(|(_, count)| turn < **count) {
            text.push_str(&format!("{label},\"{} {}{rest}\"\n", n / 256, n % 256));
            n += 1;
        }
    }
    Dataset::collect(open(text, false).unwrap(), None).unwrap()
}

#[test]
fn rows_are_held_out_by_label_and_seed() {
    let all = labelled([100, 14, 2, 1, 0, 37, 46]);
    let (train, valid) = all.clone().hold_out(10, 7).unwrap();
    assert_eq!(valid.class_counts(), [10, 1, 1, 0, 0, 4, 5]);
    assert_eq!(train.len() + valid.len(), all.len());
    // Nothing lost, nothing twice, labels still at their faces, the file's order kept.
    let number = |d: &Dataset, i| {
        (
            usize::from(d.face(i)[0]) * 256 + usize::from(d.face(i)[1]),
            d.label(i),
        )
    };
    let numbers = |d: &Dataset| (0..d.len()).map(|i| number(d, i)).collect::<Vec<_>>();
    let (a, b) = (numbers(&train), numbers(&valid));
    assert!(a.is_sorted_by_key(|x| x.0) && b.is_sorted_by_key(|x| x.0));
    let mut both = [a.clone(), b.clone()].concat();
    both.sort_by_key(|x| x.0);
    assert_eq!(both, numbers(&all));

    let again = all.clone().hold_out(10, 7).unwrap();
    assert_eq!((numbers(&again.0), numbers(&again.1)), (a, b.clone()));
    assert_ne!(numbers(&all.hold_out(10, 8).unwrap().1), b);

    for (counts, parts) in [
        ([1, 1, 0, 0, 0, 0, 1], 10),
        ([4, 0, 0, 0, 0, 0, 0], 1),
        ([1, 0, 0, 0, 0, 0, 0], 0),
    ] {
        let text = labelled(counts).hold_out(parts, 1).unwrap_err().to_string();
        assert!(text.contains("too few rows ("), "{text}");
    }
}

/// Names the label that the first pixel says.
fn by_first_pixel(faces: &[Face]) -> Result<Vec<Probabilities>, DataError> {
    let answer = |face: &Face| {
        let mut logits = [0.0; CLASSES];
        logits[usize::from(face.0[0]) % CLASSES] = 5.0;
        Probabilities::from_logits(&logits).unwrap()
    };
    Ok(faces.iter().map(answer).collect())
}

#[test]
fn predictions_stand_in_the_order_of_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("test.csv"), dir.path().join("predictions.csv"));
    let rest = " 0".repeat(PIXELS - 1);
    for (header, before) in [
        ("pixels", ""),
        ("emotion,pixels", ","),
        ("emotion,pixels", "unknown,"),
    ] {
        for count in [0, 1, 3, 4, 11] {
            let rows: String = (0..count)
                .map(|i| format!("{before}\"{}{rest}\"\n", i * 3 % 7))
                .collect();
            fs::write(&data, format!("{header}\n{rows}")).unwrap();
            let mut batches = Vec::new();
            let written = write_predictions(&data, &out, 4, |faces| {
                batches.push(faces.len());
                by_first_pixel(faces)
            });
            assert_eq!(written.unwrap(), count as u64);
            let wanted: String = (0..count).map(|i| format!("{}\n", i * 3 % 7)).collect();
            assert_eq!(fs::read_to_string(&out).unwrap(), format!("emotion\n{wanted}"));
            assert_eq!(
                batches,
                [vec![4; count / 4], vec![count % 4; usize::from(count % 4 > 0)]].concat()
            );
        }
    }
}

#[test]
fn a_failed_prediction_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("test.csv"), dir.path().join("predictions.csv"));
    fs::write(&data, format!("pixels\n{}\n{}\n1 2\n", pixels(1), pixels(2))).unwrap();
    let run = |out: &Path, classify: fn(&[Face]) -> Result<Vec<Probabilities>, DataError>| {
        write_predictions(&data, out, 1, classify)
            .unwrap_err()
            .to_string()
    };
    let bad_row = format!("{}: line 4: 2 values; 2304 (48×48) are wanted", data.display());
    assert_eq!(run(&out, by_first_pixel), bad_row);
    assert!(!out.exists());
    fs::write(&out, "old").unwrap();
    assert_eq!(run(&out, by_first_pixel), bad_row);
    assert!(run(&out, |_| Ok(Vec::new())).ends_with("0 answers came for 1 row"));
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    assert!(run(&data, by_first_pixel).contains("is the file that is read"));
    assert!(run(dir.path(), by_first_pixel).starts_with("cannot write"));
    let nowhere = dir.path().join("no/out.csv");
    assert!(run(&nowhere, by_first_pixel).starts_with(&format!("cannot write {}", nowhere.display())));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing half-written is left"
    );
}

#[cfg(unix)]
#[test]
fn predictions_follow_links_and_go_to_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (data, link, real) = (
        dir.path().join("t.csv"),
        dir.path().join("link"),
        dir.path().join("real"),
    );
    fs::write(&data, format!("pixels\n{}\n", pixels(0))).unwrap();
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(write_predictions(&data, &link, 8, by_first_pixel).unwrap(), 1);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "emotion\n0\n");
    let null = Path::new("/dev/null");
    assert_eq!(write_predictions(&data, null, 8, by_first_pixel).unwrap(), 1);
    assert!(!fs::metadata(null).unwrap().is_file(), "the device is still one");
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
                _ => Usage::ALL[*usage].to_string(),
            };
            writer.write_record(order.map(field)).unwrap();
        }
        let read = rows(writer.into_inner().unwrap());
        prop_assert_eq!(read.len(), written.len());
        for (i, (row, (label, usage, values))) in read.iter().zip(&written).enumerate() {
            prop_assert_eq!(row.line, i as u64 + 2);
            prop_assert_eq!(row.label, Emotion::from_index(*label));
            prop_assert_eq!(row.usage, Some(Usage::ALL[*usage]));
            prop_assert_eq!(row.face.0.as_slice(), values.as_slice());
        }
    }
}

//! The body of the fuzz target `csv`: see `fer_image::fuzzing`.

use std::io::Cursor;

use crate::data::Reader;

/// A CSV file, read strictly and with bad rows skipped.
///
/// # Panics
/// If the two readings disagree, or a message could break out of its line.
pub fn csv(bytes: &[u8]) {
    let rows = |skip_bad_rows| {
        let input = Cursor::new(bytes.to_vec());
        Reader::from_read("d.csv", input, skip_bad_rows)
    };
    let (strict, lenient) = (rows(false), rows(true));
    assert_eq!(strict.is_ok(), lenient.is_ok(), "both read the same header");
    let (strict, mut lenient) = match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => (strict, lenient),
        (strict, _) => return strict.err().iter().for_each(|e| one_line(&e.to_string())),
    };
    let (labels, usages) = (strict.has_labels(), strict.has_usage());
    let kept: Vec<_> = lenient.by_ref().collect();
    let mut good = 0;
    for (row, kept) in strict.zip(&kept) {
        match row {
            Ok(row) => {
                good += 1;
                assert_eq!((row.label.is_some(), row.usage.is_some()), (labels, usages));
                assert_eq!(kept.as_ref().ok(), Some(&row));
            }
            Err(error) => {
                one_line(&error.to_string());
                assert!(lenient.skipped.count > 0);
            }
        }
    }
    assert!(kept.iter().all(Result::is_ok), "memory has no way to fail");
    assert!(lenient.skipped.count > 0 || good == kept.len());
    lenient.skipped.first.iter().for_each(|text| one_line(text));
}

fn one_line(text: &str) {
    assert!(!text.contains(['\n', '\r', '\0', '\x1b']), "{text:?}");
    assert!(text.len() < 1024, "{text}");
}

#[cfg(test)]
#[path = "../../../tests/support/fuzzing.rs"]
mod support;

#[cfg(test)]
mod tests {
    use fer_image::PIXELS;

    use super::{support::run, *};

    fn seeds() -> Vec<Vec<u8>> {
        let pixels = |n: usize| {
            (0..n)
                .map(|i| (i % 256).to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let row = pixels(PIXELS);
        [
            format!("emotion,pixels\n3,\"{row}\"\n0,{row}\n"),
            format!("\u{feff}pixels\r\n\"{row}\"\r\n\r\n"),
            format!("emotion,pixels,Usage\n6,{row},PublicTest\n7,{row},Training\n"),
            format!("emotion, Usage, pixels\r0,PrivateTest,\"{row}"),
            format!("emotion,pixels\n-1,{}\nx,\"1 2", pixels(PIXELS + 1)),
            "emotion,pixels\n0,1 2 256\n".to_owned(),
            "emotion,pixels,emotion\n".to_owned(),
        ]
        .map(String::into_bytes)
        .to_vec()
    }

    #[test]
    fn csv_of_any_bytes() {
        // Otherwise the mutations would only ever meet the first check.
        let first = Cursor::new(seeds().swap_remove(0));
        let rows = Reader::from_read("d.csv", first, false).unwrap();
        assert_eq!(rows.map(Result::unwrap).count(), 2);
        run("csv", csv, seeds(), 1_000);
    }
}

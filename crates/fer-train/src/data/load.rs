//! The rows that a command's flags name. Each file is opened and read once.

use std::path::Path;

use super::{Dataset, Reader, Split, Usage};
use crate::{error::TrainError, output::say};

/// The labelled rows of a file, of one set or all of them. Says which rows were skipped.
pub(crate) fn load(path: &Path, usage: Option<Usage>, skip_bad_rows: bool) -> Result<Dataset, TrainError> {
    let data = Dataset::collect(Reader::open(path, skip_bad_rows)?, usage)?;
    say_skipped(path, &data);
    Ok(data)
}

/// The labelled rows of one set where the file has a `Usage` column, else all of them.
pub(crate) fn load_set(path: &Path, usage: Usage, skip_bad_rows: bool) -> Result<Dataset, TrainError> {
    let reader = Reader::open(path, skip_bad_rows)?;
    let usage = reader.has_usage().then_some(usage);
    let data = Dataset::collect(reader, usage)?;
    say_skipped(path, &data);
    Ok(data)
}

/// Training and validation rows. Without a validation file they are the `PublicTest` rows of the training file if it has
/// a `Usage` column, else a tenth of its rows, chosen by `seed`.
pub(crate) fn load_split(
    train: &Path,
    valid: Option<&Path>,
    skip_bad_rows: bool,
    seed: u64,
) -> Result<Split, TrainError> {
    if let Some(valid) = valid {
        return Ok(Split {
            train: load_set(train, Usage::Training, skip_bad_rows)?,
            valid: load_set(valid, Usage::PublicTest, skip_bad_rows)?,
        });
    }
    let reader = Reader::open(train, skip_bad_rows)?;
    if reader.has_usage() {
        let sets = [Some(Usage::Training), Some(Usage::PublicTest)];
        let [data, valid] = Dataset::collect_sets(reader, sets)?;
        say_skipped(train, &data);
        return Ok(Split { train: data, valid });
    }
    let data = Dataset::collect(reader, None)?;
    say_skipped(train, &data);
    data.hold_out(10, seed)
}

fn say_skipped(path: &Path, data: &Dataset) {
    let skipped = &data.skipped;
    if skipped.count > 0 {
        let path = path.display();
        say(&format!("{path}: {} bad rows skipped, the first:", skipped.count));
        for message in &skipped.first {
            say(&format!("  {message}"));
        }
    }
}

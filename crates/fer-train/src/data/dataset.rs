//! Labelled faces in memory.

use std::{collections::HashMap, path::PathBuf};

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use sha2::{Digest, Sha256};

use super::{Reader, Skipped, Usage, counted};
use crate::error::TrainError;
use fer_engine::{
    emotion::{CLASSES, Emotion},
    folder::Rows,
};
use fer_image::PIXELS;

/// Labelled faces in memory: 2,305 bytes a row, 66 MB for the training set.
#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    path: PathBuf,
    /// Never empty; in the order of the file, as the labels are.
    pub(crate) faces: Vec<[u8; PIXELS]>,
    pub(crate) labels: Vec<Emotion>,
    pub(super) skipped: Skipped,
}

#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) train: Dataset,
    pub(crate) valid: Dataset,
}

impl Split {
    pub(crate) fn fingerprint(&self) -> Rows {
        Dataset::fingerprint(&self.train, &self.valid)
    }
}

impl Dataset {
    /// Reads the labelled rows of a file, all of them or those of one [`Usage`].
    pub(crate) fn collect(reader: Reader, usage: Option<Usage>) -> Result<Self, TrainError> {
        let [data] = Self::collect_sets(reader, [usage])?;
        Ok(data)
    }

    /// As [`Dataset::collect`], for several sets in one reading.
    pub(crate) fn collect_sets<const N: usize>(
        mut reader: Reader,
        sets: [Option<Usage>; N],
    ) -> Result<[Self; N], TrainError> {
        let path = reader.path.clone();
        let invalid = TrainError::invalid(&path);
        let no_column = |column| invalid(format!("the file has no `{column}` column, which is needed here"));
        if sets.iter().any(Option::is_some) && !reader.has_usage() {
            return Err(no_column("Usage"));
        }
        if !reader.has_labels() {
            return Err(no_column("emotion"));
        }
        let mut all = sets.map(|_| Self {
            path: path.clone(),
            faces: Vec::new(),
            labels: Vec::new(),
            skipped: Skipped::default(),
        });
        for row in &mut reader {
            let row = row?;
            let label = row.label.ok_or_else(|| no_column("emotion"))?;
            for (data, set) in all.iter_mut().zip(sets) {
                if set.is_none() || row.usage == set {
                    data.faces.push(row.face.0);
                    data.labels.push(label);
                }
            }
        }
        for (data, set) in all.iter_mut().zip(sets) {
            data.skipped = reader.skipped.clone();
            if data.faces.is_empty() {
                return Err(invalid(no_rows(set, &data.skipped)));
            }
            data.faces.shrink_to_fit();
            data.labels.shrink_to_fit();
        }
        Ok(all)
    }

    /// Splits off one row in `parts` for validation: of each label as near to that share as whole rows
    /// allow, and at least one where there are two. A row whose face another row has is never held out, so
    /// that no face is on both sides. The choice depends on `seed` alone; both sides keep the
    /// file's order. An error if a side would have no rows.
    pub(crate) fn hold_out(mut self, parts: usize, seed: u64) -> Result<Split, TrainError> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut held = vec![false; self.len()];
        let mut seen: HashMap<&[u8; PIXELS], u32> = HashMap::new();
        for face in &self.faces {
            *seen.entry(face).or_default() += 1;
        }
        for (emotion, count) in Emotion::ALL.into_iter().zip(self.class_counts()) {
            let mut rows: Vec<usize> = (0..self.len())
                .filter(|i| self.labels[*i] == emotion && seen.get(&self.faces[*i]) == Some(&1))
                .collect();
            rows.shuffle(&mut random);
            let share = (count + parts / 2).checked_div(parts).unwrap_or(0);
            let share = share.max(usize::from(count > 1)).min(rows.len());
            for row in &rows[..share] {
                held[*row] = true;
            }
        }
        let rows = held.iter().filter(|h| **h).count();
        if rows == 0 || rows == self.len() {
            return Err(TrainError::invalid(&self.path)(format!(
                "too few rows ({}, or their faces are there twice) to hold one in {parts} out for validation; name a validation file",
                self.len()
            )));
        }
        let pick = |i: &usize| held[*i];
        let valid = Self {
            path: self.path.clone(),
            faces: (0..self.len()).filter(pick).map(|i| self.faces[i]).collect(),
            labels: (0..self.len()).filter(pick).map(|i| self.labels[i]).collect(),
            skipped: Skipped::default(),
        };
        // In place: a copy of the training rows would double the memory.
        let mut stays = held.iter().map(|h| !h);
        self.faces.retain(|_| stays.next().unwrap_or(true));
        let mut stays = held.iter().map(|h| !h);
        self.labels.retain(|_| stays.next().unwrap_or(true));
        Ok(Split { train: self, valid })
    }

    /// Hash and number of the rows of a run, by which it knows its own rows again.
    pub(crate) fn fingerprint(train: &Self, valid: &Self) -> Rows {
        let mut hasher = Sha256::new();
        for data in [train, valid] {
            for (face, label) in data.faces.iter().zip(&data.labels) {
                hasher.update(face);
                hasher.update([*label as u8]);
            }
            hasher.update(b"|");
        }
        Rows {
            train: train.len(),
            valid: valid.len(),
            sha256: hasher.finalize().iter().map(|b| format!("{b:02x}")).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.faces.len()
    }

    /// Rows of each label, in the order of [`Emotion::ALL`].
    pub(crate) fn class_counts(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        for label in &self.labels {
            counts[label.index()] += 1;
        }
        counts
    }
}

/// The number of rows of each label: `angry 3985, disgust 439, …`.
pub(crate) fn class_counts_line(counts: &[usize; CLASSES]) -> String {
    let each = Emotion::ALL.iter().zip(counts).map(|(e, n)| format!("{e} {n}"));
    each.collect::<Vec<_>>().join(", ")
}

fn no_rows(usage: Option<Usage>, skipped: &Skipped) -> String {
    let mut text = match usage {
        Some(usage) => format!("the file has no rows with Usage {usage:?}"),
        None if skipped.count > 0 => "the file has no good rows".to_owned(),
        None => "the file has a header but no rows".to_owned(),
    };
    if let Some(first) = skipped.first.first() {
        let count = counted(skipped.count, "bad row");
        text.push_str(&format!("; {count} skipped, the first: {first}"));
    }
    text
}

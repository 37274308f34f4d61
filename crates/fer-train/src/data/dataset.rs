//! Labelled faces in memory.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{DataError, Options, Reader, Skipped, Usage};
use fer_engine::emotion::{CLASSES, Emotion};
use fer_image::PIXELS;

/// Labelled faces in memory: 2,305 bytes a row, 66 MB for the training set.
#[derive(Debug, Clone)]
pub struct Dataset {
    path: PathBuf,
    faces: Vec<[u8; PIXELS]>,
    labels: Vec<Emotion>,
    skipped: Skipped,
}

impl Dataset {
    /// Reads the labelled rows of a file, all of them or those of one [`Usage`].
    ///
    /// # Errors
    /// [`DataError`] as [`Reader`] gives it; also if there is no `emotion` column, no `Usage` column where
    /// one set is asked for, or no row left.
    pub fn load(path: impl AsRef<Path>, usage: Option<Usage>, options: Options) -> Result<Self, DataError> {
        Self::collect(Reader::open(path, options)?, usage)
    }

    /// As [`Dataset::load`], from a reader already open.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn collect(mut reader: Reader, usage: Option<Usage>) -> Result<Self, DataError> {
        let path = reader.path().to_owned();
        if usage.is_some() && !reader.has_usage() {
            let column = "Usage";
            return Err(DataError::NoColumn { path, column });
        }
        let no_labels = |path| DataError::NoColumn {
            path,
            column: "emotion",
        };
        if !reader.has_labels() {
            return Err(no_labels(path));
        }
        let (mut faces, mut labels) = (Vec::new(), Vec::new());
        for row in &mut reader {
            let row = row?;
            if usage.is_none() || row.usage == usage {
                faces.push(row.face.0);
                labels.push(row.label.ok_or_else(|| no_labels(path.clone()))?);
            }
        }
        let skipped = reader.skipped().clone();
        if faces.is_empty() {
            return Err(DataError::NoRows { path, usage, skipped });
        }
        faces.shrink_to_fit();
        labels.shrink_to_fit();
        Ok(Self {
            path,
            faces,
            labels,
            skipped,
        })
    }

    /// Splits off one row in `parts` for validation, of each label as near to that share as whole rows
    /// allow and at least one where there are two. A row whose face is another row's, too, is never held out, so
    /// that no face is on both sides. Which rows depends on `seed` alone; both sides keep the
    /// file's order, and the second is the one held out.
    ///
    /// # Errors
    /// [`DataError::TooFew`] if a side would have no rows.
    pub fn hold_out(mut self, parts: usize, seed: u64) -> Result<(Self, Self), DataError> {
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
            return Err(DataError::TooFew {
                rows: self.len(),
                path: self.path,
                parts,
            });
        }
        let pick = |i: &usize| held[*i];
        let out = Self {
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
        Ok((self, out))
    }

    /// How many rows; never 0.
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a data set without rows is an error of `load`"
    )]
    pub fn len(&self) -> usize {
        self.faces.len()
    }

    /// Row `i`'s pixels.
    ///
    /// # Panics
    /// If `i` is not below [`Dataset::len`].
    #[must_use]
    pub fn face(&self, i: usize) -> &[u8; PIXELS] {
        &self.faces[i]
    }

    /// Row `i`'s label.
    ///
    /// # Panics
    /// If `i` is not below [`Dataset::len`].
    #[must_use]
    pub fn label(&self, i: usize) -> Emotion {
        self.labels[i]
    }

    /// All pixels, in the order of the file.
    #[must_use]
    pub fn faces(&self) -> &[[u8; PIXELS]] {
        &self.faces
    }

    /// All labels, in the order of the file.
    #[must_use]
    pub fn labels(&self) -> &[Emotion] {
        &self.labels
    }

    /// Rows of each label, in the order of [`Emotion::ALL`].
    #[must_use]
    pub fn class_counts(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        for label in &self.labels {
            counts[label.index()] += 1;
        }
        counts
    }

    /// The bad rows that were left out.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }
}

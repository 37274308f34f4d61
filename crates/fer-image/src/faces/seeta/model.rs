//! Reads `seeta_fd_frontal_v1.0.bin`: 32-bit little-endian integers and floats, classifier after classifier.

use super::{
    gray::WINDOW,
    lab_features::Boosted,
    surf::{Layer, Network, Patch},
};

/// The model file; `assets/README.md` has its origin and licence.
pub(in crate::faces) const MODEL: &[u8] = include_bytes!("../../../../../assets/seeta_fd_frontal_v1.0.bin");

/// The classifiers, cheapest first.
pub(in crate::faces) struct Cascade {
    /// One for each range of poses; their windows are merged.
    pub(super) boosted: Vec<Boosted>,
    /// Two small, one large.
    pub(super) networks: Vec<Network>,
}

impl std::fmt::Debug for Cascade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cascade")
    }
}

/// Boosted cascades, small networks, large networks: what [`Cascade::detect`] is written for.
const SHAPE: (usize, usize) = (3, 3);
/// A feature reaches 9 pixels to the right and down.
const LAST_POSITION: i32 = WINDOW as i32 - 9;
/// More than any layer or count of the file; limits the memory that a damaged file can claim.
const MAX_COUNT: usize = 4096;

impl Cascade {
    /// Reads a model file; an error says what is missing or does not fit.
    pub(in crate::faces) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(bytes);
        let patches = Patch::all();
        let (mut boosted, mut networks) = (Vec::new(), Vec::new());
        for _ in 0..reader.count("levels")? {
            for _ in 0..reader.count("classifiers of a level")? {
                for _ in 0..reader.count("stages")? {
                    match reader.int()? {
                        0 => boosted.push(reader.boosted()?),
                        1 => networks.push(reader.network(&patches)?),
                        kind => return Err(format!("classifier kind {kind} is not known")),
                    }
                }
                // The classifiers whose windows it takes: always all before it. -1 is none.
                for _ in 0..reader.int()? {
                    reader.int()?;
                }
            }
        }
        if !reader.0.is_empty() {
            return Err(format!("{} bytes follow the last classifier", reader.0.len()));
        }
        let shape = (boosted.len(), networks.len());
        if shape != SHAPE {
            return Err(format!(
                "holds {shape:?} boosted cascades and networks; expected {SHAPE:?}"
            ));
        }
        Ok(Self { boosted, networks })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> Result<[u8; 4], String> {
        let (word, rest) = self.0.split_first_chunk().ok_or("ends too early")?;
        self.0 = rest;
        Ok(*word)
    }

    fn int(&mut self) -> Result<i32, String> {
        self.word().map(i32::from_le_bytes)
    }

    fn float(&mut self) -> Result<f32, String> {
        self.word().map(f32::from_le_bytes)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, String> {
        if count > self.0.len() / 4 {
            return Err("ends too early".to_owned());
        }
        (0..count).map(|_| self.float()).collect()
    }

    fn count(&mut self, of: &str) -> Result<usize, String> {
        let count = self.int()?;
        usize::try_from(count)
            .ok()
            .filter(|&n| n <= MAX_COUNT)
            .ok_or_else(|| format!("{count} {of}"))
    }

    fn boosted(&mut self) -> Result<Boosted, String> {
        let count = self.count("features")?;
        let bins = self.count("bins")?;
        if bins != 255 {
            return Err(format!("{bins} bins; expected 255"));
        }
        let positions = (0..count)
            .map(|_| match (self.int()?, self.int()?) {
                (x @ 0..=LAST_POSITION, y @ 0..=LAST_POSITION) => Ok((x as usize, y as usize)),
                position => Err(format!("feature at {position:?} lies outside the window")),
            })
            .collect::<Result<_, _>>()?;
        let thresholds = self.floats(count)?;
        let tables = (0..count)
            .map(|_| {
                let mut table = [0.0; 256];
                table.copy_from_slice(&self.floats(256)?);
                Ok::<_, String>(table)
            })
            .collect::<Result<_, _>>()?;
        Ok(Boosted {
            positions,
            tables,
            thresholds,
        })
    }

    fn network(&mut self, patches: &[Patch]) -> Result<Network, String> {
        let layer_count = self.count("layers")?;
        let feature_count = self.count("features")?;
        let patches: Vec<Patch> = (0..feature_count)
            .map(|_| {
                // Counted from 1.
                let number = self.count("as a feature's number")?;
                let patch = number.checked_sub(1).and_then(|n| patches.get(n));
                patch
                    .copied()
                    .ok_or_else(|| format!("there is no feature {number}"))
            })
            .collect::<Result<_, _>>()?;
        let threshold = self.float()?;
        let mut inputs = self.count("inputs")?;
        if inputs != patches.len() * 32 {
            return Err(format!("{inputs} inputs for {} features", patches.len()));
        }
        let mut layers = Vec::new();
        for _ in 1..layer_count {
            let outputs = self.count("outputs")?;
            layers.push(Layer {
                weights: self.floats(inputs * outputs)?,
                biases: self.floats(outputs)?,
            });
            inputs = outputs;
        }
        if inputs != 4 {
            return Err(format!("a network has {inputs} outputs; expected 4"));
        }
        Ok(Network {
            patches,
            threshold,
            layers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// The file is that of the crate: `assets/README.md` says how to compare them.
    #[test]
    fn the_model_in_the_binary_is_whole() {
        let sha256: String = Sha256::digest(MODEL).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            sha256,
            "c4619d066ed35e84d9a8e842860b0dff567aba0cbb139881075538761db3ff5d"
        );
        assert!(include_str!("../../../../../assets/README.md").contains(&sha256));
        assert!(Cascade::read(MODEL).is_ok());
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_reason() {
        for length in [0, 3, 4, 1000, MODEL.len() / 2, MODEL.len() - 1] {
            assert!(Cascade::read(&MODEL[..length]).is_err(), "{length} bytes");
        }
        assert!(
            Cascade::read(&[MODEL, &[0; 4]].concat())
                .unwrap_err()
                .contains("follow")
        );
        // Whatever integer stands at the start, nothing panics and little memory is taken.
        for at in (0..120).step_by(4) {
            for value in [-1, 0, 7, i32::MAX, i32::MIN] {
                let mut bytes = MODEL.to_vec();
                bytes[at..at + 4].copy_from_slice(&i32::to_le_bytes(value));
                let _ = Cascade::read(&bytes);
            }
        }
    }
}

//! Runs a fuzz target without libFuzzer: on the files drawn for it, on those that once broke it, and on mutations of both, the
//! same in every run. `FER_FUZZ_SEEDS=DIR` writes the drawn files there, where cargo-fuzz starts from.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What once broke a target, and the corpus that libFuzzer has minimised.
fn kept(name: &str) -> Vec<Vec<u8>> {
    // A crate of the workspace is two folders below its root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fuzz = ["fuzz", "../../fuzz"].map(|folder| root.join(folder));
    let fuzz = fuzz.into_iter().find(|folder| folder.is_dir()).unwrap();
    let mut paths: Vec<PathBuf> = fs::read_dir(fuzz.join("kept").join(name)).map_or_else(
        |_| Vec::new(),
        |entries| entries.map(|e| e.unwrap().path()).collect(),
    );
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A few changes of the kinds that libFuzzer makes.
fn mutate(files: &[Vec<u8>], random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut file = files[random.random_range(0..files.len())].clone();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=file.len());
        let length = random.random_range(0..=(file.len() - at).min(64));
        match random.random_range(0..7) {
            0 => file.truncate(at),
            1 => drop(file.drain(at..at + length)),
            2 => {
                let piece = file[at..at + length].to_vec();
                file.splice(at..at, piece);
            }
            3 => {
                let other = &files[random.random_range(0..files.len())];
                let from = random.random_range(0..=other.len());
                let piece = &other[from..(from + 64).min(other.len())];
                file.splice(at..at + length, piece.iter().copied());
            }
            4 => file.insert(
                at,
                [0, 1, b'0', b'9', b'"', b'-', 0x7F, 0x80, 0xFF][random.random_range(0..9)],
            ),
            _ => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = match random.random_range(0..3) {
                        0 => *byte ^ 1 << random.random_range(0..8),
                        1 => byte.wrapping_add(1),
                        _ => random.next_u32() as u8,
                    };
                }
            }
        }
    }
    file
}

/// Runs the target's files and that many mutations; `FER_FUZZ_MUTATIONS` sets another number.
pub(crate) fn run(name: &str, body: fn(&[u8]), drawn: Vec<Vec<u8>>, mutations: usize) {
    let asked = std::env::var("FER_FUZZ_MUTATIONS").ok();
    let mutations = asked.map_or(mutations, |n| n.parse().unwrap());
    if let Some(folder) = std::env::var_os("FER_FUZZ_SEEDS") {
        let folder = Path::new(&folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (n, file) in drawn.iter().enumerate() {
            fs::write(folder.join(format!("drawn-{n:02}")), file).unwrap();
        }
    }
    let files: Vec<Vec<u8>> = drawn.into_iter().chain(kept(name)).collect();
    let check = |file: &[u8], which: &str| {
        assert!(
            catch_unwind(|| body(file)).is_ok(),
            "{which} breaks `{name}`: {}",
            file.escape_ascii()
        );
    };
    for (n, file) in files.iter().enumerate() {
        check(file, &format!("file {n}"));
    }
    // Another number of mutations is another run.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8 + mutations as u64);
    for n in 0..mutations {
        check(&mutate(&files, &mut random), &format!("mutation {n}"));
    }
}

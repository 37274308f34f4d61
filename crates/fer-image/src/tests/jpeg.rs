//! JPEG against known pixels: every sampling, order of scans, restart interval and size; scans that lack data; kinds of
//! coding that are not read.

use image::metadata::Orientation;

use super::{
    draw::{encode_with_exif, exif, face},
    jpeg_files::{Coefficients, Layout, Scan},
    *,
};
use crate::decode::{jpeg::both_ways, orient};

/// What each channel shows: slopes that no wrong place of a block can repeat. The luma rises by about 2 for each pixel.
fn drawn(channel: usize, x: usize, y: usize) -> f64 {
    let (x, y) = (x as f64, y as f64);
    match channel {
        0 => 30.0 + 1.4 * x + 1.9 * y + 4.0 * (0.3 * x).sin(),
        1 => 128.0 + 70.0 * (0.25 * (x + y)).sin(),
        2 => 200.0 - 1.1 * x - 1.3 * y,
        _ => 255.0,
    }
}

const SIZES: [(usize, usize); 6] = [(1, 1), (8, 8), (17, 9), (9, 40), (33, 47), (50, 20)];
const RESTARTS: [usize; 3] = [0, 1, 3];

/// The largest difference of the decoded luma to what was drawn, over every pixel.
fn off(file: &[u8], (width, height): (usize, usize), what: &str) -> f64 {
    let luma = decode_luma(file, &Limits::default())
        .unwrap_or_else(|error| panic!("{what}: {error} {:?}", error.detail()));
    assert_eq!(
        (luma.width(), luma.height()),
        (width as u32, height as u32),
        "{what}"
    );
    let pixels = luma.pixels().iter().enumerate();
    pixels
        .map(|(i, &p)| (f64::from(p) - drawn(0, i % width, i / width)).abs())
        .fold(0.0, f64::max)
}

/// All orders in which three channels are spread over scans, one scan first.
const ORDERS: [&[Scan<'static>]; 10] = [
    &[Scan::all(&[0, 1, 2])],
    &[Scan::all(&[0]), Scan::all(&[1]), Scan::all(&[2])],
    &[Scan::all(&[2]), Scan::all(&[1]), Scan::all(&[0])],
    &[Scan::all(&[1]), Scan::all(&[0]), Scan::all(&[2])],
    &[Scan::all(&[0]), Scan::all(&[1, 2])],
    &[Scan::all(&[1, 2]), Scan::all(&[0])],
    &[Scan::all(&[0, 1]), Scan::all(&[2])],
    &[Scan::all(&[2]), Scan::all(&[0, 1])],
    &[Scan::all(&[0, 2]), Scan::all(&[1])],
    &[Scan::all(&[1]), Scan::all(&[0, 2])],
];

/// A unit of several channels has at most ten blocks (T.81, section B.2.3).
fn fits(sampling: &[(usize, usize)], scans: &[Scan<'_>]) -> bool {
    scans.iter().all(|scan| {
        let blocks = scan.channels.iter().map(|&c| sampling[c].0 * sampling[c].1);
        scan.channels.len() == 1 || blocks.sum::<usize>() <= 10
    })
}

fn matrix(sampling: &[(usize, usize)], orders: &[&[Scan<'_>]], progressive: bool, tolerance: f64) -> usize {
    let mut files = 0;
    for size in SIZES {
        let coefficients = Coefficients::new(size, sampling, drawn);
        for &scans in orders.iter().filter(|scans| fits(sampling, scans)) {
            for restart in RESTARTS {
                let layout = Layout {
                    sampling,
                    scans,
                    progressive,
                    restart,
                    tables: true,
                };
                let what = format!("{size:?} {layout:?}");
                let file = coefficients.file(&layout, &[]);
                let off = off(&file, size, &what);
                assert!(off <= tolerance, "off by {off}: {what}");
                if scans.len() == 1 {
                    for eighths in [1, 2, 3, 5, 8] {
                        let [theirs, ours] = both_ways(&file, eighths).map(Result::unwrap);
                        assert_eq!(theirs, ours, "{eighths}/8 {what}");
                    }
                }
                files += 1;
            }
        }
    }
    files
}

/// What rounding of coefficients and of pixels may change where the luma has all its pixels.
const FULL: f64 = 2.0;
/// Where it has half or a quarter of them in a direction, as means that are spread again.
const COARSE: f64 = 12.0;

#[test]
fn every_sampling_and_order_of_scans_gives_the_pixels() {
    let one = (1, 1);
    let mut files = 0;
    for luma in (1..=4).flat_map(|h| (1..=4).map(move |v| (h, v))) {
        files += matrix(&[luma, one, one], &ORDERS, false, FULL);
        files += matrix(&[luma], &ORDERS_OF_ONE, false, FULL);
    }
    for chroma in [
        [(2, 1), (1, 2)],
        [(2, 2), (1, 1)],
        [(1, 2), (1, 1)],
        [(2, 2), (2, 2)],
    ] {
        files += matrix(&[(2, 2), chroma[0], chroma[1]], &ORDERS, false, FULL);
    }
    // Luma coarser than chroma.
    for (luma, chroma) in [
        ((1, 1), (2, 2)),
        ((1, 2), (2, 1)),
        ((2, 1), (1, 2)),
        ((1, 1), (2, 1)),
        ((1, 1), (1, 2)),
    ] {
        files += matrix(&[luma, chroma, chroma], &ORDERS, false, COARSE);
        files += matrix(&[luma, one, chroma], &ORDERS, false, COARSE);
    }
    assert!(files > 4000, "{files}");
}

const ORDERS_OF_ONE: [&[Scan<'static>]; 1] = [&[Scan::all(&[0])]];

const fn band(channels: &[usize], first: usize, last: usize, bits: (u8, u8)) -> Scan<'_> {
    let band = (first, last);
    Scan { channels, band, bits }
}

/// DC first in one or two passes, the others in bands, of one channel each.
const PROGRESSIVE: [&[Scan<'static>]; 3] = [
    &[
        band(&[0, 1, 2], 0, 0, (0, 0)),
        band(&[0], 1, 63, (0, 0)),
        band(&[1], 1, 63, (0, 0)),
        band(&[2], 1, 63, (0, 0)),
    ],
    &[
        band(&[0, 1, 2], 0, 0, (0, 1)),
        band(&[2], 1, 63, (0, 0)),
        band(&[0], 1, 5, (0, 0)),
        band(&[0, 1, 2], 0, 0, (1, 0)),
        band(&[0], 6, 63, (0, 0)),
        band(&[1], 1, 63, (0, 0)),
    ],
    &[
        band(&[1], 0, 0, (0, 0)),
        band(&[0], 0, 0, (0, 2)),
        band(&[2], 0, 0, (0, 0)),
        band(&[0], 1, 63, (0, 0)),
        band(&[0], 0, 0, (2, 1)),
        band(&[1], 1, 63, (0, 0)),
        band(&[2], 1, 63, (0, 0)),
        band(&[0], 0, 0, (1, 0)),
    ],
];

#[test]
fn progressive_files_give_the_pixels() {
    let one = (1, 1);
    for luma in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (3, 2), (4, 4)] {
        assert!(matrix(&[luma, one, one], &PROGRESSIVE, true, FULL) >= 18);
    }
    assert_eq!(matrix(&[(1, 1), (2, 2), (2, 2)], &PROGRESSIVE, true, COARSE), 54);
}

/// 4:2:0, 33×47.
fn plain(scans: &[Scan<'_>], progressive: bool, tables: bool) -> Vec<u8> {
    let sampling = [(2, 2), (1, 1), (1, 1)];
    let layout = Layout {
        sampling: &sampling,
        scans,
        progressive,
        restart: 0,
        tables,
    };
    Coefficients::new((33, 47), &sampling, drawn).file(&layout, &[])
}

#[test]
fn without_tables_the_standard_ones_apply() {
    let file = plain(ORDERS[0], false, false);
    assert_eq!(
        off(&file, (33, 47), "no tables"),
        off(&plain(ORDERS[0], false, true), (33, 47), "tables")
    );
}

#[test]
fn both_readers_of_a_scan_agree_on_noise_and_on_damage() {
    // Long codes, runs of zeros, and values of every size.
    let noise = |_: usize, x: usize, y: usize| {
        let hash = (x * 0x9E37 + y * 0x79B9 + x * y * 31) % 0x1_0001 * 0xC2B2 % 0xFFF1;
        let strength = [0.0, 2.0, 30.0, 255.0][(x / 8 + y / 8) % 4];
        127.5 + strength * (hash as f64 / 65_521.0 - 0.5)
    };
    let sampling = [(2, 1), (1, 1), (1, 1)];
    for restart in [0, 4] {
        let layout = Layout {
            sampling: &sampling,
            scans: ORDERS[0],
            progressive: false,
            restart,
            tables: true,
        };
        let file = Coefficients::new((85, 70), &sampling, noise).file(&layout, &[]);
        for eighths in 1..=8 {
            let [theirs, ours] = both_ways(&file, eighths).map(Result::unwrap);
            assert_eq!(theirs, ours, "{eighths}/8");
        }
        let scan = file.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
        for at in (scan..file.len() - 2).step_by(7) {
            let cut = [&file[..at], &[0xFF, 0xD9]].concat();
            for file in [&file[..at], &cut] {
                let [theirs, ours] = both_ways(file, 1).map(Result::err);
                assert!(
                    theirs.is_some() && ours.is_some(),
                    "cut to {at} of {}",
                    file.len()
                );
            }
            // Whatever a wrong byte does, what both accept is the same, and no error of libjpeg's is passed over.
            for value in [0, 0xFF, file[at] ^ 0x11] {
                let mut damaged = file.clone();
                damaged[at] = value;
                // libjpeg's two own readers differ on two bytes of ones before a zero.
                if damaged.windows(3).any(|bytes| bytes == [0xFF, 0xFF, 0]) {
                    continue;
                }
                if let [theirs, Ok(ours)] = both_ways(&damaged, 2) {
                    assert_eq!(theirs.ok(), Some(ours), "{at}");
                }
            }
        }
    }
}

fn refusal(file: &[u8]) -> Option<Reason> {
    reason_of(&decode(file, &Limits::default()).err()?)
}

#[test]
fn a_scan_without_its_data_is_no_picture() {
    for (scans, progressive) in [
        (ORDERS[0], false),
        (ORDERS[1], false),
        (ORDERS[5], false),
        (PROGRESSIVE[1], true),
    ] {
        let file = plain(scans, progressive, true);
        let start_of_scan = |at: &usize| file[*at..].starts_with(&[0xFF, 0xDA]);
        let mut heads: Vec<usize> = (0..file.len()).filter(start_of_scan).collect();
        assert_eq!(heads.len(), scans.len());
        heads.push(file.len());
        for scan in heads.windows(2) {
            for keep in [0.3, 0.6, 0.9] {
                let at = scan[0] + ((scan[1] - scan[0]) as f64 * keep) as usize;
                // Not between the two bytes of a stuffed one.
                let at = at - usize::from(file[at - 1] == 0xFF);
                for end in [&[0xFF, 0xD9][..], &[]] {
                    let cut = [&file[..at], end].concat();
                    let reason = refusal(&cut);
                    // A short scan may be cut within its header, which then has an end marker in it.
                    let damaged = progressive && !end.is_empty() && reason == Some(Reason::Damaged);
                    assert!(
                        damaged || reason == Some(Reason::CutShort),
                        "{at} {scans:?} {end:?} {reason:?}"
                    );
                }
            }
        }
    }
    // A scan of one byte over the whole picture, again and again.
    let file = plain(&[Scan::all(&[0])], false, true);
    let head = file.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let scan = [&file[head..head + 10], &[0][..]].concat();
    for times in [1, 1000] {
        let file = [&file[..head], &scan.repeat(times), &[0xFF, 0xD9]].concat();
        assert!(matches!(refusal(&file), Some(Reason::CutShort | Reason::Damaged)));
    }
}

#[test]
fn nothing_is_coded_twice() {
    let again = |scans: &[Scan<'_>], more: usize, progressive| {
        let more = std::iter::repeat_n(scans[scans.len() - 1], more);
        plain(
            &scans.iter().copied().chain(more).collect::<Vec<_>>(),
            progressive,
            true,
        )
    };
    for (scans, progressive) in [
        (ORDERS[1], false),
        (ORDERS[4], false),
        (PROGRESSIVE[0], true),
        (PROGRESSIVE[1], true),
    ] {
        assert_eq!(refusal(&again(scans, 0, progressive)), None);
        for more in [1, 20] {
            assert_eq!(
                refusal(&again(scans, more, progressive)),
                Some(Reason::Damaged),
                "{scans:?}"
            );
        }
    }
}

#[test]
fn every_channel_has_a_scan_and_only_the_end_marker_may_be_missing() {
    let without = |file: &[u8]| file[..file.len() - 2].to_vec();
    for (scans, progressive) in ORDERS
        .map(|scans| (scans, false))
        .into_iter()
        .chain(PROGRESSIVE.map(|scans| (scans, true)))
    {
        let file = plain(scans, progressive, true);
        assert!(
            off(&without(&file), (33, 47), "no end marker") <= FULL,
            "{scans:?}"
        );
        // Trailing bytes are no matter either.
        assert!(off(&[&file[..], b"more"].concat(), (33, 47), "more") <= FULL);
        // Cut between two scans.
        for n in 1..scans.len() {
            let file = plain(&scans[..n], progressive, true);
            assert_eq!(
                refusal(&without(&file)),
                Some(Reason::CutShort),
                "{n} of {scans:?}"
            );
        }
        if !progressive && scans.len() > 1 {
            let file = plain(&scans[1..], progressive, true);
            assert_eq!(refusal(&file), Some(Reason::CutShort), "{scans:?}");
        }
    }
}

#[test]
fn bytes_between_segments_are_no_damage() {
    let file = plain(ORDERS[0], false, true);
    let end = file.len() - 2;
    for extra in [&[0_u8; 3][..], &[0x12, 0x34], &[0xFF, 0xFF]] {
        let file = [&file[..end], extra, &file[end..]].concat();
        assert!(off(&file, (33, 47), "extra bytes") <= FULL, "{extra:?}");
    }
}

#[test]
fn coding_that_is_not_read_is_named() {
    let file = plain(ORDERS[0], false, true);
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let with = |at: usize, value: u8| {
        let mut file = file.clone();
        file[frame + at] = value;
        refusal(&file)
    };
    for (marker, kind) in [
        (0xC3, Kind::Lossless),
        (0xC5, Kind::Hierarchical),
        (0xDE, Kind::Hierarchical),
        (0xC9, Kind::Arithmetic),
        (0xCA, Kind::Arithmetic),
        (0xCB, Kind::Arithmetic),
        (0xF7, Kind::JpegLs),
    ] {
        assert_eq!(with(1, marker), Some(Reason::Unsupported(kind)), "{marker:#x}");
    }
    assert_eq!(with(4, 12), Some(Reason::Unsupported(Kind::Precision)));
    // Luma of 2 samples where chroma has 3.
    let sampling = [(2, 1), (3, 1), (1, 1)];
    let layout = Layout {
        sampling: &sampling,
        scans: ORDERS[0],
        progressive: false,
        restart: 0,
        tables: true,
    };
    let file = Coefficients::new((20, 20), &sampling, drawn).file(&layout, &[]);
    assert_eq!(refusal(&file), Some(Reason::Unsupported(Kind::Sampling)));
    let text = decode(&file, &Limits::default()).unwrap_err().to_string();
    assert!(text.contains("not multiples of each other"), "{text}");
}

#[test]
fn a_wrong_restart_marker_is_damage() {
    let sampling = [(1, 1)];
    let layout = Layout {
        sampling: &sampling,
        scans: ORDERS_OF_ONE[0],
        progressive: false,
        restart: 2,
        tables: true,
    };
    let mut file = Coefficients::new((40, 40), &sampling, drawn).file(&layout, &[]);
    let at = file.windows(2).rposition(|pair| pair == [0xFF, 0xD1]).unwrap();
    file[at + 1] = 0xD5;
    assert_eq!(refusal(&file), Some(Reason::Damaged));
}

#[test]
fn a_large_picture_becomes_the_face_of_its_full_size() {
    // Sides that are no multiple of 8, upright and turned.
    for (width, height) in [(1003, 811), (333, 1290), (1152, 160)] {
        let drawn: Vec<u8> = face(width, height);
        for orientation in [1, 6, 3] {
            let file = encode_with_exif(
                Format::Jpeg,
                image::ExtendedColorType::L8,
                width,
                height,
                &drawn,
                Some(exif(orientation)),
            );
            let full = luma_of(&file).whole().unwrap();
            assert!(
                distance(&face_of(&file).0, &full.0) <= 3,
                "{width}×{height} {orientation}"
            );
        }
    }
}

#[test]
fn a_large_photo_is_decoded_at_a_fraction_of_its_size() {
    let (width, height) = (2403, 1801);
    let gray = face(width, height);
    let file = encode_with_exif(
        Format::Jpeg,
        image::ExtendedColorType::L8,
        width,
        height,
        &gray,
        Some(exif(6)),
    );
    let opened = Opened::new(&file, &Limits::default()).unwrap();
    assert!(opened.memory(Purpose::Face) < opened.memory(Purpose::Photo));
    let photo = opened.photo().unwrap();
    assert_eq!((photo.width, photo.height), (1801, 2403));
    let pixels = photo.luma.pixels().len();
    assert!((1600 * 1600..1801 * 2403).contains(&pixels), "{pixels}");
    let orientation = Orientation::from_exif(6).unwrap();
    let full = orient::upright(LumaImage::new(width as u32, height as u32, gray), orientation);
    let small = full.resized(photo.luma.width(), photo.luma.height()).unwrap();
    assert!(distance(small.pixels(), photo.luma.pixels()) <= 8);
}

//! The image formats, recognised by their first bytes alone.

/// A supported image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// Baseline, extended and progressive Huffman JPEG, 8 bits.
    Jpeg,
    /// PNG of every colour type and depth; of an APNG, its default image.
    Png,
    /// WebP, lossy or lossless; of an animation, its first frame.
    WebP,
    /// GIF, its first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF and BigTIFF, their first image.
    Tiff,
    /// PBM, PGM, PPM (P1–P6) and PAM (P7).
    Pnm,
}

impl Format {
    /// Every format, in the order the documentation lists them.
    pub const ALL: [Self; 7] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::Gif,
        Self::Bmp,
        Self::Tiff,
        Self::Pnm,
    ];

    /// The format's usual name, as messages show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Pnm => "PNM",
        }
    }

    /// The names of all formats as a list in a sentence.
    pub(crate) fn listed() -> String {
        let names = Self::ALL.map(Self::name);
        let [names @ .., last] = &names;
        format!("{} or {last}", names.join(", "))
    }

    /// The format whose signature `bytes` begin with; `None` if it is no supported format.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            // "BM" alone also begins ordinary text, so the size of the second header must fit too.
            [b'B', b'M', rest @ ..] => match rest.get(12..16)? {
                [12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0] => Some(Self::Bmp),
                _ => None,
            },
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Some(Self::Pnm),
            _ => None,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

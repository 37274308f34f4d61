//! What was sent instead of an image that we read: named, so that the client knows what to do.

/// What bytes are that begin like no supported format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // of variants whose names say it
pub enum Unread {
    /// Nothing known.
    Unknown,
    Heif,
    Avif,
    JpegXl,
    Jpeg2000,
    /// A camera's own format that is not TIFF.
    CameraRaw,
    Photoshop,
    Icon,
    Svg,
    Pdf,
    Html,
    Xml,
    Json,
    /// The base64 of an image, with or without `data:…;base64,`.
    Base64,
    /// Multipart form data.
    Multipart,
    /// An image whose bytes were converted from one text encoding to another.
    Transcoded,
    /// Text of any other kind.
    Text,
    /// Nothing but white space or zero bytes.
    Blank,
    Video,
    Audio,
    Gzip,
    Zip,
    /// 7z, rar, xz, bzip2, zstd.
    Archive,
}

impl Unread {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Unknown,
        Self::Heif,
        Self::Avif,
        Self::JpegXl,
        Self::Jpeg2000,
        Self::CameraRaw,
        Self::Photoshop,
        Self::Icon,
        Self::Svg,
        Self::Pdf,
        Self::Html,
        Self::Xml,
        Self::Json,
        Self::Base64,
        Self::Multipart,
        Self::Transcoded,
        Self::Text,
        Self::Blank,
        Self::Video,
        Self::Audio,
        Self::Gzip,
        Self::Zip,
        Self::Archive,
    ];

    /// What `bytes` are, by their beginning. They are known to be no supported format.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Self {
        by_signature(bytes).unwrap_or_else(|| by_text(bytes))
    }

    /// What it is and what to do, the rest of a sentence that begins with "this is".
    const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "not a picture we can read",
            Self::Heif => {
                "a HEIC picture, which is not supported; convert it to JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
            }
            Self::Avif => "an AVIF picture, which is not supported; convert it",
            Self::JpegXl => "a JPEG XL picture, which is not supported; convert it",
            Self::Jpeg2000 => "a JPEG 2000 picture, which is not supported; convert it",
            Self::CameraRaw => "a camera's raw file, which is not supported; export it as JPEG",
            Self::Photoshop => "a Photoshop document, which is not supported; export it as PNG",
            Self::Icon => "an icon file, which is not supported; convert it to PNG",
            Self::Svg => "an SVG drawing, which is not supported; export it as PNG",
            Self::Pdf => "a PDF document, not a picture; export the page or the picture in it",
            Self::Html => "an HTML page, not a picture; its address may be that of a page about the picture",
            Self::Xml => "an XML document, not a picture",
            Self::Json => "JSON, not a picture; send it with the content type application/json",
            Self::Base64 => "base64 text, not the bytes of a picture; decode it, or send it in JSON",
            Self::Multipart => {
                "a multipart form, not a picture; send it with the content type multipart/form-data and its boundary"
            }
            Self::Transcoded => {
                "a picture whose bytes were converted as if they were text; read and send the file as binary"
            }
            Self::Text => "text, not a picture",
            Self::Blank => "not a picture: it has nothing but white space or zero bytes",
            Self::Video => "a video, not a picture; send one of its frames",
            Self::Audio => "a sound file, not a picture",
            Self::Gzip => "a gzip file, not a picture; send what is in it",
            Self::Zip => "a ZIP archive, not a picture; send the pictures in it",
            Self::Archive => "an archive, not a picture; send the pictures in it",
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

fn by_signature(bytes: &[u8]) -> Option<Unread> {
    if let Some(brands) = bytes.get(4..).and_then(|rest| rest.strip_prefix(b"ftyp")) {
        return Some(by_brands(brands));
    }
    let signatures: [(&[u8], Unread); 32] = [
        (b"\0\0\0\x0CJXL \r\n\x87\n", Unread::JpegXl),
        (b"\xFF\x0A", Unread::JpegXl),
        (b"\0\0\0\x0CjP  \r\n\x87\n", Unread::Jpeg2000),
        (b"\xFF\x4F\xFF\x51", Unread::Jpeg2000),
        (b"FUJIFILMCCD-RAW", Unread::CameraRaw),
        (b"IIRO", Unread::CameraRaw),
        (b"IIU\0", Unread::CameraRaw),
        (b"FOVb", Unread::CameraRaw),
        (b"8BPS", Unread::Photoshop),
        (b"\0\0\x01\0", Unread::Icon),
        (b"\0\0\x02\0", Unread::Icon),
        (b"icns", Unread::Icon),
        (b"%PDF-", Unread::Pdf),
        (b"\x1A\x45\xDF\xA3", Unread::Video),
        (b"FLV\x01", Unread::Video),
        (b"\0\0\x01\xBA", Unread::Video),
        (b"\0\0\x01\xB3", Unread::Video),
        (b"OggS", Unread::Audio),
        (b"ID3", Unread::Audio),
        (b"fLaC", Unread::Audio),
        (b"\xFF\xFB", Unread::Audio),
        (b"\x1F\x8B", Unread::Gzip),
        (b"PK\x03\x04", Unread::Zip),
        (b"PK\x05\x06", Unread::Zip),
        (b"7z\xBC\xAF\x27\x1C", Unread::Archive),
        (b"Rar!\x1A\x07", Unread::Archive),
        (b"\xFD7zXZ\0", Unread::Archive),
        (b"BZh", Unread::Archive),
        (b"\x28\xB5\x2F\xFD", Unread::Archive),
        (b"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", Unread::Transcoded),
        (b"\xEF\xBF\xBDPNG", Unread::Transcoded),
        (b"\xC2\x89PNG", Unread::Transcoded),
    ];
    let known = signatures.iter().find(|(start, _)| bytes.starts_with(start));
    let riff = |name: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(name);
    match known {
        Some((_, unread)) => Some(*unread),
        // A JPEG's first three bytes, each read as Latin-1 and written as UTF-8.
        None if bytes.starts_with("ÿØÿ".as_bytes()) => Some(Unread::Transcoded),
        None if riff(b"AVI ") => Some(Unread::Video),
        None if riff(b"WAVE") => Some(Unread::Audio),
        None => None,
    }
}

/// An ISO base media file (ISO 14496-12), by the brands behind its first box's name.
fn by_brands(brands: &[u8]) -> Unread {
    // The major brand, its version, then those the file is compatible with.
    let names = brands.get(..64).unwrap_or(brands).as_chunks::<4>().0;
    let has = |wanted: &[&[u8; 4]]| names.iter().any(|name| wanted.contains(&name));
    if has(&[b"avif", b"avis"]) {
        Unread::Avif
    } else if has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
    ]) {
        Unread::Heif
    } else if has(&[b"crx "]) {
        Unread::CameraRaw
    } else if has(&[b"M4A ", b"M4B "]) {
        Unread::Audio
    } else {
        Unread::Video
    }
}

/// How the base64 of each supported format begins, PNM aside.
const BASE64: [&str; 8] = ["/9j/", "iVBOR", "UklGR", "R0lGOD", "Qk", "SUkq", "SUkr", "TU0A"];

fn by_text(bytes: &[u8]) -> Unread {
    /// Enough to tell.
    const LOOKED_AT: usize = 4096;
    let start = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    if start.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
        return Unread::Blank;
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character that the cut went through.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(start.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return Unread::Unknown,
    };
    let binary = |c: char| c.is_control() && !c.is_whitespace();
    if text.chars().any(binary) {
        return Unread::Unknown;
    }
    let text = text.trim_start_matches('\u{FEFF}').trim_start();
    let lower = text.to_ascii_lowercase();
    let begins = |names: &[&str]| names.iter().any(|name| lower.starts_with(name));
    if begins(&["data:"]) || is_base64(text) {
        Unread::Base64
    } else if begins(&["<svg"]) || begins(&["<?xml", "<!--", "<!doctype svg"]) && lower.contains("<svg") {
        Unread::Svg
    } else if begins(&["<!doctype html", "<html", "<head", "<body"]) || lower.contains("<html") {
        Unread::Html
    } else if begins(&["<"]) {
        Unread::Xml
    } else if begins(&["{", "["]) {
        Unread::Json
    } else if begins(&["--"]) && lower.contains("content-disposition:") {
        Unread::Multipart
    } else {
        Unread::Text
    }
}

fn is_base64(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']);
    let alphabet = |c: char| c.is_ascii_alphanumeric() || "+/-_=\"'".contains(c) || c.is_ascii_whitespace();
    BASE64.iter().any(|start| text.starts_with(start)) && text.chars().all(alphabet)
}

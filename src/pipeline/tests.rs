//! Encoded images, good and bad.

use bytes::Bytes;
use fer_image::Limits;

use super::{encoded_image::decode_base64, *};
use crate::http::problem::Problem;

fn code(error: DecodeError) -> &'static str {
    Problem::from(error).code
}

#[test]
fn base64_comes_in_several_guises() {
    for text in [
        "QUJDRA==",
        "QUJDRA",
        "QUJD\r\nRA==\n",
        "data:image/png;base64,QUJDRA==",
        "DATA:;BASE64,QUJDRA",
    ] {
        assert_eq!(decode_base64(text.as_bytes()).unwrap(), b"ABCD", "{text}");
    }
    for text in [
        "QUJDR",
        "QU_D",
        "?",
        "data:image/png,QUJD",
        "data:image/png;base64",
        "QUJDRB==",
    ] {
        let error = decode_base64(text.as_bytes()).unwrap_err();
        assert_eq!(code(error), "bad_base64", "{text}");
    }
}

#[test]
fn an_empty_image_is_an_error_of_its_own() {
    for image in [
        EncodedImage::Base64(Bytes::new()),
        EncodedImage::Base64(Bytes::from_static(b"data:image/png;base64,")),
        EncodedImage::Raw(Bytes::new()),
    ] {
        let file = image.file().unwrap();
        let error = DecodeError::from(fer_image::decode(&file, &Limits::default()).unwrap_err());
        assert_eq!(code(error), "empty_image");
    }
}

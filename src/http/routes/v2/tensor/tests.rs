use super::*;

fn json(text: &str, datatype: Datatype, n: usize) -> Result<Input, Problem> {
    let body = Bytes::from(text.to_owned());
    let raw: &RawValue = serde_json::from_slice(&body).unwrap();
    from_json(raw, &body, datatype, n)
}

fn detail<T: fmt::Debug>(result: Result<T, Problem>) -> String {
    let problem = result.unwrap_err();
    assert_eq!((problem.status.as_u16(), problem.code), (400, "bad_tensor"));
    problem.detail.into_owned()
}

#[test]
fn shapes() {
    use Datatype::{Bytes, Fp32, Uint8};
    for (datatype, shape, n) in [
        (Bytes, &[3][..], 3),
        (Bytes, &[2, 1], 2),
        (Uint8, &[1, 1, 48, 48], 1),
        (Fp32, &[64, 1, 48, 48], 64),
    ] {
        assert_eq!(datatype.count(shape, 64).unwrap(), n);
    }
    for (datatype, shape) in [
        (Bytes, &[][..]),
        (Bytes, &[0]),
        (Bytes, &[-1]),
        (Bytes, &[2, 2]),
        (Uint8, &[1]),
        (Uint8, &[0, 1, 48, 48]),
        (Fp32, &[1, 48, 48]),
        (Fp32, &[1, 48, 48, 1]),
        (Fp32, &[1, 3, 48, 48]),
    ] {
        let detail = detail(datatype.count(shape, 64));
        assert!(detail.contains(&format!("{shape:?}")), "{detail}");
    }
    let many = Bytes.count(&[65], 64).unwrap_err();
    assert_eq!((many.status.as_u16(), many.code), (413, "too_many_images"));
    assert!(detail(Datatype::named("INT64")).contains("INT64"));
}

#[test]
fn gray_values_flat_nested_and_as_bytes_are_the_same_face() {
    let gray: Vec<u8> = (0..PIXELS).map(|i| (i % 256) as u8).collect();
    let want = Input::Faces(vec![Face::from_gray(&gray).unwrap()]);
    let flat = format!("{gray:?}");
    let nested = format!("[[{:?}]]", gray.chunks(SIDE).collect::<Vec<_>>());
    let floats = format!(
        "{:?}",
        gray.iter().map(|v| f32::from(*v) + 0.4).collect::<Vec<_>>()
    )
    .replace("255.4", "255");
    let bytes: Vec<u8> = gray.iter().flat_map(|v| f32::from(*v).to_le_bytes()).collect();
    for got in [
        json(&flat, Datatype::Uint8, 1),
        json(&nested, Datatype::Uint8, 1),
        json(&floats, Datatype::Fp32, 1),
        from_bytes(gray.clone().into(), Datatype::Uint8, 1, false),
        from_bytes(bytes.into(), Datatype::Fp32, 1, false),
    ] {
        assert_eq!(got.unwrap(), want);
    }
}

#[test]
fn wrong_values_are_named() {
    let of = |first: &str| format!("[{first}{}]", ",0".repeat(PIXELS - 1));
    for (first, datatype, word) in [
        ("256", Datatype::Uint8, "256"),
        ("-1", Datatype::Fp32, "-1"),
        ("0.5", Datatype::Uint8, "0.5"),
        ("1e300", Datatype::Fp32, "255"),
        ("null", Datatype::Fp32, "numbers"),
        ("\"a\"", Datatype::Fp32, "numbers"),
        ("1,2", Datatype::Fp32, "more than the 2304"),
    ] {
        let detail = detail(json(&of(first), datatype, 1));
        assert!(detail.contains(word), "{first}: {detail}");
    }
    assert!(detail(json("[1,2]", Datatype::Uint8, 1)).contains("2 elements"));
    let mut floats = vec![0u8; PIXELS * 4];
    for (value, word) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (-0.1, "-0.1"),
        (255.5, "255.5"),
    ] {
        floats[..4].copy_from_slice(&value.to_le_bytes());
        let detail = detail(from_bytes(floats.clone().into(), Datatype::Fp32, 1, false));
        assert!(detail.contains(word), "{detail}");
    }
    assert!(detail(from_bytes(vec![0; 5].into(), Datatype::Fp32, 1, false)).contains("5 bytes"));
}

#[test]
fn elements_of_bytes_have_their_length_before_them() {
    let data: Bytes = [&[2, 0, 0, 0][..], b"ab", &[0, 0, 0, 0], &[1, 0, 0, 0], b"c"]
        .concat()
        .into();
    let images = |kind: fn(Bytes) -> EncodedImage| {
        Input::Images([&b"ab"[..], b"", b"c"].map(|b| kind(Bytes::from(b))).to_vec())
    };
    assert_eq!(
        from_bytes(data.clone(), Datatype::Bytes, 3, false).unwrap(),
        images(EncodedImage::Raw)
    );
    assert_eq!(
        from_bytes(data.clone(), Datatype::Bytes, 3, true).unwrap(),
        images(EncodedImage::Base64)
    );
    for (data, n, word) in [
        (data.clone(), 2, "more than the 2"),
        (data.clone(), 4, "3 elements"),
        (data.slice(..8), 3, "longer"),
        (data.slice(..3), 3, "longer"),
        (Bytes::from_static(&[255; 8]), 1, "longer"),
    ] {
        let detail = detail(from_bytes(data, Datatype::Bytes, n, false));
        assert!(detail.contains(word), "{detail}");
    }
}

#[test]
fn strings_are_base64_flat_or_nested() {
    let want = Input::Images(vec![
        EncodedImage::Base64(Bytes::from_static(b"YQ==")),
        EncodedImage::Base64(Bytes::from_static(b"Y/I=")),
    ]);
    assert_eq!(json(r#"["YQ==","Y\/I="]"#, Datatype::Bytes, 2).unwrap(), want);
    assert_eq!(json(r#"[["YQ=="],["Y/I="]]"#, Datatype::Bytes, 2).unwrap(), want);
    assert!(detail(json("[1]", Datatype::Bytes, 1)).contains("base64"));
}

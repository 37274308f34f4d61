use super::{super::*, open, pixels};
use fer_engine::emotion::CLASSES;
use fer_image::PIXELS;

#[test]
fn a_data_set_has_labelled_rows_of_the_set_asked_for() {
    let p = pixels(4);
    let header = "emotion,pixels,Usage\n";
    let text = format!("{header}0,\"{p}\",Training\n1,\"{p}\",PublicTest\n1,\"{p}\",publictest\n");
    let load = |text: &str, usage| Dataset::collect(open(text, false).unwrap(), usage);
    assert_eq!(load(&text, None).unwrap().class_counts(), [1, 2, 0, 0, 0, 0, 0]);
    let public = load(&text, Some(Usage::PublicTest)).unwrap();
    assert_eq!((public.len(), public.labels[0]), (2, Emotion::Disgust));

    let error = |text: &str, usage| load(text, usage).unwrap_err().to_string();
    assert_eq!(
        error(&text, Some(Usage::PrivateTest)),
        "d.csv: the file has no rows with Usage PrivateTest"
    );
    assert_eq!(error(header, None), "d.csv: the file has a header but no rows");
    let missing = |column| format!("d.csv: the file has no `{column}` column, which is needed here");
    assert_eq!(error("emotion,pixels\n", Some(Usage::Training)), missing("Usage"));
    assert_eq!(error("pixels\n", None), missing("emotion"));
    let all_bad = Dataset::collect(open("emotion,pixels\n8,1\n", true).unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(
        all_bad.starts_with("d.csv: the file has no good rows; 1 bad row skipped, the first: d.csv: line 2"),
        "{all_bad}"
    );
}

/// `counts[i]` rows of label `i`, labels in turn, each row with a first pixel of its own.
fn labelled(counts: [usize; CLASSES]) -> Dataset {
    let mut text = "emotion,pixels\n".to_owned();
    let rest = " 0".repeat(PIXELS - 2);
    let mut n = 0;
    for turn in 0..counts.into_iter().max().unwrap() {
        for (label, _) in counts.iter().enumerate().filter(|(_, count)| turn < **count) {
            text.push_str(&format!("{label},\"{} {}{rest}\"\n", n / 256, n % 256));
            n += 1;
        }
    }
    Dataset::collect(open(text, false).unwrap(), None).unwrap()
}

#[test]
fn rows_are_held_out_by_label_and_seed() {
    let all = labelled([100, 14, 2, 1, 0, 37, 46]);
    let Split { train, valid } = all.clone().hold_out(10, 7).unwrap();
    assert_eq!(valid.class_counts(), [10, 1, 1, 0, 0, 4, 5]);
    assert_eq!(train.len() + valid.len(), all.len());
    // Nothing lost, nothing twice, labels still at their faces, the file's order kept.
    let number = |d: &Dataset, i: usize| {
        (
            usize::from(d.faces[i][0]) * 256 + usize::from(d.faces[i][1]),
            d.labels[i],
        )
    };
    let numbers = |d: &Dataset| (0..d.len()).map(|i| number(d, i)).collect::<Vec<_>>();
    let (a, b) = (numbers(&train), numbers(&valid));
    assert!(a.is_sorted_by_key(|x| x.0) && b.is_sorted_by_key(|x| x.0));
    let mut both = [a.clone(), b.clone()].concat();
    both.sort_by_key(|x| x.0);
    assert_eq!(both, numbers(&all));

    let again = all.clone().hold_out(10, 7).unwrap();
    assert_eq!((numbers(&again.train), numbers(&again.valid)), (a, b.clone()));
    assert_ne!(numbers(&all.hold_out(10, 8).unwrap().valid), b);

    for (counts, parts) in [
        ([1, 1, 0, 0, 0, 0, 1], 10),
        ([4, 0, 0, 0, 0, 0, 0], 1),
        ([1, 0, 0, 0, 0, 0, 0], 0),
    ] {
        let text = labelled(counts).hold_out(parts, 1).unwrap_err().to_string();
        assert!(text.contains("too few rows ("), "{text}");
    }
}

#[test]
fn no_face_is_held_out_that_another_row_has() {
    // Every third row's face is there again, under another label.
    let rest = " 0".repeat(PIXELS - 2);
    let mut text = "emotion,pixels\n".to_owned();
    for n in 0..210 {
        text.push_str(&format!("{},\"0 {n}{rest}\"\n", n % 7));
        if n % 3 == 0 {
            text.push_str(&format!("{},\"0 {n}{rest}\"\n", (n + 1) % 7));
        }
    }
    let all = Dataset::collect(open(text, false).unwrap(), None).unwrap();
    let Split { train, valid } = all.hold_out(10, 1).unwrap();
    assert_eq!((train.len(), valid.len()), (252, 28));
    assert!(valid.faces.iter().all(|f| !train.faces.contains(f)));

    // Where every face is there twice, nothing can be held out.
    let twice = format!("emotion,pixels\n{}", format!("0,\"0 1{rest}\"\n").repeat(20));
    let twice = Dataset::collect(open(twice, false).unwrap(), None).unwrap();
    assert!(twice.hold_out(10, 1).unwrap_err().to_string().contains("twice"));
}

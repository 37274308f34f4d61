//! One page with everything in it: no other file, nothing from the network, no script.

use std::fmt::Write;

use super::{Picture, Subject};
use crate::score::scores::named;
use fer_engine::emotion::Emotion;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#212529;background:#fff;max-width:75rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #e2e5e8}\
th:first-child,td:first-child{text-align:left}th{border-bottom:2px solid #98a0a6}\
figure{margin:2rem 0}svg{max-width:100%;height:auto}figcaption{color:#62696f;max-width:50rem}";

/// The page. Nothing in it is taken from outside without being escaped.
pub(super) fn page(subject: &Subject<'_>, pictures: &[Picture]) -> String {
    let m = subject.manifest;
    let title = format!("{} {}", escaped(&m.name), escaped(&m.version));
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Scores of {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Scores of {title}</h1>\n"
    );
    scores(&mut page, subject);
    if let Some(robustness) = subject.robustness {
        page.push_str(
            "<h2>Robustness</h2>\n<table>\n<tr><th>change</th><th>accuracy</th><th>points</th></tr>\n",
        );
        let _ = writeln!(
            page,
            "<tr><td>none</td><td>{:.4}</td><td></td></tr>",
            robustness.plain
        );
        for c in &robustness.cases {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{:.4}</td><td>{:+.1}</td></tr>",
                escaped(&c.change),
                c.accuracy,
                -c.loss
            );
        }
        page.push_str("</table>\n");
    }
    for Picture { name, caption, svg } in pictures {
        // Within HTML the namespace is known.
        let svg = svg
            .replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1)
            .replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{name}\" "), 1);
        let caption = escaped(caption);
        let _ = writeln!(
            page,
            "<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>"
        );
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn scores(page: &mut String, subject: &Subject<'_>) {
    let report = subject.report;
    let mut columns = vec![("rows", report.scores.rows.to_string())];
    columns.extend(
        named(&report.scores)
            .into_iter()
            .map(|(name, x)| (name, format!("{x:.4}"))),
    );
    columns.push(("temperature", format!("{:.4}", subject.manifest.temperature())));
    let (names, values): (String, String) = columns
        .iter()
        .map(|(name, value)| (format!("<th>{name}</th>"), format!("<td>{value}</td>")))
        .unzip();
    let _ = write!(
        page,
        "<table>\n<tr>{names}</tr>\n<tr>{values}</tr>\n</table>\n\
         <table>\n<tr><th>label</th><th>precision</th><th>recall</th><th>F1</th><th>rows</th></tr>\n"
    );
    for (emotion, c) in Emotion::ALL.iter().zip(&report.per_class) {
        let _ = writeln!(
            page,
            "<tr><td>{emotion}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{}</td></tr>",
            c.precision, c.recall, c.f1, c.support
        );
    }
    page.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

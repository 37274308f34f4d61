//! One page with everything in it: no file beside it, nothing from the network, no script.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Picture, Subject};
use fer_engine::emotion::Emotion;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#212529;background:#fff;max-width:75rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #e2e5e8}\
th:first-child,td:first-child{text-align:left}th{border-bottom:2px solid #98a0a6}\
figure{margin:2rem 0}img{max-width:100%;height:auto}figcaption{color:#62696f;max-width:50rem}";

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
    for picture in pictures {
        let _ = writeln!(
            page,
            "<figure>\n<img alt=\"{}\" src=\"data:image/png;base64,{}\">\n<figcaption>{}</figcaption>\n</figure>",
            picture.name,
            STANDARD.encode(&picture.png),
            escaped(picture.caption)
        );
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn scores(page: &mut String, subject: &Subject<'_>) {
    let s = subject.scores;
    let _ = write!(
        page,
        "<table>\n<tr><th>rows</th><th>accuracy</th><th>macro-F1</th><th>log-loss</th><th>ECE</th><th>temperature</th></tr>\n\
         <tr><td>{}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td></tr>\n</table>\n\
         <table>\n<tr><th>label</th><th>precision</th><th>recall</th><th>F1</th><th>rows</th></tr>\n",
        s.rows,
        s.accuracy,
        s.macro_f1,
        s.log_loss,
        s.ece,
        subject.manifest.temperature()
    );
    for (emotion, c) in Emotion::ALL.iter().zip(&s.per_class) {
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

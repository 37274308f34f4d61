//! The documents: every relative link and picture in them leads somewhere.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

const FOLDERS: [&str; 4] = ["", "deploy", "docs", "model"];

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    FOLDERS
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect()
}

fn parse(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// What the document's links and pictures point at.
fn targets(text: &str) -> Vec<String> {
    parse(text)
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.to_string())
            }
            _ => None,
        })
        .collect()
}

/// The anchors of its headings, as GitHub makes them: small letters, digits, hyphens for spaces, no punctuation.
fn anchors(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut heading: Option<String> = None;
    for event in parse(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => found.extend(heading.take()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(anchor) = &mut heading {
                    let kept = part.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                    anchor.extend(
                        kept.flat_map(char::to_lowercase)
                            .map(|c| if c == ' ' { '-' } else { c }),
                    );
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    let mut followed = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in targets(&text).into_iter().filter(|t| !t.contains(':')) {
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() {
                document.clone()
            } else {
                document.with_file_name("").join(file)
            };
            let there = path.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&path).unwrap()).contains(anchor));
            if !there {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(followed > 30, "only {followed} links were found");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

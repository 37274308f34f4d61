//! What `docs/security.md` says of the code. This reads source text, because the page states the number of blocks in each
//! file; the lint `unsafe_code` only says which modules may have some.

use std::{fs, path::Path};

fn rust_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Every `unsafe` block is in a file of the table, in the number it says.
#[test]
fn unsafe_code_is_where_the_threat_model_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["src", "crates"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50);
    let mut found = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let blocks: usize = code
            .map(|line| line.matches("unsafe {").count() + line.matches("unsafe impl").count())
            .sum();
        if blocks > 0 {
            found += 1;
            let name = file.strip_prefix(root).unwrap().display();
            let row = format!("| `{name}` | {blocks} |");
            assert!(page.contains(&row), "docs/security.md has no row {row}");
        }
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `src/") || line.starts_with("| `crates/"));
    assert_eq!(found, rows.count(), "a row without a file");
}

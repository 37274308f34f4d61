//! The pages of flags, docs/fer-serve.md and docs/fer-train.md, held to what clap knows: for tests.

use std::{fmt::Write as _, path::Path};

use clap::{Arg, Command};

/// Compares a page with the program's commands. `FER_WRITE_DOCS=1` writes it instead.
pub(crate) fn check_page(mut cli: Command, file: &str) {
    cli.build();
    let page = page(&cli);
    // A crate of the workspace is two folders below its root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = ["docs", "../../docs"].map(|folder| root.join(folder));
    let path = docs.into_iter().find(|docs| docs.is_dir()).unwrap().join(file);
    if std::env::var_os("FER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        there, page,
        "docs/{file} is not what --help says: FER_WRITE_DOCS=1 make test ARGS='--lib page'"
    );
}

fn page(cli: &Command) -> String {
    let name = cli.get_name();
    let mut text = format!(
        "# The commands of {name}\n\n{}.\nWritten from `--help` by a test (`tests/support/flags.rs`), which fails when they differ. A flag wins over its variable.\n",
        one_line(&cli.get_about().map(ToString::to_string).unwrap_or_default())
    );
    let own = cli.get_arguments().any(|a| !is_usual(a));
    let commands = cli.get_subcommands().filter(|c| c.get_name() != "help");
    for command in own.then_some(cli).into_iter().chain(commands) {
        let called = if command.get_name() == name {
            name.to_owned()
        } else {
            format!("{name} {}", command.get_name())
        };
        let about = one_line(&command.get_about().map(ToString::to_string).unwrap_or_default());
        let _ = writeln!(
            text,
            "\n## `{called}`\n\n{about}.\n\n| flag | variable | default | |\n| --- | --- | --- | --- |"
        );
        for arg in command.get_arguments().filter(|a| !is_usual(a)) {
            text.push_str(&row(arg));
        }
    }
    text
}

fn is_usual(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

fn row(arg: &Arg) -> String {
    let values: Vec<_> = arg
        .get_value_names()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let takes = arg.get_action().takes_values();
    let flag = match arg.get_long() {
        Some(long) if takes => format!("--{long} {}", values.join(" ")),
        Some(long) => format!("--{long}"),
        None => values.join(" "),
    };
    let variable = arg
        .get_env()
        .map_or_else(String::new, |e| format!("`{}`", e.to_string_lossy()));
    let help = one_line(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let (what, told) = match help.split_once(" [default: ") {
        Some((what, rest)) => (what.to_owned(), rest.trim_end_matches(']').to_owned()),
        None => (help, String::new()),
    };
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy().into_owned())
        .collect();
    let default = match (defaults.is_empty(), takes, arg.is_required_set()) {
        (false, true, _) => format!("`{}`", defaults.join(",")),
        (_, _, true) => "must be given".to_owned(),
        (_, false, _) => "off".to_owned(),
        _ if told.is_empty() => "none".to_owned(),
        _ => told,
    };
    let cell = |s: &str| s.replace('|', "\\|");
    format!(
        "| `{}` | {variable} | {} | {} |\n",
        cell(&flag),
        cell(&default),
        cell(&what)
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Flags: defaults, names, refusals.

use super::*;

fn run(args: &[&str]) -> Result<Config, clap::Error> {
    match Config::parse_from(["fer-serve"].iter().chain(args))? {
        Command::Run(config) => Ok(*config),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_page_of_flags_is_what_help_says() {
    crate::flags::check_page(Cli::command(), "fer-serve.md");
}

#[test]
fn every_flag_has_an_environment_variable_and_help() {
    let mut cli = Cli::command();
    cli.build();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        for arg in command.get_arguments().filter(|a| !a.is_positional()) {
            let id = arg.get_id().as_str();
            if ["help", "version"].contains(&id) {
                continue;
            }
            let env = arg.get_env().and_then(|e| e.to_str()).unwrap_or_default();
            let long = arg.get_long().unwrap_or_default();
            assert_eq!(
                env,
                format!("FER_{}", long.to_uppercase().replace('-', "_")),
                "{id}"
            );
            assert!(arg.get_help().is_some(), "{id} has no help");
            let help = arg.get_help().unwrap().to_string();
            assert!(
                !arg.get_default_values().is_empty() || help.contains("[default:"),
                "{id} shows no default"
            );
        }
    }
}

#[test]
fn defaults_follow_the_device() {
    let mut config = run(&[]).unwrap();
    config.cpus = NonZeroUsize::new(6).unwrap();
    assert_eq!(config.workers(false).get(), 6);
    assert_eq!(config.workers(true).get(), 1);
    assert_eq!(config.max_in_flight(false), 576);
    assert_eq!(config.most_in_flight(false), 1728);
    assert_eq!(config.queue(false), 2304);
    assert_eq!(
        (config.max_batch(false).get(), config.max_batch(true).get()),
        (8, 32)
    );
    let config = run(&["--workers", "3", "--queue", "99", "--max-in-flight", "7"]).unwrap();
    assert_eq!(
        (
            config.workers(true).get(),
            config.queue(true),
            config.max_in_flight(true),
            config.most_in_flight(true)
        ),
        (3, 99, 7, 7)
    );
}

#[test]
fn run_may_be_left_out() {
    assert_eq!(
        run(&["run", "--listen", "127.0.0.1:0"]).unwrap().listen,
        run(&["--listen", "127.0.0.1:0"]).unwrap().listen
    );
}

#[test]
fn a_bad_value_is_refused_by_name_with_exit_code_2() {
    for (args, named) in [
        (&["--listen", "nowhere"][..], "--listen"),
        (&["--device", "gpu"], "--device"),
        (&["--workers", "0"], "--workers"),
        (&["--threads=-1"], "--threads"),
        (&["--max-batch", "0"], "--max-batch"),
        (&["--max-batch", "5000"], "--max-batch"),
        (&["--batch-linger", "fast"], "--batch-linger"),
        (&["--request-timeout", "0s"], "--request-timeout"),
        (&["--request-timeout", "900days"], "--request-timeout"),
        (&["--max-body", "20X"], "--max-body"),
        (&["--max-body", "0"], "--max-body"),
        (&["--max-pixels", "0"], "--max-pixels"),
        (&["--log", "fer_serve=loud"], "--log"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--max-body", "1G", "--max-buffered", "1M"], "--max-buffered"),
        (&["--queue", "3"], "--queue"),
        (&["--batch-linger", "20s"], "--batch-linger"),
        (&["--rate-limit", "0"], "--rate-limit"),
        (&["--rate-burst", "5"], "--rate-limit"),
        (&["--rate-limit", "1", "--rate-burst", "0"], "--rate-burst"),
        (&["--trusted-proxies", "99"], "--trusted-proxies"),
        (&["--cors-origins", "example.org"], "--cors-origins"),
        (&["--cors-origins", "*,https://example.org"], "--cors-origins"),
        (&["--tls-cert", "c.pem"], "--tls-key"),
        (&["--tls-key", "k.pem"], "--tls-cert"),
        (&["--admin-listen", "9090"], "--admin-listen"),
        (&["--admin-listen", "0.0.0.0:8080"], "--admin-listen"),
    ] {
        let error = run(args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.to_string().contains(named), "{args:?}: {error}");
    }
}

//! `fer-train`: trains the network, measures it, exports it.

fn main() -> std::process::ExitCode {
    fer_train::run()
}

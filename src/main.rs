//! `fer-serve`. All of it is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    fer_serve::main()
}

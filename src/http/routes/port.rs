//! The listeners.

/// `--listen`, or `--admin-listen` if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Main,
    Admin,
}

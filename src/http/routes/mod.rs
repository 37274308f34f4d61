//! The routes: [`table`] lists them, one file holds the handlers of a group.

pub(crate) mod admin;
pub(crate) mod console;
pub(crate) mod contract;
pub(crate) mod health;
pub(crate) mod table;

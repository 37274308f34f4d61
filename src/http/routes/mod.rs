//! The routes: [`table`] lists them, one file holds the handlers of a group.

pub(crate) mod admin;
pub(crate) mod console;
pub(crate) mod contract;
pub(crate) mod faces;
pub(crate) mod health;
pub(crate) mod model;
pub(crate) mod port;
pub(crate) mod predict;
pub(crate) mod table;
pub(crate) mod v2;

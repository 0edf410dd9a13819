//! Schemas of bodies and parameters, learnt from samples.
//!
//! A [`Schema`] takes bodies in ([`Schema::add`]) and merges with others ([`Schema::merge`]); both in any order with the same
//! result. [`Schemas`] holds those of one endpoint: its query, headers, cookies, and its bodies by status class and media type.
//! [`describe`](describe::describe) turns a shape into what JSON Schema can say.
//!
//! # Privacy
//! No value is kept: see [`shape`]. Keys that are values (ids, dates, addresses, tokens as member names) are told from names by
//! [`is_name`] and never kept; neither are names of cookies, parameters and headers that are none.
//!
//! # Bounds
//! [`DEPTH`], [`NODES`], [`shape::PROPERTIES`], [`shape::MEMBERS`], [`form::PARAMETERS`], [`schemas::MEDIA_TYPES`]; what reaches
//! one shows in the schema (`depth`, `overflow`, `additional`, `other`).

mod auth;
mod body;
pub mod describe;
pub mod events;
pub mod form;
pub mod format;
mod hash;
pub mod json;
mod media;
pub(crate) mod name;
mod packed;
mod protobuf;
pub mod schemas;
pub mod shape;
mod xml;

pub use auth::{Auth, Credential};
pub use body::{DEPTH, NODES, Schema, Syntax};
pub use hash::ValueKey;
pub use media::{media_type, sniff, syntax, syntax_of};
pub use name::{NAME_BYTES, is_name};
pub(crate) use packed::Held;
pub use schemas::{Exchange, Sample, Schemas};
pub(crate) use xml::each_element;

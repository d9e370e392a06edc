//! `lockc top`: containers, denials, and what the programs cost, as they are now.

mod draw;
mod grid;
mod keys;
mod live;
mod model;
mod sample;
mod screen;
mod source;
mod tables;
#[cfg(test)]
mod tests;

pub use draw::text;
pub use live::watch;
pub use model::{Model, Sort};
pub use source::{Live, Source};

//! The pages as a book: mdBook renders `docs/` by `docs/SUMMARY.md` and `book.toml`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{build, setup, ui};

/// Builds the book and returns the directory with its `index.html`.
pub fn build() -> Result<PathBuf> {
    let program = setup::mdbook()?;
    let directory = build::target()?.join("book");
    let mut command = std::process::Command::new(program);
    command.arg("build").arg("--dest-dir").arg(&directory).arg(crate::root());
    ui::step("building the book", || ui::capture(&mut command))?;
    directory.join("index.html").is_file().then_some(directory).context("mdBook wrote no index")
}

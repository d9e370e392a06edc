//! `lockc metrics`: metrics for Prometheus.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::metrics::{self, http};

const EXAMPLES: &str = "\
Examples:
  lockc metrics
  lockc metrics --textfile /var/lib/prometheus/node-exporter/lockc.prom
  systemctl enable --now lockc-metrics.socket     serves http://127.0.0.1:9752/metrics";

/// Prints metrics of lockc in the OpenMetrics text format: containers, denials, refusals, and the
/// cost of the programs.
///
/// Nothing collects them in the background. Where nothing is loaded, `lockc_enforcing` is 0.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Write them to this file, for the textfile collector of node_exporter. The file is replaced
    /// atomically, and everyone may read it.
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Answer one HTTP request on standard input and output, as a socket-activated unit with
    /// `Accept=yes`.
    #[arg(long, conflicts_with = "textfile")]
    http: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where only root may read the maps, or the file or connection cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.http {
        http::answer(io::stdin().lock(), io::stdout().lock(), metrics::render)?;
    } else if let Some(file) = &args.textfile {
        replace(file, &metrics::render()?).with_context(|| file.display().to_string())?;
    } else {
        crate::println!("{}", metrics::render()?.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().filter(|it| !it.as_os_str().is_empty());
    // node_exporter reads only names that end with .prom.
    let mut new = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_is_replaced_at_once_and_for_everyone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lockc.prom");
        for text in ["one\n", "two\n"] {
            replace(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

//! The host whose engine is configured: its files and programs, and the checks of both.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use lockc_policy::host::trusted;
use nix::unistd::{chown, chroot};
use tempfile::NamedTempFile;

/// Where programs of engines are.
const PLACES: [&str; 7] =
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/opt/bin"];
/// How the name of a new file ends until it takes its place; no engine reads such files.
const NEW: &str = ".lockc-new";
/// The state before lockc.
const BEFORE: &str = "before-lockc";

/// A file that is to change. Paths are the host's.
#[derive(Clone, Debug)]
pub struct Change {
    pub path: PathBuf,
    /// Its text; nothing if there is no such file.
    pub before: Option<String>,
    /// Nothing: it is removed.
    pub after: Option<String>,
    /// Mode of a new file; an old one keeps its own.
    pub mode: u32,
}

impl Change {
    /// As `diff -u` writes it.
    pub fn diff(&self) -> String {
        let (before, after) =
            (self.before.as_deref().unwrap_or(""), self.after.as_deref().unwrap_or(""));
        let name =
            |there: bool| if there { self.path.display().to_string() } else { "/dev/null".into() };
        let diff = similar::TextDiff::from_lines(before, after);
        diff.unified_diff()
            .header(&name(self.before.is_some()), &name(self.after.is_some()))
            .to_string()
    }
}

/// What becomes of `FILE.before-lockc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// Made, unless it is there from an earlier time.
    Make,
    Leave,
    Remove,
}

/// A host.
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose root is mounted at `root`.
    pub fn new(root: &Path) -> Result<Self> {
        let root =
            root.canonicalize().with_context(|| format!("there is no {}", root.display()))?;
        Ok(Self { root })
    }

    /// Whether it is the one that this process sees.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where this process sees a path of the host's.
    pub fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file; nothing if there is none.
    pub fn read(&self, path: &Path) -> Result<Option<String>> {
        match fs::read_to_string(self.at(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// The wrapper's path on the host. Whoever can change it can start whatever they like as root.
    pub fn wrapper(&self, given: Option<&Path>) -> Result<PathBuf> {
        let path = match given {
            Some(path) => path.to_path_buf(),
            None if self.is_this() => std::env::current_exe()
                .context("the path of this program is unknown; pass --wrapper")?
                .with_file_name("lockc-runc-wrapper"),
            None => bail!("with --root, --wrapper must name the wrapper as the host sees it"),
        };
        if !path.is_absolute() {
            bail!("{} is not an absolute path", path.display());
        }
        let there = self.at(&path);
        let meta = fs::metadata(&there).with_context(|| {
            format!(
                "{} does not exist; install lockc-runc-wrapper there, or pass --wrapper",
                path.display()
            )
        })?;
        let folder = there.parent().map(fs::metadata).transpose()?;
        if [Some(&meta), folder.as_ref()]
            .into_iter()
            .flatten()
            .any(|meta| trusted::others_can_change(meta, 0))
        {
            bail!(
                "users other than root can change {} or its directory; no engine may start it",
                path.display()
            );
        }
        if meta.mode() & 0o111 == 0 || !meta.is_file() {
            bail!("{} is not executable", path.display());
        }
        Ok(path)
    }

    /// Where a program is on the host.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| self.at(path).is_file())
    }

    /// A program of the host's, to be run there; nothing if it is not installed.
    pub fn program(&self, name: &str) -> Option<Command> {
        let path = self.find(name)?;
        let mut command = Command::new(&path);
        command.stdin(Stdio::null()).env("SYSTEMD_IGNORE_CHROOT", "1").env("LC_ALL", "C.UTF-8");
        if !self.is_this() {
            let root = self.root.clone();
            // SAFETY: between fork and exec, chroot(2) and chdir(2) only, which are
            // async-signal-safe; the path was made before.
            unsafe {
                command.pre_exec(move || {
                    chroot(&root)?;
                    nix::unistd::chdir("/")?;
                    Ok(())
                });
            }
        }
        Some(command)
    }

    /// Writes a file beside `path`, which is gone when it is dropped.
    pub fn put(&self, path: &Path, text: &str, mode: u32) -> Result<NamedTempFile> {
        let target = self.at(path);
        let directory = target.parent().context("a file has a directory")?;
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let at = || format!("{} cannot be written", target.display());
        let name = target.file_name().unwrap_or_default();
        let mut new = tempfile::Builder::new()
            .prefix(name)
            .suffix(NEW)
            .tempfile_in(directory)
            .with_context(at)?;
        new.write_all(text.as_bytes()).with_context(at)?;
        // Whatever the umask is.
        new.as_file().set_permissions(fs::Permissions::from_mode(mode)).with_context(at)?;
        new.as_file().sync_all().with_context(at)?;
        Ok(new)
    }

    /// Makes a change, by rename: nobody sees half a file.
    pub fn apply(&self, change: &Change, backup: Backup) -> Result<()> {
        // A link is followed: the administrator wants it to be one.
        let seen = self.at(&change.path);
        let target = if self.is_this() { seen.canonicalize().unwrap_or(seen) } else { seen };
        let kept = beside(&target, BEFORE);
        let old = fs::metadata(&target).ok();
        if backup == Backup::Make && !kept.exists() && old.is_some() {
            fs::copy(&target, &kept)
                .with_context(|| format!("{} cannot be written", kept.display()))?;
        }
        match &change.after {
            Some(text) => {
                let mode = old.as_ref().map_or(change.mode, |old| old.mode() & 0o7777);
                let path = if self.is_this() { &target } else { &change.path };
                let new = self.put(path, text, mode)?;
                if let Some(old) = old {
                    chown(new.path(), Some(old.uid().into()), Some(old.gid().into()))
                        .context("its owner cannot be preserved")?;
                }
                new.persist(&target)
                    .with_context(|| format!("{} cannot be replaced", target.display()))?;
            }
            None if target.exists() => {
                fs::remove_file(&target)
                    .with_context(|| format!("{} cannot be removed", target.display()))?;
            }
            None => {}
        }
        if backup == Backup::Remove {
            // There may be none.
            let _ = fs::remove_file(kept);
        }
        Ok(())
    }

    /// The state before lockc, if it was kept.
    pub fn kept(&self, path: &Path) -> Result<Option<String>> {
        let seen = self.at(path);
        let target = if self.is_this() { seen.canonicalize().unwrap_or(seen) } else { seen };
        match fs::read_to_string(beside(&target, BEFORE)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the copy of the original file cannot be read"),
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{name}.{ending}"))
}

/// The names in a directory; none if it does not exist.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match fs::read_dir(directory) {
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", directory.display())),
    }
}

/// Standard output of a success; otherwise what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("{}", String::from_utf8_lossy(&output.stderr).trim())
}

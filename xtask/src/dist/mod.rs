//! `cargo xtask dist`: what is released, from this tree: packages, an archive, an image for
//! Kubernetes' nodes, checksums and a bill of materials. The same source gives the same bytes,
//! wherever it is built.

mod image;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::{build, root, setup, ui};

#[derive(clap::Args)]
pub struct Args {
    /// Where to put it
    #[arg(long, value_name = "FOLDER", default_value = "target/dist")]
    out: PathBuf,
    /// Build as another version than the tree's, to test an upgrade, say
    #[arg(long, value_name = "VERSION")]
    as_version: Option<String>,
    /// Architectures, separated by commas; what a cross compiler is needed for is installed
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Arch::X86])]
    arch: Vec<Arch>,
    /// Only these kinds
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Build it all once more in another folder, and compare every byte
    #[arg(long)]
    check_reproducible: bool,
}

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A package for Debian and its relatives
    Deb,
    /// A package for Fedora, openSUSE and theirs
    Rpm,
    /// Programs, unit and configuration
    Tar,
    /// An OCI image for Kubernetes' nodes
    Image,
    /// A bill of materials (CycloneDX)
    Sbom,
}

const ALL: [Kind; 5] = [Kind::Deb, Kind::Rpm, Kind::Tar, Kind::Image, Kind::Sbom];
/// The programs that are released.
const PROGRAMS: [&str; 2] = ["lockc", "lockc-runc-wrapper"];

/// `cargo xtask dist`.
pub fn command(args: &Args) -> Result<bool> {
    setup::run(&[])?;
    let kinds = if args.only.is_empty() { &ALL[..] } else { &args.only };
    let made = make(&args.out, args.as_version.as_deref(), kinds, &args.arch)?;
    for file in &made {
        println!("{}", file.display());
    }
    if args.check_reproducible {
        return compare(args, kinds);
    }
    Ok(true)
}

/// Makes `kinds` in `out`, with `SHA256SUMS`, and returns the files.
pub fn make(
    out: &Path,
    version: Option<&str>,
    kinds: &[Kind],
    archs: &[Arch],
) -> Result<Vec<PathBuf>> {
    setup::packaging(kinds)?;
    for arch in archs {
        setup::cross(*arch)?;
    }
    let out = std::path::absolute(out).context("where is the output to go?")?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    match version {
        None => from(&root(), &out, kinds, archs),
        Some(version) => {
            let copy = source::copy(version)?;
            from(copy.path(), &out, kinds, archs)
        }
    }
}

/// The version after this tree's.
pub fn next_version() -> Result<String> {
    let version = source::version(&root())?;
    let (rest, patch) =
        version.rsplit_once('.').with_context(|| format!("{version} is not a version"))?;
    Ok(format!(
        "{rest}.{}",
        patch.parse::<u32>().with_context(|| format!("{version} is not a version"))? + 1
    ))
}

/// Makes `kinds` from the tree `source`.
fn from(source: &Path, out: &Path, kinds: &[Kind], archs: &[Arch]) -> Result<Vec<PathBuf>> {
    let version = source::version(source)?;
    let built = |arch: Arch| {
        let what = format!("building lockc {version} as it is released for {}", arch.name());
        ui::step(&what, || build::programs(source, &build::RELEASED, arch))
    };
    // The manual is written by the program itself, which runs here.
    let here = Arch::here()?;
    let runs = built(here)?;
    generate(source, &runs)?;
    let epoch = source::epoch()?;
    let mut releases = Vec::new();
    for arch in archs {
        let programs = if *arch == here { runs.clone() } else { built(*arch)? };
        let arch = *arch;
        releases.push(Release { source, out, version: &version, programs, arch, epoch });
    }
    let mut made = Vec::new();
    for kind in kinds {
        match kind {
            Kind::Image => made.push(image::write(&releases)?),
            // It is the source's: what is linked is the same.
            Kind::Sbom => made.push(releases.first().context("no architecture")?.make(*kind)?),
            _ => {
                for release in &releases {
                    made.push(release.make(*kind)?);
                }
            }
        }
    }
    checksums(out, &made)?;
    made.push(out.join("SHA256SUMS"));
    Ok(made)
}

/// Manual pages and completions, by the program itself.
fn generate(source: &Path, programs: &Path) -> Result<()> {
    let folder = source.join("packaging/generated");
    let man = folder.join("man");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&man).with_context(|| format!("cannot create {}", man.display()))?;
    let lockc = programs.join("lockc");
    ui::capture(Command::new(&lockc).arg("man").arg(&man))?;
    build::copy(&source.join("packaging/lockc-runc-wrapper.8"), &man.join("lockc-runc-wrapper.8"))?;
    for (shell, name) in [("bash", "lockc.bash"), ("zsh", "_lockc"), ("fish", "lockc.fish")] {
        let text = ui::capture(Command::new(&lockc).args(["completions", shell]))?;
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// One release that is being made.
struct Release<'a> {
    source: &'a Path,
    out: &'a Path,
    version: &'a str,
    programs: PathBuf,
    arch: Arch,
    /// Seconds since 1970 that every file says it is from.
    epoch: u64,
}

impl Release<'_> {
    fn make(&self, kind: Kind) -> Result<PathBuf> {
        match kind {
            Kind::Deb => self.deb(),
            Kind::Rpm => self.rpm(),
            Kind::Tar => self.tar(),
            Kind::Image => image::write(std::slice::from_ref(self)),
            Kind::Sbom => self.sbom(),
        }
    }

    fn named(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// A command of cargo's that packs what is built.
    fn cargo(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = build::cargo();
        command.current_dir(self.source).args(arguments);
        command.env("CARGO_TARGET_DIR", build::target()?.join("static"));
        command.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        Ok(command)
    }

    fn deb(&self) -> Result<PathBuf> {
        let file = self.named(&format!("lockc_{}_{}.deb", self.version, self.arch.debian()));
        let mut command = self.cargo(&[
            "deb",
            "--no-build",
            "--no-strip",
            "-p",
            "lockc-bpf",
            "--target",
            self.arch.target(),
        ])?;
        command.args(["--deb-version", self.version, "-o"]).arg(&file);
        ui::step("packing for Debian", || ui::capture(&mut command))?;
        Ok(file)
    }

    fn rpm(&self) -> Result<PathBuf> {
        let file = self.named(&format!("lockc-{}-1.{}.rpm", self.version, self.arch.name()));
        // The tool takes away only times that are later than its date: everything it packs is
        // copied again.
        let tree = source::copy(self.version)?;
        let target = tree.path().join("target");
        let programs = target.join(self.arch.target()).join("release");
        fs::create_dir_all(&programs).context("cannot create a directory")?;
        for program in PROGRAMS {
            build::copy(&self.programs.join(program), &programs.join(program))?;
        }
        let generated = "packaging/generated";
        ui::capture(
            Command::new("cp")
                .arg("-rT")
                .arg(self.source.join(generated))
                .arg(tree.path().join(generated)),
        )?;
        let mut command = self.cargo(&[
            "generate-rpm",
            "-p",
            "crates/lockc-bpf",
            "--target",
            self.arch.target(),
        ])?;
        command.current_dir(tree.path()).arg("--target-dir").arg(&target);
        command.args(["--source-date", &self.epoch.to_string(), "-o"]).arg(&file);
        ui::step("packing for RPM", || ui::capture(&mut command))?;
        Ok(file)
    }

    fn tar(&self) -> Result<PathBuf> {
        let name = format!("lockc-{}-{}", self.version, self.arch.name());
        let file = self.named(&format!("{name}.tar.gz"));
        let stage = tempfile::tempdir().context("cannot create a temporary directory")?;
        let folder = stage.path().join(&name);
        fs::create_dir(&folder).context("cannot create a directory")?;
        for program in PROGRAMS {
            build::copy(&self.programs.join(program), &folder.join(program))?;
        }
        for part in [
            "packaging/systemd/lockc.service",
            "packaging/systemd/lockc-metrics.socket",
            "packaging/systemd/lockc-metrics@.service",
            "packaging/systemd/lockc-journal.service",
            "packaging/systemd/lockc-textfile.service",
            "packaging/systemd/lockc-textfile.timer",
            "packaging/lockc.toml",
            "packaging/systemd/lockc.tmpfiles",
            "README.md",
        ] {
            let part = self.source.join(part);
            build::copy(&part, &folder.join(part.file_name().unwrap_or_default()))?;
        }
        ui::capture(
            Command::new("cp")
                .arg("-rT")
                .arg(self.source.join("packaging/generated"))
                .arg(folder.join("generated")),
        )?;
        let mut command = Command::new("tar");
        command.arg("--sort=name").arg(format!("--mtime=@{}", self.epoch)).args([
            "--owner=0",
            "--group=0",
            "--numeric-owner",
        ]);
        command
            .args(["--mode=u=rwX,go=rX", "-I", "gzip -9n", "-cf"])
            .arg(&file)
            .arg("-C")
            .arg(stage.path())
            .arg(&name);
        ui::step("packing an archive", || ui::capture(&mut command))?;
        Ok(file)
    }

    fn sbom(&self) -> Result<PathBuf> {
        let file = self.named(&format!("lockc-{}.cdx.json", self.version));
        let mut command = self.cargo(&[
            "cyclonedx",
            "--format",
            "json",
            "--target",
            self.arch.target(),
            "--override-filename",
            "sbom",
        ])?;
        command.args(["--manifest-path", "crates/lockc-bpf/Cargo.toml"]);
        ui::step("writing the bill of materials", || ui::capture(&mut command))?;
        // The tool leaves a file beside every manifest of the workspace.
        let text = fs::read_to_string(self.source.join("crates/lockc-bpf/sbom.json"))
            .context("no bill of materials")?;
        for folder in [
            "crates/lockc-core",
            "crates/lockc-policy",
            "crates/lockc-node",
            "crates/lockc-bpf",
            "crates/lockc-ebpf",
            "crates/lockc-runc-wrapper",
            "tests/integration",
            "xtask",
        ] {
            let _ = fs::remove_file(self.source.join(folder).join("sbom.json"));
        }
        let text = text.replace(&format!("{}", self.source.display()), "/lockc");
        let mut bom: serde_json::Value =
            serde_json::from_str(&text).context("the bill of materials is not valid JSON")?;
        // A number of its own for each run, and the time of it: the same source gives the same
        // bytes.
        let date = ui::capture(Command::new("date").args([
            "-u",
            "+%Y-%m-%dT%H:%M:%SZ",
            "-d",
            &format!("@{}", self.epoch),
        ]))?;
        bom.as_object_mut()
            .context("the bill of materials is not an object")?
            .remove("serialNumber");
        bom["metadata"]["timestamp"] = date.trim().into();
        let text =
            serde_json::to_string_pretty(&bom).context("cannot format the bill of materials")?;
        fs::write(&file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

fn sha256(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `SHA256SUMS`, as `sha256sum -c` reads it.
fn checksums(out: &Path, made: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    for file in made {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{}  {name}\n", sha256(file)?));
    }
    fs::write(out.join("SHA256SUMS"), text).context("cannot write SHA256SUMS")
}

/// The second build, from a copy of the tree in another folder and without anything of the first.
fn compare(args: &Args, kinds: &[Kind]) -> Result<bool> {
    let version = args.as_version.clone().map_or_else(|| source::version(&root()), Ok)?;
    let copy = source::copy(&version)?;
    let again = tempfile::tempdir().context("cannot create a temporary directory")?;
    let target = copy.path().join("target");
    let mut command = Command::new(std::env::current_exe().context("which program is this?")?);
    command
        .args(["dist", "--as-version", &version, "--out"])
        .arg(again.path())
        .env("CARGO_TARGET_DIR", &target);
    for arch in &args.arch {
        command.args(["--arch", arch.name()]);
    }
    for kind in kinds {
        command.arg("--only").arg(format!("{kind:?}").to_lowercase());
    }
    if !command.status().context("cannot build once more")?.success() {
        bail!("the second build failed; its message is above");
    }
    let mut alike = true;
    for entry in fs::read_dir(again.path()).context("cannot list the second build")?.flatten() {
        let name = entry.file_name();
        let same = sha256(&entry.path())? == sha256(&args.out.join(&name))?;
        eprintln!("{} {}", if same { "  ok" } else { "FAIL" }, name.to_string_lossy());
        alike &= same;
    }
    Ok(alike)
}

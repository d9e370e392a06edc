//! The image for Kubernetes' nodes, as an archive in the OCI image layout: the static programs,
//! nothing else. With several architectures it is an index, from which each node takes its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{PROGRAMS, Release, sha256};
use crate::{build, ui};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes `lockc-image-VERSION-ARCH.tar`, or `lockc-image-VERSION.tar` for several architectures,
/// for `ctr image import` and the like.
pub fn write(releases: &[Release<'_>]) -> Result<PathBuf> {
    let first = releases.first().context("no architecture")?;
    let file = first.named(&match releases {
        [one] => format!("lockc-image-{}-{}.tar", one.version, one.arch.name()),
        _ => format!("lockc-image-{}.tar", first.version),
    });
    ui::step("packing an image for Kubernetes' nodes", || {
        let stage = tempfile::tempdir().context("cannot create a temporary directory")?;
        let layout = stage.path().join("layout");
        fs::create_dir_all(layout.join("blobs/sha256")).context("cannot create a directory")?;
        let mut manifests = Vec::new();
        for release in releases {
            let tree = stage.path().join(release.arch.name());
            fs::create_dir_all(tree.join("usr/bin")).context("cannot create a directory")?;
            build::programs(release.source, &[build::NODE], release.arch)?;
            for program in PROGRAMS.into_iter().chain([build::NODE]) {
                let program_of = |directory: &Path| directory.join(program);
                build::copy(&program_of(&release.programs), &program_of(&tree.join("usr/bin")))?;
            }
            let layer = stage.path().join("layer");
            ui::capture(archive(release.epoch).arg(&layer).arg("-C").arg(&tree).arg("."))?;
            manifests.push(manifest(&layout, &layer, release.arch.debian())?);
        }
        describe(&layout, manifests, first.version)?;
        ui::capture(archive(first.epoch).arg(&file).arg("-C").arg(&layout).args([
            "oci-layout",
            "index.json",
            "blobs",
        ]))?;
        Ok(())
    })?;
    Ok(file)
}

/// Puts an image of one layer into the layout; returns the descriptor of its manifest.
fn manifest(layout: &Path, layer: &Path, arch: &str) -> Result<Value> {
    let digest = sha256(layer)?;
    let layer = put(layout, LAYER, fs::read(layer).context("cannot read the layer")?)?;
    let config = json!({
        "architecture": arch, "os": "linux",
        "config": {"Entrypoint": [format!("/usr/bin/{}", build::NODE)], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let config = put(layout, CONFIG, serde_json::to_vec(&config)?)?;
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut manifest = put(layout, MANIFEST, serde_json::to_vec(&manifest)?)?;
    manifest["platform"] = json!({"architecture": arch, "os": "linux"});
    Ok(manifest)
}

/// Writes what says where the layout begins. The one entry of `index.json` has the image's name:
/// importers take each entry for an image of its own, so several manifests are in an index.
fn describe(layout: &Path, mut manifests: Vec<Value>, version: &str) -> Result<()> {
    let mut entry = if manifests.len() == 1 {
        manifests.remove(0)
    } else {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        put(layout, INDEX, serde_json::to_vec(&index)?)?
    };
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": version,
        "io.containerd.image.name": format!("localhost/lockc:{version}")});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
    fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)
        .context("cannot write the index")?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .context("cannot write the layout")
}

/// tar that writes the same bytes for the same files; the archive's name is its next argument.
fn archive(epoch: u64) -> Command {
    let mut command = Command::new("tar");
    command.arg("--sort=name").arg(format!("--mtime=@{epoch}"));
    command.args(["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", "-cf"]);
    command
}

/// Puts a blob into the layout and returns its descriptor.
fn put(layout: &Path, kind: &str, bytes: Vec<u8>) -> Result<Value> {
    let part = layout.join("part");
    fs::write(&part, &bytes).context("cannot write a blob")?;
    let digest = sha256(&part)?;
    fs::rename(&part, layout.join("blobs/sha256").join(&digest)).context("cannot write a blob")?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layout: &Path, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
        assert_eq!(descriptor["size"], bytes.len());
        serde_json::from_slice(&bytes).unwrap()
    }

    fn index_of(archs: &[&str]) -> (tempfile::TempDir, Value) {
        let layout = tempfile::tempdir().unwrap();
        fs::create_dir_all(layout.path().join("blobs/sha256")).unwrap();
        let layer = layout.path().join("layer");
        let manifests = archs.iter().map(|arch| {
            fs::write(&layer, arch).unwrap();
            manifest(layout.path(), &layer, arch).unwrap()
        });
        let manifests = manifests.collect();
        describe(layout.path(), manifests, "1.2.3").unwrap();
        let text = fs::read_to_string(layout.path().join("index.json")).unwrap();
        (layout, serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn one_architecture_is_a_manifest() {
        let (layout, index) = index_of(&["amd64"]);
        let entry = &index["manifests"][0];
        assert_eq!(entry["mediaType"], MANIFEST);
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "localhost/lockc:1.2.3");
        let config = &read(layout.path(), entry)["config"];
        assert_eq!(read(layout.path(), config)["architecture"], "amd64");
    }

    #[test]
    fn several_architectures_are_one_image_each_with_its_platform() {
        let (layout, index) = index_of(&["amd64", "arm64"]);
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        let entry = &index["manifests"][0];
        assert_eq!(entry["mediaType"], INDEX);
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
        let inner = read(layout.path(), entry);
        for (n, arch) in ["amd64", "arm64"].iter().enumerate() {
            let descriptor = &inner["manifests"][n];
            assert_eq!(descriptor["platform"], json!({"architecture": arch, "os": "linux"}));
            let config = &read(layout.path(), descriptor)["config"];
            assert_eq!(read(layout.path(), config)["architecture"], *arch);
        }
    }
}

//! The image for Kubernetes' nodes, as an archive in the OCI image layout: the static programs,
//! nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{PROGRAMS, Release, sha256};
use crate::{build, ui};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes `lockc-image-VERSION-ARCH.tar`, for `ctr image import` and the like.
pub fn write(release: &Release) -> Result<PathBuf> {
    let file =
        release.named(&format!("lockc-image-{}-{}.tar", release.version, release.arch.name()));
    ui::step("packing an image for Kubernetes' nodes", || {
        let stage = tempfile::tempdir().context("cannot create a temporary directory")?;
        let tree = stage.path().join("tree");
        fs::create_dir_all(tree.join("usr/bin")).context("cannot create a directory")?;
        build::programs(release.source, &[build::NODE], release.arch)?;
        for program in PROGRAMS.into_iter().chain([build::NODE]) {
            build::copy(&release.programs.join(program), &tree.join("usr/bin").join(program))?;
        }
        let layout = stage.path().join("layout");
        fs::create_dir_all(layout.join("blobs/sha256")).context("cannot create a directory")?;
        let layer = stage.path().join("layer");
        ui::capture(archive(release.epoch).arg(&layer).arg("-C").arg(&tree).arg("."))?;
        let digest = sha256(&layer)?;
        let layer = put(&layout, LAYER, fs::read(&layer).context("cannot read the layer")?)?;
        let config = json!({
            "architecture": release.arch.debian(), "os": "linux",
            "config": {"Entrypoint": [format!("/usr/bin/{}", build::NODE)], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let config = put(&layout, CONFIG, serde_json::to_vec(&config)?)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut manifest = put(&layout, MANIFEST, serde_json::to_vec(&manifest)?)?;
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": release.version,
            "io.containerd.image.name": format!("localhost/lockc:{}", release.version)});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)
            .context("cannot write the index")?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .context("cannot write the layout")?;
        ui::capture(archive(release.epoch).arg(&file).arg("-C").arg(&layout).args([
            "oci-layout",
            "index.json",
            "blobs",
        ]))?;
        Ok(())
    })?;
    Ok(file)
}

/// tar that writes the same bytes for the same files; the archive's name is its next argument.
fn archive(epoch: u64) -> Command {
    let mut command = Command::new("tar");
    command.arg("--sort=name").arg(format!("--mtime=@{epoch}"));
    command.args(["--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", "-cf"]);
    command
}

/// Puts a blob into the layout and returns its descriptor.
fn put(layout: &std::path::Path, kind: &str, bytes: Vec<u8>) -> Result<Value> {
    let part = layout.join("part");
    fs::write(&part, &bytes).context("cannot write a blob")?;
    let digest = sha256(&part)?;
    fs::rename(&part, layout.join("blobs/sha256").join(&digest)).context("cannot write a blob")?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
}

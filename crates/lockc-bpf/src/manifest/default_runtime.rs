//! The default runtime of this machine's CRI engine, for pods that name no RuntimeClass.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

/// containerd's files, of a package, of k3s and of RKE2.
const CONTAINERD: [&str; 3] = [
    "etc/containerd/config.toml",
    "var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];

/// CRI-O's file, and the directory of its drop-ins.
const CRIO: [&str; 2] = ["etc/crio/crio.conf", "etc/crio/crio.conf.d"];

/// containerd's default where nothing names another.
const RUNC: &str = "runc";

/// containerd's plugin in versions 3 and 2 of the configuration.
const PLUGINS: [&str; 2] = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"];

/// The default runtime, and the file that names it; nothing where no file does, or where the
/// engines below `root` have different ones.
pub(super) fn below(root: &Path) -> Option<(String, String)> {
    let mut found: Vec<(String, PathBuf)> =
        CONTAINERD.iter().filter_map(|file| of_containerd(root, &root.join(file))).collect();
    found.extend(of_crio(root));
    let (name, file) = found.first()?;
    let agreed = found.iter().all(|(other, _)| other == name);
    let file = Path::new("/").join(file.strip_prefix(root).unwrap_or(file));
    agreed.then(|| (name.clone(), file.display().to_string()))
}

/// Imported files take precedence over the one that imports them, in order.
fn of_containerd(root: &Path, file: &Path) -> Option<(String, PathBuf)> {
    let main = parsed(file)?;
    let disabled = main.get("disabled_plugins").and_then(Value::as_array).into_iter().flatten();
    // As Docker's packages have it.
    if disabled.filter_map(Value::as_str).any(|plugin| plugin == "cri" || PLUGINS.contains(&plugin))
    {
        return None;
    }
    let mut found = (containerd_default(&main).unwrap_or(RUNC.into()), file.to_owned());
    let imports = main.get("imports").and_then(Value::as_array).into_iter().flatten();
    for pattern in imports.filter_map(Value::as_str) {
        for file in matching(root, pattern) {
            if let Some(name) = parsed(&file).as_ref().and_then(containerd_default) {
                found = (name, file);
            }
        }
    }
    Some(found)
}

fn containerd_default(config: &Table) -> Option<String> {
    let plugins = config.get("plugins")?;
    PLUGINS.iter().find_map(|plugin| {
        let name = plugins.get(plugin)?.get("containerd")?.get("default_runtime_name")?;
        Some(name.as_str()?.to_owned())
    })
}

fn of_crio(root: &Path) -> Option<(String, PathBuf)> {
    let [file, drop_ins] = CRIO.map(|path| root.join(path));
    let files = std::iter::once(file).chain(entries(&drop_ins));
    let mut named = files.filter_map(|file| {
        let name = parsed(&file)?
            .get("crio")?
            .get("runtime")?
            .get("default_runtime")?
            .as_str()?
            .to_owned();
        Some((name, file))
    });
    named.next_back()
}

fn parsed(file: &Path) -> Option<Table> {
    fs::read_to_string(file).ok()?.parse().ok()
}

/// The files of an import: one, or those of `DIRECTORY/*.toml`.
fn matching(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let below = root.join(pattern.trim_start_matches('/'));
    match pattern.rsplit_once('/') {
        Some((_, "*.toml")) => {
            let directory = below.parent().unwrap_or(root);
            let mut files = entries(directory);
            files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
            files
        }
        _ => vec![below],
    }
}

/// What is in a directory, in the order of the names.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below_files(files: &[(&str, &str)]) -> Option<(String, String)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        below(root.path())
    }

    fn containerd(plugin: &str, name: &str) -> String {
        format!("[plugins.'{plugin}'.containerd]\ndefault_runtime_name = '{name}'\n")
    }

    #[test]
    fn the_last_file_of_containerd_decides() {
        let main = CONTAINERD[0];
        let is = |name: &str, file: &str| Some((name.to_owned(), format!("/{file}")));
        for plugin in PLUGINS {
            let own = containerd(plugin, "runc");
            assert_eq!(below_files(&[(main, &own)]), is("runc", main));
            let imports = format!("imports = ['/etc/containerd/conf.d/*.toml']\n{own}");
            let drop_in = "etc/containerd/conf.d/lockc.toml";
            let lockc = containerd(plugin, "lockc");
            assert_eq!(below_files(&[(main, &imports), (drop_in, &lockc)]), is("lockc", drop_in));
            assert_eq!(below_files(&[(main, &own), (drop_in, &lockc)]), is("runc", main));
            let one = format!("imports = ['/etc/other.toml']\n{own}");
            let other = "etc/other.toml";
            assert_eq!(below_files(&[(main, &one), (other, &lockc)]), is("lockc", other));
        }
        assert_eq!(below_files(&[]), None);
        assert_eq!(below_files(&[(main, "version = 3\n")]), is("runc", main));
        assert_eq!(below_files(&[(main, "disabled_plugins = ['cri']\n")]), None);
        assert_eq!(below_files(&[(main, "[[")]), None);
    }

    #[test]
    fn crio_reads_its_drop_ins_in_order() {
        let default = |name: &str| format!("[crio.runtime]\ndefault_runtime = '{name}'\n");
        let drop_in = "etc/crio/crio.conf.d/99-lockc.conf";
        let files = [
            (CRIO[0], default("runc")),
            ("etc/crio/crio.conf.d/10-crio.conf", default("crun")),
            (drop_in, default("lockc")),
        ];
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(below_files(&files), Some(("lockc".into(), format!("/{drop_in}"))));
    }

    #[test]
    fn engines_that_disagree_say_nothing() {
        let one = containerd(PLUGINS[0], "lockc");
        let other = containerd(PLUGINS[0], "runc");
        for other in [other.as_str(), "version = 3\n"] {
            assert_eq!(below_files(&[(CONTAINERD[0], &one), (CONTAINERD[1], other)]), None);
        }
        let agreed = below_files(&[(CONTAINERD[0], &one), (CONTAINERD[1], &one)]);
        assert_eq!(agreed.map(|(name, _)| name).as_deref(), Some("lockc"));
    }
}

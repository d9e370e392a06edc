//! containerd as it is on hosts: imports, versions, distributions that write its configuration.

use super::*;

const ROOT: &str = "/etc/containerd/config.toml";
const NVIDIA: &str = "/etc/containerd/conf.d/99-nvidia.toml";
const WRAPPER: &str = "/usr/bin/lockc-runc-wrapper";

/// A host with these files, where nobody names a configuration.
fn host(files: &[(&str, &str)]) -> Fake {
    let mut fake = Fake::usual(Engine::Containerd, None);
    fake.args.config = None;
    for (path, text) in files {
        fake.put(path, text);
    }
    fake
}

/// What `nvidia-ctk runtime configure` of 1.18 and later writes beside a configuration that imports
/// it.
fn nvidia(version: i64, plugin: &str) -> String {
    format!(
        "version = {version}\n\n[plugins.\"{plugin}\".containerd]\n  default_runtime_name = \
         \"nvidia\"\n\n[plugins.\"{plugin}\".containerd.runtimes.runc]\n  runtime_type = \
         \"io.containerd.runc.v2\"\n[plugins.\"{plugin}\".containerd.runtimes.runc.options]\n  \
         SystemdCgroup = true\n\n[plugins.\"{plugin}\".containerd.runtimes.nvidia]\n  runtime_type \
         = \"io.containerd.runc.v2\"\n[plugins.\"{plugin}\".containerd.runtimes.nvidia.options]\n  \
         BinaryName = \"/usr/bin/nvidia-container-runtime\"\n  SystemdCgroup = true\n"
    )
}

fn imports(version: i64) -> String {
    format!("version = {version}\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n")
}

const V2: &str = "io.containerd.grpc.v1.cri";
const V3: &str = "io.containerd.cri.v1.runtime";

fn said(result: Result<Report>) -> String {
    format!("{:#}", result.unwrap_err())
}

/// The program of the handler lockc in a file.
fn handler(fake: &Fake, file: &str, plugin: &str) -> Option<String> {
    let document: toml::Table = toml::from_str(&fake.read(file)?).unwrap();
    let cri = document.get("plugins")?.get(plugin)?.get("containerd")?;
    let binary = cri.get("runtimes")?.get("lockc")?.get("options")?.get("BinaryName")?;
    binary.as_str().map(str::to_owned)
}

#[test]
fn on_1_7_the_file_that_counts_gets_the_handlers() {
    let root = format!("{}\n[plugins.'{V2}']\nsandbox_image = 'x'\n", imports(2));
    let drop_in = nvidia(2, V2);
    // NVIDIA's file first, then lockc; and the other way round.
    for nvidia_first in [true, false] {
        let fake = host(&[(ROOT, &root)]);
        if nvidia_first {
            fake.put(NVIDIA, &drop_in);
        } else {
            fake.install(&[], false).unwrap();
            assert_eq!(handler(&fake, ROOT, V2).as_deref(), Some(WRAPPER));
            fake.put(NVIDIA, &drop_in);
        }
        let report = fake.install(&[], false).unwrap();
        assert_eq!(handler(&fake, NVIDIA, V2).as_deref(), Some(WRAPPER), "{report:?}");
        let warned = report.warnings.iter().any(|warning| warning.contains(NVIDIA));
        assert!(warned, "{report:?}");
        assert!(!fake.install(&[], false).unwrap().changed, "twice");
        assert!(fake.uninstall().changed);
        assert_eq!(fake.read(ROOT).as_deref(), Some(root.as_str()));
        assert_eq!(fake.read(NVIDIA).as_deref(), Some(drop_in.as_str()));
        assert_eq!(fake.files().len(), 2);
    }
}

#[test]
fn handlers_are_found_without_the_record_too() {
    let fake = host(&[(ROOT, &imports(3)), (NVIDIA, &nvidia(3, V3))]);
    fake.install(&["offline"], false).unwrap();
    assert_eq!(handler(&fake, "/etc/containerd/conf.d/lockc.toml", V3).as_deref(), Some(WRAPPER));
    fs::remove_dir_all(fake.host.at(Path::new("/var/lib/lockc"))).unwrap();
    fake.uninstall();
    assert_eq!(fake.read("/etc/containerd/conf.d/lockc.toml"), None);
    assert_eq!(fake.read(NVIDIA).unwrap(), nvidia(3, V3));
}

#[test]
fn a_default_that_does_more_than_runc_is_not_displaced_silently() {
    for (version, plugin) in [(2, V2), (3, V3), (4, V3)] {
        let drop_in = nvidia(version, plugin);
        let fake = host(&[(ROOT, &imports(version)), (NVIDIA, &drop_in)]);
        let before = fake.files();
        let text = said(fake.install(&[], true));
        assert!(
            text.contains("the default runtime is nvidia (/usr/bin/nvidia-container"),
            "{text}"
        );
        assert_eq!(fake.files(), before);
        // Beside it, lockc can be selected; its options are those of the default.
        fake.install(&[], false).unwrap();
        let file = if version == 2 { NVIDIA } else { "/etc/containerd/conf.d/lockc.toml" };
        let document: toml::Table = toml::from_str(&fake.read(file).unwrap()).unwrap();
        let cri = &document["plugins"][plugin]["containerd"];
        let options = &cri["runtimes"]["lockc"]["options"];
        assert_eq!(options["SystemdCgroup"].as_bool(), Some(true), "as imported");
        // The administrator says what lockc starts.
        fake.put("/etc/lockc/lockc.toml", "runtimes = ['/usr/bin/nvidia-container-runtime']\n");
        fake.put("/usr/bin/nvidia-container-runtime", "");
        if version == 2 {
            fake.install(&[], true).unwrap();
            fake.uninstall();
            assert_eq!(fake.read(NVIDIA).as_deref(), Some(drop_in.as_str()), "nvidia again");
        } else {
            fake.install(&[], true).unwrap();
            let merged = fake.read(file).unwrap();
            assert!(merged.contains("default_runtime_name = \"lockc\""), "{merged}");
        }
    }
}

#[test]
fn a_file_that_is_read_later_is_named() {
    let later = "/etc/containerd/conf.d/zz-site.toml";
    let text = format!("version = 3\n[plugins.'{V3}'.containerd]\ndefault_runtime_name = 'runc'\n");
    let fake = host(&[(ROOT, &imports(3)), (later, &text)]);
    fake.install(&[], false).unwrap();
    let text = said(fake.install(&[], true));
    assert!(text.contains(&format!("{later} sets default_runtime_name")), "{text}");
}

#[test]
fn version_4_is_as_version_3_for_pods() {
    let root = "version = 4\n[plugins.'io.containerd.server.v1.grpc']\naddress = '/run/x.sock'\n";
    let fake = host(&[(ROOT, root)]);
    fake.install(&[], true).unwrap();
    assert_eq!(handler(&fake, ROOT, V3).as_deref(), Some(WRAPPER));
    fake.uninstall();
    assert_eq!(fake.read(ROOT).as_deref(), Some(root));
    // A drop-in's version is not above the configuration's.
    let fake = host(&[(ROOT, &imports(4))]);
    fake.install(&[], false).unwrap();
    assert!(fake.read("/etc/containerd/conf.d/lockc.toml").unwrap().starts_with("version = 4\n"));
    let fake = host(&[(ROOT, "version = 5\n")]);
    assert!(said(fake.install(&[], false)).contains("upgrade lockc"));
}

#[test]
fn the_file_that_the_running_containerd_reads_is_changed() {
    let fake = host(&[
        ("/opt/c.toml", "version = 3\n"),
        (ROOT, "version = 3\n"),
        ("/proc/5/comm", "containerd\n"),
        ("/proc/5/cmdline", "/usr/bin/containerd\0--config\0/opt/c.toml\0"),
    ]);
    // Docker's own has no pods.
    fake.put("/proc/6/comm", "containerd\n");
    let dockers = "containerd\0--config\0/var/run/docker/containerd/containerd.toml\0";
    fake.put("/proc/6/cmdline", dockers);
    fake.install(&[], false).unwrap();
    assert!(handler(&fake, "/opt/c.toml", V3).is_some() && handler(&fake, ROOT, V3).is_none());
    fake.uninstall();
    fake.put("/proc/7/comm", "containerd\n");
    fake.put("/proc/7/cmdline", "containerd\0-c\0/opt/other.toml\0");
    let text = said(fake.install(&[], false));
    assert!(text.contains("--config /opt/c.toml or --config /opt/other.toml"), "{text}");
}

/// What k3s writes since 2025, with the rest of it left out.
fn rendered(folder: &str) -> String {
    format!(
        "# File generated by k3s. DO NOT EDIT.\nversion = 3\nimports = \
         [\"{folder}/config-v3.toml.d/*.toml\"]\n[plugins.'{V3}'.containerd.runtimes.runc]\n\
         runtime_type = \"io.containerd.runc.v2\"\n[plugins.'{V3}'.containerd.runtimes.runc.\
         options]\nSystemdCgroup = true\n"
    )
}

#[test]
fn k3s_gets_a_drop_in_where_it_imports_them() {
    let root = format!("{K3S}/config.toml");
    let drop_in = format!("{K3S}/config-v3.toml.d/lockc.toml");
    let fake = host(&[(&root, &rendered(K3S)), ("/etc/systemd/system/k3s-agent.service", "")]);
    let report = fake.install(&[], false).unwrap();
    assert_eq!(handler(&fake, &drop_in, V3).as_deref(), Some(WRAPPER));
    assert!(fake.read(&drop_in).unwrap().contains("SystemdCgroup = true"));
    assert_eq!(report.restart.as_deref(), Some("systemctl restart k3s-agent"));
    assert_eq!(fake.read(&root).unwrap(), rendered(K3S), "k3s writes it");
    assert!(said(fake.install(&[], true)).contains("--default-runtime lockc"));
    assert!(!fake.install(&[], false).unwrap().changed);
    fake.uninstall();
    assert_eq!(fake.read(&drop_in), None);
}

#[test]
fn what_k3s_writes_itself_is_refused() {
    let root = format!("{K3S}/config.toml");
    let mut fake = host(&[(&root, &rendered(K3S))]);
    fake.args.config = Some(root.clone().into());
    let text = said(fake.install(&[], false));
    let drop_in = format!("{K3S}/config-v3.toml.d/lockc.toml");
    assert!(text.contains(&format!("--config {drop_in}")), "{text}");
    fake.args.config = Some(drop_in.clone().into());
    fake.install(&[], false).unwrap();
    assert_eq!(handler(&fake, &drop_in, V3).as_deref(), Some(WRAPPER));
    assert!(fake.read(&drop_in).unwrap().contains("SystemdCgroup"), "from the configuration");
}

#[test]
fn a_new_template_adds_to_k3s_own() {
    let old = "# File generated by k3s. DO NOT EDIT.\nversion = 2\n";
    let new = "# File generated by k3s. DO NOT EDIT.\nversion = 3\n";
    for (text, name, plugin) in [(old, "config.toml.tmpl", V2), (new, "config-v3.toml.tmpl", V3)] {
        for there in [None, Some("# mine\n")] {
            let template = format!("{K3S}/{name}");
            let fake = host(&[(&format!("{K3S}/config.toml"), text)]);
            if let Some(there) = there {
                fake.put(&template, there);
            }
            fake.install(&[], false).unwrap();
            let after = fake.read(&template).unwrap();
            assert!(after.starts_with("{{ template \"base\" . }}\n"), "{after}");
            assert!(after.contains(plugin), "{after}");
            assert!(!fake.install(&[], false).unwrap().changed, "twice");
            fake.uninstall();
            assert_eq!(fake.read(&template).is_some(), there.is_some(), "{name}");
        }
    }
}

#[test]
fn a_template_that_would_replace_the_one_in_use_is_refused() {
    let root = "# File generated by k3s. DO NOT EDIT.\nversion = 2\n";
    let (old, new) = (format!("{K3S}/config.toml.tmpl"), format!("{K3S}/config-v3.toml.tmpl"));
    let mut fake =
        host(&[(&format!("{K3S}/config.toml"), root), (&old, "version = 2\n{{ .X }}\n")]);
    fake.args.config = Some(new.clone().into());
    let text = said(fake.install(&[], false));
    assert!(text.contains(&format!("use --config {old}")), "{text}");
    assert_eq!(fake.read(&new), None);
    fake.args.config = None;
    fake.install(&[], false).unwrap();
    let after = fake.read(&old).unwrap();
    assert!(after.starts_with("version = 2\n{{ .X }}\n"), "it is whole by itself: {after}");
    // No template of RKE2's before RKE2 has run.
    let fake = host(&[("/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl", "")]);
    assert!(fake.install(&[], false).is_ok_and(|report| report.files[0].path == Path::new(ROOT)));
}

#[test]
fn k0s_merges_a_drop_in_unless_the_file_is_the_administrators() {
    let drop_in = "/etc/k0s/containerd.d/lockc.toml";
    let managed = "# k0s_managed=true\nversion = 2\nimports = ['/run/k0s/containerd-cri.toml']\n";
    let fake = host(&[("/etc/k0s/containerd.toml", managed)]);
    let cri = format!(
        "version = 2\n[plugins.'{V2}'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    fake.put("/run/k0s/containerd-cri.toml", &cri);
    let report = fake.install(&[], true).unwrap();
    assert_eq!(handler(&fake, drop_in, V2).as_deref(), Some(WRAPPER));
    let text = fake.read(drop_in).unwrap();
    assert!(
        text.contains("default_runtime_name = \"lockc\"") && !text.contains(".runc]"),
        "{text}"
    );
    assert!(text.contains("SystemdCgroup = true"), "{text}");
    assert_eq!(report.restart.as_deref(), Some("systemctl restart k0sworker"));
    fake.uninstall();
    assert_eq!(fake.read(drop_in), None);
    let fake = host(&[("/etc/k0s/containerd.toml", "version = 2\n")]);
    fake.install(&[], false).unwrap();
    assert!(handler(&fake, "/etc/k0s/containerd.toml", V2).is_some());
}

#[test]
fn microk8s_reads_a_template_of_its_own() {
    let folder = "/var/snap/microk8s/current/args";
    let template = format!("{folder}/containerd-template.toml");
    let text = format!(
        "version = 2\n[plugins.'{V2}'.cni]\nbin_dir = \"${{SNAP_DATA}}/opt/cni/bin\"\n\
         [plugins.'{V2}'.containerd.runtimes.runc]\nruntime_type = \"${{RUNTIME_TYPE}}\"\n"
    );
    let fake = host(&[(&format!("{folder}/containerd.toml"), &text), (&template, &text)]);
    let report = fake.install(&[], false).unwrap();
    assert_eq!(handler(&fake, &template, V2).as_deref(), Some(WRAPPER), "{report:?}");
    let restart = "systemctl restart snap.microk8s.daemon-containerd";
    assert_eq!(report.restart.as_deref(), Some(restart));
    fake.uninstall();
    assert_eq!(fake.read(&template).as_deref(), Some(text.as_str()));
}

#[test]
fn a_drop_in_that_is_named_belongs_to_the_configuration_above() {
    let mut fake = host(&[(ROOT, &imports(4))]);
    let drop_in = "/etc/containerd/conf.d/lockc.toml";
    fake.args.config = Some(drop_in.into());
    fake.install(&[], true).unwrap();
    assert!(fake.read(drop_in).unwrap().starts_with("version = 4\n"));
    fake.uninstall();
    assert_eq!(fake.read(drop_in), None);
}

#[test]
fn where_nothing_was_installed_nothing_is_removed() {
    let fake = host(&[
        ("/proc/5/comm", "containerd\n"),
        ("/proc/5/cmdline", "containerd\0-c\0/opt/a.toml\0"),
        ("/proc/6/comm", "containerd\n"),
        ("/proc/6/cmdline", "containerd\0-c\0/opt/b.toml\0"),
    ]);
    let report = fake.uninstall();
    assert!(!report.changed && report.warnings[0].contains("several containerds"), "{report:?}");
    // Without a runtime to which names could lead, too.
    let fake = host(&[]);
    assert!(!uninstall(&fake.args, Leave::Names).unwrap().changed);
}

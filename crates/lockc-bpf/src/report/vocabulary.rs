//! Words that lockc's own pages, schema and tables contain: everybody may read them.

use std::collections::HashSet;

use lockc_core::{hooks::PROGRAMS, paths, rules::Rule};
use lockc_policy::{config, messages};
use serde_json::Value;

use crate::settings;

/// Pages that anybody can read.
const PAGES: [&str; 4] = [
    messages::PAGE,
    include_str!("../../../../docs/commands.md"),
    include_str!("../../../../docs/concepts.md"),
    include_str!("../../../../docs/policies.md"),
];

/// Words of the engines' configurations, and of systems, that say nothing of a host.
const MORE: &str = "
    ok failed warning arm64 aarch64 amd64 x86_64 linux none true false auto default yes no on off
    debian ubuntu fedora rhel centos rocky almalinux ol amzn bottlerocket flatcar talos cos
    opensuse-leap opensuse-tumbleweed opensuse-microos sles sle-micro arch alpine nixos azurelinux
    mariner photon raspbian proxmox
    docker dockerd containerd crio cri-o cri podman k3s rke2 k0s microk8s kubelet kubernetes
    runc crun youki runsc kata gvisor nvidia lockc lockc-runc-wrapper lockc-restricted
    lockc-privileged lockc-baseline lockc-offline io.containerd.runc.v2 io.containerd.runsc.v1
    io.containerd.kata.v2 io.containerd.grpc.v1.cri io.containerd.cri.v1.runtime
    io.containerd.cri.v1.images io.containerd.runtime.v1.linux io.containerd.snapshotter.v1
    systemd cgroupfs cgroup cgroup2 cgroupv1 cgroupv2 overlay overlay2 overlayfs fuse-overlayfs
    btrfs zfs vfs devicemapper native json-file journald syslog local fluentd gelf awslogs splunk
    k8s-file passthrough crictl private host shareable error warn warning info debug trace fatal
    native.cgroupdriver=systemd native.cgroupdriver=cgroupfs pod system.slice /system.slice
    /usr/bin/runc /usr/sbin/runc /usr/bin/crun /usr/sbin/crun /usr/local/bin/runc
    /usr/bin/lockc-runc-wrapper /usr/bin/lockc /usr/bin/conmon /usr/libexec/crio/conmon
    /usr/libexec/podman/conmon /var/lib/docker /var/lib/containerd /run/containerd
    /run/containerd/containerd.sock /var/run/docker.sock /run/docker.sock /run/crio/crio.sock
    /var/lib/containers/storage /run/containers/storage /etc/cni/net.d /opt/cni/bin
    /etc/docker/daemon.json /etc/containerd/config.toml /etc/crio/crio.conf
    /etc/containers/containers.conf /etc/lockc/lockc.toml capability lockdown yama selinux apparmor
    landlock integrity bpf ima evm ipe safesetid loadpin tomoyo smack
    ext4 xfs tmpfs proc sysfs devtmpfs devpts securityfs debugfs tracefs bpffs mqueue nfs nfs4 fuse
    regular parsed TOML JSON text panicked answer journalctl entity permission denied support
    squashfs erofs vfat iso9660 autofs pstore efivarfs hugetlbfs configfs fusectl binfmt_misc ramfs
    rootfs nsfs 9p virtiofs cifs f2fs
";

/// Names in procfs and sysfs, by which denials of the rules `procfs` and `sysfs` are understood.
const KERNEL_FILES: &str = "
    proc sys self thread-self net fs kernel vm dev user abi block bus class devices firmware module
    power hypervisor cgroup ext4 xfs btrfs security debug tracing mm slab irq acpi efi dmi id
    virtual pci pci_bus system cpu node memory tty scsi usb i2c hwmon thermal kcore kmsg kallsyms
    kpagecount kpageflags kpagecgroup sysrq-trigger core_pattern modprobe random hostname domainname
    uptime version cmdline config.gz meminfo cpuinfo loadavg stat vmstat mounts mountinfo modules
    timer_list sched_debug latency_stats keys key-users interrupts softirqs zoneinfo iomem ioports
    swaps partitions diskstats filesystems environ maps smaps mem auxv stack syscall fd fdinfo root
    cwd exe status limits oom_score_adj uevent features
";

/// See the module.
pub struct Vocabulary(HashSet<String>);

impl Vocabulary {
    /// All words.
    pub fn new() -> Self {
        let mut words = Self(HashSet::new());
        words.add(MORE);
        for page in PAGES {
            words.add(page);
        }
        words.add(settings::DEFAULTS);
        words.add_strings(&config::schema());
        for program in PROGRAMS {
            words.add(program.name);
            words.add(program.guards);
            words.add(program.since);
            words.add(program.loses().unwrap_or_default());
        }
        for path in [paths::PINS, paths::MAPS, paths::LINKS, paths::PROGS, paths::RUN] {
            words.add(path);
        }
        for path in [paths::CONTAINERS, paths::REFUSED, paths::AUDITED, paths::NAMESPACES] {
            words.add(path);
        }
        for name in paths::MAP_NAMES {
            words.add(&format!("{}/{name}", paths::MAPS));
        }
        for rule in Rule::ALL {
            words.add(rule.name());
            words.add(rule.denies());
        }
        words
    }

    /// Adds the words of a text.
    pub fn add(&mut self, text: &str) {
        self.0.extend(words(text).filter(|word| is_word(word)).map(str::to_owned));
    }

    fn add_strings(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(values) => values.iter().for_each(|value| self.add_strings(value)),
            Value::Object(values) => {
                for (key, value) in values {
                    self.add(key);
                    self.add_strings(value);
                }
            }
            _ => {}
        }
    }

    /// Whether everybody may read the word.
    pub fn has(&self, word: &str) -> bool {
        self.0.contains(word) || is_small_number(word)
    }
}

/// The number of a line, an errno, a version. A longer one may be a number that means somebody, one
/// with three dots an address.
fn is_small_number(word: &str) -> bool {
    let number = word.strip_prefix('v').unwrap_or(word);
    let longest = match number.matches('.').count() {
        0 => 6,
        1 | 2 => 10,
        _ => return false,
    };
    (1..=longest).contains(&number.len())
        && number.chars().all(|it| it.is_ascii_digit() || it == '.')
}

/// What stands between characters that no name of a host contains.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_between).filter(|word| !word.is_empty())
}

/// What is kept between words.
pub fn is_between(character: char) -> bool {
    character.is_whitespace() || "`\"'()[]{}<>,;|…".contains(character)
}

fn is_word(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}

/// The beginning of a path in procfs or sysfs that is the same on every host.
pub fn kernel_path(path: &str) -> String {
    let known: HashSet<&str> = KERNEL_FILES.split_whitespace().collect();
    let is_known = |part: &&str| part.is_empty() || known.contains(part);
    let kept: Vec<&str> = path.split('/').take_while(is_known).collect();
    let all = path.split('/').count();
    let rest = if kept.len() < all { "/<rest>" } else { "" };
    format!("{}{rest}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_pages_are_known_and_others_are_not() {
        let words = Vocabulary::new();
        for word in
            ["baseline", "host-mounts", "/etc/localtime", "file_open", "kube-*", "6.12", "v2.1.0"]
        {
            assert!(words.has(word), "{word}");
        }
        for word in ["CANARY", "/srv/CANARY", "registry.example.test", "1234567", "10.1.2.3", ""] {
            assert!(!words.has(word), "{word}");
        }
    }

    #[test]
    fn a_path_of_the_kernel_is_kept_as_far_as_it_is_everywhere_the_same() {
        assert_eq!(kernel_path("/fs/ext4"), "/fs/ext4");
        assert_eq!(kernel_path("fs/ext4/vda1/x"), "fs/ext4/<rest>");
        assert_eq!(kernel_path("fs/cgroup/pod-name"), "fs/cgroup/<rest>");
        assert_eq!(kernel_path("secret"), "/<rest>");
    }
}

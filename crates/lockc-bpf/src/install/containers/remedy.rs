//! The command that creates a container again, as whatever created it would.

use super::Labels;

/// Docker's: Compose and Swarm leave labels of theirs (docker compose, pkg/api/labels.go).
pub fn docker(name: &str, labels: &Labels) -> String {
    let label = |key: &str| labels.get(key).map(String::as_str).filter(|text| !text.is_empty());
    if let Some(service) = label("com.docker.swarm.service.name") {
        return format!("docker service update --force {}", word(service));
    }
    let compose = |key: &str| label(&format!("com.docker.compose.{key}"));
    if let (Some(project), Some(service)) = (compose("project"), compose("service")) {
        let files = compose("project.config_files").unwrap_or_default();
        let files = files.split(',').filter(|file| !file.is_empty());
        let files: String = files.map(|file| format!(" --file {}", word(file))).collect();
        return format!(
            "docker compose --project-name {}{files} up --detach --force-recreate {}",
            word(project),
            word(service)
        );
    }
    format!("docker rm --force {}, then its docker run or create again", word(name))
}

/// Podman's: a unit of systemd (quadlet, `podman generate systemd --new`) creates it at each start.
pub fn podman(name: &str, labels: &Labels) -> String {
    match labels.get("PODMAN_SYSTEMD_UNIT").filter(|unit| !unit.is_empty()) {
        Some(unit) => format!("systemctl restart {}", word(unit)),
        None => format!("podman rm --force {}, then its podman run or create again", word(name)),
    }
}

/// A pod's: its controller creates another.
pub fn pod(namespace: &str, name: &str) -> String {
    format!("kubectl --namespace {} delete pod {}", word(namespace), word(name))
}

/// A word for a shell. Whoever may create containers chooses names and labels.
fn word(text: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn whatever_created_a_container_creates_it_again() {
        let compose = [
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", "db"),
            ("com.docker.compose.project.config_files", "/srv/a b.yml,/srv/c.yml"),
        ];
        assert_eq!(
            docker("shop-db-1", &labels(&compose)),
            "docker compose --project-name shop --file '/srv/a b.yml' --file /srv/c.yml up \
             --detach --force-recreate db"
        );
        let swarm = [("com.docker.swarm.service.name", "web")];
        assert_eq!(docker("web.1.x", &labels(&swarm)), "docker service update --force web");
        assert!(docker("web", &labels(&[])).starts_with("docker rm --force web, then"));
        let unit = [("PODMAN_SYSTEMD_UNIT", "web.service")];
        assert_eq!(podman("systemd-web", &labels(&unit)), "systemctl restart web.service");
        assert_eq!(pod("team", "a"), "kubectl --namespace team delete pod a");
    }

    #[test]
    fn a_label_does_not_become_a_command() {
        let hostile = [("com.docker.swarm.service.name", "x'; reboot; '$(id)")];
        assert_eq!(
            docker("x", &labels(&hostile)),
            r"docker service update --force 'x'\''; reboot; '\''$(id)'"
        );
        assert_eq!(word(""), "''");
    }
}

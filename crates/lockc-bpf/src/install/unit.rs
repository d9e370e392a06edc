//! The command of a systemd unit, from its files: `systemctl` answers only on a booted host.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::host::Host;

/// Where units are, the first takes precedence (systemd.unit(5), "Unit File Load Path").
const PLACES: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/system.attached",
];

/// Whether there is such a unit.
pub fn exists(host: &Host, unit: &str) -> bool {
    PLACES.iter().any(|place| host.at(&Path::new(place).join(unit)).is_file())
}

/// The words of `ExecStart=`, with the variables of its environment; nothing where there is no such
/// unit.
pub fn command(host: &Host, unit: &str) -> Option<Vec<String>> {
    let file = PLACES.iter().map(|place| Path::new(place).join(unit)).find_map(|path| {
        let text = host.read(&path).ok()??;
        Some(text)
    })?;
    let mut texts = vec![file];
    texts.extend(drop_ins(host, unit).iter().filter_map(|path| host.read(path).ok()?));
    let (mut start, mut environment) = (None, BTreeMap::new());
    for (key, value) in texts.iter().flat_map(|text| service(text)) {
        match key.as_str() {
            // An empty one resets; a service of type `oneshot` may have more, no daemon has.
            "ExecStart" => start = (!value.is_empty()).then_some(value),
            "Environment" => environment.extend(words(&value).iter().filter_map(|word| pair(word))),
            "EnvironmentFile" => {
                let path = PathBuf::from(value.trim_start_matches('-'));
                let text = host.read(&path).ok().flatten().unwrap_or_default();
                let lines =
                    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
                environment.extend(lines.filter_map(|line| {
                    let (name, value) = line.split_once('=')?;
                    Some((
                        name.trim().to_owned(),
                        value.trim().trim_matches(['"', '\'']).to_owned(),
                    ))
                }));
            }
            _ => {}
        }
    }
    let start = start?;
    let mut all = Vec::new();
    for word in words(start.trim_start_matches(['-', '@', ':', '+', '!'])) {
        match word.strip_prefix('$') {
            // As a word of its own, a variable without braces is split.
            Some(name) if !name.starts_with(['{', '$']) => {
                all.extend(environment.get(name).map(|value| words(value)).unwrap_or_default());
            }
            _ => all.push(environment.iter().fold(word.clone(), |word, (name, value)| {
                word.replace(&format!("${{{name}}}"), value)
            })),
        }
    }
    (!all.is_empty()).then_some(all)
}

fn pair(word: &str) -> Option<(String, String)> {
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// The drop-ins, in the order of their names; of one name, the first place's.
fn drop_ins(host: &Host, unit: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for place in PLACES.iter().rev() {
        let folder = Path::new(place).join(format!("{unit}.d"));
        for entry in fs::read_dir(host.at(&folder)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "conf") {
                found.insert(name.clone(), folder.join(name));
            }
        }
    }
    found.into_values().collect()
}

/// The assignments of `[Service]`.
fn service(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let mut inside = false;
    let mut found = Vec::new();
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Service]";
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// A line's words; quotes hold one together.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => all.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_of(files: &[(&str, &str)]) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        for (path, text) in files {
            let at = host.at(Path::new(path));
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
        command(&host, "docker.service")
    }

    #[test]
    fn the_unit_of_the_package_with_its_environment() {
        let unit = "[Unit]\nExecStart=/no\n[Service]\nEnvironmentFile=-/etc/default/docker\n\
                    ExecStart=/usr/sbin/dockerd -H fd:// \\\n  $DOCKER_OPTS \"--label=a b\" \
                    ${MORE}x $GONE\n";
        let words = command_of(&[
            ("/lib/systemd/system/docker.service", unit),
            (
                "/etc/default/docker",
                "# DOCKER_OPTS=no\nDOCKER_OPTS=\"--data-root /d -D\"\nMORE=m\n",
            ),
        ]);
        let expected =
            ["/usr/sbin/dockerd", "-H", "fd://", "--data-root", "/d", "-D", "--label=a b", "mx"];
        assert_eq!(words.unwrap(), expected);
    }

    #[test]
    fn a_drop_in_replaces_the_command_and_etc_the_unit() {
        let words = command_of(&[
            ("/usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/one\n"),
            ("/etc/systemd/system/docker.service", "[Service]\nExecStart=-/usr/bin/two\n"),
        ]);
        assert_eq!(words.unwrap(), ["/usr/bin/two"]);
        let words = command_of(&[
            ("/usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/one\n"),
            (
                "/etc/systemd/system/docker.service.d/b.conf",
                "[Service]\nExecStart=\nExecStart=/b\n",
            ),
            ("/usr/lib/systemd/system/docker.service.d/a.conf", "[Service]\nExecStart=\n"),
            ("/etc/systemd/system/docker.service.d/c.txt", "[Service]\nExecStart=/c\n"),
        ]);
        assert_eq!(words.unwrap(), ["/b"]);
        assert_eq!(command_of(&[]), None);
        assert_eq!(command_of(&[("/lib/systemd/system/docker.service", "[Service]\n")]), None);
    }
}

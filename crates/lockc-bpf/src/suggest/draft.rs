//! A suggested policy as a part of `lockc.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use lockc_core::rules::Rule;
use lockc_policy::policy::{Control, Key, Setting};
use serde::Serialize;

/// Characters of a comment.
const COMMENT: usize = 120;

/// Why a policy needs a setting.
#[derive(Clone, Debug, Default)]
pub struct Need {
    /// How often.
    pub count: u64,
    /// What happened, in a few words.
    pub what: BTreeSet<String>,
}

/// A suggested policy.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// The level or policy that it extends.
    pub extends: String,
    /// What it says.
    pub settings: Vec<Suggested>,
}

/// One setting.
#[derive(Clone, Debug, Serialize)]
pub struct Suggested {
    /// The setting.
    #[serde(flatten)]
    pub setting: Setting,
    /// How often the record asks for it.
    pub count: u64,
    /// What happened.
    pub what: String,
    /// Why it is dangerous: then it is a comment.
    pub dangerous: Option<String>,
}

impl Draft {
    /// The policy that allows what is needed. `danger` says what is dangerous, and why.
    pub fn new(
        name: String,
        extends: String,
        needs: BTreeMap<Setting, Need>,
        danger: impl Fn(&Setting) -> Option<String>,
    ) -> Self {
        let settings = needs.into_iter().map(|(setting, need)| {
            let mut what = need.what.into_iter();
            let first = what.next().unwrap_or_default();
            let more = what.count();
            Suggested {
                dangerous: danger(&setting).or_else(|| of_class(&setting)),
                setting,
                count: need.count,
                what: if more == 0 { first } else { format!("{first} (and {more} more)") },
            }
        });
        Self { name, extends, settings: settings.collect() }
    }

    /// The policy as text; without what is dangerous.
    pub fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// What takes away a whole rule or control.
fn of_class(setting: &Setting) -> Option<String> {
    match setting.key {
        Key::WithoutRules if setting.value == Rule::UserNamespace.name() => None,
        Key::Admit if setting.value == Control::RunAsRoot.name() => None,
        Key::WithoutRules => {
            let denies = Rule::from_name(&setting.value).map_or("something", Rule::denies);
            Some(format!("nothing that the rule denies is denied any more: {denies}"))
        }
        Key::Admit => {
            let checks = Control::from_name(&setting.value).map_or("something", Control::checks);
            Some(format!("the control is not checked any more: {checks}"))
        }
        Key::HookMounts => Some("what root's hooks mount counts as granted".into()),
        _ => None,
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[policies.{}]", self.name)?;
        writeln!(f, "extends = {}", quoted(&self.extends))?;
        writeln!(f, "mode = \"enforce\"")?;
        let mut at = 0;
        while let Some(first) = self.settings.get(at) {
            let key = first.setting.key;
            let of_key = self.settings[at..].iter().take_while(|it| it.setting.key == key);
            let of_key: Vec<&Suggested> = of_key.collect();
            at += of_key.len();
            write_key(f, key, &of_key)?;
        }
        Ok(())
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: Key, of_key: &[&Suggested]) -> fmt::Result {
    let (dangerous, safe): (Vec<&Suggested>, Vec<&Suggested>) =
        of_key.iter().partition(|it| it.dangerous.is_some());
    if key == Key::HookMounts {
        for suggested in of_key {
            writeln!(f, "# Dangerous: {}", comment(suggested.dangerous.as_deref()))?;
            writeln!(f, "#hook_mounts = true  # {}", why(suggested))?;
        }
        return Ok(());
    }
    let mark = if safe.is_empty() { "#" } else { "" };
    writeln!(f, "{mark}{} = [", key.name())?;
    for suggested in safe {
        writeln!(f, "  {},  # {}", quoted(&suggested.setting.value), why(suggested))?;
    }
    for suggested in dangerous {
        writeln!(f, "  # Dangerous: {}", comment(suggested.dangerous.as_deref()))?;
        writeln!(f, "  #{},  # {}", quoted(&suggested.setting.value), why(suggested))?;
    }
    writeln!(f, "{mark}]")
}

fn why(suggested: &Suggested) -> String {
    let times =
        if suggested.count == 1 { "once".into() } else { format!("{} times", suggested.count) };
    format!("{times}: {}", comment(Some(&suggested.what)))
}

/// A text that stays on its line.
fn comment(text: Option<&str>) -> String {
    let text = crate::out::printable(text.unwrap_or_default());
    match text.char_indices().nth(COMMENT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lockc_policy::policy::PolicySet;

    use super::*;

    fn draft(settings: &[(Key, &str)]) -> Draft {
        let needs = settings.iter().map(|(key, value)| {
            let what = [format!("open {value}\nx = 'y'")].into();
            (Setting::new(*key, *value), Need { count: 2, what })
        });
        Draft::new("web".into(), "baseline".into(), needs.collect(), |setting| {
            (setting.value == "/run/docker.sock").then(|| "the host's root".into())
        })
    }

    #[test]
    fn a_draft_is_a_policy_without_what_is_dangerous() {
        let draft = draft(&[
            (Key::Reads, "/proc/kallsyms"),
            (Key::AllowedMounts, "/etc/localtime"),
            (Key::AllowedMounts, "/srv/a\"b\\"),
            (Key::AllowedSockets, "/run/docker.sock"),
            (Key::Admit, "host-namespaces"),
            (Key::WithoutRules, "user-namespace"),
            (Key::WithoutRules, "procfs"),
            (Key::HookMounts, "true"),
        ]);
        let text = draft.to_toml();
        let set = PolicySet::parse(&text, Path::new("x")).unwrap_or_else(|error| {
            panic!("{error}\n{text}");
        });
        let policy = set.request("web", "").unwrap();
        assert_eq!(policy.more.reads, [Path::new("/proc/kallsyms")]);
        assert_eq!(policy.more.mounts.len(), 2, "{text}");
        assert!(policy.more.sockets.is_empty() && !policy.more.hook_mounts);
        assert!(policy.rules.has(Rule::Procfs) && !policy.rules.has(Rule::UserNamespace));
        assert!(text.contains("# Dangerous: the host's root\n  #\"/run/docker.sock\""), "{text}");
        // Whoever takes the marks away has everything.
        let all: String = text
            .lines()
            .map(|line| match line.trim_start() {
                line if line.starts_with("# ") => String::new(),
                line => line.trim_start_matches('#').to_owned() + "\n",
            })
            .collect();
        let set = PolicySet::parse(&all, Path::new("x")).unwrap_or_else(|error| {
            panic!("{error}\n{all}");
        });
        let policy = set.request("web", "").unwrap();
        assert!(policy.more.hook_mounts && !policy.rules.has(Rule::Procfs));
        assert_eq!(policy.more.sockets, [Path::new("/run/docker.sock")]);
    }
}

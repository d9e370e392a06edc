//! With which rights a container's process, the first one or one that joins, starts.

use crate::admission::findings::Findings;
use crate::{
    policy::{Control, Key, Setting, Strength, capabilities::short_name},
    spec::Process,
};

/// Checks capabilities and user.
pub(super) fn check(process: &Process, findings: &mut Findings<'_>) {
    let strength = findings.strength(Control::Capabilities);
    let mut refused: Vec<String> = Vec::new();
    for name in process.capabilities.all() {
        let short = short_name(name);
        if findings.policy.allowed_capabilities(strength).all(|allowed| allowed != short)
            && !refused.contains(&short)
        {
            refused.push(short);
        }
    }
    if !refused.is_empty() {
        let remedy = match strength {
            Strength::Restricted => "drop them (--cap-drop ALL)",
            _ => "remove --cap-add (--privileged)",
        };
        let settings = refused.iter().map(|name| Setting::new(Key::Capabilities, name));
        findings.add_unless_set(Control::Capabilities, list(&refused), remedy, settings);
    }
    if process.user.uid == 0 {
        findings.add(
            Control::RunAsRoot,
            "the process would run as uid 0".into(),
            "set another user (--user)",
        );
    }
}

fn list(names: &[String]) -> String {
    match names {
        [first @ .., _, _, _, _] if first.len() > 4 => {
            format!("{} and {} more", names[..4].join(", "), names.len() - 4)
        }
        names => names.join(", "),
    }
}

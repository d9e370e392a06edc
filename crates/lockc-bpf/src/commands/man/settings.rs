//! `lockc.toml(5)`: the settings by the JSON Schema of the file.

use lockc_policy::config::reference::{Described, Form, Section, sections};
use roff::{Inline, Roff, bold, italic, roman};
use serde_json::Value;

use crate::settings::DEFAULTS;

const DESCRIPTION: [&str; 4] = [
    "lockc reads /etc/lockc/lockc.toml, then the files of /etc/lockc/lockc.d that end with .toml, \
     in the order of their names. A later file replaces a setting of an earlier one. Each engine, \
     namespace and policy may appear in one file only. Without any file the defaults apply.",
    "The files must belong to root, and nobody else may be able to write them. A file that lockc \
     cannot read or understand keeps every container of the lockc runtime from starting.",
    "A change applies to containers that start afterwards; there is nothing to reload.",
    "lockc config check reports mistakes, lockc config show the values in effect and where each is \
     set, lockc config schema the JSON Schema from which this page is made.",
];

/// The page.
pub fn page(schema: &Value, source: &str) -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["lockc.toml", "5", "", source]);
    heading(&mut roff, "NAME");
    roff.text([roman("lockc.toml - configuration of lockc")]);
    heading(&mut roff, "SYNOPSIS");
    for path in ["/etc/lockc/lockc.toml", "/etc/lockc/lockc.d/*.toml"] {
        roff.text([italic(path)]);
        roff.control("br", []);
    }
    heading(&mut roff, "DESCRIPTION");
    for paragraph in DESCRIPTION {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    for section in sections(schema, DEFAULTS) {
        section_of(&mut roff, &section);
    }
    heading(&mut roff, "EXAMPLES");
    roff.text([roman("The file that packages install, with every setting and its default:")]);
    roff.control("PP", []);
    roff.control("nf", []);
    for line in DEFAULTS.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    heading(&mut roff, "FILES");
    for (path, what) in [
        ("/etc/lockc/lockc.toml", "the configuration"),
        ("/etc/lockc/lockc.d", "files that replace settings of it"),
        ("/var/lib/lockc/namespaces.json", "labels of a cluster's namespaces, by lockc-node sync"),
    ] {
        roff.control("TP", []);
        roff.text([italic(path)]);
        roff.text([roman(what)]);
    }
    heading(&mut roff, "SEE ALSO");
    roff.text([roman("lockc(8), lockc-config(8), lockc-policy(8), lockc-runc-wrapper(8)")]);
    roff.render()
}

fn heading(roff: &mut Roff, title: &str) {
    roff.control("SH", [title]);
}

fn section_of(roff: &mut Roff, section: &Section) {
    match section.tables {
        [] => heading(roff, "SETTINGS"),
        tables => heading(roff, &tables.join(", ")),
    }
    for setting in &section.settings {
        setting_of(roff, setting);
    }
}

fn setting_of(roff: &mut Roff, setting: &Described) {
    roff.control("TP", []);
    let mut title: Vec<Inline> = vec![bold(setting.key.as_str()), roman(" = ")];
    title.push(italic(match &setting.value {
        Form::Choice(choices) => {
            choices.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>().join(" | ")
        }
        Form::Strings => "list of strings".to_owned(),
        Form::Boolean => "true | false".to_owned(),
        Form::Tables => "tables, see below".to_owned(),
        Form::Other(kind) => kind.clone(),
    }));
    roff.text(title);
    roff.text([roman(plain(&setting.about))]);
    if let Form::Choice(choices) = &setting.value {
        roff.control("RS", []);
        for (value, about) in choices.iter().filter(|(_, about)| !about.is_empty()) {
            // In the macro's argument, quotation marks would be the macro's.
            roff.control("IP", [value.trim_matches('"')]);
            roff.text([roman(plain(about))]);
        }
        roff.control("RE", []);
    }
    if let Some(default) = &setting.default {
        roff.control("IP", []);
        roff.text([roman(format!("Default: {default}"))]);
    }
}

/// Without Markdown's marks.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use lockc_policy::config;

    use super::*;

    fn keys(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(entries) => {
                let properties = entries.get("properties").and_then(Value::as_object);
                found.extend(properties.into_iter().flat_map(|it| it.keys().cloned()));
                entries.values().for_each(|value| keys(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_page_names_every_key_and_every_choice() {
        let schema = config::schema();
        let page = page(&schema, "lockc 1");
        let mut all = Vec::new();
        keys(&schema, &mut all);
        assert!(all.len() > 30, "{all:?}");
        for key in &all {
            let title = format!("\\fB{}\\fR = ", key.replace('-', "\\-"));
            let tables = all.iter().filter(|other| *other == key).count();
            assert_eq!(page.matches(&title).count(), tables, "entries of {key}");
        }
        for text in [".TH lockc.toml 5", ".SH [policies.NAME]", "Default: \"closed\"", "loopback"] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
}

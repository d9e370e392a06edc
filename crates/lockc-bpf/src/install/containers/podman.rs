//! Podman's: it has no daemon, so `podman` itself reads its database.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Container, Labels, remedy};
use crate::install::{
    engine::Engine,
    host::{Host, run},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    #[serde(rename = "OCIRuntime", default)]
    runtime: String,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<Labels>,
}

/// Those of root; without `podman` nothing starts them anyway.
pub fn all(host: &Host) -> Result<Vec<Container>> {
    let Some(mut list) = host.program("podman") else { return Ok(Vec::new()) };
    let failed = || "podman does not list its containers";
    let ids = run(list.args(["ps", "--all", "--quiet", "--no-trunc"])).with_context(failed)?;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    let (Some(mut inspect), false) = (host.program("podman"), ids.is_empty()) else {
        return Ok(Vec::new());
    };
    let text = run(inspect.args(["container", "inspect"]).args(ids)).with_context(failed)?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Container>> {
    let found: Vec<Inspected> =
        serde_json::from_str(text).context("unexpected output of podman inspect")?;
    let container = |one: Inspected| Container {
        engine: Engine::Podman,
        recreate: remedy::podman(&one.name, &one.config.labels.unwrap_or_default()),
        id: one.id,
        name: one.name,
        runtime: one.runtime,
    };
    Ok(found.into_iter().map(container).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_podman() {
        let text = r#"[{"Id":"a1","Name":"web","OCIRuntime":"lockc","State":{"Running":true},
            "Config":{"Labels":{"PODMAN_SYSTEMD_UNIT":"web.service"}}},
            {"Id":"b2","Name":"db","OCIRuntime":"crun","Config":{"Labels":null}}]"#;
        let found = parse(text).unwrap();
        assert_eq!(found[0].line(), "web (lockc): systemctl restart web.service");
        assert_eq!((found[1].name.as_str(), found[1].runtime.as_str()), ("db", "crun"));
        assert!(parse("x").is_err());
    }
}

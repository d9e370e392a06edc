//! Alert rules and the Grafana dashboard, checked by promtool.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{apt, assets, places, root, ui};

const RULES: &str = "packaging/prometheus/lockc.rules.yml";
const TESTS: &str = "packaging/prometheus/tests/lockc.test.yml";
const DASHBOARD: &str = "packaging/grafana/lockc.json";

/// `cargo xtask monitoring`: whether promtool accepts them, and the alerts fire when they should.
pub fn check() -> Result<()> {
    let promtool = promtool()?;
    let run = |words: &[&str]| ui::capture(Command::new(&promtool).args(words).current_dir(root()));
    run(&["check", "rules", RULES])?;
    run(&["test", "rules", TESTS])?;
    let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
    let file = scratch.path().join("dashboard.json");
    let text = fs::read_to_string(root().join(DASHBOARD)).context("cannot read the dashboard")?;
    let dashboard = serde_json::from_str(&text).context("the dashboard is not valid JSON")?;
    fs::write(&file, as_rules(&expressions(&dashboard)?).to_string())
        .context("cannot write a temporary file")?;
    run(&["check", "rules", &file.display().to_string()])?;
    Ok(())
}

/// promtool in the cache, from Debian's package, which is not installed.
fn promtool() -> Result<PathBuf> {
    let directory = places::cache()?.join("promtool");
    let program = directory.join("usr/bin/promtool");
    if !program.is_file() {
        let maker = assets::Maker::new()?;
        let scratch = maker.scratch()?;
        let out = scratch.path().join("promtool");
        apt::unpack(&["prometheus"], &out, &maker.logs)?;
        maker.finish(&out, &directory, "promtool-")?;
    }
    places::used(&directory);
    Ok(program)
}

/// The expressions of each panel, with Grafana's variables replaced as Grafana does.
fn expressions(dashboard: &Value) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for panel in dashboard["panels"].as_array().context("the dashboard has no panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        if targets.is_empty() {
            bail!("the panel {title} shows nothing");
        }
        for (number, target) in targets.iter().enumerate() {
            let text = target["expr"].as_str().with_context(|| format!("{title}: no expr"))?;
            let text = text.replace("$instance", ".*").replace("$__rate_interval", "4m");
            if text.contains('$') {
                bail!("{title}: an unknown variable in {text}");
            }
            found.insert(format!("{title} {number}"), text);
        }
    }
    Ok(found)
}

/// The expressions as recording rules, which promtool checks. JSON is YAML.
fn as_rules(expressions: &BTreeMap<String, String>) -> Value {
    let rules: Vec<Value> = expressions
        .values()
        .zip(1..)
        .map(|(text, number)| json!({ "record": format!("panel:{number}"), "expr": text }))
        .collect();
    json!({ "groups": [{ "name": "dashboard", "rules": rules }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_do_not_overlap_and_fit_the_grid() {
        let text = fs::read_to_string(root().join(DASHBOARD)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let place = |panel: &Value| {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            (at("x"), at("y"), at("w"), at("h"))
        };
        let places: Vec<_> = dashboard["panels"].as_array().unwrap().iter().map(place).collect();
        for (index, &(x, y, w, h)) in places.iter().enumerate() {
            assert!(x + w <= 24, "{index}");
            for &(x2, y2, w2, h2) in &places[..index] {
                let is_apart = x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y;
                assert!(is_apart, "panel {index} lies on another");
            }
        }
    }

    #[test]
    fn expressions_are_found_with_their_variables_replaced() {
        let panel = |expr: &str| json!({"panels": [{"title": "a", "targets": [{"expr": expr}]}]});
        let found = expressions(&panel("rate(x{i=~\"$instance\"}[$__rate_interval])")).unwrap();
        assert_eq!(found["a 0"], "rate(x{i=~\".*\"}[4m])");
        assert!(expressions(&panel("$other")).is_err());
        assert!(expressions(&json!({"panels": [{"title": "a"}]})).is_err());
    }
}

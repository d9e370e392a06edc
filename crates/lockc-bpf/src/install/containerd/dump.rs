//! The configuration as containerd understood it (`containerd config dump`).

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item};

use super::document::{DEFAULT, RUNC, plugin};

/// That containerd understood every runtime of `text`, and that its default is one that it has.
pub fn check(dump: &str, text: &str) -> Result<String> {
    let (dump, text): (DocumentMut, DocumentMut) = (
        dump.parse().context("the output of `containerd config dump` is not valid TOML")?,
        text.parse().context("the new configuration is not valid TOML")?,
    );
    let cri = |document: &DocumentMut| {
        let plugins = document.get("plugins")?;
        [2, 3].iter().find_map(|version| plugins.get(plugin(*version))?.get("containerd").cloned())
    };
    let names = |cri: &Option<Item>| -> Vec<String> {
        let runtimes =
            cri.as_ref().and_then(|cri| cri.get("runtimes")).and_then(Item::as_table_like);
        runtimes
            .map(|runtimes| runtimes.iter().map(|(name, _)| name.to_owned()).collect())
            .unwrap_or_default()
    };
    let (dumped, wanted) = (cri(&dump), cri(&text));
    let known = names(&dumped);
    if let Some(name) = names(&wanted).iter().find(|name| !known.contains(name)) {
        bail!("containerd does not know the runtime {name}");
    }
    let default =
        dumped.as_ref().and_then(|cri| cri.get(DEFAULT)).and_then(Item::as_str).unwrap_or(RUNC);
    if !known.iter().any(|name| name == default) {
        bail!("containerd would be left without its default runtime {default}");
    }
    Ok("containerd".into())
}

//! The settings that the files give, with their places.

use std::path::{Path, PathBuf};

use lockc_policy::{
    config::{Loaded, PolicyConfig, RawConfig},
    messages,
};

use super::warning::{Kind, Warning};

/// The configuration as written.
pub struct Values<'a> {
    loaded: &'a Loaded,
}

/// An element of a list.
#[derive(Clone, Debug)]
pub struct Value {
    /// `policies.gpu.devices`.
    pub key: String,
    pub text: String,
}

impl Value {
    pub fn path(&self) -> &Path {
        Path::new(&self.text)
    }

    /// Whether a character stands for itself where somebody may have meant more.
    pub fn has_wildcard(&self) -> bool {
        self.text.contains(['*', '?']) || self.text.contains('[') && self.text.contains(']')
    }
}

impl<'a> Values<'a> {
    pub fn new(loaded: &'a Loaded) -> Self {
        Self { loaded }
    }

    pub fn config(&self) -> &RawConfig {
        &self.loaded.config
    }

    /// A warning about a key that a file gives, at the element of its list if there is one.
    pub fn warning(
        &self,
        key: &str,
        value: Option<&str>,
        kind: Kind,
        reason: impl Into<String>,
    ) -> Option<Warning> {
        let element = value.map(|value| format!("{key}[{value:?}]"));
        let origin = self.loaded.origin(element.as_deref().into_iter().chain([key]))?;
        let reason = reason.into();
        Some(Warning {
            id: messages::id_of_warning(&reason),
            file: origin.path.clone(),
            line: origin.line,
            key: key.to_owned(),
            kind,
            reason,
        })
    }

    /// As [`Values::warning`], for an element.
    pub fn of(&self, value: &Value, kind: Kind, reason: &str) -> Option<Warning> {
        let reason = format!("{:?} {reason}", value.text);
        self.warning(&value.key, Some(&value.text), kind, reason)
    }

    /// The elements of a list of the configuration itself, and of every policy's.
    pub fn paths(
        &self,
        name: &str,
        own: Option<&[PathBuf]>,
        of_policy: fn(&PolicyConfig) -> &[PathBuf],
    ) -> Vec<Value> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let list = |key: String, list: &[PathBuf]| {
            let value = |path| Value { key: key.clone(), text: text(path) };
            list.iter().map(value).collect::<Vec<_>>()
        };
        let mut found = own.map(|own| list(name.to_owned(), own)).unwrap_or_default();
        for (policy, config) in &self.config().policies {
            found.extend(list(format!("policies.{policy}.{name}"), of_policy(config)));
        }
        found
    }

    /// The elements of a list of names in every policy.
    pub fn names(&self, name: &str, of_policy: fn(&PolicyConfig) -> &[String]) -> Vec<Value> {
        let policies = self.config().policies.iter();
        let of = |(policy, config): (&String, &PolicyConfig)| {
            let key = format!("policies.{policy}.{name}");
            let value = |text: &String| Value { key: key.clone(), text: text.clone() };
            of_policy(config).iter().map(value).collect::<Vec<_>>()
        };
        policies.flat_map(of).collect()
    }

    pub fn mounts(&self) -> Vec<Value> {
        let own = &self.config().settings.allowed_mounts;
        self.paths("allowed_mounts", Some(own), |policy| &policy.allowed_mounts)
    }

    pub fn sockets(&self) -> Vec<Value> {
        let own = &self.config().settings.allowed_sockets;
        self.paths("allowed_sockets", Some(own), |policy| &policy.allowed_sockets)
    }

    pub fn devices(&self) -> Vec<Value> {
        self.paths("devices", None, |policy| &policy.devices)
    }

    pub fn reads(&self) -> Vec<Value> {
        self.paths("reads", None, |policy| &policy.reads)
    }
}

//! Imports lead downward only: between crates, between the layers of lockc-policy, and between the
//! files of a crate, which never import each other in a circle.
//!
//! `cargo nextest run -p xtask layers`

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, UseTree, visit::Visit};

/// Crates, from the bottom up, with those that they may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("lockc-core", &[]),
    ("lockc-policy", &["lockc-core"]),
    ("lockc-ebpf", &["lockc-core"]),
    ("lockc-runc-wrapper", &["lockc-core", "lockc-policy"]),
    ("lockc-bpf", &["lockc-core", "lockc-policy"]),
    ("lockc-node", &["lockc-core", "lockc-policy", "lockc-bpf"]),
];

/// The layers of lockc-policy, from the bottom up. Modules of one layer may import each other.
const LAYERS: [&[&str]; 9] = [
    &["spec", "engine", "container_names", "container_file", "messages"],
    &["host"],
    &["config"],
    &["policy"],
    &["runtimes", "engines"],
    &["selection"],
    &["enforcement"],
    &["admission"],
    &["decision", "refused"],
];

/// What does I/O; in lockc-policy only `host` may name it.
const IO: [&str; 5] = ["std::fs", "std::process", "std::net", "nix", "rustix"];

/// The imports of one file: paths from the crate's root, `crate` left out, and of other crates.
#[derive(Default)]
struct Imports {
    own: BTreeSet<Vec<String>>,
    foreign: BTreeSet<String>,
    module: Vec<String>,
}

impl Imports {
    fn add(&mut self, path: &[String]) {
        let mut base = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => {
                self.foreign.insert(path.join("::"));
                // It may be a module beside this one's items: `use child::Item`.
                base.extend_from_slice(path);
                self.own.insert(base);
                return;
            }
        }
        base.extend_from_slice(rest);
        self.own.insert(base);
    }

    fn tree(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(tree, prefix));
            }
            UseTree::Name(name) if name.ident == "self" => self.add(prefix),
            UseTree::Name(name) => self.leaf(name.ident.to_string(), prefix),
            UseTree::Rename(rename) => self.leaf(rename.ident.to_string(), prefix),
            UseTree::Glob(_) => self.add(prefix),
        }
    }

    fn leaf(&mut self, name: String, prefix: &mut Vec<String>) {
        prefix.push(name);
        self.add(prefix);
        prefix.pop();
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

impl<'a> Visit<'a> for Imports {
    fn visit_item(&mut self, item: &'a Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 && ["crate", "super"].contains(&parts[0].as_str()) {
            self.add(&parts);
        }
        syn::visit::visit_path(self, path);
    }
}

/// The files of a crate by module, tests left out.
fn modules(krate: &str) -> BTreeMap<Vec<String>, PathBuf> {
    let source = crate::root().join("crates").join(krate).join("src");
    let mut found = BTreeMap::new();
    let mut directories = vec![source.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name == "tests" || name.ends_with("_tests") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let below = path.strip_prefix(&source).unwrap().with_extension("");
                let mut module: Vec<String> =
                    below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if ["mod", "lib", "main"].contains(&name.as_str()) {
                    module.pop();
                }
                // A crate with a library and a program: the program is above everything.
                if path.file_name().is_some_and(|name| name == "main.rs") {
                    module.push("main".into());
                }
                found.insert(module, path);
            }
        }
    }
    found
}

fn imports(module: &[String], path: &Path) -> Imports {
    let mut base = module.to_vec();
    if base.last().is_some_and(|last| last == "main") {
        base.pop();
    }
    let mut imports = Imports { module: base, ..Imports::default() };
    imports.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
    imports
}

/// Which files of a crate each file imports.
fn graph(krate: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules = modules(krate);
    let resolve = |path: &[String]| {
        (0..=path.len()).rev().map(|end| path[..end].to_vec()).find(|part| {
            // A path that names nothing of the crate's but its root is another crate's.
            (!part.is_empty() || path.len() == 1) && modules.contains_key(part)
        })
    };
    let of = |(module, path): (&Vec<String>, &PathBuf)| {
        let imports = imports(module, path);
        let mut files: BTreeSet<Vec<String>> =
            imports.own.iter().filter_map(|path| resolve(path)).collect();
        files.remove(module);
        (module.clone(), files)
    };
    modules.iter().map(of).collect()
}

/// A way from a file over its imports back to it.
fn circle(graph: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<Vec<String>> {
    fn walk(
        graph: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
        at: &Vec<String>,
        way: &mut Vec<Vec<String>>,
        done: &mut BTreeSet<Vec<String>>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|module| module == at) {
            return Some(way[start..].iter().map(|module| module.join("::")).collect());
        }
        if !done.insert(at.clone()) {
            return None;
        }
        way.push(at.clone());
        let found =
            graph.get(at).into_iter().flatten().find_map(|next| walk(graph, next, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| walk(graph, start, &mut Vec::new(), &mut done))
}

#[test]
fn crates_depend_downward_only() {
    for (krate, allowed) in CRATES {
        let manifest = crate::root().join("crates").join(krate).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
        for dependency in manifest["dependencies"].as_table().unwrap().keys() {
            assert!(
                !dependency.starts_with("lockc-") || allowed.contains(&dependency.as_str()),
                "{krate} depends on {dependency}"
            );
        }
    }
}

#[test]
fn lockc_policy_imports_downward_only() {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    for (module, files) in graph("lockc-policy") {
        let Some(own) = module.first() else { continue };
        let above = layer(own).unwrap_or_else(|| panic!("{own} is in no layer"));
        for file in files.iter().filter_map(|file| file.first()) {
            assert!(layer(file).unwrap() <= above, "{} imports {file}", module.join("::"));
        }
    }
}

#[test]
fn only_the_host_does_io_in_lockc_policy() {
    for (module, path) in modules("lockc-policy") {
        let does_io = imports(&module, &path).foreign.into_iter().find(|import| {
            IO.iter().any(|io| import == io || import.starts_with(&format!("{io}::")))
        });
        assert!(
            does_io.is_none() || module.first().is_some_and(|first| first == "host"),
            "{} imports {does_io:?}",
            module.join("::")
        );
    }
}

#[test]
fn no_files_import_each_other() {
    let circles = CRATES.map(|(krate, _)| (krate, circle(&graph(krate))));
    assert!(circles.iter().all(|(_, circle)| circle.is_none()), "{circles:?}");
}

#[test]
fn every_file_is_a_module() {
    for (krate, _) in CRATES {
        let source = crate::root().join("crates").join(krate).join("src");
        let mut texts = String::new();
        let mut names = Vec::new();
        let mut directories = vec![source];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    texts.push_str(&fs::read_to_string(&path).unwrap());
                    names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        for name in names {
            let is_declared = [format!("mod {name};"), format!("\"{name}.rs\"")]
                .iter()
                .any(|declaration| texts.contains(declaration));
            assert!(
                is_declared || ["mod", "lib", "main"].contains(&name.as_str()),
                "{krate}: no module {name}"
            );
        }
    }
}

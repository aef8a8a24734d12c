//! Which crate may use which, what may enter `domain` and the build without media, and that no crate steps out of the
//! workspace's lints. Read from cargo, so that a new dependency cannot get past it.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package, PackageId};

const SERVICES: [&str; 5] = ["ingest", "transcoder", "packager", "license-server", "api"];

/// What domain is made of: values, their text and the arithmetic of keys. Nothing here waits, opens or listens.
const DOMAIN_IS_MADE_OF: [&str; 8] =
    ["hkdf", "serde", "serde_json", "sha2", "thiserror", "time", "uuid", "zeroize"];

/// The crates that each crate may use, in its tests too. Services meet in the database, the jobs table and the object
/// store, never in each other.
fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let below_services = BTreeSet::from(["domain", "store", "platform"]);
    let mut arrows = BTreeMap::from([
        ("domain", BTreeSet::new()),
        ("store", BTreeSet::from(["domain"])),
        ("platform", BTreeSet::from(["domain", "store"])),
        ("lectern", below_services.iter().copied().chain(SERVICES).collect()),
    ]);
    arrows.extend(SERVICES.map(|service| (service, below_services.clone())));
    arrows.insert("x264", BTreeSet::new());
    arrows.entry("transcoder").or_default().insert("x264");
    arrows
}

/// As cargo resolves it here. Other platforms are left out: their crates may not have been downloaded.
fn metadata(features: CargoOpt) -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .features(features)
        .other_options(["--locked", "--filter-platform", "host-tuple"].map(str::to_owned))
        .exec()
        .unwrap()
}

/// A crate's name on our page: its folder, or `lectern` for the program.
fn short(name: &str) -> &str {
    name.strip_prefix("lectern-").unwrap_or(name)
}

fn member<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata.workspace_packages().into_iter().find(|package| short(&package.name) == name).unwrap()
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata(CargoOpt::AllFeatures);
    let arrows = arrows();
    let members: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| short(&package.name)).collect();
    assert_eq!(
        members,
        arrows.keys().copied().collect(),
        "a new crate gets its place here and in ARCHITECTURE.md"
    );
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = short(&package.name);
        // As declared: a dependency that only a feature or another platform turns on counts as well.
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let used = short(&dependency.name);
            // A crate's tests turn its own features on by naming it.
            let itself = used == name && dependency.kind == DependencyKind::Development;
            if !itself && !arrows[name].contains(used) {
                wrong.push(format!("{name} may not use {used} ({})", dependency.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn domain_is_made_of_values() {
    let metadata = metadata(CargoOpt::AllFeatures);
    let dependencies = &member(&metadata, "domain").dependencies;
    let used: BTreeSet<&str> = dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let allowed = BTreeSet::from(DOMAIN_IS_MADE_OF);
    assert_eq!(used, allowed, "domain gains or loses a crate: is it pure, without I/O and without async?");
}

#[test]
fn a_build_without_media_has_no_gstreamer_and_no_x264() {
    let media = |features| -> Vec<String> {
        let metadata = metadata(features);
        let tree = tree(&metadata, &member(&metadata, "lectern").id);
        let names = metadata.packages.iter().filter(|package| tree.contains(&package.id));
        let names = names.map(|package| package.name.to_string());
        names
            .filter(|name| {
                ["gst", "glib", "gio-", "gobject", "lectern-x264"].iter().any(|of| name.starts_with(of))
            })
            .collect()
    };
    // The one with media shows that the names are still the right ones to look for.
    for name in ["gstreamer-sys", "lectern-x264"] {
        assert!(media(CargoOpt::AllFeatures).iter().any(|other| other == name));
    }
    assert_eq!(media(CargoOpt::NoDefaultFeatures), Vec::<String>::new());
}

/// Everything that is built for a package, without what only tests need.
fn tree(metadata: &Metadata, root: &PackageId) -> BTreeSet<PackageId> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.insert(id.clone()) {
            let built = nodes[id].deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            open.extend(built.map(|dependency| &dependency.pkg));
        }
    }
    found
}

/// The crate that calls a library in C by itself, and is nothing but that (ADR 0017).
const CALLS_C: &str = "lectern-x264";

/// `forbid` cannot be undone by an attribute further in, so with both halves no line of ours is unsafe outside of one crate. The
/// sandbox needs no exception: its crates wrap the system calls.
#[test]
fn no_crate_steps_out_of_the_lints() {
    let metadata = metadata(CargoOpt::AllFeatures);
    let manifest = |path: &str| -> toml::Table { std::fs::read_to_string(path).unwrap().parse().unwrap() };
    let root = manifest(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert_eq!(root["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for package in metadata.workspace_packages() {
        let lints = manifest(package.manifest_path.as_str()).remove("lints");
        if package.name.as_str() == CALLS_C {
            continue;
        }
        let inherited = toml::Table::from_iter([("workspace".to_owned(), toml::Value::Boolean(true))]);
        assert_eq!(lints, Some(inherited.into()), "{}: expected [lints] workspace = true", package.name);
    }
}

//! The rules of the house, read from the tree itself: layers, sizes, names, documents.
//!
//! What a compiler or clippy can say is said there (scripts/test.d/20-lints.sh, 25-purity.sh); that each promise names a test is `guarantees.rs`; here stands the rest.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layer of each crate that the broker is made of, 0 the lowest. A crate may depend on lower layers only.
const LAYERS: [(&str, u32); 11] = [
    ("mutant", 0),
    ("message", 0),
    ("platform", 0),
    ("record", 1),
    ("wire", 1),
    ("client", 2),
    ("journal", 2),
    ("leadership", 2),
    ("engine", 3),
    ("node", 4),
    ("holdfast", 5),
];

/// A source file longer than this wants to become a folder.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file that belongs to the project, with its path from the root.
fn files() -> Vec<(String, PathBuf)> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<(String, PathBuf)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().to_string();
            if path.is_symlink() || ["target", ".git", "node_modules", "__pycache__", ".venv"].contains(&name.as_str())
            {
                continue;
            }
            match path.is_dir() {
                true => walk(root, &path, found),
                false => found.push((path.strip_prefix(root).unwrap().to_string_lossy().to_string(), path)),
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    assert!(found.len() > 50, "this is not the project's root: {}", root.display());
    found
}

/// The text files among them (by content: no NUL, valid UTF-8), but for what tools write.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (name, path) in files() {
        if ["Cargo.lock", "LICENSE"].contains(&name.as_str()) || name.ends_with(".png") {
            continue;
        }
        if let Ok(text) = String::from_utf8(std::fs::read(&path).unwrap())
            && !text.contains('\0')
        {
            texts.push((name, text));
        }
    }
    texts
}

fn is_code(name: &str) -> bool {
    [".rs", ".sh", ".py", ".js", ".mjs"]
        .iter()
        .any(|end| name.ends_with(end))
        || name.starts_with("scripts/")
}

/// Fails with all findings, one a line.
fn expect_none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

/// The names in a manifest's table, such as `dependencies`.
fn manifest_table(manifest: &str, table: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        match line.strip_prefix('[') {
            Some(header) => inside = header.trim_end_matches(']') == table,
            None if inside && !line.starts_with('#') => {
                if let Some(name) = line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()) {
                    names.insert(name.to_string());
                }
            }
            None => {}
        }
    }
    names
}

/// Package folder → its manifest.
fn manifests() -> BTreeMap<String, String> {
    let manifests = texts().into_iter().filter(|(name, _)| name.ends_with("/Cargo.toml"));
    manifests
        .map(|(name, text)| (name.trim_end_matches("/Cargo.toml").to_string(), text))
        .collect()
}

#[test]
fn code_files_stay_short() {
    let long = texts()
        .into_iter()
        .filter(|(name, _)| is_code(name))
        .filter_map(|(name, text)| {
            let lines = text.lines().count();
            (lines > LINES_MAX).then(|| format!("{name}: {lines} lines"))
        });
    expect_none("files above 800 lines want to become folders", long.collect());
}

#[test]
fn nothing_is_left_for_later_in_comments() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("HA", "CK"),
    ];
    let mut left = Vec::new();
    for (name, text) in texts() {
        for (index, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                left.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    expect_none("what is not done belongs into an issue, not into a comment", left);
}

#[test]
fn files_are_named_after_what_they_own() {
    let vague = [
        "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers",
    ];
    let named = files().into_iter().map(|(name, _)| name).filter(|name| {
        name.split('/')
            .any(|part| vague.contains(&part.split('.').next().unwrap_or(part)))
    });
    expect_none("names that say nothing", named.collect());
}

#[test]
fn each_crate_depends_on_lower_layers_only() {
    let layers: BTreeMap<&str, u32> = LAYERS.into();
    let mut wrong = Vec::new();
    for (folder, manifest) in manifests() {
        let name = folder.rsplit('/').next().unwrap();
        let name = if folder == "broker" { "holdfast" } else { name };
        let Some(layer) = layers.get(name) else { continue };
        for dependency in manifest_table(&manifest, "dependencies") {
            match layers.get(dependency.as_str()) {
                Some(below) if below >= layer => {
                    wrong.push(format!("{name} (L{layer}) depends on {dependency} (L{below})"))
                }
                None if dependency == "simulated" => wrong.push(format!("{name} ships the simulated machine")),
                _ => {}
            }
        }
    }
    expect_none("a layer knows only those below it", wrong);
}

#[test]
fn every_crate_has_a_layer() {
    let layers: BTreeMap<&str, u32> = LAYERS.into();
    let unknown = manifests().into_keys().filter(|folder| {
        let name = folder.strip_prefix("broker/crates/");
        name.is_some_and(|name| name != "simulated" && !layers.contains_key(name))
    });
    expect_none("crates without a layer", unknown.collect());
}

#[test]
fn the_runtime_stays_out_of_the_pure_layers() {
    let runtime = [
        "tokio",
        "hyper",
        "hyper-util",
        "futures",
        "async-std",
        "mio",
        "rand",
        "fastrand",
    ];
    let mut wrong = Vec::new();
    for (folder, manifest) in manifests() {
        if folder.starts_with("broker/crates/") {
            let found = manifest_table(&manifest, "dependencies");
            let found = found.iter().filter(|name| runtime.contains(&name.as_str()));
            wrong.extend(found.map(|name| format!("{folder} depends on {name}")));
        }
    }
    expect_none("the pure layers have no runtime and no randomness", wrong);
}

#[test]
fn lints_hold_everywhere() {
    let mut wrong = Vec::new();
    for (folder, manifest) in manifests() {
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{folder}/Cargo.toml does not take the workspace's lints"));
        }
        for crate_root in ["src/lib.rs", "src/main.rs"] {
            let path = root().join(&folder).join(crate_root);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            if !folder.ends_with("crates/platform") && !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{folder}/{crate_root} does not forbid unsafe code"));
            }
        }
    }
    for (name, text) in texts() {
        let inside = name.starts_with("broker/crates/") && name.contains("/src/") && name.ends_with(".rs");
        let allows = text
            .lines()
            .any(|line| line.contains("clippy::disallowed") || line.contains("clippy::iter_over_hash_type"));
        if inside && allows && !name.starts_with("broker/crates/platform/src/real/") {
            wrong.push(format!("{name} switches the lints of the pure layers off"));
        }
        if name.ends_with("clippy.toml") && !["clippy.toml", "broker/crates/clippy.toml"].contains(&name.as_str()) {
            wrong.push(format!("{name} hides the strict lints from its crate"));
        }
    }
    expect_none("lints", wrong);
}

#[test]
fn every_module_says_what_it_owns() {
    let silent = texts().into_iter().filter(|(name, text)| {
        let module = name.ends_with(".rs") && name.contains("/src/") && !name.ends_with("/tests.rs");
        module && !text.starts_with("//! ")
    });
    expect_none(
        "modules that do not open with //!",
        silent.map(|(name, _)| name).collect(),
    );
}

#[test]
fn nothing_names_the_machine_it_was_made_on() {
    // Put together here, so that this file does not find itself.
    let traces = [
        concat!("/wo", "rk/"),
        concat!("/tmp/", "hf"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("share", "d/design"),
        concat!("share", "d/reference"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("deb.debian", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("repo1.maven", ".org"),
        concat!("static.rust-lang", ".org"),
    ];
    let mut found = Vec::new();
    for (name, text) in texts() {
        for (index, line) in text.lines().enumerate() {
            if let Some(trace) = traces.iter().find(|trace| line.contains(**trace)) {
                found.push(format!("{name}:{}: {trace}", index + 1));
            }
        }
    }
    expect_none("machine paths, registry hosts, internal texts", found);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in texts().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        let folder = root().join(&name).parent().unwrap().to_path_buf();
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or(link);
                if !target.is_empty()
                    && !target.contains("://")
                    && !target.starts_with("mailto:")
                    && !folder.join(target).exists()
                {
                    broken.push(format!("{name}:{}: {link}", index + 1));
                }
            }
        }
    }
    expect_none("links that lead nowhere", broken);
}

#[test]
fn scripts_can_be_run_and_parsed() {
    use std::os::unix::fs::PermissionsExt;
    let mut wrong = Vec::new();
    for (name, path) in files() {
        let script = name == ".ci/run" || name.starts_with("scripts/") || name.ends_with(".sh");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if !script || !text.contains("bash") && !name.ends_with(".sh") {
            continue;
        }
        if text.starts_with("#!") && path.metadata().unwrap().permissions().mode() & 0o111 == 0 {
            wrong.push(format!("{name} is not executable"));
        }
        if text.lines().next().is_some_and(|first| first.contains("bash")) || name == "scripts/tools.sh" {
            let parsed = std::process::Command::new("bash")
                .arg("-n")
                .arg(&path)
                .output()
                .unwrap();
            if !parsed.status.success() {
                wrong.push(format!("{name}: {}", String::from_utf8_lossy(&parsed.stderr).trim()));
            }
        }
        if name.starts_with("scripts/test.d/") && !text.lines().nth(1).is_some_and(|line| line.starts_with("# ")) {
            wrong.push(format!("{name} does not say on its second line what it shows"));
        }
    }
    expect_none("scripts", wrong);
}

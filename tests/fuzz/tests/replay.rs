//! Every target over its seeds, over every input that once found something, and over the seeds with each byte changed and each end cut off: without an engine, in every test run.

use holdfast_fuzz::{Target, regressions, targets};

fn each(check: impl Fn(&Target)) {
    for target in targets::ALL {
        check(target);
    }
}

#[test]
fn every_target_has_seeds_within_its_limit_and_a_program() {
    let manifest = include_str!("../Cargo.toml");
    each(|target| {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            assert!(
                seed.len() <= target.input_bytes_max,
                "{}: a seed of {} bytes",
                target.name,
                seed.len()
            );
        }
        assert!(
            manifest.contains(&format!("name = \"fuzz-{}\"", target.name)),
            "{} has no program",
            target.name
        );
    });
}

#[test]
fn past_findings_stay_mended() {
    each(|target| {
        for (name, bytes) in regressions(target.name).expect("the folder can be read") {
            println!("{} {name}", target.name);
            (target.run)(&bytes);
        }
    });
}

#[test]
fn seeds_and_what_is_close_to_them_break_no_promise() {
    each(|target| {
        println!("{}", target.name);
        (target.run)(&[]);
        for seed in (target.seeds)() {
            (target.run)(&seed);
            for at in 0..seed.len() {
                (target.run)(&seed[..at]);
                for change in [1, 0x80, 0xff] {
                    let mut changed = seed.clone();
                    changed[at] ^= change;
                    (target.run)(&changed);
                }
            }
        }
    });
}

#[test]
fn every_folder_of_findings_belongs_to_a_target() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in std::fs::read_dir(directory).expect("the folder can be read") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = holdfast_fuzz::target(&name).is_some() || name == "README.md";
        assert!(known, "regressions/{name} belongs to no target");
    }
}

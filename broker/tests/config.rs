//! The configuration: each test is a slip that a person makes, and what they are told.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

use std::time::Duration;

use holdfast::config::{self, Config, FlagValue, Origin, SETTINGS, Size, Sources};

/// What a file of this text gives.
fn load_file(text: &str) -> Result<config::Effective, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holdfast.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    config::load(&sources).map_err(|problems| problems.to_string().replace(&path.display().to_string(), "FILE"))
}

/// The message that a file of this text causes.
fn refusal(text: &str) -> String {
    load_file(text).unwrap_err()
}

/// What an environment gives.
fn load_environment(variables: &[(&str, &str)]) -> Result<config::Effective, String> {
    let owned = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    let sources = Sources {
        environment: owned.collect(),
        ..Sources::default()
    };
    config::load(&sources).map_err(|problems| problems.to_string())
}

#[test]
fn every_default_is_valid_and_reads_back_as_it_is_shown() {
    let effective = config::load(&Sources::default()).unwrap();
    assert_eq!(effective.config, Config::default());
    let again = load_file(&effective.toml()).unwrap();
    assert_eq!(again.config, effective.config);
    assert_eq!(again.origins.len(), SETTINGS.len());
}

#[test]
fn defaults_lie_within_their_limits() {
    for setting in SETTINGS {
        let sources = Sources {
            environment: vec![(setting.variable(), setting.default.to_string())],
            ..Sources::default()
        };
        let loaded = config::load(&sources);
        assert!(loaded.is_ok(), "{}: {loaded:?}", setting.key);
        assert!(loaded.unwrap().warnings.is_empty(), "{}", setting.variable());
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    assert_eq!(
        refusal("name = \"a\"\n\n[journal]\n  segmnet_bytes = 4\n"),
        "FILE:4:3: there is no setting `journal.segmnet_bytes`; did you mean `journal.segment_bytes`?"
    );
    assert_eq!(
        refusal("[jurnal]\nsegment_bytes = 4\n"),
        "FILE:1:2: there is no table `jurnal`; did you mean [journal]?"
    );
    assert_eq!(
        refusal("segment_bytes = 4\n"),
        "FILE:1:1: there is no setting `segment_bytes`; did you mean `journal.segment_bytes`?"
    );
    assert_eq!(
        refusal("colour = \"blue\"\n"),
        "FILE:1:1: there is no setting `colour`; `holdfast config reference` lists them all"
    );
    assert_eq!(
        refusal("journal = 5\n"),
        "FILE:1:1: `journal` is a table: write [journal] on a line of its own, its keys below"
    );
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let told = refusal("nmae = \"x\"\n[log]\nlevel = \"loud\"\n[limits]\nheaders_max = \"9\"\n");
    assert_eq!(
        told,
        "FILE:1:1: there is no setting `nmae`; did you mean `name`?\n\
         FILE:3:9: `log.level` must be one of error, warn, info, debug, trace, not \"loud\"\n\
         FILE:5:15: `limits.headers_max` is written as a number, without quotes"
            .to_string()
    );
}

#[test]
fn an_address_that_is_listed_again_is_told_of_once() {
    let told = refusal("listen = [\"stomp://0.0.0.0:61613\", \"stomp://0.0.0.0:61613\", \"stomp://0.0.0.0:61613\"]\n");
    assert_eq!(told.matches("which other machines can reach").count(), 1, "{told}");
    assert_eq!(told.matches("twice").count(), 1, "{told}");
    let any_port = "listen = [\"stomp://127.0.0.1:0\", \"stomp://127.0.0.1:0\"]\n";
    assert!(load_file(any_port).is_ok(), "each gets a port of its own");
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let told = refusal("name = \"a\"\nlisten = [\n");
    assert!(told.starts_with("FILE:2:"), "{told}");
    let twice = refusal("name = \"a\"\nname = \"b\"\n");
    assert!(
        twice.starts_with("FILE:2:1: this is not TOML: duplicate key"),
        "{twice}"
    );
}

#[test]
fn values_are_strictly_typed() {
    for (line, told) in [
        (
            "[journal]\nsegment_bytes = true",
            "`journal.segment_bytes` is written with its unit in quotes, for example \"64MiB\"",
        ),
        (
            "[journal]\nsegment_bytes = 1.5",
            "`journal.segment_bytes` takes a size, not a number with a fraction",
        ),
        (
            "[journal]\nsegment_bytes = \"64 Mib/s\"",
            "`journal.segment_bytes` must be a size such as 64MiB, 512 KiB or 4096, not \"64 Mib/s\"",
        ),
        (
            "[journal]\nsegment_bytes = \"2GiB\"",
            "`journal.segment_bytes` must be 4MiB to 1GiB",
        ),
        (
            "[journal]\nsegment_bytes = -1",
            "`journal.segment_bytes` must be a size such as 64MiB, 512 KiB or 4096, not \"-1\"",
        ),
        (
            "[leadership]\ntakeover_after = 3",
            "`leadership.takeover_after` is written with its unit in quotes, for example \"3s\" or \"500ms\"",
        ),
        (
            "[leadership]\ntakeover_after = \"3\"",
            "`leadership.takeover_after` must be a duration with its unit (ms, s, min, h, d), such as 500ms or 3s, not \"3\"",
        ),
        (
            "shared_unknown = \"yes\"",
            "`shared_unknown` is written true or false, without quotes",
        ),
        (
            "listen = \"stomp://127.0.0.1:61613\"",
            "`listen` is a list: write it in brackets, for example [\"stomp://127.0.0.1:61613\"]",
        ),
        (
            "listen = []",
            "`listen` names no listener: a broker without clients is of no use",
        ),
        (
            "name = \"\"",
            "`name` must be 1 to 64 letters, digits, dots, dashes or underscores, not \"\"",
        ),
    ] {
        let refused = refusal(line);
        assert!(refused.ends_with(told), "{line}\n  told: {refused}\n  not:  {told}");
        assert!(refused.starts_with("FILE:"), "{refused}");
    }
}

#[test]
fn sizes_and_durations_take_units_with_and_without_a_space() {
    let text = "[journal]\nsegment_bytes = \"128 MiB\"\nbody_cache_bytes = \"1GiB\"\nbatch_bytes_max = 1_048_576\n[leadership]\ntakeover_after = \"10 s\"\nfence_fresh = \"1500ms\"\n";
    let config = load_file(text).unwrap().config;
    assert_eq!(config.journal_segment_bytes, Size(128 << 20));
    assert_eq!(config.journal_body_cache_bytes, Size(1 << 30));
    assert_eq!(config.journal_batch_bytes_max, Size(1 << 20));
    assert_eq!(config.leadership_takeover_after, Duration::from_secs(10));
    assert_eq!(config.leadership_fence_fresh, Duration::from_millis(1500));
}

#[test]
fn without_users_only_loopback_listens() {
    for address in ["0.0.0.0:61613", "192.0.2.1:61613", "[::]:61613"] {
        let told = refusal(&format!("listen = [\"stomp://{address}\"]"));
        assert!(told.contains("which other machines can reach"), "{told}");
        assert!(told.contains("no users"), "{told}");
    }
    let admin = refusal("admin = \"0.0.0.0:8161\"");
    assert!(admin.contains("`admin` names 0.0.0.0:8161"), "{admin}");
    let loopback =
        "listen = [\"stomp://127.0.0.1:1\", \"stomp://[::1]:1\", \"stomp://localhost:2\", \"stomp://127.9.9.9:3\"]";
    assert_eq!(load_file(loopback).unwrap().config.listen.len(), 4);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (text, key) in [
        ("[leadership]\nfence_fresh = \"3s\"", "`leadership.fence_fresh`"),
        (
            "[leadership]\nheartbeat_interval = \"2s\"",
            "`leadership.heartbeat_interval`",
        ),
        (
            "[journal]\nsegment_bytes = \"4MiB\"\nbatch_bytes_max = \"2MiB\"",
            "`journal.batch_bytes_max`",
        ),
        ("[journal]\nsegment_bytes = 8_388_609", "`journal.segment_bytes`"),
        ("listen = [\"stomp://127.0.0.1:8161\"]", "`admin`"),
        (
            "listen = [\"stomp://127.0.0.1:9\", \"stomp://127.0.0.1:9\"]",
            "`listen`",
        ),
    ] {
        let told = refusal(text);
        assert!(told.contains(key), "{text}: {told}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holdfast.toml");
    std::fs::write(&path, "name = \"file\"\nadmin = \"none\"\n[log]\nlevel = \"debug\"\n").unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        environment: vec![
            ("HOLDFAST_NAME".into(), "environment".into()),
            ("HOLDFAST_LOG_LEVEL".into(), "warn".into()),
        ],
        flags: vec![FlagValue {
            key: "name",
            values: vec!["flag".into()],
        }],
    };
    let effective = config::load(&sources).unwrap();
    assert_eq!(effective.config.name, "flag");
    assert_eq!(effective.config.log_level, config::LogLevel::Warn);
    assert_eq!(effective.config.admin.0, None);
    assert_eq!(effective.origin("name"), Origin::Flag("--name".into()));
    assert_eq!(
        effective.origin("log.level"),
        Origin::Variable("HOLDFAST_LOG_LEVEL".into())
    );
    let admin = Origin::File {
        path: path.display().to_string(),
        line: 2,
        column: 9,
    };
    assert_eq!(effective.origin("admin"), admin);
    assert_eq!(effective.origin("data"), Origin::Default);
}

#[test]
fn the_environment_splits_lists_and_a_wrong_value_names_its_variable() {
    let two = load_environment(&[("HOLDFAST_LISTEN", "stomp://127.0.0.1:1, stomp://127.0.0.1:2")]).unwrap();
    assert_eq!(two.config.listen.len(), 2);
    let told = load_environment(&[("HOLDFAST_JOURNAL_SEGMENT_BYTES", "big")]).unwrap_err();
    assert!(
        told.starts_with("environment variable HOLDFAST_JOURNAL_SEGMENT_BYTES: `journal.segment_bytes` must be a size"),
        "{told}"
    );
}

#[test]
fn an_unknown_variable_is_a_warning_with_a_suggestion() {
    let odd = load_environment(&[
        ("HOLDFAST_JOURNAL_SEGMENT_BYTE", "1MiB"),
        ("HOLDFAST_PORT", "tcp://10.0.0.1:80"),
        ("HOLDFAST_CONFIG", "/nowhere"),
        ("HOLDFASTER", "x"),
    ]);
    assert_eq!(
        odd.unwrap().warnings,
        [
            "environment variable HOLDFAST_JOURNAL_SEGMENT_BYTE is no setting and changes nothing; did you mean HOLDFAST_JOURNAL_SEGMENT_BYTES?",
            "environment variable HOLDFAST_PORT is no setting and changes nothing",
        ]
    );
}

#[test]
fn a_file_that_is_missing_or_huge_is_a_problem_and_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let huge = directory.path().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(2 << 20).unwrap();
    for path in [directory.path().join("missing"), directory.path().to_path_buf(), huge] {
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        let told = config::load(&sources).unwrap_err().to_string();
        assert!(told.contains("cannot be read"), "{told}");
    }
}

#[test]
fn configuration_document_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == config::markdown(),
        "docs/configuration.md is stale; run: holdfast config reference > docs/configuration.md"
    );
}

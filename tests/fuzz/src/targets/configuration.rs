//! A configuration file.
//!
//! What is refused is told with reasons; what is accepted comes out as a file that says the same.

use holdfast::config::read_text;

use crate::input::valid_text;

/// Words of the file.
pub const WORDS: &[&str] = &[
    "\"auto\"",
    "\"64MiB\"",
    "\"500ms\"",
    "\"stomp://127.0.0.1:61613\"",
    "\"none\"",
    "true",
    "false",
    "[",
    "]",
    " = ",
    "\n[",
    "limits",
    "journal",
    "log",
    "memory",
    "listen",
    "admin",
    "data",
    "name",
    "0x10",
    "1_000",
    "\"\"\"",
    "'",
    "\\u0000",
    "2026-01-01",
];

/// The file.
pub fn run(input: &[u8]) {
    let text = valid_text(input);
    match read_text("holdfast.toml", text) {
        Ok(effective) => {
            let written = effective.toml();
            match read_text("written.toml", &written) {
                Ok(again) => assert_eq!(effective.config, again.config, "{written}"),
                Err(problems) => panic!("{text:?} is accepted, and what it comes to is not: {problems}\n{written}"),
            }
            assert_eq!(effective.values().count(), holdfast::config::SETTINGS.len());
        }
        Err(problems) => assert!(!problems.to_string().is_empty(), "{text:?} is refused without a reason"),
    }
}

/// Inputs to begin with: the default file, and each setting by itself.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"# nothing\n".to_vec(),
        b"limits = 1\n[nowhere]\nkey = [1, [2]]\n".to_vec(),
    ];
    for setting in holdfast::config::SETTINGS {
        let name = setting.key.rsplit('.').next().unwrap_or(setting.key);
        let default = match read_text("", "") {
            Ok(effective) => effective
                .values()
                .find(|(key, _, _)| *key == setting.key)
                .map(|(_, value, _)| value),
            Err(_) => None,
        };
        let value = default.unwrap_or_default();
        let table = match setting.table() {
            "" => String::new(),
            table => format!("[{table}]\n"),
        };
        seeds.push(format!("{table}{name} = {value}\n").into_bytes());
    }
    seeds
}

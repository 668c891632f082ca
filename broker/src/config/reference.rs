//! docs/configuration.md, made from the table of settings.

use super::settings::SETTINGS;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `holdfast config reference > docs/configuration.md`; a test fails when it is stale. -->

Holdfast needs no configuration file: every setting has a default. What is set wins in this order: flag, environment variable, file (`--config FILE` or
`HOLDFAST_CONFIG`), default.

The file is TOML. A key that does not exist is an error, with its line and a suggestion; so is a value of the wrong type or beyond its limits. An unknown environment
variable that begins with `HOLDFAST_` is a warning.

```toml
# /etc/holdfast/holdfast.toml
data = \"/var/lib/holdfast\"
listen = [\"stomp://127.0.0.1:61613\", \"stomp://[::1]:61613\"]

[journal]
segment_bytes = \"64MiB\"
```

- A *size* is a number with a unit: `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`, `TB` (powers of 1000). A bare number is bytes.
- A *duration* is a number with a unit: `ms`, `s`, `min`, `h` or `d`. A bare number is refused.
- In the environment and in flags the items of a list are separated by commas; a flag may also be repeated.

`holdfast config check FILE` prints the configuration in force and where each value came from, and exits with 78 if something is wrong.

Listeners beyond loopback are refused: this version has no users and passwords, so whoever could reach a port could do everything. There is no switch to override
that. A client on another machine needs a tunnel (`ssh -L`).
";

/// The text of docs/configuration.md.
pub fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    let mut table = None;
    for setting in SETTINGS {
        if table != Some(setting.table()) {
            table = Some(setting.table());
            let title = match setting.table() {
                "" => "Top of the file".to_string(),
                name => format!("[{name}]"),
            };
            text.push_str(&format!("\n## {title}\n"));
        }
        text.push_str(&format!("\n### `{}`\n\n{}\n\n", setting.key, setting.text()));
        let limits = setting
            .limits
            .map_or_else(String::new, |(low, high)| format!(" · limits: {low} to {high}"));
        text.push_str(&format!(
            "{} · default: `{}`{limits} · `--{}` · `{}`\n",
            setting.type_name,
            setting.default,
            setting.flag(),
            setting.variable()
        ));
    }
    text
}

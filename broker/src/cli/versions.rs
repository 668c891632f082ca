//! `holdfast version` and `holdfast exit-codes`.

use serde_json::{Value, json};

use super::exit::{Exit, exit_codes_markdown};
use super::failure::Failure;
use super::output::Output;

pub(super) fn version(output: &Output) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let format = leadership::FORMAT_VERSION;
    match output.json {
        true => output.object(&json!({
            "name": "holdfast",
            "version": version,
            "protocols": ["STOMP 1.0", "STOMP 1.1", "STOMP 1.2"],
            "format": format,
        })),
        false => output.text(&format!(
            "holdfast {version}\nprotocols  STOMP 1.0, 1.1, 1.2\nformat     {format} (of the data directory)\n"
        )),
    }
}

pub(super) fn exit_codes(output: &Output) -> Result<(), Failure> {
    if !output.json {
        return output.text(&exit_codes_markdown());
    }
    let exits = Exit::ALL.iter().map(|exit| {
        json!({
            "code": exit.code(),
            "name": exit.name(),
            "meaning": exit.meaning(),
            "what_to_do": exit.what_to_do(),
        })
    });
    output.object(&Value::Array(exits.collect()))
}

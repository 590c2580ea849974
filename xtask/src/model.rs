//! `cargo xtask model`: the structures that threads meet at, played in every order (`tests/model`).

use crate::shell::{cargo, run};

/// `[FILTER] [--preemptions N]`.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo(["test", "--locked", "-p", "xtask", "--features", "model"]);
    command.args(["--test", "model"]);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--preemptions" => {
                let number = words.next().and_then(|word| word.parse::<usize>().ok());
                let number = number.ok_or("--preemptions takes a number")?;
                command.env("LOOM_MAX_PREEMPTIONS", number.to_string());
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            filter => {
                command.arg(filter);
            }
        }
    }
    command.args(["--", "--nocapture"]);
    run(&mut command)
}

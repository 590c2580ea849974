//! `cargo xtask model`: the structures that threads meet at, played in every order (`tests/model`).

use std::process::Stdio;

use crate::shell::{cargo, shown};
use crate::suite::ran_no_test;

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
    println!("$ {}", shown(&command));
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    match (output.status.success(), ran_no_test(&text)) {
        (true, false) => Ok(()),
        (true, true) => Err("no story was played: is the filter right?".to_owned()),
        (false, _) => Err("a story failed".to_owned()),
    }
}

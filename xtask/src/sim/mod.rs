//! `cargo xtask sim`: the simulated swarms with as many seeds as wanted, as a table; and how a swarm grows, as a plot.
//!
//! It reads lines that the tests print and must not know what they mean beyond their columns.

mod plot;

use std::process::Command;

use crate::shell::{capture, cargo, shown};
use crate::suite::ran_no_test;
use crate::tree;

use plot::{Curve, Plot};

/// Sizes of the swarm when nobody says which.
const SIZES: &str = "10,100,1000,10000";

/// Where the plot goes, relative to the root.
const PLOT: &str = "docs/growth.svg";

/// `[SCENARIO] [--seeds N] [--release]`, `growth [SIZES]`, or `growth --from FILE` with what an earlier run printed.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    if arguments.first().is_some_and(|word| word == "growth") {
        let text = match arguments.get(1..) {
            Some([option, file]) if option == "--from" => {
                std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?
            }
            None | Some([]) => grow(SIZES)?,
            Some(sizes) => grow(&sizes.join(","))?,
        };
        return plot_growth(&text);
    }
    let (mut name, mut seeds, mut profile) = (None, None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => {
                let number = words.next().and_then(|word| word.parse::<u64>().ok());
                let number = number.filter(|number| *number > 0);
                seeds = Some(number.ok_or("--seeds takes a number above 0")?);
            }
            "--release" => profile = Some("--release"),
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            word if name.is_none() => name = Some(word.to_owned()),
            word => return Err(format!("one scenario at a time, not {word:?} as well")),
        }
    }
    let mut command = simulator(profile.as_slice());
    command.arg(name.unwrap_or_default());
    command.args(["--", "--nocapture"]);
    if let Some(seeds) = seeds {
        command.env("SIM_SEEDS", seeds.to_string());
    }
    println!("$ {}", shown(&command));
    let output = command.output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = rows(&text, "sim: ");
    for row in &rows {
        println!("{}", line(row));
    }
    let total: f64 = rows
        .iter()
        .filter_map(|row| row.get(2)?.parse::<f64>().ok())
        .sum();
    println!("{} scenarios, {total:.1} s of their own time", rows.len());
    if output.status.success() {
        return match ran_no_test(&text) {
            true => Err("no scenario was played: is the name right?".to_owned()),
            false => Ok(()),
        };
    }
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err("a scenario failed; its line `replay:` says how to see it again".to_owned())
}

fn line(row: &[String]) -> String {
    let column = |at: usize| row.get(at).map_or("", String::as_str);
    format!(
        "{:<50} {:>6} seeds {:>8} s",
        column(0),
        column(1),
        column(2)
    )
}

fn simulator(options: &[&str]) -> Command {
    let mut command = cargo(["test", "-q"]);
    command.args(options);
    command.args(["-p", "bt-client", "--no-default-features", "--test", "sim"]);
    command
}

/// Runs the growing swarm in release. Gives what it prints.
fn grow(sizes: &str) -> Result<String, String> {
    let mut command = simulator(&["--release"]);
    command.args(["a_growing_swarm", "--", "--nocapture"]);
    capture(command.env("SIM_GROWTH", sizes))
}

fn plot_growth(text: &str) -> Result<(), String> {
    let rows = rows(text, "growth: ");
    println!(
        "leechers | locality | last / ideal | median | copies | near | wall s | steps | bytes a leecher"
    );
    for row in &rows {
        println!("growth: {}", row.join(" | "));
    }
    if std::env::var_os("SIM_LOCALITY").is_some() {
        println!("half of the plot: put both halves into a file and draw it with --from");
        return Ok(());
    }
    let path = tree::root().join(PLOT);
    std::fs::write(&path, draw(&rows)?).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("drawn to {PLOT}");
    Ok(())
}

fn draw(rows: &[Vec<String>]) -> Result<String, String> {
    let curve = |locality: &str, column: usize, name: &str| {
        let point = |row: &Vec<String>| {
            let number = |at: usize| row.get(at)?.parse::<f64>().ok();
            (row.get(1)? == locality).then_some(())?;
            Some((number(0)?, number(column)?))
        };
        Curve {
            name: name.to_owned(),
            points: rows.iter().filter_map(point).collect(),
        }
    };
    let plot = Plot {
        title: "One seeder, everybody begins together, equal lines".to_owned(),
        across: "leechers".to_owned(),
        curves: vec![
            curve("false", 2, "last complete / ideal"),
            curve("true", 2, "last complete / ideal, with localities"),
            curve("false", 4, "copies out of the seeder"),
            curve("true", 5, "share within a locality, with localities"),
        ],
    };
    plot.svg()
}

/// Columns of all lines that begin with `head`.
fn rows(text: &str, head: &str) -> Vec<Vec<String>> {
    let columns = |line: &str| {
        line.split(" | ")
            .map(|word| word.trim().to_owned())
            .collect()
    };
    text.lines()
        .filter_map(|line| line.split_once(head))
        .map(|(_, rest)| columns(rest))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{draw, line, rows};

    #[test]
    fn lines_become_rows_wherever_the_test_runner_puts_its_dots() {
        let text = "..sim: a_poisoner | 20 | 1.25\nother\nsim: b | 3 | 0.50\n";
        let rows = rows(text, "sim: ");
        assert_eq!(rows, [["a_poisoner", "20", "1.25"], ["b", "3", "0.50"]]);
        assert!(line(&rows[0]).starts_with("a_poisoner "));
    }

    #[test]
    fn a_plot_needs_figures_and_stays_small() {
        assert!(draw(&[]).is_err());
        let text = "growth: 10 | false | 1.1 | 1.0 | 1.0 | 0.1\ngrowth: 100 | false | 1.3 | 1.2 | 1.0 | 0.1\n";
        let svg = draw(&rows(text, "growth: ")).unwrap();
        assert!(svg.contains("prefers-color-scheme: dark") && svg.len() < 256 * 1024);
        assert_eq!(
            svg.matches("<polyline").count(),
            2,
            "empty curves are left out"
        );
    }
}

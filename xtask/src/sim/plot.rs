//! A small SVG writer: curves over a logarithmic axis, readable on light and on dark pages.
//!
//! It must not know what is drawn.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
/// Axis and legend.
const BOTTOM: f64 = 110.0;

/// Middle tones, which stand out from white and from black.
const COLORS: [&str; 4] = ["#3b82f6", "#f59e0b", "#10b981", "#ec4899"];

/// One line of figures.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// From left to right; all above 0 across.
    pub(crate) points: Vec<(f64, f64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) across: String,
    pub(crate) curves: Vec<Curve>,
}

impl Plot {
    /// The drawing as a file.
    pub(crate) fn svg(&self) -> Result<String, String> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let across = |pick: fn(f64, f64) -> f64| points().map(|(x, _)| x.log10()).reduce(pick);
        let (Some(from), Some(to)) = (across(f64::min), across(f64::max)) else {
            return Err("there is nothing to draw".to_owned());
        };
        let highest = points().map(|(_, y)| *y).fold(1.0, f64::max).ceil();
        let x = |value: f64| {
            LEFT + (value.log10() - from) / (to - from).max(1e-9) * (WIDTH - LEFT - RIGHT)
        };
        let y = |value: f64| TOP + (1.0 - value / highest) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <style>text{{fill:#24292f}}.grid{{stroke:#8b949e;stroke-opacity:.4}}\
             @media (prefers-color-scheme: dark){{text{{fill:#e6edf3}}}}</style>\n"
        );
        let text = |x: f64, y: f64, anchor: &str, words: &str| {
            let words = words.replace('&', "&amp;").replace('<', "&lt;");
            format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
        };
        svg += &text(WIDTH / 2.0, 20.0, "middle", &self.title);
        let steps = 5;
        for step in 0..=steps {
            let value = highest * f64::from(step) / f64::from(steps);
            let at = y(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                WIDTH - RIGHT
            );
            svg += &text(LEFT - 6.0, at + 4.0, "end", &format!("{value:.1}"));
        }
        let mut marks: Vec<f64> = points().map(|(x, _)| *x).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        for mark in marks {
            svg += &text(x(mark), y(0.0) + 18.0, "middle", &format!("{mark}"));
        }
        svg += &text(WIDTH / 2.0, y(0.0) + 34.0, "middle", &self.across);
        let drawn = self.curves.iter().filter(|curve| !curve.points.is_empty());
        for (number, (curve, color)) in drawn.zip(COLORS).enumerate() {
            let line: Vec<String> = curve
                .points
                .iter()
                .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2.5\"/>",
                line.join(" ")
            );
            let row = HEIGHT - 54.0 + f64::from(u8::try_from(number).unwrap_or(0)) * 15.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{color}\"/>",
                row - 6.0
            );
            svg += &text(LEFT + 20.0, row, "start", &curve.name);
        }
        svg += "</svg>\n";
        Ok(svg)
    }
}

//! `/stats` as a page: charts of the last quarter of an hour, the largest swarms, every number.
//!
//! It needs no script: the browser fetches it again every few seconds. It must not know how
//! numbers come about.

use std::fmt::Write as _;

use bt_metainfo::InfoHash;

use super::super::history::Series;
use crate::swarm::Counts;

/// The size of a chart in its own units.
const WIDTH: usize = 300;
const HEIGHT: usize = 60;

pub(super) fn page(
    rows: &[(&'static str, u64)],
    series: &[Series],
    largest: &[(InfoHash, Counts)],
) -> String {
    let mut page = String::from(HEAD);
    for series in series {
        chart(&mut page, series);
    }
    page.push_str(
        "</div>\n<h2>Largest swarms</h2>\n<table>\n<tr><th>Info-hash<th class=n>Seeds\
         <th class=n>Leechers<th class=n>Completed</tr>\n",
    );
    for (info_hash, counts) in largest {
        let _ = writeln!(
            page,
            "<tr><td><code>{info_hash}</code><td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            counts.seeds,
            counts.incomplete(),
            counts.completed
        );
    }
    page.push_str("</table>\n<h2>All numbers</h2>\n<table>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><td>{name}<td class=n>{value}</tr>");
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
    <meta name=viewport content=\"width=device-width\">\n<meta http-equiv=refresh content=5>\n\
    <title>Tracker</title>\n<style>\n\
    :root{color-scheme:light dark;--line:#0b62c4}\n\
    @media(prefers-color-scheme:dark){:root{--line:#7cb7ff}}\n\
    body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\n\
    table{border-collapse:collapse;margin-bottom:2rem}\n\
    th,td{text-align:left;padding:.2rem .8rem;border-bottom:1px solid #8884}\n\
    code{font-size:.8rem;overflow-wrap:anywhere}\n\
    .n{text-align:right;font-variant-numeric:tabular-nums}\n\
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.5rem}\n\
    figure{margin:0}\nfigcaption{font-size:.9rem}\n\
    svg{width:100%;height:auto;border-bottom:1px solid #8888}\n\
    polyline{fill:none;stroke:var(--line);stroke-width:1.5;vector-effect:non-scaling-stroke}\n\
    </style>\n</head>\n<body>\n<h1>Tracker</h1>\n<div class=charts>\n";

fn chart(page: &mut String, series: &Series) {
    let name = series.name.replace('_', " ");
    let now = series.values.last().copied().unwrap_or(0);
    let most = series.values.iter().copied().max().unwrap_or(0);
    let _ = write!(
        page,
        "<figure><figcaption>{name}: <b>{now}</b>, at most {most}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img \
         aria-label=\"{name}, now {now}, at most {most} in the last quarter of an hour\">\
         <polyline points=\""
    );
    // The newest stands at the right edge, whatever has come before.
    let steps = 180.max(series.values.len()) - 1;
    let missing = steps + 1 - series.values.len();
    for (at, value) in series.values.iter().enumerate() {
        let x = (missing + at) * WIDTH / steps;
        // A line at the very edge would be cut in half.
        let room = HEIGHT as u128 - 2;
        let height = u128::from(*value) * room / u128::from(most.max(1));
        let y = HEIGHT as u128 - 1 - height;
        let _ = write!(page, "{x},{y} ");
    }
    page.push_str("\"/></svg></figure>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_stays_within_its_frame_whatever_the_values() {
        for values in [
            vec![],
            vec![0],
            vec![0; 180],
            vec![u64::MAX, 0, 7],
            vec![5; 181],
        ] {
            let mut page = String::new();
            chart(
                &mut page,
                &Series {
                    name: "peers",
                    values,
                },
            );
            let points = page.split("points=\"").nth(1).unwrap();
            let points = points.split('"').next().unwrap();
            for point in points.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(x <= WIDTH && (1..HEIGHT).contains(&y), "{point}");
            }
        }
    }
}

//! Finds function bodies and how long they are.

use super::{line_of, regions::closing, words};

/// One function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name, as written.
    pub(crate) name: String,
    /// The 1-based line of its `fn`.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub(crate) lines: usize,
}

/// All functions with a body in a view without comments and literals, in order.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    words(code, "fn")
        .filter_map(|at| function_at(code, at))
        .collect()
}

/// `None` for function pointers and for declarations without a body.
fn function_at(code: &str, at: usize) -> Option<Function> {
    let rest = code.get(at + 2..)?;
    let trimmed = rest.trim_start();
    let name: String = trimmed
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '#')
        .collect();
    if name.is_empty() {
        return None;
    }
    let open = body_open(code, at)?;
    let close = closing(code, open)?;
    let line = line_of(code, at);
    Some(Function {
        name,
        line,
        lines: line_of(code, close) - line + 1,
    })
}

/// The brace that opens the body: the first one outside all parentheses and square brackets.
fn body_open(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' if depth == 0 => return Some(index),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

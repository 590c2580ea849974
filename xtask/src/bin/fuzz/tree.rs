//! Mutates bencoded inputs as trees, so that lengths and brackets stay right while content moves.
//!
//! Random bytes rarely form a dictionary with three sorted keys; this room makes them by hand. It
//! must not use the parser under test.

use crate::mutate::{self, Material};
use crate::random::Random;

/// Deeper inputs are left to the byte mutator.
const MAX_DEPTH: usize = 64;

/// A bencoded value, as loosely as a mutator may see it: keys in any order, numbers as text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Number(Vec<u8>),
    Text(Vec<u8>),
    List(Vec<Self>),
    Dict(Vec<(Vec<u8>, Self)>),
}

/// Changes `input` as a tree; false, and no change, if it is none or grew too large.
pub(crate) fn mutate(input: &mut Vec<u8>, random: &mut Random, material: Material<'_>) -> bool {
    let mut rest = input.as_slice();
    let Some(mut root) = read(&mut rest, 0) else {
        return false;
    };
    let tail = rest.to_vec();
    let other = read(&mut { material.other }, 0);
    for _ in 0..1 << random.below(4) {
        let at = random.below(count(&root));
        if let Some(node) = node_at(&mut root, at) {
            change(node, random, material, other.as_ref());
        }
    }
    let mut out = Vec::with_capacity(input.len() * 2);
    write(&root, !random.one_in(16), &mut out);
    out.extend_from_slice(&tail);
    // A tree that is cut off would be no tree.
    if out.len() > material.max_len {
        return false;
    }
    *input = out;
    true
}

/// Smaller inputs that are still trees: each with one part taken out or one text cut.
pub(crate) fn simpler(input: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = input;
    let Some(root) = read(&mut rest, 0) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for at in 0..count(&root) {
        for cut in [Cut::Half, Cut::Quarter, Cut::One] {
            let mut smaller = root.clone();
            if let Some(node) = node_at(&mut smaller, at)
                && shrink(node, cut)
            {
                let mut out = Vec::new();
                write(&smaller, false, &mut out);
                out.extend_from_slice(rest);
                found.push(out);
            }
        }
        // A child may stand for its parent.
        if let Some(child) = node_at(&mut root.clone(), at).filter(|_| at > 0) {
            let mut out = Vec::new();
            write(child, false, &mut out);
            out.extend_from_slice(rest);
            found.push(out);
        }
    }
    found.sort_by_key(Vec::len);
    found
}

/// How much of a value goes at once.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Half,
    Quarter,
    One,
}

/// Takes the end off a text, a list or a dictionary; false if nothing was there.
fn shrink(node: &mut Node, cut: Cut) -> bool {
    let kept = |length: usize| match cut {
        Cut::Half => length / 2,
        Cut::Quarter => length - length.div_ceil(4),
        Cut::One => length - 1,
    };
    match node {
        Node::Text(text) if !text.is_empty() => text.truncate(kept(text.len())),
        Node::List(items) if !items.is_empty() => items.truncate(kept(items.len())),
        Node::Dict(entries) if !entries.is_empty() => entries.truncate(kept(entries.len())),
        _ => return false,
    }
    true
}

fn change(node: &mut Node, random: &mut Random, material: Material<'_>, other: Option<&Node>) {
    let fresh = |random: &mut Random| {
        let borrowed = other.and_then(|tree| some_node(tree, random));
        match borrowed.filter(|_| random.one_in(2)) {
            Some(node) => node,
            None => simple_value(random, material),
        }
    };
    match node {
        _ if random.one_in(12) => *node = fresh(random),
        _ if random.one_in(24) => {
            let inner = std::mem::replace(node, Node::List(Vec::new()));
            *node = Node::List(vec![inner]);
        }
        Node::Number(digits) => *digits = mutate::number(random).into_bytes(),
        Node::Text(text) => change_text(text, random, material),
        Node::List(items) => {
            let at = random.below(items.len() + 1);
            match random.below(4) {
                0 if !items.is_empty() => drop(items.remove(at.min(items.len() - 1))),
                1 if !items.is_empty() => {
                    let again = items[at.min(items.len() - 1)].clone();
                    items.insert(at, again);
                }
                _ => items.insert(at, fresh(random)),
            }
        }
        Node::Dict(entries) => {
            let at = random.below(entries.len() + 1);
            match random.below(4) {
                0 if !entries.is_empty() => drop(entries.remove(at.min(entries.len() - 1))),
                1 if !entries.is_empty() => {
                    let last = entries.len() - 1;
                    entries[at.min(last)].0 = key(random, material);
                }
                _ => entries.insert(at, (key(random, material), fresh(random))),
            }
        }
    }
}

fn change_text(text: &mut Vec<u8>, random: &mut Random, material: Material<'_>) {
    match random.below(5) {
        0 => {
            let length = [0, 1, 4, 6, 18, 19, 20, 21, 32, 40, 68][random.below(11)];
            text.resize(length, random.byte());
        }
        1 => *text = text.repeat(1 + random.below(3)),
        2 => *text = key(random, material),
        _ => mutate::change(text, random, material),
    }
}

fn key(random: &mut Random, material: Material<'_>) -> Vec<u8> {
    match random.pick(material.words) {
        Some(word) if !random.one_in(6) => word.to_vec(),
        _ => vec![b'a' + random.byte() % 26; random.below(3)],
    }
}

fn simple_value(random: &mut Random, material: Material<'_>) -> Node {
    match random.below(4) {
        0 => Node::Number(mutate::number(random).into_bytes()),
        1 => Node::List(Vec::new()),
        2 => Node::Dict(Vec::new()),
        _ => Node::Text(key(random, material)),
    }
}

fn some_node(tree: &Node, random: &mut Random) -> Option<Node> {
    let mut open = vec![tree];
    let mut left = random.below(count(tree));
    while let Some(node) = open.pop() {
        if left == 0 {
            return Some(node.clone());
        }
        left -= 1;
        match node {
            Node::Number(_) | Node::Text(_) => {}
            Node::List(items) => open.extend(items),
            Node::Dict(entries) => open.extend(entries.iter().map(|(_, value)| value)),
        }
    }
    None
}

fn count(node: &Node) -> usize {
    1 + match node {
        Node::Number(_) | Node::Text(_) => 0,
        Node::List(items) => items.iter().map(count).sum::<usize>(),
        Node::Dict(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
    }
}

/// The node with this number, counting every node before its children.
fn node_at(node: &mut Node, at: usize) -> Option<&mut Node> {
    if at == 0 {
        return Some(node);
    }
    let mut left = at - 1;
    let children: Vec<&mut Node> = match node {
        Node::Number(_) | Node::Text(_) => Vec::new(),
        Node::List(items) => items.iter_mut().collect(),
        Node::Dict(entries) => entries.iter_mut().map(|(_, value)| value).collect(),
    };
    for child in children {
        let size = count(child);
        if left < size {
            return node_at(child, left);
        }
        left -= size;
    }
    None
}

/// Reads one value off the front of `rest`.
fn read(rest: &mut &[u8], depth: usize) -> Option<Node> {
    let (&first, after) = rest.split_first()?;
    if depth > MAX_DEPTH {
        return None;
    }
    match first {
        b'i' => {
            let end = after.iter().position(|&b| b == b'e')?;
            let digits = after.get(..end)?.to_vec();
            *rest = after.get(end + 1..)?;
            Some(Node::Number(digits))
        }
        b'l' => {
            *rest = after;
            let mut items = Vec::new();
            while rest.first()? != &b'e' {
                items.push(read(rest, depth + 1)?);
            }
            *rest = rest.get(1..)?;
            Some(Node::List(items))
        }
        b'd' => {
            *rest = after;
            let mut entries = Vec::new();
            while rest.first()? != &b'e' {
                let key = read_text(rest)?;
                entries.push((key, read(rest, depth + 1)?));
            }
            *rest = rest.get(1..)?;
            Some(Node::Dict(entries))
        }
        _ => read_text(rest).map(Node::Text),
    }
}

fn read_text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let colon = rest.iter().take(12).position(|&b| b == b':')?;
    let length: usize = std::str::from_utf8(rest.get(..colon)?).ok()?.parse().ok()?;
    let end = (colon + 1).checked_add(length)?;
    let text = rest.get(colon + 1..end)?.to_vec();
    *rest = rest.get(end..)?;
    Some(text)
}

fn write(node: &Node, sorted: bool, out: &mut Vec<u8>) {
    match node {
        Node::Number(digits) => {
            out.push(b'i');
            out.extend_from_slice(digits);
            out.push(b'e');
        }
        Node::Text(text) => write_text(text, out),
        Node::List(items) => {
            out.push(b'l');
            items.iter().for_each(|item| write(item, sorted, out));
            out.push(b'e');
        }
        Node::Dict(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            if sorted {
                entries.sort_by_key(|(key, _)| key);
                entries.dedup_by_key(|(key, _)| key);
            }
            out.push(b'd');
            for (key, value) in entries {
                write_text(key, out);
                write(value, sorted, out);
            }
            out.push(b'e');
        }
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Shape;

    fn material() -> Material<'static> {
        Material {
            shape: Shape::Bencode,
            words: &[b"info", b"name", b"pieces"],
            other: b"d1:ali1ei2ee1:b3:xyze",
            max_len: 4096,
        }
    }

    #[test]
    fn a_tree_is_written_as_it_was_read() {
        let text = b"d1:ai1e4:infod6:lengthi-5e4:name2:xxe1:zl0:deee4:tail";
        let mut rest = text.as_slice();
        let node = read(&mut rest, 0).unwrap();
        assert_eq!(count(&node), 8);
        let mut out = Vec::new();
        write(&node, true, &mut out);
        assert_eq!([out.as_slice(), rest].concat(), text);
    }

    #[test]
    fn what_is_no_tree_is_left_alone() {
        for text in [&b""[..], b"x", b"d1:a", b"i5", b"9:short", &[b'l'; 500]] {
            let mut input = text.to_vec();
            assert!(!mutate(&mut input, &mut Random::new(1), material()));
            assert_eq!(input, text);
        }
    }

    #[test]
    fn simpler_trees_are_smaller_trees() {
        let text = b"d1:ali1ei2ei3ee1:b4:wxyze";
        let smaller = simpler(text);
        assert!(smaller.contains(&b"d1:ali1ei2ei3ee1:b2:wxe".to_vec()));
        assert!(smaller.contains(&b"d1:ali1ei2ee1:b4:wxyze".to_vec()));
        assert!(smaller.contains(&b"4:wxyz".to_vec()));
        assert!(smaller.iter().all(|tree| tree.len() < text.len()));
        assert_eq!(simpler(b"no tree"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn mutants_are_trees_again() {
        let mut random = Random::new(5);
        let mut widest = 0;
        for _ in 0..2_000 {
            let mut input = b"d4:infod4:name1:xee".to_vec();
            assert!(mutate(&mut input, &mut random, material()));
            let root = read(&mut input.as_slice(), 0).expect("a mutant is a tree");
            if let Node::Dict(entries) = root {
                widest = widest.max(entries.len());
            }
        }
        assert!(widest >= 3, "dictionaries never grew beyond {widest}");
    }
}

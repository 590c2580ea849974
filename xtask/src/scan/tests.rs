//! What the scanner must not be fooled by.

use super::{Source, functions, imports, inline_paths, words};

#[test]
fn comments_and_literals_are_not_code() {
    let text = r##"
// fn one() {}
/* fn /* nested */ two() {} */
let a = "fn three() { \" }";
let b = r#"fn four() { " }"#;
let c = br"fn five() {";
let d = '{'; let e = '\''; let f: &'static str = b"{".into();
let r#fn = 1;
"##;
    let source = Source::scan(text, false);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.comments.len(), text.len());
    for hidden in ["one", "two", "three", "four", "five"] {
        assert!(!source.code.contains(hidden), "{hidden} is seen as code");
    }
    assert!(source.comments.contains("two() {} */"));
    assert_eq!(source.code.matches('{').count(), 0);
    assert!(source.code.contains("&'static str"));
}

#[test]
fn characters_that_take_several_bytes_keep_offsets() {
    let text = "let a = 'ä'; let b = \"é\"; // ü\nfn f() {}\n";
    let source = Source::scan(text, false);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.code.find("fn f"), text.find("fn f"));
}

#[test]
fn test_items_are_not_production() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let source = Source::scan(text, false);
    assert!(!source.production.contains("fn b"));
    assert!(source.production.contains("fn c"));
    assert_eq!(source.production_lines(text), 2);
}

#[test]
fn a_test_module_declared_at_the_top_hides_nothing_below_it() {
    let text = "#[cfg(test)]\nmod tests;\nfn a() {}\nfn b() {}\n";
    let source = Source::scan(text, false);
    assert_eq!(source.production_lines(text), 2);
    assert!(source.production.contains("fn b"));
}

#[test]
fn a_test_only_field_ends_at_its_comma() {
    let text = "struct S {\n    #[cfg(test)]\n    probe: Vec<u8>,\n    kept: u8,\n}\n";
    let source = Source::scan(text, false);
    assert!(!source.production.contains("probe"));
    assert!(source.production.contains("kept"));
}

#[test]
fn a_generic_test_function_does_not_end_at_a_comma() {
    let text =
        "#[cfg(all(test, unix))]\n#[inline]\nfn f<A, B>(a: A) -> B {\n    x()\n}\nfn g() {}\n";
    let source = Source::scan(text, false);
    assert!(!source.production.contains("x()"));
    assert!(source.production.contains("fn g"));
}

#[test]
fn not_test_and_features_are_production() {
    for condition in ["not(test)", "feature = \"test\"", "any(test, unix)"] {
        let text = format!("#[cfg({condition})]\nfn a() {{}}\n");
        let source = Source::scan(&text, false);
        assert!(source.production.contains("fn a"), "{condition}");
    }
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let text = "pub fn a(x: [u8; 2]) -> u8\nwhere\n    u8: Copy,\n{\n    if x { 1 } else { 2 }\n}\n\
                trait T { fn only_declared(&self); fn given(&self) {} }\ntype P = fn(u8) -> u8;\n";
    let found = functions(&Source::scan(text, false).code);
    let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.lines)).collect();
    assert_eq!(seen, [("a", 6), ("given", 1)]);
}

#[test]
fn use_trees_expand_to_their_leaves() {
    let text = "pub(crate) use crate::net::{self, dial::{Dialer as D, open}, *};\nuse std::fs;\n";
    let found = imports(&Source::scan(text, false).code);
    let paths: Vec<_> = found.iter().map(|import| import.joined()).collect();
    assert_eq!(
        paths,
        [
            "crate::net",
            "crate::net::dial::Dialer",
            "crate::net::dial::open",
            "crate::net::*",
            "std::fs"
        ]
    );
    assert!(found.iter().take(4).all(|import| import.public));
    assert!(found.iter().skip(4).all(|import| !import.public));
}

#[test]
fn inline_paths_start_at_their_root() {
    let code = "let a = super::super::net::open(crate::disk::X); mycrate::y();";
    let up = inline_paths(code, "super");
    assert_eq!(up.len(), 1);
    assert_eq!(up[0].joined(), "super::super::net::open");
    let root = inline_paths(code, "crate");
    assert_eq!(root.len(), 1);
    assert_eq!(root[0].joined(), "crate::disk::X");
}

#[test]
fn words_stand_alone() {
    assert_eq!(words("unsafely unsafe not_unsafe", "unsafe").count(), 1);
    assert_eq!(words("a.await.b awaits", ".await").count(), 1);
    assert_eq!(words("Instant::now() x::nowhere()", "::now()").count(), 1);
}

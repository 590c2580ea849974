//! Rust types in and out.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use bt_bencode::{ErrorKind, OwnedValue, Value, from_bytes, parse, to_bytes};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use crate::trees::{nearly_valid, tree};

#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, encoded: &[u8]) {
    assert_eq!(to_bytes(value).expect("it has a form"), encoded);
    assert!(parse(encoded).is_ok());
    assert_eq!(&from_bytes::<T>(encoded).expect("it fits"), value);
}

#[track_caller]
fn does_not_fit<'a, T: Deserialize<'a> + Debug>(input: &'a [u8], message: &str) {
    assert_eq!(
        from_bytes::<T>(input)
            .expect_err("it does not fit")
            .to_string(),
        message
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct File {
    path: Vec<String>,
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attr: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    Ping,
    Wait(u32),
    Move(i8, i8),
    Find { target: String, want: Option<u8> },
}

#[test]
fn numbers() {
    both_ways(&0_u8, b"i0e");
    both_ways(&-128_i8, b"i-128e");
    both_ways(&i64::MIN, b"i-9223372036854775808e");
    both_ways(&(i64::MAX as u64), b"i9223372036854775807e");
    both_ways(&7_i128, b"i7e");
    both_ways(&7_u128, b"i7e");
    both_ways(&true, b"i1e");
    both_ways(&false, b"i0e");
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for error in [
        to_bytes(&u64::MAX).unwrap_err(),
        to_bytes(&(i64::MAX as u64 + 1)).unwrap_err(),
        to_bytes(&i128::MIN).unwrap_err(),
        to_bytes(&u128::MAX).unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::OutOfRange);
    }
    let error = to_bytes(&BTreeMap::from([("left", u64::MAX)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"byte 7: key "left": the integer is out of range"#
    );
    does_not_fit::<u8>(
        b"i256e",
        "byte 0: invalid value: integer `256`, expected u8",
    );
    does_not_fit::<u64>(b"i-1e", "byte 0: invalid value: integer `-1`, expected u64");
    does_not_fit::<bool>(b"i2e", "byte 0: the integer is out of range");
    does_not_fit::<bool>(b"4:true", "byte 0: expected an integer, found a string");
    does_not_fit::<f64>(b"1:1", r#"byte 0: invalid type: string "1", expected f64"#);
    does_not_fit::<()>(b"i0e", "byte 0: bencode has no unit type");
}

#[test]
fn strings() {
    both_ways(&String::from("caf\u{e9}"), "5:caf\u{e9}".as_bytes());
    both_ways(&'\u{1f980}', "4:\u{1f980}".as_bytes());
    both_ways(&ByteBuf::from(vec![0xff, 0]), b"2:\xff\x00");
    both_ways(&ByteArray::new([1_u8, 2, 3]), b"3:\x01\x02\x03");
    assert_eq!(to_bytes(Bytes::new(b"\xfe")).unwrap(), b"1:\xfe");
    assert_eq!(from_bytes::<&str>(b"3:abc").unwrap(), "abc");
    assert_eq!(from_bytes::<&[u8]>(b"1:\xfe").unwrap(), b"\xfe");
    does_not_fit::<String>(b"1:\xfe", "byte 0: the string is not UTF-8");
    does_not_fit::<&[u8]>(b"le", "byte 0: expected a string, found a list");
}

#[test]
fn borrowed_strings_point_into_the_input() {
    let input = b"l3:abc2:\xff\xfee".to_vec();
    let (text, bytes): (&str, &[u8]) = from_bytes(&input).unwrap();
    assert_eq!(text.as_ptr(), input[3..].as_ptr());
    assert_eq!(bytes.as_ptr(), input[8..].as_ptr());
}

#[test]
fn sequences() {
    both_ways(&vec![1, 2, 3], b"li1ei2ei3ee");
    both_ways(&(1, String::from("a")), b"li1e1:ae");
    both_ways(&[[0_u8; 2]; 2], b"lli0ei0eeli0ei0eee");
    does_not_fit::<(u8, u8)>(
        b"li1ee",
        "byte 0: invalid length 1, expected a tuple of size 2",
    );
    does_not_fit::<(u8, u8)>(
        b"li1ei2ei3ee",
        "byte 7: more items than the type has room for",
    );
    does_not_fit::<Vec<u8>>(
        b"li1e1:ae",
        r#"byte 4: invalid type: string "a", expected u8"#,
    );
    does_not_fit::<Vec<u8>>(b"1:a", "byte 0: expected a list, found a string");
}

#[test]
fn structs_come_out_with_sorted_keys() {
    let file = File {
        path: vec!["a".into(), "b".into()],
        length: 5,
        attr: None,
    };
    both_ways(&file, b"d6:lengthi5e4:pathl1:a1:bee");
    let file = File {
        attr: Some("x".into()),
        ..file
    };
    both_ways(&file, b"d4:attr1:x6:lengthi5e4:pathl1:a1:bee");
}

#[test]
fn keys_that_no_field_wants_are_passed_over() {
    let input = b"d4:junkd1:ali1eee6:lengthi5e4:pathl1:ae1:\xff1:\xffe";
    let file: File = from_bytes(input).unwrap();
    assert_eq!(file.length, 5);
}

#[test]
fn errors_inside_structs_name_key_and_place() {
    does_not_fit::<File>(b"d6:lengthi5ee", r#"byte 0: key "path": missing"#);
    does_not_fit::<Vec<File>>(b"ld6:lengthi5eee", r#"byte 1: key "path": missing"#);
    does_not_fit::<File>(
        b"d6:length1:54:pathlee",
        r#"byte 9: key "length": invalid type: string "5", expected u64"#,
    );
    does_not_fit::<File>(
        b"d6:lengthi5e4:pathl1:ai7eee",
        r#"byte 22: key "path": expected a string, found an integer"#,
    );
    does_not_fit::<File>(b"de junk", "byte 2: bytes follow the value");
    does_not_fit::<File>(b"li1ee", "byte 0: expected a dictionary, found a list");
}

#[test]
fn maps_come_out_sorted_whatever_order_they_have() {
    let map: HashMap<String, i64> = (0..200).map(|n| (format!("{n}"), n)).collect();
    let encoded = to_bytes(&map).unwrap();
    let value = parse(&encoded).unwrap();
    assert_eq!(value.dict().unwrap().len(), 200);
    assert_eq!(from_bytes::<HashMap<String, i64>>(&encoded).unwrap(), map);
    both_ways(
        &BTreeMap::from([(ByteBuf::from(vec![0xff]), 1)]),
        b"d1:\xffi1ee",
    );
    both_ways(&BTreeMap::<String, u8>::new(), b"de");
}

#[test]
fn map_keys_are_strings_and_unique() {
    let error = to_bytes(&BTreeMap::from([(1, 2)])).unwrap_err();
    assert_eq!(
        (error.kind(), error.offset()),
        (&ErrorKind::KeyNotString, 1)
    );
    #[derive(Serialize)]
    struct Twice {
        z: u8,
        a: u8,
        #[serde(rename = "a")]
        again: u8,
    }
    let error = to_bytes(&Twice {
        z: 0,
        a: 1,
        again: 2,
    })
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.key()),
        (&ErrorKind::DuplicateKey, Some(&b"a"[..]))
    );
}

#[test]
fn enums() {
    both_ways(&Command::Ping, b"4:ping");
    both_ways(&Command::Wait(3), b"d4:waiti3ee");
    both_ways(&Command::Move(-1, 1), b"d4:moveli-1ei1eee");
    let find = Command::Find {
        target: "x".into(),
        want: None,
    };
    both_ways(&find, b"d4:findd6:target1:xee");
    let find = Command::Find {
        target: "x".into(),
        want: Some(4),
    };
    both_ways(&find, b"d4:findd6:target1:x4:wanti4eee");
    for (input, message) in [
        (&b"4:wait"[..], "byte 0: this variant needs a value"),
        (b"d4:pingi1ee", "byte 7: this variant has no value"),
        (
            b"de",
            "byte 0: an enum is a string or a dictionary of one entry",
        ),
        (
            b"d4:pingi1e4:waiti1ee",
            "byte 0: an enum is a string or a dictionary of one entry",
        ),
        (b"i1e", "byte 0: expected a dictionary, found an integer"),
    ] {
        does_not_fit::<Command>(input, message);
    }
    let error = from_bytes::<Command>(b"4:pong").unwrap_err();
    assert!(
        error.to_string().contains("unknown variant `pong`"),
        "{error}"
    );
}

#[test]
fn none_leaves_its_entry_out_and_has_no_form_elsewhere() {
    let map = BTreeMap::from([("a", Some(1)), ("b", None), ("c", Some(3))]);
    assert_eq!(to_bytes(&map).unwrap(), b"d1:ai1e1:ci3ee");
    assert_eq!(from_bytes::<Option<u8>>(b"i1e").unwrap(), Some(1));
    for error in [
        to_bytes(&None::<u8>).unwrap_err(),
        to_bytes(&vec![Some(1), None]).unwrap_err(),
        to_bytes(&(1, None::<u8>)).unwrap_err(),
        to_bytes(&Some(None::<u8>)).unwrap_err(),
        to_bytes(&()).unwrap_err(),
        to_bytes(&1.5_f32).unwrap_err(),
        to_bytes(&1.5_f64).unwrap_err(),
        to_bytes(&BTreeMap::from([(None::<&str>, 1)])).unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Custom(_)), "{error}");
    }
    let error = to_bytes(&BTreeMap::from([("a", vec![None::<u8>])])).unwrap_err();
    assert_eq!(error.key(), Some(&b"a"[..]));
}

#[test]
fn a_view_can_be_a_field_and_keeps_its_bytes_and_place() {
    #[derive(Serialize, Deserialize)]
    struct Torrent<'a> {
        #[serde(borrow)]
        info: Value<'a>,
        announce: &'a str,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        extra: Option<Value<'a>>,
    }

    let input = b"d8:announce1:x4:infod4:name1:aee";
    let torrent: Torrent<'_> = from_bytes(input).unwrap();
    assert_eq!(torrent.info.raw(), b"d4:name1:ae");
    assert_eq!(torrent.info.offset(), 20);
    assert!(torrent.extra.is_none());
    let error = torrent.info.dict().unwrap().int("name").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"byte 27: key "name": expected an integer, found a string"#
    );
    assert_eq!(to_bytes(&torrent).unwrap(), input);
    assert_eq!(to_bytes(&torrent.info).unwrap(), torrent.info.raw());
}

#[test]
fn a_view_is_a_source_of_types_itself() {
    let value = parse(b"d4:filed6:lengthi5e4:pathl1:aeee").unwrap();
    let file = File::deserialize(value.dict().unwrap().get("file").unwrap()).unwrap();
    assert_eq!(file.path, ["a"]);
}

#[test]
fn deep_input_stops_at_the_limit_of_parsing() {
    #[derive(Debug, Deserialize)]
    struct Nest(#[expect(dead_code, reason = "only its depth counts")] Vec<Self>);

    let nested = |depth| "l".repeat(depth) + &"e".repeat(depth);
    assert!(from_bytes::<Nest>(nested(100).as_bytes()).is_ok());
    let error = from_bytes::<Nest>(nested(101).as_bytes()).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::TooDeep { limit: 100 });
}

#[test]
fn flattened_and_untagged_types_work() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        own: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, OwnedValue>,
    }
    let input = b"d1:al1:xe3:owni1e1:zi2ee";
    let outer: Outer = from_bytes(input).unwrap();
    assert_eq!(outer.rest["a"], OwnedValue::List(vec!["x".into()]));
    both_ways(&outer, input);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Peers {
        Compact(ByteBuf),
        List(Vec<BTreeMap<String, OwnedValue>>),
    }
    both_ways(
        &Peers::Compact(ByteBuf::from(vec![127, 0, 0, 1, 0x1a, 0xe1])),
        b"6:\x7f\0\0\x01\x1a\xe1",
    );
    both_ways(
        &Peers::List(vec![BTreeMap::from([("port".into(), 6881.into())])]),
        b"ld4:porti6881eee",
    );
}

proptest! {
    #[test]
    fn trees_go_both_ways(tree in tree()) {
        let encoded = to_bytes(&tree).unwrap();
        prop_assert_eq!(&encoded, &tree.encode());
        prop_assert_eq!(from_bytes::<OwnedValue>(&encoded).unwrap(), tree);
    }

    #[test]
    fn what_is_refused_by_parse_is_refused_the_same_way(input in nearly_valid()) {
        match (parse(&input), from_bytes::<OwnedValue>(&input)) {
            (Ok(value), Ok(tree)) => prop_assert_eq!(value.to_owned(), tree),
            (Err(one), Err(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(false, "{one:?} and {other:?}"),
        }
    }
}

#[test]
fn a_view_from_elsewhere_is_not_believed() {
    use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
    use serde::de::{DeserializeSeed, IntoDeserializer, SeqAccess};

    struct Parts(&'static [u8], u32, u8);

    impl<'de> SeqAccess<'de> for Parts {
        type Error = Error;

        fn next_element_seed<T: DeserializeSeed<'de>>(
            &mut self,
            seed: T,
        ) -> Result<Option<T::Value>, Error> {
            self.2 += 1;
            match self.2 {
                1 => {
                    let bytes = serde::de::value::BorrowedBytesDeserializer::new(self.0);
                    seed.deserialize(bytes).map(Some)
                }
                2 => seed.deserialize(self.1.into_deserializer()).map(Some),
                _ => Ok(None),
            }
        }
    }

    let view = |bytes| {
        Value::deserialize(serde::de::value::SeqAccessDeserializer::new(Parts(
            bytes, 7, 0,
        )))
    };
    assert_eq!(view(b"li1ee").unwrap().offset(), 7);
    for bytes in [&b""[..], b"l", b"spam", b"i1ei2e", b"i-0e"] {
        assert!(view(bytes).is_err());
    }
    let numbers: SeqDeserializer<_, Error> = vec![1_u8, 2].into_deserializer();
    assert!(Value::deserialize(numbers).is_err());
    let map: MapDeserializer<'_, _, Error> = MapDeserializer::new([("a", 1_u8)].into_iter());
    assert!(Value::deserialize(map).is_err());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u16, i16);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[test]
fn structs_of_a_tuple_are_lists_and_structs_of_nothing_have_no_form() {
    both_ways(&Pair(65_535, -32_768), b"li65535ei-32768ee");
    does_not_fit::<Pair>(
        b"li1ee",
        "byte 0: invalid length 1, expected tuple struct Pair with 2 elements",
    );
    let error = to_bytes(&Nothing).unwrap_err().to_string();
    assert!(error.contains("a unit struct"), "{error}");
    assert!(from_bytes::<Nothing>(b"0:").is_err());
}

#[test]
fn what_a_type_says_against_being_written_is_passed_on() {
    struct Stubborn;

    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }

    let error = to_bytes(&BTreeMap::from([("when", Stubborn)])).unwrap_err();
    assert!(error.to_string().ends_with("not today"), "{error}");
    assert_eq!(format!("{error:?}"), format!("Error({error})"));
}

#[test]
fn a_visitor_that_asks_for_a_value_before_its_key_is_told() {
    use serde::de::{MapAccess, Visitor};

    #[derive(Debug)]
    struct Hasty;

    impl<'de> Deserialize<'de> for Hasty {
        fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            struct Map;

            impl<'de> Visitor<'de> for Map {
                type Value = Hasty;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a dictionary")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hasty, A::Error> {
                    map.next_value::<u8>().map(|_| Hasty)
                }
            }

            input.deserialize_map(Map)
        }
    }

    let error = from_bytes::<Hasty>(b"d1:ai1ee").unwrap_err().to_string();
    assert!(error.contains("before its key"), "{error}");
}

#[test]
fn trees_are_made_of_what_other_formats_say_if_bencode_can() {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer, U64Deserializer, UnitDeserializer};

    let number = |value: u64| -> Result<OwnedValue, Error> {
        let number: U64Deserializer<Error> = value.into_deserializer();
        OwnedValue::deserialize(number)
    };
    assert_eq!(number(7), Ok(OwnedValue::Int(7)));
    assert!(number(u64::MAX).is_err());
    let map = |key: u8| MapDeserializer::<_, Error>::new([(key, 1_u8)].into_iter());
    let error = OwnedValue::deserialize(map(1)).unwrap_err().to_string();
    assert!(error.contains("key must be a string"), "{error}");
    let unit = UnitDeserializer::<Error>::new();
    let error = OwnedValue::deserialize(unit).unwrap_err().to_string();
    assert!(
        error.contains("expected an integer, a string, a list or a dictionary"),
        "{error}"
    );
}

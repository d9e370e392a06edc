//! BTF that is built by hand and looked up; broken BTF, which is an error and no panic.

use lockc_core::fields::{Field, Holds};
use proptest::prelude::*;

use super::*;

/// struct inner { int x; /* 32 bits */ int y; }; struct outer { int a; union { struct inner u;
/// int v; }; struct inner n; }; int outer(int a, int u); struct pointers { struct inner *p;
/// void *q; struct inner array[2]; int bits: 3; };
fn sample() -> Vec<u8> {
    sample_with("outer")
}

/// The same with another name of the function.
fn sample_with(function: &str) -> Vec<u8> {
    let strings = b"\0int\0inner\0x\0y\0outer\0a\0u\0v\0n\0pointers\0p\0q\0array\0bits\0";
    let strings = &[&strings[..], function.as_bytes(), b"\0"].concat()[..];
    let at = |name: &str| {
        strings
            .windows(name.len() + 2)
            .position(|w| {
                &w[1..=name.len()] == name.as_bytes() && w[0] == 0 && w[name.len() + 1] == 0
            })
            .unwrap() as u32
            + 1
    };
    let info = |kind: u32, count: u32| kind << 24 | count;
    let words = [
        vec![at("int"), info(1, 0), 4, 32],
        vec![at("inner"), info(4, 2), 8, at("x"), 1, 0, at("y"), 1, 32],
        vec![0, info(5, 2), 8, at("u"), 2, 0, at("v"), 1, 0],
        vec![at("outer"), info(4, 3), 20, at("a"), 1, 0, 0, 3, 32, at("n"), 2, 96],
        vec![0, info(13, 2), 1, at("a"), 1, at("u"), 1],
        vec![at(function), info(12, 0), 5],
        vec![0, info(2, 0), 2],
        vec![0, info(2, 0), 0],
        vec![0, info(3, 0), 0, 2, 1, 2],
        // With a size in the offsets of members: 3 bits.
        [
            vec![at("pointers"), info(4, 4) | 1 << 31, 40, at("p"), 7, 0, at("q"), 8, 64],
            vec![at("array"), 9, 128, at("bits"), 1, 3 << 24 | 256],
        ]
        .concat(),
    ]
    .concat();
    let types: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let header = [
        u32::from(MAGIC) | 1 << 16,
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    [header.into_iter().flat_map(u32::to_le_bytes).collect(), types, strings.to_vec()].concat()
}

#[test]
fn members_are_found_through_unnamed_unions() {
    let data = sample();
    let btf = Btf::parse(&data).unwrap();
    assert_eq!(btf.offset("outer", "a"), Ok(Some(0)));
    assert_eq!(btf.offset("outer", "v"), Ok(Some(4)));
    assert_eq!(btf.offset("outer", "u.y"), Ok(Some(8)));
    assert_eq!(btf.offset("outer", "n.y"), Ok(Some(16)));
    assert_eq!(btf.offset("outer", "none"), Ok(None));
    assert_eq!(btf.offset("none", "a"), Ok(None));
    assert_eq!(btf.functions("ou"), Ok(HashMap::from([("ter", 2)])));
    assert_eq!(btf.functions("in"), Ok(HashMap::new()));
}

#[test]
fn direct_calls_are_there_if_their_function_is() {
    for (function, there) in [
        ("register_ftrace_direct", true),
        ("register_ftrace_direct_cb", false),
        ("unregister_ftrace_direct", false),
        ("outer", false),
    ] {
        let data = sample_with(function);
        assert_eq!(Btf::parse(&data).unwrap().has_direct_calls(), Ok(there), "{function}");
    }
}

#[test]
fn a_member_of_another_type_is_an_error_with_the_release() {
    let data = sample();
    let btf = Btf::parse(&data).unwrap();
    let said = |of, member: &'static [&'static str], holds, global| {
        let field = Field { global, of, members: member, holds };
        btf.field(&field, "6.99").map_err(|error| error.to_string())
    };
    let of = |of, member, holds| said(of, member, holds, Some("global"));
    assert_eq!(of("outer", &["a"], Holds::Bytes(4)), Ok(0));
    assert_eq!(of("outer", &["n"], Holds::Bytes(8)), Ok(12));
    assert_eq!(of("outer", &["n"], Holds::Struct("inner")), Ok(12));
    assert_eq!(of("pointers", &["p"], Holds::Pointer(Some("inner"))), Ok(0));
    assert_eq!(of("pointers", &["q"], Holds::Pointer(Some("inner"))), Ok(8), "void");
    assert_eq!(of("pointers", &["array"], Holds::Struct("inner")), Ok(16));
    assert_eq!(of("pointers", &["array.y"], Holds::Bytes(4)), Ok(20));
    assert_eq!(of("pointers", &["none", "q"], Holds::Pointer(None)), Ok(8));
    assert_eq!(said("outer", &["a"], Holds::Bytes(4), None), Ok(0));
    for (result, words) in [
        (
            of("outer", &["a"], Holds::Bytes(8)),
            ["Linux 6.99 has 4 bytes in outer.a", "reads 8 bytes"],
        ),
        (of("outer", &["a"], Holds::Pointer(None)), ["no pointer in outer.a", "reads a pointer:"]),
        (of("outer", &["a"], Holds::Struct("inner")), ["no struct in outer.a", "struct inner"]),
        (
            of("pointers", &["p"], Holds::Pointer(Some("outer"))),
            ["a pointer to struct inner in pointers.p", "a pointer to struct outer"],
        ),
        (of("outer", &["n"], Holds::Struct("outer")), ["struct inner in outer.n", "struct outer"]),
        (of("pointers", &["bits"], Holds::Bytes(4)), ["a bit-field of 3 bits", "reads 4 bytes"]),
        (
            said("outer", &["n"], Holds::Struct("inner"), None),
            ["something at byte 12 in outer.n", "struct inner"],
        ),
        (of("outer", &["z", "zz"], Holds::Bytes(4)), ["Linux 6.99 has no outer.z or zz", "6.99"]),
    ] {
        let message = result.unwrap_err();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

/// struct more { struct inner i; int v; }; of a module: its type is numbered after the
/// kernel's, and so is its string.
fn module(kernel: &[u8]) -> Vec<u8> {
    let base = Btf::parse(kernel).unwrap();
    let name = |name: &str| {
        base.strings.windows(name.len()).position(|w| w == name.as_bytes()).unwrap() as u32
    };
    let strings = b"\0more\0";
    let more = base.strings.len() as u32 + 1;
    let words = [more, 4 << 24 | 2, 12, name("a\0"), 2, 0, name("v\0"), 1, 64];
    let types: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let header = [
        u32::from(MAGIC) | 1 << 16,
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    [header.into_iter().flat_map(u32::to_le_bytes).collect(), types, strings.to_vec()].concat()
}

#[test]
fn a_modules_types_and_strings_go_on_from_the_kernels() {
    let kernel = sample();
    let base = Btf::parse(&kernel).unwrap();
    let data = module(&kernel);
    let module = Btf::parse_module(&data, &base).unwrap();
    assert_eq!((module.size("more"), module.size("outer")), (Ok(Some(12)), Ok(None)));
    assert_eq!(base.size("outer"), Ok(Some(20)));
    assert_eq!(
        (module.offset("more", "a.y"), module.offset("more", "v")),
        (Ok(Some(4)), Ok(Some(8)))
    );
    assert_eq!(module.offset("more", "none"), Ok(None));
}

proptest! {
    #[test]
    fn a_broken_module_is_an_error_and_no_panic(at in 0usize..100, byte: u8, cut in 0usize..110) {
        let kernel = sample();
        let base = Btf::parse(&kernel).unwrap();
        let mut data = module(&kernel);
        let length = data.len();
        data[at % length] = byte;
        data.truncate(cut.min(length));
        if let Ok(module) = Btf::parse_module(&data, &base) {
            let _ = module.offset("more", "a.y");
            let _ = module.size("more");
        }
    }

    #[test]
    fn broken_input_is_an_error_and_no_panic(at in 0usize..320, byte: u8, cut in 0usize..340) {
        let mut data = sample();
        let length = data.len();
        data[at % length] = byte;
        data.truncate(cut.min(length));
        if let Ok(btf) = Btf::parse(&data) {
            let _ = btf.offset("outer", "u.y");
            let _ = btf.functions("");
            for holds in [Holds::Bytes(4), Holds::Pointer(Some("inner")), Holds::Struct("inner")] {
                let members = &["u.y", "p", "array"];
                let _ = btf.field(&Field { global: None, of: "pointers", members, holds }, "");
            }
        }
    }
}

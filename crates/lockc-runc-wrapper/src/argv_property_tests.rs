//! Command lines that are made up: every order and spelling, and arguments of any bytes.

use super::*;

/// An option with its value, in any spelling.
fn spelt(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
) -> impl Strategy<Value = Vec<OsString>> {
    let mut spellings = vec![
        vec![format!("--{long}"), value.into()],
        vec![format!("--{long}={value}")],
        vec![format!("-{long}"), value.into()],
        vec![format!("-{long}={value}")],
    ];
    if let Some(short) = short {
        spellings
            .extend([vec![format!("-{short}"), value.into()], vec![format!("-{short}={value}")]]);
    }
    prop::sample::select(spellings).prop_map(|args| args.iter().map(OsString::from).collect())
}

fn switch(long: &'static str) -> impl Strategy<Value = Vec<OsString>> {
    prop::sample::select(vec![format!("--{long}"), format!("-{long}"), format!("--{long}=true")])
        .prop_map(|arg| vec![arg.into()])
}

proptest! {
    #[test]
    fn all_orders_and_spellings_of_a_create_are_the_same(
        globals in (spelt("root", Some('r'), "/r"), spelt("log", Some('l'), "create"),
            spelt("log-format", None, "json"), switch("debug"), switch("systemd-cgroup"))
            .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e]).prop_shuffle(),
        after in (spelt("bundle", Some('b'), "/b"), spelt("pid-file", None, "exec"),
            spelt("console-socket", None, "run"), switch("no-pivot"),
                Just(vec![OsString::from("delete")]))
            .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e]).prop_shuffle(),
        policy in prop::option::of(0..=5usize),
    ) {
        let mut globals = globals;
        if let Some(at) = policy {
            globals.insert(at, os(&["--lockc-policy", "offline"]));
        }
        let args = [globals.concat(), os(&["create"]), after.concat()].concat();
        let (invocation, result) = parse(&args);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(invocation.root, Some(PathBuf::from("/r")));
        prop_assert_eq!(invocation.log, Some("create".into()));
        prop_assert_eq!(invocation.log_format, Some("json".into()));
        prop_assert_eq!(invocation.policy.is_some(), policy.is_some());
        prop_assert_eq!(invocation.passed.len() + if policy.is_some() { 2 } else { 0 }, args.len());
        prop_assert_eq!(invocation.call, Call::Create(Create { bundle: Some("/b".into()),
            id: "delete".into(), ..Create::default() }));
    }

    #[test]
    fn arbitrary_arguments_never_panic(
        args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..8)
    ) {
        let args: Vec<OsString> = args.into_iter().map(OsString::from_vec).collect();
        let _ = parse(&args);
    }

    #[test]
    fn a_container_is_never_started_unseen(
        args in prop::collection::vec(prop::sample::select(vec!["create", "run", "--root",
            "--debug", "--new", "--new=1", "-b", "--", "c", "--help", "-h", "--lockc-policy",
                "state"]), 0..7),
    ) {
        // Whatever is passed through without lockc acting must not be a create or run for Go's flag
        // package.
        let (invocation, result) = parse(&os(&args));
        if result.is_ok() && invocation.call == Call::Other {
            let mut rest = invocation.passed.iter().filter_map(|arg| arg.to_str()).peekable();
            let mut subcommand = None;
            let mut prints = false;
            while let Some(arg) = rest.next() {
                match arg {
                    "--" => { subcommand = rest.next(); break }
                    "--root" => { rest.next(); }
                    "--help" | "-h" => prints = true,
                    "--debug" => {}
                    // Unknown to runc: it prints its usage and exits.
                    _ if arg.starts_with('-') => prints = true,
                    _ => { subcommand = Some(arg); break }
                }
            }
            let helped = rest.next().is_some_and(|arg| arg == "--help" || arg == "-h"
                || arg == "-b" || arg == "--root");
            prop_assert!(prints || helped || !matches!(subcommand, Some("create" | "run")), "{:?}",
                args);
        }
    }
}

//! Whatever Go's runtime-spec types make of a configuration, lockc sees the same, or refuses it.
//! The program that `LOCKC_READER` names reads as runc does (xtask/vm/reader).
#![no_main]

use std::{
    env,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use lockc_policy::spec::{Process, Resources, Spec};
use serde_json::{Map, Value};

/// What the Go program understands, as JSON; nothing where it refuses the text.
fn go(kind: u8, text: &[u8]) -> Option<Vec<u8>> {
    static READER: Mutex<Option<Child>> = Mutex::new(None);
    let mut reader = READER.lock().unwrap();
    let child = reader.get_or_insert_with(|| {
        let program = env::var_os("LOCKC_READER")
            .expect("LOCKC_READER names the program that reads as runc does");
        Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the reader starts")
    });
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(&[kind]).unwrap();
    stdin.write_all(&(text.len() as u32).to_le_bytes()).unwrap();
    stdin.write_all(text).unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    let mut head = [0; 5];
    stdout.read_exact(&mut head).unwrap();
    let mut again = vec![0; u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize];
    stdout.read_exact(&mut again).unwrap();
    (head[0] == 1).then_some(again)
}

/// Compares two readings of one text.
fn compare<T: PartialEq + std::fmt::Debug, E: std::fmt::Display>(
    kind: u8,
    text: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
) {
    let Ok(own) = read(text) else { return };
    // What runc does not understand it does not start.
    let Some(again) = go(kind, text) else { return };
    match read(&again) {
        Ok(others) => assert_eq!(own, others, "read by lockc (left) and by Go (right)"),
        Err(error) => {
            panic!("lockc cannot read what Go wrote: {error}: {}", String::from_utf8_lossy(&again))
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let path = Path::new("config.json");
    compare(b'c', data, |text| {
        Spec::parse(text, path).map(|mut spec| {
            // The library is older and drops them; lockc refuses them.
            spec.linux.memory_policy = None;
            spec.linux.net_devices.clear();
            spec
        })
    });
    let Ok(Value::Object(members)) = serde_json::from_slice(data) else { return };
    let of = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
    compare(b'p', of(members.get("process")).as_bytes(), |text| Process::parse(text, path));
    let resources = members.get("linux").and_then(|linux| linux.get("resources"));
    compare(b'r', of(resources).as_bytes(), |text| Resources::parse(text, path));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut dice = Dice(u64::from(seed) << 16 | 0x9e37);
    let parsed = serde_json::from_slice::<Value>(&data[..size]);
    let Some(value) = parsed.ok().filter(|_| dice.under(8) != 0) else {
        return fuzzer_mutate(data, size, max_size);
    };
    let mut nodes = Vec::new();
    gather(&value, &mut nodes);
    let at = dice.under(nodes.len());
    let donor = nodes[dice.under(nodes.len())].clone();
    let mut text = Vec::new();
    Writer { at, dice, donor, seen: 0 }.write(&value, &mut text);
    let length = text.len().min(max_size).min(data.len());
    data[..length].copy_from_slice(&text[..length]);
    length
});

/// Every value in a document, in the order in which [`Writer`] comes to them.
fn gather<'a>(value: &'a Value, to: &mut Vec<&'a Value>) {
    to.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, to)),
        Value::Object(members) => members.values().for_each(|member| gather(member, to)),
        _ => {}
    }
}

/// Numbers by chance, the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn under(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

/// Values that readers disagree on, as text.
const ODD: [&[u8]; 24] = [
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"-1",
    b"1.0",
    b"1e3",
    b"4294967296",
    b"18446744073709551616",
    b"\"\"",
    b"\"0\"",
    b"[]",
    b"{}",
    b"[null]",
    b"{\"\":null}",
    b"\"/\\u0000etc\"",
    b"\"\\ud800\"",
    b"\"\xff\"",
    b"\"\\u002fetc\"",
    b"\"a/../b\"",
    b"[{}]",
    b"[\"rbind\",\"rbind\"]",
    b"\"rbind,ro\"",
];

/// Writes a document with one change at the value number `at`.
struct Writer {
    at: usize,
    dice: Dice,
    donor: Value,
    seen: usize,
}

impl Writer {
    fn write(&mut self, value: &Value, to: &mut Vec<u8>) {
        let changed = self.seen == self.at;
        self.seen += 1;
        match value {
            Value::Object(members) => self.object(members, changed, to),
            _ if changed => self.other(to),
            Value::Array(items) => {
                to.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        to.push(b',');
                    }
                    self.write(item, to);
                }
                to.push(b']');
            }
            _ => to.extend_from_slice(value.to_string().as_bytes()),
        }
    }

    /// Something in place of a value.
    fn other(&mut self, to: &mut Vec<u8>) {
        match self.dice.under(2) {
            0 => to.extend_from_slice(ODD[self.dice.under(ODD.len())]),
            _ => to.extend_from_slice(self.donor.to_string().as_bytes()),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, changed: bool, to: &mut Vec<u8>) {
        if changed && self.dice.under(8) == 0 {
            return self.other(to);
        }
        let one = if changed { self.dice.under(members.len() + 1) } else { usize::MAX };
        to.push(b'{');
        let mut first = true;
        for (n, (key, member)) in members.iter().enumerate() {
            let mut key = Value::from(key.as_str()).to_string();
            let mut twice = false;
            if n == one {
                match self.dice.under(6) {
                    0 => continue,
                    1 => key = self.in_another_case(&key),
                    2 => key = self.escaped(&key),
                    3 => key = Value::from(KEYS[self.dice.under(KEYS.len())]).to_string(),
                    _ => twice = true,
                }
            }
            if !std::mem::take(&mut first) {
                to.push(b',');
            }
            if twice {
                let other = self.in_another_case(&key);
                to.extend_from_slice(if self.dice.under(2) == 0 {
                    key.as_bytes()
                } else {
                    other.as_bytes()
                });
                to.push(b':');
                self.other(to);
                to.push(b',');
            }
            to.extend_from_slice(key.as_bytes());
            to.push(b':');
            self.write(member, to);
        }
        if one == members.len() {
            if !first {
                to.push(b',');
            }
            to.extend_from_slice(
                Value::from(KEYS[self.dice.under(KEYS.len())]).to_string().as_bytes(),
            );
            to.push(b':');
            self.other(to);
        }
        to.push(b'}');
    }

    /// One letter small or large, or another that folds to it.
    fn in_another_case(&mut self, key: &str) -> String {
        let at = self.dice.under(key.chars().count());
        let rare = self.dice.under(3) == 0;
        let change = |(n, letter): (usize, char)| match letter {
            _ if n != at => letter,
            's' if rare => '\u{17f}',
            'k' if rare => '\u{212a}',
            small if small.is_ascii_lowercase() => small.to_ascii_uppercase(),
            large => large.to_ascii_lowercase(),
        };
        key.chars().enumerate().map(change).collect()
    }

    fn escaped(&mut self, key: &str) -> String {
        let at = self.dice.under(key.chars().count());
        let escape = |(n, letter): (usize, char)| match letter {
            letter if n == at && letter.is_ascii_alphanumeric() => {
                format!("\\u{:04x}", letter as u32)
            }
            letter => letter.to_string(),
        };
        key.chars().enumerate().map(escape).collect()
    }
}

/// Keys of the specification, for objects that lack them.
const KEYS: [&str; 48] = [
    "root",
    "path",
    "process",
    "user",
    "uid",
    "gid",
    "umask",
    "additionalGids",
    "username",
    "capabilities",
    "ambient",
    "bounding",
    "effective",
    "noNewPrivileges",
    "apparmorProfile",
    "selinuxLabel",
    "oomScoreAdj",
    "terminal",
    "args",
    "cwd",
    "rlimits",
    "scheduler",
    "ioPriority",
    "mounts",
    "destination",
    "type",
    "source",
    "options",
    "uidMappings",
    "gidMappings",
    "annotations",
    "hooks",
    "prestart",
    "linux",
    "namespaces",
    "devices",
    "resources",
    "sysctl",
    "seccomp",
    "cgroupsPath",
    "maskedPaths",
    "rootfsPropagation",
    "mountLabel",
    "intelRdt",
    "personality",
    "timeOffsets",
    "netDevices",
    "memoryPolicy",
];

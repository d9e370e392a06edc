//! Offsets of struct members, from the running kernel's BTF.
//!
//! aya-obj reads BTF too but keeps its members private. The format is that of
//! Documentation/bpf/btf.rst and include/uapi/linux/btf.h (Linux 6.12). Only what a look-up by name
//! needs is read; input that breaks the format is an error, never a panic.

use std::{collections::HashMap, path::Path};

use lockc_core::{
    fields::{FIELDS, Field, OVERLAY_FIELDS, OVERLAY_LAYER},
    hooks::{PROGRAMS, Program},
};
use thiserror::Error;

/// Where the kernel shows its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Where it shows that of overlayfs, if that is a module and loaded.
const OVERLAY: &str = "/sys/kernel/btf/overlay";

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
/// How deep unnamed members are nested at most.
const MAX_DEPTH: u32 = 16;

/// Why an offset could not be found.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BtfError {
    /// The file could not be read.
    #[error(
        "{path} could not be read: {reason}; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Not BTF, or BTF of a kind that this reader does not know.
    #[error("the kernel's BTF is malformed at byte {0}")]
    Malformed(usize),
    /// The kernel has no such struct or member.
    #[error(
        "this kernel's BTF has no {of}.{members}: lockc does not know this kernel; nothing was \
         loaded"
    )]
    Missing {
        /// The struct.
        of: &'static str,
        /// The members that were looked for.
        members: String,
    },
}

/// The parts of BTF that are needed to find members.
#[derive(Debug)]
pub struct Btf<'a> {
    /// What a module's BTF continues: its types and strings are numbered on from there.
    base: Option<&'a Btf<'a>>,
    types: Vec<Type<'a>>,
    strings: &'a [u8],
    structs: HashMap<&'a str, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// `kind_flag`: member offsets carry bit-field sizes.
    flag: bool,
    /// Target of typedefs and qualifiers; size of structs.
    size_or_type: u32,
    members: &'a [u8],
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, BtfError> {
    data.get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or(BtfError::Malformed(at))
}

impl<'a> Btf<'a> {
    /// Reads the sections of `data`.
    ///
    /// # Errors
    ///
    /// Where `data` is not BTF of this machine's byte order.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        // Type 0 is void.
        let void = Type { name: 0, kind: 0, flag: false, size_or_type: 0, members: &[] };
        Self::read(data, None, vec![void])
    }

    /// Reads a module's BTF, which refers to that of the kernel.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_module(data: &'a [u8], kernel: &'a Self) -> Result<Self, BtfError> {
        Self::read(data, Some(kernel), Vec::new())
    }

    fn read(
        data: &'a [u8],
        base: Option<&'a Self>,
        before: Vec<Type<'a>>,
    ) -> Result<Self, BtfError> {
        let first_id = base.map_or(0, |base| base.types.len());
        if u32_at(data, 0)? as u16 != MAGIC {
            return Err(BtfError::Malformed(0));
        }
        let header = u32_at(data, 4)? as usize;
        let section = |at| -> Result<&'a [u8], BtfError> {
            let start =
                header.checked_add(u32_at(data, at)? as usize).ok_or(BtfError::Malformed(at))?;
            let end =
                start.checked_add(u32_at(data, at + 4)? as usize).ok_or(BtfError::Malformed(at))?;
            data.get(start..end).ok_or(BtfError::Malformed(at))
        };
        let (types, strings) = (section(8)?, section(16)?);
        let mut btf = Self { base, types: before, strings, structs: HashMap::new() };
        let mut at = 0;
        while at < types.len() {
            let info = u32_at(types, at + 4)?;
            let kind = info >> 24 & 0x1f;
            let count = (info & 0xffff) as usize;
            let extra = extra_size(kind, count).ok_or(BtfError::Malformed(at))?;
            let members = types.get(at + 12..at + 12 + extra).ok_or(BtfError::Malformed(at))?;
            let entry = Type {
                name: u32_at(types, at)?,
                kind,
                flag: info >> 31 != 0,
                size_or_type: u32_at(types, at + 8)?,
                members,
            };
            if kind == KIND_STRUCT {
                let id = (first_id + btf.types.len()) as u32;
                btf.structs.entry(btf.string(entry.name)?).or_insert(id);
            }
            btf.types.push(entry);
            at += 12 + extra;
        }
        Ok(btf)
    }

    fn string(&self, at: u32) -> Result<&'a str, BtfError> {
        let at = match self.base {
            Some(base) if (at as usize) < base.strings.len() => return base.string(at),
            Some(base) => at - base.strings.len() as u32,
            None => at,
        };
        let rest = self.strings.get(at as usize..).ok_or(BtfError::Malformed(at as usize))?;
        let end =
            rest.iter().position(|byte| *byte == 0).ok_or(BtfError::Malformed(at as usize))?;
        std::str::from_utf8(&rest[..end]).map_err(|_| BtfError::Malformed(at as usize))
    }

    fn get(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let own = match self.base {
            Some(base) if (id as usize) < base.types.len() => return base.get(id),
            Some(base) => id as usize - base.types.len(),
            None => id as usize,
        };
        self.types.get(own).copied().ok_or(BtfError::Malformed(id as usize))
    }

    /// Follows typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Result<u32, BtfError> {
        for _ in 0..32 {
            let entry = self.get(id)?;
            match entry.kind {
                // typedef, volatile, const, restrict, type tag
                8..=11 | 18 => id = entry.size_or_type,
                _ => return Ok(id),
            }
        }
        Err(BtfError::Malformed(id as usize))
    }

    /// Bit offset and type of a member, through unnamed members.
    fn member(&self, id: u32, name: &str, depth: u32) -> Result<Option<(u32, u32)>, BtfError> {
        let entry = self.get(id)?;
        if !matches!(entry.kind, KIND_STRUCT | KIND_UNION) || depth > MAX_DEPTH {
            return Ok(None);
        }
        for member in entry.members.chunks_exact(12) {
            let (at, target, raw) = (u32_at(member, 0)?, u32_at(member, 4)?, u32_at(member, 8)?);
            let offset = if entry.flag { raw & 0x00ff_ffff } else { raw };
            let found = self.string(at)?;
            if found == name {
                return Ok(Some((offset, target)));
            }
            if found.is_empty()
                && let Some((inner, target)) =
                    self.member(self.resolve(target)?, name, depth + 1)?
            {
                return Ok(Some((offset.wrapping_add(inner), target)));
            }
        }
        Ok(None)
    }

    /// Offset in bytes of a path of members (`root.mnt`) in a struct; `Ok(None)`: there is no such
    /// struct or member.
    pub fn offset(&self, of: &str, path: &str) -> Result<Option<u64>, BtfError> {
        let Some(id) = self.structs.get(of) else {
            return Ok(None);
        };
        let (mut id, mut bits) = (*id, 0u64);
        for name in path.split('.') {
            let Some((offset, target)) = self.member(id, name, 0)? else {
                return Ok(None);
            };
            bits += u64::from(offset);
            id = self.resolve(target)?;
        }
        Ok((bits % 8 == 0).then_some(bits / 8))
    }

    /// Bytes of a struct; nothing if there is none of that name.
    pub fn size(&self, of: &str) -> Result<Option<u64>, BtfError> {
        self.structs.get(of).map(|id| Ok(self.get(*id)?.size_or_type.into())).transpose()
    }

    /// Functions whose name begins with `prefix`: the rest of the name, and the number of
    /// parameters.
    pub fn functions(&self, prefix: &str) -> Result<HashMap<&'a str, usize>, BtfError> {
        let mut found = HashMap::new();
        for entry in self.types.iter().filter(|entry| entry.kind == KIND_FUNC) {
            if let Some(name) = self.string(entry.name)?.strip_prefix(prefix) {
                found.insert(name, self.get(entry.size_or_type)?.members.len() / 8);
            }
        }
        Ok(found)
    }

    /// The offset of a field that the programs follow.
    pub fn field(&self, field: &Field) -> Result<u64, BtfError> {
        for members in field.members {
            if let Some(offset) = self.offset(field.of, members)? {
                return Ok(offset);
            }
        }
        Err(BtfError::Missing { of: field.of, members: field.members.join(" or ") })
    }
}

/// Bytes that follow a type of that kind; `None`: a kind that this reader does not know.
fn extra_size(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // int, variable, declaration tag
        1 | 14 | 17 => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * count,
        // enum, function prototype
        6 | KIND_FUNC_PROTO => 8 * count,
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        2 | 7..=KIND_FUNC | 16 | 18 => 0,
        _ => return None,
    })
}

/// What the programs depend on in the running kernel.
#[derive(Debug)]
pub struct KernelInfo {
    /// The globals that the loader sets: the offsets of all [`FIELDS`], and which form a hook has.
    pub globals: Vec<(&'static str, u64)>,
    /// Why it is not known what an overlayfs is made of; nothing where it is.
    pub untold_layers: Option<BtfError>,
    /// Programs whose LSM hook this kernel lacks.
    pub lacks: Vec<&'static Program>,
}

/// Reads the running kernel's BTF.
///
/// # Errors
///
/// Where a field is missing. A missing hook is none: the caller decides.
pub fn kernel() -> Result<KernelInfo, BtfError> {
    let path = Path::new(VMLINUX);
    let data = std::fs::read(path).map_err(|error| unreadable(VMLINUX, &error))?;
    let btf = Btf::parse(&data)?;
    let mut globals: Vec<_> = FIELDS
        .iter()
        .map(|field| Ok((field.global, btf.field(field)?)))
        .collect::<Result<_, BtfError>>()?;
    let functions = btf.functions("bpf_lsm_")?;
    let with_idmap = functions.get("inode_setattr") == Some(&3);
    globals.push(("SETATTR_HAS_IDMAP", u64::from(with_idmap)));
    let lacks = PROGRAMS.iter().filter(|program| !functions.contains_key(program.name)).collect();
    let untold_layers = overlay(&btf).map(|found| globals.extend(found)).err();
    Ok(KernelInfo { globals, untold_layers, lacks })
}

fn unreadable(path: &str, error: &std::io::Error) -> BtfError {
    BtfError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// The globals for overlayfs.
fn overlay(kernel: &Btf<'_>) -> Result<Vec<(&'static str, u64)>, BtfError> {
    let is_built_in = kernel.size(OVERLAY_LAYER)?.is_some();
    let data = if is_built_in {
        Vec::new()
    } else {
        std::fs::read(OVERLAY).map_err(|error| unreadable(OVERLAY, &error))?
    };
    let module = if is_built_in { None } else { Some(Btf::parse_module(&data, kernel)?) };
    let btf = module.as_ref().unwrap_or(kernel);
    let missing = || BtfError::Missing { of: OVERLAY_LAYER, members: "its size".into() };
    let size = btf.size(OVERLAY_LAYER)?.ok_or_else(missing)?;
    let fields = OVERLAY_FIELDS.iter().map(|field| Ok((field.global, btf.field(field)?)));
    fields.chain([Ok(("OVL_LAYER_SIZE", size))]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// struct inner { int x; /* 32 bits */ int y; }; struct outer { int a; union { struct inner u;
    /// int v; }; struct inner n; }; int outer(int a, int u);
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0inner\0x\0y\0outer\0a\0u\0v\0n\0";
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
            vec![at("outer"), info(12, 0), 5],
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
        fn broken_input_is_an_error_and_no_panic(at in 0usize..200, byte: u8, cut in 0usize..220) {
            let mut data = sample();
            let length = data.len();
            data[at % length] = byte;
            data.truncate(cut.min(length));
            if let Ok(btf) = Btf::parse(&data) {
                let _ = btf.offset("outer", "u.y");
                let _ = btf.functions("");
            }
        }
    }
}

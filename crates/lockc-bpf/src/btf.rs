//! Offsets and types of struct members, from the running kernel's BTF.
//!
//! aya-obj reads BTF too but keeps its members private. The format is that of
//! Documentation/bpf/btf.rst and include/uapi/linux/btf.h (Linux 6.12). Only what a look-up by name
//! needs is read; input that breaks the format is an error, never a panic.

mod fields;

use std::{collections::HashMap, path::Path};

use lockc_core::{
    fields::{FIELDS, OVERLAY_FIELDS, OVERLAY_LAYER},
    hooks::{PROGRAMS, Program},
};
use thiserror::Error;

/// Where the kernel shows its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Where it shows that of overlayfs, if that is a module and loaded.
const OVERLAY: &str = "/sys/kernel/btf/overlay";

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_FLOAT: u32 = 16;
const KIND_ENUM64: u32 = 19;
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
        "Linux {release} has no {of}.{members}: lockc does not know this kernel; nothing was loaded"
    )]
    Missing {
        /// The kernel's release.
        release: String,
        /// The struct.
        of: &'static str,
        /// The members that were looked for.
        members: String,
    },
    /// The kernel's member is of another type than the programs take it for.
    #[error(
        "Linux {release} has {found} in {of}.{members}, where lockc reads {expected}: lockc does \
         not know this kernel; nothing was loaded"
    )]
    Mismatch {
        /// The kernel's release.
        release: String,
        /// The struct.
        of: &'static str,
        /// The members that were looked for.
        members: String,
        /// What the kernel has there.
        found: String,
        /// What the programs read there.
        expected: String,
    },
}

/// A member of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    /// Bits from the beginning of the struct.
    offset: u64,
    /// Its type, without typedefs and qualifiers.
    id: u32,
    /// Bits of a bit-field; 0: it is none.
    bits: u32,
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

    /// A member of a struct or union, through unnamed members.
    fn member(&self, id: u32, name: &str, depth: u32) -> Result<Option<Member>, BtfError> {
        let entry = self.get(id)?;
        if !matches!(entry.kind, KIND_STRUCT | KIND_UNION) || depth > MAX_DEPTH {
            return Ok(None);
        }
        for member in entry.members.chunks_exact(12) {
            let (at, target, raw) = (u32_at(member, 0)?, u32_at(member, 4)?, u32_at(member, 8)?);
            let (offset, bits) = if entry.flag { (raw & 0x00ff_ffff, raw >> 24) } else { (raw, 0) };
            let found = self.string(at)?;
            if found == name {
                let id = self.resolve(target)?;
                return Ok(Some(Member { offset: offset.into(), id, bits }));
            }
            if found.is_empty()
                && let Some(inner) = self.member(self.resolve(target)?, name, depth + 1)?
            {
                return Ok(Some(Member { offset: u64::from(offset) + inner.offset, ..inner }));
            }
        }
        Ok(None)
    }

    /// A member by a path of members (`root.mnt`); of an array on the way the first element is
    /// meant. `Ok(None)`: there is no such struct or member.
    fn find(&self, of: &str, path: &str) -> Result<Option<Member>, BtfError> {
        let Some(id) = self.structs.get(of) else {
            return Ok(None);
        };
        let mut at = Member { offset: 0, id: *id, bits: 0 };
        for name in path.split('.') {
            let Some(next) = self.member(self.element(at.id)?, name, 0)? else {
                return Ok(None);
            };
            at = Member { offset: at.offset + next.offset, ..next };
        }
        Ok(Some(at))
    }

    /// The type of the elements, if a type is that of an array; the type itself if it is not.
    fn element(&self, id: u32) -> Result<u32, BtfError> {
        let entry = self.get(id)?;
        match entry.kind {
            KIND_ARRAY => self.resolve(u32_at(entry.members, 0)?),
            _ => Ok(id),
        }
    }

    /// Offset in bytes of a path of members in a struct; `Ok(None)`: there is no such struct or
    /// member.
    pub fn offset(&self, of: &str, path: &str) -> Result<Option<u64>, BtfError> {
        let found = self.find(of, path)?;
        Ok(found.filter(|member| member.offset % 8 == 0).map(|member| member.offset / 8))
    }

    /// Bytes of a type; `None`: BTF does not tell.
    fn width(&self, id: u32) -> Result<Option<u32>, BtfError> {
        let entry = self.get(id)?;
        Ok(match entry.kind {
            KIND_PTR => Some(8),
            KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_FLOAT | KIND_ENUM64 => {
                Some(entry.size_or_type)
            }
            _ => None,
        })
    }

    /// The name of the struct that a type is; `None`: it is no struct, or BTF does not tell.
    fn struct_name(&self, id: u32) -> Result<Option<&'a str>, BtfError> {
        let entry = self.get(id)?;
        let is_struct = matches!(entry.kind, KIND_STRUCT | KIND_FWD);
        Ok(if is_struct { Some(self.string(entry.name)?) } else { None })
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

    /// Whether ftrace has direct calls: an inline function otherwise (linux/ftrace.h, 6.12).
    fn has_direct_calls(&self) -> Result<bool, BtfError> {
        Ok(self.functions("register_ftrace_direct")?.contains_key(""))
    }
}

/// Bytes that follow a type of that kind; `None`: a kind that this reader does not know.
fn extra_size(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // and variable, declaration tag
        KIND_INT | 14 | 17 => 4,
        KIND_ARRAY => 12,
        // and data section
        KIND_STRUCT | KIND_UNION | 15 | KIND_ENUM64 => 12 * count,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * count,
        // and typedef, volatile, const, restrict, function, type tag
        KIND_PTR | KIND_FWD..=KIND_FUNC | KIND_FLOAT | 18 => 0,
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
    /// Whether LSM programs can be attached: the kernel calls them by ftrace's direct calls.
    pub attaches: bool,
}

/// Reads the running kernel's BTF.
///
/// # Errors
///
/// Where a field is missing or of another type. A missing hook is none: the caller decides.
pub fn kernel() -> Result<KernelInfo, BtfError> {
    let path = Path::new(VMLINUX);
    let data = std::fs::read(path).map_err(|error| unreadable(VMLINUX, &error))?;
    let btf = Btf::parse(&data)?;
    let release = release()?;
    let mut globals = btf.globals(FIELDS, &release)?;
    let functions = btf.functions("bpf_lsm_")?;
    let with_idmap = functions.get("inode_setattr") == Some(&3);
    globals.push(("SETATTR_HAS_IDMAP", u64::from(with_idmap)));
    let lacks = PROGRAMS.iter().filter(|program| !functions.contains_key(program.name)).collect();
    let untold_layers = overlay(&btf, &release).map(|found| globals.extend(found)).err();
    Ok(KernelInfo { globals, untold_layers, lacks, attaches: btf.has_direct_calls()? })
}

fn unreadable(path: &str, error: &std::io::Error) -> BtfError {
    BtfError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// The running kernel's release.
fn release() -> Result<String, BtfError> {
    const PATH: &str = "/proc/sys/kernel/osrelease";
    let text = std::fs::read_to_string(PATH).map_err(|error| unreadable(PATH, &error))?;
    Ok(text.trim().to_owned())
}

/// The globals for overlayfs.
fn overlay(kernel: &Btf<'_>, release: &str) -> Result<Vec<(&'static str, u64)>, BtfError> {
    let is_built_in = kernel.size(OVERLAY_LAYER)?.is_some();
    let data = if is_built_in {
        Vec::new()
    } else {
        std::fs::read(OVERLAY).map_err(|error| unreadable(OVERLAY, &error))?
    };
    let module = if is_built_in { None } else { Some(Btf::parse_module(&data, kernel)?) };
    let btf = module.as_ref().unwrap_or(kernel);
    let missing = || BtfError::Missing {
        release: release.to_owned(),
        of: OVERLAY_LAYER,
        members: "its size".into(),
    };
    let size = btf.size(OVERLAY_LAYER)?.ok_or_else(missing)?;
    let mut globals = btf.globals(OVERLAY_FIELDS, release)?;
    globals.push(("OVL_LAYER_SIZE", size));
    Ok(globals)
}

#[cfg(test)]
mod tests;

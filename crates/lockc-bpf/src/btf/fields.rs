//! The table of kernel structs, compared with the running kernel's BTF.

use lockc_core::fields::{Field, Holds};

use super::{Btf, BtfError, KIND_PTR, Member};

impl Btf<'_> {
    /// What a member holds, if it is not what the programs read there.
    fn mismatch(&self, field: &Field, member: Member) -> Result<Option<String>, BtfError> {
        if member.bits != 0 || !member.offset.is_multiple_of(8) {
            return Ok(Some(format!("a bit-field of {} bits", member.bits)));
        }
        if field.global.is_none() && member.offset != 0 {
            return Ok(Some(format!("something at byte {}", member.offset / 8)));
        }
        match field.holds {
            Holds::Bytes(bytes) => {
                let found = self.width(member.id)?.filter(|found| *found as usize != bytes);
                Ok(found.map(|found| format!("{found} bytes")))
            }
            Holds::Pointer(name) => {
                let entry = self.get(member.id)?;
                if entry.kind != KIND_PTR {
                    return Ok(Some("no pointer".into()));
                }
                let found = self.struct_name(self.resolve(entry.size_or_type)?)?;
                Ok(match (name, found) {
                    (Some(name), Some(found)) if name != found => {
                        Some(format!("a pointer to struct {found}"))
                    }
                    _ => None,
                })
            }
            Holds::Struct(name) => match self.struct_name(self.element(member.id)?)? {
                Some(found) if found == name => Ok(None),
                Some(found) => Ok(Some(format!("struct {found}"))),
                None => Ok(Some("no struct".into())),
            },
        }
    }

    /// The offset of a field that the programs read.
    ///
    /// # Errors
    ///
    /// Where the kernel has no such member, or one of another type.
    pub fn field(&self, field: &Field, release: &str) -> Result<u64, BtfError> {
        let release = || release.to_owned();
        for members in field.members {
            let Some(member) = self.find(field.of, members)? else {
                continue;
            };
            return match self.mismatch(field, member)? {
                None => Ok(member.offset / 8),
                Some(found) => Err(BtfError::Mismatch {
                    release: release(),
                    of: field.of,
                    members: (*members).to_owned(),
                    found,
                    expected: expected(field.holds),
                }),
            };
        }
        let members = field.members.join(" or ");
        Err(BtfError::Missing { release: release(), of: field.of, members })
    }

    /// The globals for fields, with their offsets.
    pub(super) fn globals(
        &self,
        fields: &'static [Field],
        release: &str,
    ) -> Result<Vec<(&'static str, u64)>, BtfError> {
        let mut globals = Vec::new();
        for field in fields {
            let offset = self.field(field, release)?;
            globals.extend(field.global.map(|global| (global, offset)));
        }
        Ok(globals)
    }
}

/// What the programs read in a member.
fn expected(holds: Holds) -> String {
    match holds {
        Holds::Bytes(bytes) => format!("{bytes} bytes"),
        Holds::Pointer(None) => "a pointer".into(),
        Holds::Pointer(Some(name)) => format!("a pointer to struct {name}"),
        Holds::Struct(name) => format!("struct {name}"),
    }
}

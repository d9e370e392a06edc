//! Verifier statistics and stack size of each program.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use aya::programs::ProgramInfo;
use aya_obj::{Object, generated::bpf_insn};
use lockc_core::{
    hooks::{PROGRAMS, Without},
    paths,
};
use serde::Serialize;

use crate::loader::OBJECT;

/// One program.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name, which is that of its hook.
    pub name: &'static str,
    /// First kernel release that has the hook.
    pub since: &'static str,
    /// What it guards.
    pub guards: &'static str,
    /// What is lost on a kernel without the hook; absent: nothing is attached there.
    pub without: Option<&'static str>,
    /// Whether it is attached; nothing where only root may see that.
    pub attached: Option<bool>,
    /// Instructions in the object.
    pub instructions: usize,
    /// Bytes of stack, at most 512 (`MAX_BPF_STACK`, include/linux/filter.h).
    pub stack: u32,
    /// Instructions that the verifier walked through to prove it; it gives up at a million.
    pub verified: Option<u32>,
    /// Bytes of machine code.
    pub machine_code: Option<u32>,
}

/// The kernel's counters of a program that is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// Its name.
    pub name: &'static str,
    /// What it guards.
    pub guards: &'static str,
    /// How often it ran while the kernel counted (`kernel.bpf_stats_enabled`).
    pub calls: u64,
    /// How long that took.
    pub time: Duration,
    /// Bytes of memory that it occupies.
    pub memory: u32,
}

/// The counters of every program that is loaded and that this process may see.
pub fn counters() -> Vec<Counter> {
    let counter = |program: &lockc_core::hooks::Program| {
        let info = ProgramInfo::from_pin(Path::new(paths::PROGS).join(program.name)).ok()?;
        Some(Counter {
            name: program.name,
            guards: program.guards,
            calls: info.run_count(),
            time: info.run_time(),
            memory: info.memory_locked().unwrap_or(0),
        })
    };
    PROGRAMS.iter().filter_map(counter).collect()
}

/// What is known about every program; some of it only while they are loaded.
///
/// # Errors
///
/// Where this build's own object cannot be read.
pub fn gather() -> Result<Vec<Report>> {
    let object = Object::parse(OBJECT).context("the programs in this build cannot be read")?;
    let code: BTreeMap<&str, &[bpf_insn]> = object
        .functions
        .values()
        .map(|function| (function.name.as_str(), &*function.instructions))
        .collect();
    let helper = code
        .iter()
        .filter(|(name, _)| !is_program(name))
        .map(|(_, code)| stack(code))
        .max()
        .unwrap_or(0);
    let report = |program: &lockc_core::hooks::Program| {
        let code = code.get(program.name).copied().unwrap_or_default();
        let info = ProgramInfo::from_pin(Path::new(paths::PROGS).join(program.name)).ok();
        Report {
            name: program.name,
            since: program.since,
            guards: program.guards,
            without: match program.without {
                Without::Refused => None,
                Without::Loses(what) | Without::Covered(what) => Some(what),
            },
            attached: is_pinned(program.name),
            instructions: code.len(),
            stack: stack(code) + if code.iter().any(calls) { helper } else { 0 },
            verified: info.as_ref().and_then(ProgramInfo::verified_instruction_count),
            machine_code: info.as_ref().map(ProgramInfo::size_jitted),
        }
    };
    Ok(PROGRAMS.iter().map(report).collect())
}

fn is_pinned(name: &str) -> Option<bool> {
    match Path::new(paths::LINKS).join(name).symlink_metadata() {
        Ok(_) => Some(true),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(false),
    }
}

fn is_program(name: &str) -> bool {
    lockc_core::hooks::by_name(name).is_some()
}

/// include/uapi/linux/bpf_common.h, include/uapi/linux/bpf.h
const CLASS: u8 = 0x07;
const ST: u8 = 0x02;
const LDX: u8 = 0x01;
const STX: u8 = 0x03;
const MOV64_X: u8 = 0xbf;
const ADD64_K: u8 = 0x07;
const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;
const FRAME: u8 = 10;

fn calls(insn: &bpf_insn) -> bool {
    insn.code == CALL && insn.src_reg() == PSEUDO_CALL
}

/// The deepest place of the stack frame that an instruction reaches: directly, or through a copy of
/// the frame pointer that a constant is added to. In steps of 8 bytes.
fn stack(code: &[bpf_insn]) -> u32 {
    let mut deepest = 0i32;
    for (at, insn) in code.iter().enumerate() {
        let reached = match insn.code & CLASS {
            ST | STX if insn.dst_reg() == FRAME => i32::from(insn.off),
            LDX if insn.src_reg() == FRAME => i32::from(insn.off),
            _ if insn.code == MOV64_X && insn.src_reg() == FRAME => code[at + 1..]
                .iter()
                .find(|next| next.dst_reg() == insn.dst_reg())
                .filter(|next| next.code == ADD64_K)
                .map_or(0, |next| next.imm),
            _ => 0,
        };
        deepest = deepest.min(reached);
    }
    deepest.unsigned_abs().next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aya_obj::ProgramSection;

    use super::*;

    /// The stack that the kernel gives a program.
    const MAX_STACK: u32 = 512;

    #[test]
    fn every_program_is_in_the_object_and_fits_the_stack() {
        for report in gather().unwrap() {
            assert!(report.instructions > 1, "{}", report.name);
            assert!(report.stack <= MAX_STACK, "{} uses {} bytes", report.name, report.stack);
        }
    }

    #[test]
    fn programs_and_rows_are_the_same() {
        let object = Object::parse(OBJECT).unwrap();
        let programs: BTreeSet<&str> = object.programs.keys().map(String::as_str).collect();
        let rows: BTreeSet<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        assert_eq!(programs, rows, "programs of lockc-ebpf, rows of lockc_core::hooks");
        // Each is attached to the hook that it is called after.
        for (name, program) in &object.programs {
            assert!(
                matches!(&program.section, ProgramSection::Lsm { .. }),
                "{name}: {:?}",
                program.section
            );
        }
    }

    #[test]
    fn the_stack_is_found_through_stores_loads_and_copies() {
        let insn = |code: u8, dst: u8, src: u8, off: i16, imm: i32| bpf_insn {
            code,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(dst, src),
            off,
            imm,
        };
        assert_eq!(stack(&[insn(0x7b, 10, 1, -12, 0)]), 16);
        assert_eq!(stack(&[insn(0x79, 1, 10, -24, 0)]), 24);
        assert_eq!(stack(&[insn(0xbf, 2, 10, 0, 0), insn(0x07, 2, 0, 0, -40)]), 40);
        assert_eq!(stack(&[insn(0xb7, 2, 0, 0, 0)]), 0);
    }
}

//! `cargo xtask bpf-report`: what the verifier of each kernel makes of the LSM programs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::kernels::{Kernel, kernels};
use crate::vm::Vm;
use crate::{build, setup};

/// The verifier gives up after this many (`BPF_COMPLEXITY_LIMIT_INSNS`,
/// include/linux/bpf_verifier.h).
const LIMIT: u32 = 1_000_000;

#[derive(clap::Args)]
pub struct Args {
    /// Only this kernel: 6.1, 6.12 or 7.2
    #[arg(long)]
    kernel: Option<String>,
    /// As JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A part of what `lockc programs --json` prints.
#[derive(Deserialize)]
struct Program {
    name: String,
    attached: bool,
    instructions: u32,
    stack: u32,
    verified: Option<u32>,
}

#[derive(Serialize)]
struct Row {
    instructions: u32,
    stack: u32,
    /// By kernel; `None`: the kernel has no such hook.
    verified: BTreeMap<&'static str, Option<u32>>,
}

/// Prints the report; an error where a kernel refuses a program.
pub fn run(args: &Args) -> Result<bool> {
    let kernels = match &args.kernel {
        Some(name) => vec![Kernel::named(name)?],
        None => kernels(Arch::X86),
    };
    setup::run(&kernels)?;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for kernel in &kernels {
        let programs = build::guest_programs(kernel.arch())?;
        eprintln!("  .. loading the programs on {}", kernel.name);
        let vm = Vm {
            kernel: *kernel,
            timeout: Duration::from_secs(300),
            append: String::new(),
            workloads: false,
            systemd: None,
            counts_instructions: false,
        };
        let mut said = Vec::new();
        let command = "./lockc load && ./lockc programs --json > /vm/out/programs.json";
        let done = vm.run(&programs, command, &mut |line| said.push(line.to_owned()))?;
        if done.status != 0 {
            bail!("{} refuses the programs:\n{}", kernel.name, said.join("\n"));
        }
        let text = std::fs::read_to_string(done.out.path().join("programs.json"))
            .context("the machine left no report")?;
        let found: Vec<Program> =
            serde_json::from_str(&text).context("the report is of another form")?;
        for program in found {
            let row = rows.entry(program.name).or_insert_with(|| Row {
                instructions: program.instructions,
                stack: program.stack,
                verified: BTreeMap::new(),
            });
            row.verified.insert(kernel.name, program.verified.filter(|_| program.attached));
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print(&rows, &kernels);
    }
    Ok(true)
}

fn print(rows: &BTreeMap<String, Row>, kernels: &[Kernel]) {
    println!(
        "{:<26} {:>6} {:>6}   instructions that the verifier walked through, of at most {LIMIT}",
        "", "insns", "stack"
    );
    print!("{:<26} {:>6} {:>6}", "program", "", "of 512");
    kernels.iter().for_each(|kernel| print!(" {:>8}", kernel.name));
    println!();
    for (name, row) in rows {
        print!("{name:<26} {:>6} {:>6}", row.instructions, row.stack);
        for kernel in kernels {
            let verified = row.verified.get(kernel.name).copied().flatten();
            print!(" {:>8}", verified.map_or("no hook".into(), |count| count.to_string()));
        }
        println!();
    }
}

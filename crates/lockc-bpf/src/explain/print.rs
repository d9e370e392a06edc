//! The answers of `lockc explain` as text: the verdict first, then what is not in order.

use super::{
    answer::{Answer, Detail, Verdict},
    explanation::Explanation,
    finding::{Finding, Severity},
};
use crate::{out, table};

/// Prints them; `all`: with every control and rule.
pub fn print(answers: &[Answer], all: bool) {
    for answer in answers {
        if answer.verdict == Verdict::Error {
            error(answer);
            continue;
        }
        // A long one is broken between words.
        let mut headline = table::new();
        headline.add_row([format!("{}: {}", answer.subject, answer.headline)]);
        table::print(headline);
        if all {
            details(&answer.detail);
        }
        findings(&answer.findings);
        if all && let Detail::Checked(explanation) = &answer.detail {
            lines(explanation);
        }
    }
    if answers.len() > 1 {
        println!("{}", count(answers));
    } else if !all && answers.iter().any(|answer| answer.explanation().is_some()) {
        println!("--all lists every control and rule");
    }
}

/// To standard error, as compilers do.
fn error(answer: &Answer) {
    let place = answer.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    for Finding { id, what, .. } in &answer.findings {
        eprintln!("lockc: {}", out::printable(&format!("{place}{what} ({id})")));
    }
}

/// How many containers have each verdict.
fn count(answers: &[Answer]) -> String {
    use Verdict::{Error, NotConfined, Refused, Runs, Starts};
    let counts = [Starts, Runs, Refused, NotConfined, Error].map(|verdict| {
        let number = answers.iter().filter(|answer| answer.verdict == verdict).count();
        (number, verdict.name())
    });
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{number} {name}"))
        .collect();
    format!("total: {}", counts.join(", "))
}

fn findings(findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    let mut table = table::new();
    for Finding { id, name, severity, what } in findings {
        let severity = match severity {
            Severity::Error => "  error",
            Severity::Warning => "  warning",
            Severity::Note => "  note",
        };
        table.add_row([severity, id, name, what]);
    }
    table::print(table);
}

fn details(detail: &Detail) {
    let mut table = table::new();
    let mut add = |name: &str, text: &str| {
        table.add_row([&format!("  {name}"), text]);
    };
    match detail {
        Detail::Checked(explanation) => {
            add("container", &explanation.id);
            add("engine", explanation.engine.unwrap_or("unknown"));
            if let Some(namespace) = &explanation.namespace {
                add("namespace", namespace);
            }
            if let Some(runtime) = &explanation.runtime {
                add("runtime", runtime);
            }
            let Explanation { level, network, origin, mode, .. } = &**explanation;
            let policy = explanation.policy();
            let policy = format!("{policy} (level {level}, network {network}), from {origin}");
            add("policy", &policy);
            add("mode", mode);
            if let Some(sandbox) = explanation.sandbox {
                add("sandbox", sandbox);
            }
            explanation.reads.iter().for_each(|path| add("reads", path));
            explanation.socket_families.iter().for_each(|family| add("sockets", family));
        }
        Detail::Earlier(record) => {
            let refused = &record.refused;
            add("container", &refused.id);
            if let Some(name) = refused.names.full_name() {
                add("name", &name);
            }
            add("engine", refused.names.engine.as_deref().unwrap_or("unknown"));
            add("bundle", &refused.bundle.display().to_string());
        }
        Detail::NotDecided(_) => return,
    }
    table::print(table);
}

/// Every control and rule. The findings of the controls are printed before.
fn lines(explanation: &Explanation) {
    for (title, lines) in
        [("before it starts", &explanation.controls), ("while it runs", &explanation.rules)]
    {
        println!("  {title}");
        let mut table = table::new();
        for line in lines {
            let setting = format!("changed by {}", line.setting);
            let is_changed = !["ok", "off"].contains(&line.verdict);
            let setting = is_changed.then_some(setting);
            let parts: Vec<&str> =
                std::iter::once(&line.about).chain(&setting).map(String::as_str).collect();
            let verdict = format!("  {}", line.verdict);
            table.add_row([&verdict, line.id, line.name, &parts.join("\n")]);
        }
        table::print(table);
    }
}

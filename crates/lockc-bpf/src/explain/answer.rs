//! What `lockc explain` answers of one container: the verdict, why, and what is not in order.
//! Every format of the output is made from this.

use std::fmt;

use lockc_policy::{config::Mode, policy::Control};
use serde::Serialize;

use super::{
    explanation::Explanation,
    finding::{Check, Finding, Severity},
    lines::Line,
    refused::Record,
};

/// What happens to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// lockc starts it.
    Starts,
    /// It runs under lockc.
    Runs,
    /// lockc refuses it.
    Refused,
    /// It does not run under lockc.
    NotConfined,
    /// It cannot be understood.
    Error,
}

impl Verdict {
    /// Whether lockc confines the container.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Starts | Self::Runs)
    }

    /// In words, for a count of several.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Runs => "runs",
            Self::Refused => "refused",
            Self::NotConfined => "not confined",
            Self::Error => "error",
        }
    }
}

/// Where the container is described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file; `-` is standard input.
    pub file: String,
    /// The line, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// What is known of a container whose policy is not.
#[derive(Debug, Serialize)]
pub struct NotDecided {
    /// Its id, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// It does not.
    starts: bool,
    /// Why there is none.
    pub reason: String,
}

/// What is known of the container.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// It was checked against its policy.
    Checked(Box<Explanation>),
    /// There is no policy for it, or it cannot be understood.
    NotDecided(NotDecided),
    /// lockc refused it earlier; its configuration is gone.
    Earlier(Box<Record>),
}

/// The answer for one container.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// What was asked about, as the user calls it.
    #[serde(skip)]
    pub subject: String,
    /// Kind and name of the object, in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The container's name, in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in words.
    #[serde(skip)]
    pub headline: String,
    /// Where it is described.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What is known of it.
    #[serde(flatten)]
    pub detail: Detail,
    /// What is not in order.
    pub findings: Vec<Finding>,
}

impl Answer {
    /// The answer for a container that was checked against its policy.
    pub fn checked(subject: String, place: Option<Place>, explanation: Explanation) -> Self {
        let verdict = match &explanation {
            Explanation { unconfined: Some(_), .. } => Verdict::NotConfined,
            Explanation { registered: true, .. } => Verdict::Runs,
            Explanation { starts: true, .. } => Verdict::Starts,
            Explanation { .. } => Verdict::Refused,
        };
        Self {
            subject,
            object: None,
            container: None,
            verdict,
            headline: headline(verdict, &explanation),
            place,
            findings: findings(&explanation),
            detail: Detail::Checked(Box::new(explanation)),
        }
    }

    /// The answer for a container for which there is no policy.
    pub fn without_policy(
        subject: String,
        place: Option<Place>,
        id: Option<String>,
        finding: Finding,
    ) -> Self {
        let headline = "refused: there is no policy for it".to_owned();
        let detail =
            Detail::NotDecided(NotDecided { id, starts: false, reason: finding.what.clone() });
        Self {
            subject,
            object: None,
            container: None,
            verdict: Verdict::Refused,
            headline,
            place,
            detail,
            findings: vec![finding],
        }
    }

    /// The answer for something that cannot be understood.
    pub fn error(subject: String, place: Option<Place>, reason: String) -> Self {
        let finding = Check::Document.finding(reason.clone());
        Self {
            subject,
            object: None,
            container: None,
            verdict: Verdict::Error,
            headline: "not understood".into(),
            place,
            detail: Detail::NotDecided(NotDecided { id: None, starts: false, reason }),
            findings: vec![finding],
        }
    }

    /// The answer for a container that lockc refused earlier.
    pub fn earlier(subject: String, record: Record) -> Self {
        let refused = &record.refused;
        let finding = |reason: &lockc_policy::refused::Reason| {
            let control = Control::from_name(&reason.control)?;
            Some(Finding {
                id: control.id(),
                name: control.name(),
                severity: Severity::Error,
                what: format!("{} [{}]", reason.what, reason.remedy),
            })
        };
        Self {
            subject,
            object: None,
            container: None,
            verdict: Verdict::Refused,
            headline: format!("refused at {} by {}", refused.time, refused.policy),
            place: None,
            findings: refused.reasons.iter().filter_map(finding).collect(),
            detail: Detail::Earlier(Box::new(record)),
        }
    }

    /// The answer for a container of an object in a manifest.
    #[must_use]
    pub fn in_manifest(self, object: String, container: String) -> Self {
        Self { object: Some(object), container: Some(container), ..self }
    }

    /// The answer for a container that another runtime starts, for which there is no policy.
    #[must_use]
    pub fn not_confined(mut self, why: Finding) -> Self {
        self.verdict = Verdict::NotConfined;
        self.headline = "not confined; lockc has no policy for it".into();
        self.findings.insert(0, why);
        self
    }

    /// Whether lockc confines the container.
    pub fn is_good(&self) -> bool {
        self.verdict.is_good()
    }

    /// The explanation, where there is a policy.
    pub fn explanation(&self) -> Option<&Explanation> {
        match &self.detail {
            Detail::Checked(explanation) => Some(explanation),
            Detail::NotDecided(_) | Detail::Earlier(_) => None,
        }
    }
}

/// The verdict in words: what happens, under which policy, and where the choice came from.
fn headline(verdict: Verdict, explanation: &Explanation) -> String {
    let Explanation { policy, level, network, origin, .. } = explanation;
    let policy = if policy == level && *network == "full" {
        policy.clone()
    } else {
        let policy = explanation.policy();
        format!("{policy} (level {level}, network {network})")
    };
    let what = match (verdict, explanation.starts) {
        (Verdict::NotConfined, true) => "not confined; lockc would start it under",
        (Verdict::NotConfined, false) => "not confined; lockc would refuse it by",
        (Verdict::Runs, _) => "runs under",
        (_, true) => "starts under",
        (_, false) => "refused by",
    };
    let audit = if explanation.mode == Mode::Audit.name() {
        "; audit mode: violations are only reported"
    } else {
        ""
    };
    format!("{what} {policy}, from {origin}{audit}")
}

fn findings(explanation: &Explanation) -> Vec<Finding> {
    let of_line = |line: &Line| {
        let is_refused = line.verdict == "refused" && explanation.unconfined.is_none();
        let severity = if is_refused { Severity::Error } else { Severity::Warning };
        let (id, name) = (line.id, line.name);
        let finding = |what: &String| Finding { id, name, severity, what: what.clone() };
        line.findings.iter().map(finding).collect::<Vec<_>>()
    };
    let gap = explanation.not_enforced.iter().map(|why| Check::KernelRules.finding(why.clone()));
    let unconfined = explanation.unconfined.iter().cloned();
    unconfined
        .chain(explanation.controls.iter().flat_map(of_line))
        .chain(gap)
        .chain(explanation.closed.iter().map(|what| Check::Reads.finding(what.clone())))
        .chain(explanation.warnings.iter().cloned())
        .collect()
}

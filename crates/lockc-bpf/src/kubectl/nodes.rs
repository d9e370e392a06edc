//! The chart's pods: one on each node, in whose container `report` lockc can be asked.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::client::{Kubectl, Said};
use crate::out;

/// The labels of the chart's pods.
const SELECTOR: &str = "app.kubernetes.io/name=lockc";
/// The container that may read lockc's maps.
const CONTAINER: &str = "report";
/// lockc in its image.
const LOCKC: &str = "/usr/bin/lockc";
/// Nodes that are asked at a time.
const AT_A_TIME: usize = 16;

/// The chart's pod on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node.
    pub name: String,
    namespace: String,
    pod: String,
    /// Whether its container runs.
    runs: bool,
}

/// The nodes with a pod of the chart's; `only` one of them.
///
/// # Errors
///
/// Where there is none.
pub fn all(kubectl: &Kubectl, only: Option<&str>) -> Result<Vec<Node>> {
    let selector = only.map(|node| format!("spec.nodeName={node}"));
    let mut words = vec!["pods", "-A", "-l", SELECTOR];
    words.extend(selector.iter().flat_map(|selector| ["--field-selector", selector.as_str()]));
    let pods = kubectl.get(&words)?;
    let mut nodes: Vec<Node> =
        pods["items"].as_array().into_iter().flatten().filter_map(node).collect();
    nodes.sort_by(|one, other| (&one.name, !one.runs).cmp(&(&other.name, !other.runs)));
    nodes.dedup_by(|later, first| later.name == first.name);
    match (nodes.is_empty(), only) {
        (false, _) => Ok(nodes),
        (true, Some(node)) => bail!("the node {node} has no pod of lockc's chart"),
        (true, None) => bail!("the cluster has no pods of lockc's chart ({SELECTOR})"),
    }
}

/// Nothing for a pod that is on no node yet.
fn node(pod: &Value) -> Option<Node> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let is_running =
        |status: &Value| status["name"] == CONTAINER && !status["state"]["running"].is_null();
    Some(Node {
        name: text(&pod["spec"]["nodeName"])?,
        namespace: text(&pod["metadata"]["namespace"])?,
        pod: text(&pod["metadata"]["name"])?,
        runs: statuses.into_iter().any(is_running),
    })
}

impl Node {
    /// Runs `lockc` there.
    ///
    /// # Errors
    ///
    /// Where that is not possible; that lockc exits with another code than 0 is no error.
    pub fn lockc(&self, kubectl: &Kubectl, words: &[&str], input: &str) -> Result<Said> {
        if !self.runs {
            bail!(
                "the container {CONTAINER} of {}/{} does not run; is report.enabled set?",
                self.namespace,
                self.pod
            );
        }
        let mut exec = vec!["exec", "-n", &self.namespace, &self.pod, "-c", CONTAINER];
        exec.extend((!input.is_empty()).then_some("-i"));
        exec.extend(["--", LOCKC]);
        exec.extend(words);
        kubectl.run(&exec, input)
    }
}

/// What the nodes answered.
#[derive(Debug)]
pub struct Answers {
    /// Standard output of each that answered.
    pub answered: Vec<(String, String)>,
    failed: usize,
}

/// Asks every node, and says on standard error which did not answer and why.
///
/// # Errors
///
/// Where none did.
pub fn ask(kubectl: &Kubectl, nodes: &[Node], words: &[&str]) -> Result<Answers> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<(usize, Result<Said>)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(nodes.len()) {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(node) = nodes.get(index)
                {
                    let answer = node.lockc(kubectl, words, "");
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    let mut found = Answers { answered: Vec::new(), failed: 0 };
    for (index, answer) in answers {
        let name = &nodes[index].name;
        let why = match answer {
            Ok(said) if said.code == Some(0) => {
                found.answered.push((name.clone(), said.out));
                continue;
            }
            Ok(said) => said.why().to_owned(),
            Err(error) => format!("{error:#}"),
        };
        found.failed += 1;
        eprintln!("kubectl lockc: {name}: {}", out::printable(&why));
    }
    if found.answered.is_empty() {
        bail!("no node answered; the messages before say why");
    }
    Ok(found)
}

impl Answers {
    #[cfg(test)]
    pub(super) fn of(node: &str, text: &str) -> Self {
        Self { answered: vec![(node.into(), text.into())], failed: 0 }
    }

    /// 0, or 4 where some nodes did not answer.
    pub fn code(&self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(4) }
    }

    /// The answers as JSON, each with its node.
    ///
    /// # Errors
    ///
    /// Where one is no JSON: lockc there is of another release.
    pub fn json(&self) -> Result<Vec<(&str, Vec<Value>)>> {
        let of = |(node, text): &'_ (String, String)| {
            let values = serde_json::Deserializer::from_str(text).into_iter();
            values.collect::<Result<Vec<Value>, _>>().with_context(|| {
                format!("the answer of the node {node} cannot be parsed; is it of this release?")
            })
        };
        self.answered.iter().map(|answer| Ok((answer.0.as_str(), of(answer)?))).collect()
    }
}

/// The value with its node before everything else.
pub fn on(node: &str, value: Value) -> Value {
    let mut all = serde_json::Map::from_iter([("node".to_owned(), node.into())]);
    if let Value::Object(value) = value {
        all.extend(value);
    }
    Value::Object(all)
}

/// The node of a pod; nothing where the cluster has no such pod, or it is on no node.
///
/// # Errors
///
/// Where kubectl cannot be run.
pub fn of_pod(kubectl: &Kubectl, namespace: &str, pod: &str) -> Result<Option<String>> {
    let name = format!("metadata.name={pod}");
    let pods = kubectl.get(&["pods", "-n", namespace, "--field-selector", &name])?;
    Ok(pods["items"][0]["spec"]["nodeName"].as_str().map(str::to_owned))
}

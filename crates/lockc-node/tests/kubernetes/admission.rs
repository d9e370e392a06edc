//! The chart's admission policies, evaluated here and by Kubernetes' own plugin.

use std::{
    ffi::OsStr,
    io::Write as _,
    process::{Command, Stdio},
};

use cel::{Context, Program, Value as Cel};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::{Value, json};

use crate::{packaging, strict};

/// The admission policy of the chart, evaluated by the order that Kubernetes has: variables, then
/// validations.
pub struct Admission {
    policy: ValidatingAdmissionPolicy,
}

impl Admission {
    pub fn of(objects: &[Value]) -> Self {
        Self::named(objects, "lockc")
    }

    pub fn named(objects: &[Value], name: &str) -> Self {
        let is_it = |object: &&Value| {
            object["kind"] == "ValidatingAdmissionPolicy" && object["metadata"]["name"] == name
        };
        Self { policy: strict(objects.iter().find(is_it).unwrap()) }
    }

    /// Whether the policy is about requests of this user.
    pub fn is_about(&self, user: &str) -> bool {
        let conditions = self.policy.spec.as_ref().unwrap().match_conditions.as_deref();
        conditions.unwrap_or_default().iter().all(|condition| {
            let mut context = Context::default();
            let request = json!({ "userInfo": { "username": user } });
            context.add_variable("request", request).unwrap();
            let found = Program::compile(&condition.expression).unwrap().execute(&context);
            matches!(found.unwrap(), Cel::Bool(true))
        })
    }

    /// The messages of what refuses a pod.
    pub fn refusals(&self, namespace: &Value, old: Option<&Value>, object: &Value) -> Vec<String> {
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let request = json!({ "operation": operation });
        let refusals = self.refusals_of(&request, namespace, old, object);
        if let Some(check) = std::env::var_os("LOCKC_ADMISSION_JUDGE") {
            let answer = ask(&check, namespace, old, object);
            assert_eq!(answer.is_none(), refusals.is_empty(), "{object}: {answer:?}, {refusals:?}");
            let same = answer
                .is_none_or(|answer| refusals.iter().any(|refusal| answer.ends_with(refusal)));
            assert!(same, "{object}: other words than {refusals:?}");
        }
        refusals
    }

    /// The messages of what refuses a request.
    pub fn refusals_of(
        &self,
        request: &Value,
        namespace: &Value,
        old: Option<&Value>,
        object: &Value,
    ) -> Vec<String> {
        let spec = self.policy.spec.as_ref().unwrap();
        let mut variables = serde_json::Map::new();
        let run = |expression: &str, variables: &serde_json::Map<String, Value>| -> Cel {
            let mut context = Context::default();
            // Of Kubernetes' own library of lists.
            let _ = context.add_function(
                "join",
                |cel::extractors::This(items): cel::extractors::This<std::sync::Arc<Vec<Cel>>>,
                 by: std::sync::Arc<String>| {
                    let texts: Vec<String> = items
                        .iter()
                        .map(|item| match item {
                            Cel::String(text) => text.to_string(),
                            other => panic!("{other:?}"),
                        })
                        .collect();
                    texts.join(&by)
                },
            );
            context.add_variable("namespaceObject", namespace).unwrap();
            context.add_variable("object", object).unwrap();
            context.add_variable("oldObject", old.unwrap_or(&Value::Null)).unwrap();
            context.add_variable("request", request).unwrap();
            context.add_variable("variables", variables).unwrap();
            let program = Program::compile(expression)
                .unwrap_or_else(|error| panic!("{expression}: {error}"));
            program.execute(&context).unwrap_or_else(|error| panic!("{expression}: {error}"))
        };
        for variable in spec.variables.as_deref().unwrap_or_default() {
            let value = run(&variable.expression, &variables).json().unwrap();
            variables.insert(variable.name.clone(), value);
        }
        let mut refusals = Vec::new();
        for validation in spec.validations.as_deref().unwrap_or_default() {
            match run(&validation.expression, &variables) {
                Cel::Bool(true) => {}
                Cel::Bool(false) => {
                    refusals.push(match (&validation.message, &validation.message_expression) {
                        (Some(message), None) => message.clone(),
                        (None, Some(expression)) => {
                            run(expression, &variables).json().unwrap().as_str().unwrap().to_owned()
                        }
                        other => panic!("{other:?}"),
                    })
                }
                other => panic!("{}: {other:?}", validation.expression),
            }
        }
        refusals
    }
}

/// The answer of Kubernetes' own plugin (`cargo xtask chart --check --admission` builds it): why it
/// refuses the request.
pub fn ask(
    check: &OsStr,
    namespace: &Value,
    old: Option<&Value>,
    object: &Value,
) -> Option<String> {
    ask_about(check, &json!({}), namespace, old, object)
}

/// The same of a request that says what it is about, and whose it is.
pub fn ask_about(
    check: &OsStr,
    about: &Value,
    namespace: &Value,
    old: Option<&Value>,
    object: &Value,
) -> Option<String> {
    let mut namespace = namespace.clone();
    // The API server labels each namespace with its name.
    namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] =
        namespace["metadata"]["name"].clone();
    let mut request = about.clone();
    request["namespace"] = namespace;
    request["object"] = object.clone();
    request["old"] = json!(old);
    let mut child = Command::new(check)
        .arg(packaging().join("manifests/lockc.yaml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the check failed on {request}");
    serde_json::from_slice(&output.stdout).unwrap()
}

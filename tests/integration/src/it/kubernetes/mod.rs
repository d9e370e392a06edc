//! The chart in a cluster of one node with systemd and containerd: Kubernetes' own API server,
//! controllers, scheduler and kubelet, Helm and kubectl as its administrator uses them.
//!
//! The working directory holds `packaging/kubernetes` as the tree has it, lockc's image and
//! package, and the cluster's programs.

mod cluster;
mod examples;
mod labels;
mod node;
mod pods;
mod policies;
mod report;

use crate::system::{Step, step};

/// Every case, in their order: each stands on those before it.
pub const STEPS: &[Step] = &[
    step("kubernetes/images", node::images),
    step("kubernetes/api-server", cluster::start),
    step("kubernetes/node", cluster::node),
    step("kubernetes/what-this-version-knows", node::prepare),
    step("kubernetes/helm-install", node::install),
    step("kubernetes/same-state-as-the-package", node::same_state),
    step("kubernetes/sync-with-the-charts-rights", labels::sync),
    step("kubernetes/node-is-ready", report::ready),
    step("kubernetes/denial-is-an-event", report::event_of_a_denial),
    step("kubernetes/refusal-is-an-event", report::event_of_a_refusal),
    step("kubernetes/reporter-starts-again", report::restart),
    step("kubernetes/metrics-are-scraped", report::metrics),
    step("kubernetes/kubectl-plugin", report::plugin),
    step("kubernetes/report-goes-with-its-pods", report::empty),
    step("kubernetes/label-decides", labels::decides),
    step("kubernetes/running-pods-keep-theirs", labels::running_pods),
    step("kubernetes/handlers-of-levels", labels::handlers),
    step("kubernetes/label-is-the-ceiling", labels::ceiling),
    step("kubernetes/examples-run", examples::run),
    step("kubernetes/examples-are-refused", examples::refused),
    step("kubernetes/quickstart", node::quickstart),
    step("kubernetes/policy-reaches-a-pod", policies::reaches_a_pod),
    step("kubernetes/policy-that-is-broken", policies::broken_one_reaches_nobody),
    step("kubernetes/policy-file-that-is-damaged", policies::damaged_file),
    step("kubernetes/policy-of-a-node-that-is-gone", policies::node_that_is_gone),
    step("kubernetes/install-again", node::install_again),
    step("kubernetes/policy-status-forgets-nodes", policies::status_forgets_it),
    step("kubernetes/policy-deleted", policies::deleted),
    step("kubernetes/server-gone", labels::server_gone),
    step("kubernetes/sync-begins-without-it", labels::begins_without),
    step("kubernetes/server-back", labels::server_back),
    step("kubernetes/namespace-deleted", labels::deleted),
    step("kubernetes/helm-uninstall", node::uninstall),
    step("kubernetes/without-helm", node::manifests),
];

//! The chart on a node with systemd and containerd, a real API server beside it: this program takes the kubelet's place, for the
//! chart's pod and for those of tenants.
//!
//! The working directory holds the rendered chart (`lockc.yaml`, `uninstall.yaml`), lockc's image and package, `kube-apiserver`, `etcd`
//! and `kubectl`.

mod cluster;
mod labels;
mod node;

use crate::system::{Step, step};

/// Every case, in their order: each stands on those before it.
pub const STEPS: &[Step] = &[
    step("kubernetes/images", node::images),
    step("kubernetes/api-server", cluster::start),
    step("kubernetes/chart-is-accepted", cluster::apply),
    step("kubernetes/node-install", node::install),
    step("kubernetes/same-state-as-the-package", node::same_state),
    step("kubernetes/node-install-again", node::install_again),
    step("kubernetes/sync-with-the-charts-rights", labels::sync),
    step("kubernetes/label-decides", labels::decides),
    step("kubernetes/running-pods-keep-theirs", labels::running_pods),
    step("kubernetes/handlers-of-levels", labels::handlers),
    step("kubernetes/quickstart", labels::quickstart),
    step("kubernetes/api-server-gone", labels::server_gone),
    step("kubernetes/sync-begins-without-it", labels::begins_without),
    step("kubernetes/api-server-back", labels::server_back),
    step("kubernetes/namespace-deleted", labels::deleted),
    step("kubernetes/uninstall", node::uninstall),
];

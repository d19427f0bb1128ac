//! The section `collector.otlp`.

use serde::{Deserialize, Serialize};

/// Labels and limits of `POST /v1/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Attributes of the resource that become labels of every series of it, beside `service`, `instance` and `host`. Default: the
    /// environment, and Kubernetes' namespace and pod. Each makes new series wherever its value changes; all others are found at
    /// `target_info`.
    pub resource_labels: Vec<String>,
    /// Largest body as it is sent, in bytes; a larger one is answered 413. Default 20 MiB.
    pub body_bytes_max: usize,
    /// Largest body once decompressed, in bytes; a larger one is answered 413 however small it came. Default 32 MiB.
    pub decompressed_bytes_max: usize,
    /// Most samples that one request may give; more are answered 413. Default 200,000. A histogram gives one for each bucket, and a
    /// sample takes some hundred bytes while it is stored.
    pub samples_max: usize,
    /// Longest labels of one series, names and values together, in bytes; a point beyond is rejected, its neighbours are stored.
    /// Default 16 KiB.
    pub labels_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        let promoted = [
            "deployment.environment",
            "deployment.environment.name",
            "k8s.namespace.name",
            "k8s.pod.name",
            "service.namespace",
        ];
        Config {
            resource_labels: promoted.map(str::to_owned).to_vec(),
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 32 << 20,
            samples_max: 200_000,
            labels_bytes_max: 16 << 10,
        }
    }
}

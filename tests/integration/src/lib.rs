//! What the test program outside and the probe inside of a container share.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

/// One attempt, as the probe reports it: a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whether it succeeded.
    pub ok: bool,
    /// The errno of its failure.
    pub errno: i32,
    /// What was seen, or which step failed.
    pub detail: String,
}

impl From<io::Result<String>> for Attempt {
    fn from(result: io::Result<String>) -> Self {
        match result {
            Ok(detail) => Self { ok: true, errno: 0, detail },
            Err(error) => Self {
                ok: false,
                errno: error.raw_os_error().unwrap_or(-1),
                detail: error.to_string(),
            },
        }
    }
}

impl Attempt {
    /// Back to a result, for an attempt that was made in another process.
    pub fn into_result(self) -> io::Result<String> {
        match (self.ok, self.errno) {
            (true, _) => Ok(self.detail),
            (false, errno) if errno > 0 => Err(io::Error::from_raw_os_error(errno)),
            (false, _) => Err(io::Error::other(self.detail)),
        }
    }
}

/// What `lockc-probe bench` measured, by operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Costs, in units of the machine's clock.
    pub costs: BTreeMap<String, Cost>,
    /// Operations that could not be measured, and why.
    pub failed: BTreeMap<String, String>,
}

/// What one operation costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The median.
    pub median: u64,
    /// The least.
    pub least: u64,
}

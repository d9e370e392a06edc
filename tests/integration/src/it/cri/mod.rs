//! A client of the Container Runtime Interface, as kubelet is one: pods, containers, exec, attach,
//! logs.
//!
//! | module | what |
//! |---|---|
//! | [`proto`] | the messages, generated from `runtime.proto` |
//! | [`describe`] | pods and containers as kubelet describes them |
//! | [`stream`] | exec and attach with streams, by websocket |

pub mod describe;
#[rustfmt::skip]
#[allow(dead_code, clippy::all)]
pub mod proto;
pub mod stream;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use crate::command::Run;
use proto::{
    AttachRequest, AttachResponse, ContainerConfig, ContainerState, ContainerStatus,
    ContainerStatusRequest, ContainerStatusResponse, CreateContainerRequest,
    CreateContainerResponse, ExecRequest, ExecResponse, ExecSyncRequest, ExecSyncResponse,
    LinuxContainerResources, PodSandboxConfig, RemoveContainerRequest, RemoveContainerResponse,
    RemovePodSandboxRequest, RemovePodSandboxResponse, RunPodSandboxRequest, RunPodSandboxResponse,
    StartContainerRequest, StartContainerResponse, StopContainerRequest, StopContainerResponse,
    StopPodSandboxRequest, StopPodSandboxResponse, UpdateContainerResourcesRequest,
    UpdateContainerResourcesResponse,
};

/// containerd's socket; the interface is served on it too.
pub const SOCKET: &str = "/run/containerd/containerd.sock";
/// Emulation is slow, but nothing here takes minutes.
const LIMIT: Duration = Duration::from_secs(100);

/// A connection. Everything blocks.
pub struct Cri {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    pub fn connect() -> Result<Rc<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no tokio runtime")?;
        let channel = runtime
            .block_on(Endpoint::from_static("http://localhost").connect_with_connector(
                tower::service_fn(|_: Uri| async {
                    tokio::net::UnixStream::connect(SOCKET).await.map(TokioIo::new)
                }),
            ))
            .with_context(|| format!("cannot connect to {SOCKET}"))?;
        Ok(Rc::new(Self { runtime, channel }))
    }

    /// A method of the runtime service; the error is the text that kubelet would show in the pod's
    /// events.
    fn call<A, B>(&self, method: &str, request: A) -> Result<B>
    where
        A: Message + 'static,
        B: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))
            .context("not a path")?;
        let mut request = tonic::Request::new(request);
        request.set_timeout(LIMIT);
        let answer = self.runtime.block_on(async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone());
            grpc.ready().await.map_err(|error| anyhow!("{error}"))?;
            let codec = ProstCodec::<A, B>::default();
            grpc.unary(request, path, codec).await.map_err(|status| anyhow!("{}", status.message()))
        });
        Ok(answer.with_context(|| method.to_owned())?.into_inner())
    }
}

/// A pod's sandbox; stopped and removed, with its containers, when dropped.
pub struct Pod {
    cri: Rc<Cri>,
    pub id: String,
    pub config: PodSandboxConfig,
}

impl Pod {
    /// `RunPodSandbox`.
    pub fn run(cri: &Rc<Cri>, handler: &str, config: PodSandboxConfig) -> Result<Self> {
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.into() };
        let mut made = cri.call("RunPodSandbox", request.clone());
        // The plugin lists links of a namespace that something else changes meanwhile, and gives up
        // (vishvananda/netlink, ErrDumpInterrupted).
        for _ in 0..3 {
            if made.as_ref().is_err_and(|error| {
                format!("{error:#}").contains("failed (add): interrupted system call")
            }) {
                made = cri.call("RunPodSandbox", request.clone());
            }
        }
        let RunPodSandboxResponse { pod_sandbox_id: id } = made?;
        Ok(Self { cri: cri.clone(), id, config })
    }

    /// `CreateContainer`, in the namespaces that the pod's description names, and `StartContainer`.
    pub fn start(&self, config: &ContainerConfig) -> Result<Container> {
        let config = describe::in_pod(config.clone(), &self.config);
        let log = PathBuf::from(&self.config.log_directory).join(&config.log_path);
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let CreateContainerResponse { container_id: id } =
            self.cri.call("CreateContainer", request)?;
        // Removed even if it does not start.
        let container = Container { cri: self.cri.clone(), id, log };
        let request = StartContainerRequest { container_id: container.id.clone() };
        let _: StartContainerResponse = self.cri.call("StartContainer", request)?;
        Ok(container)
    }

    /// A container that runs to its end: its log and its exit code.
    pub fn finish(&self, config: &ContainerConfig) -> Result<Run> {
        let container = self.start(config)?;
        let status = container.wait()?;
        let mut run = container.logs()?;
        run.status = status.exit_code;
        Ok(run)
    }

    /// `StopPodSandbox`.
    pub fn stop(&self) -> Result<()> {
        let request = StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.call::<_, StopPodSandboxResponse>("StopPodSandbox", request).map(|_| ())
    }

    /// `RemovePodSandbox`.
    pub fn remove(&self) -> Result<()> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.call::<_, RemovePodSandboxResponse>("RemovePodSandbox", request).map(|_| ())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // A case may have done so already.
        let _ = self.stop();
        let _ = self.remove();
    }
}

/// A container of a pod; removed when dropped.
pub struct Container {
    cri: Rc<Cri>,
    pub id: String,
    log: PathBuf,
}

impl Container {
    /// `ExecSync`.
    pub fn exec(&self, cmd: &[&str]) -> Result<Run> {
        let request = ExecSyncRequest {
            container_id: self.id.clone(),
            cmd: cmd.iter().map(|word| (*word).to_owned()).collect(),
            timeout: 60,
        };
        let answer: ExecSyncResponse = self.cri.call("ExecSync", request)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Run {
            status: answer.exit_code,
            stdout: text(&answer.stdout),
            stderr: text(&answer.stderr),
        })
    }

    /// `Exec` with a terminal or without.
    pub fn exec_stream(&self, cmd: &[&str], tty: bool) -> Result<stream::Stream> {
        let cmd = cmd.iter().map(|word| (*word).to_owned()).collect();
        let request = ExecRequest {
            container_id: self.id.clone(),
            cmd,
            tty,
            stdin: true,
            stdout: true,
            stderr: !tty,
        };
        let ExecResponse { url } = self.cri.call("Exec", request)?;
        stream::Stream::connect(&url)
    }

    /// `Attach` to a container that has a terminal.
    pub fn attach(&self) -> Result<stream::Stream> {
        let request = AttachRequest {
            container_id: self.id.clone(),
            stdin: true,
            tty: true,
            stdout: true,
            stderr: false,
        };
        let AttachResponse { url } = self.cri.call("Attach", request)?;
        stream::Stream::connect(&url)
    }

    /// `ContainerStatus`.
    pub fn status(&self) -> Result<ContainerStatus> {
        let request = ContainerStatusRequest { container_id: self.id.clone() };
        let answer: ContainerStatusResponse = self.cri.call("ContainerStatus", request)?;
        answer.status.context("ContainerStatus: no status")
    }

    /// Waits until it has ended.
    pub fn wait(&self) -> Result<ContainerStatus> {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            let status = self.status()?;
            if status.state() == ContainerState::ContainerExited {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the container did not end within {} s", LIMIT.as_secs())
    }

    /// What it wrote so far, from the log file: TIME STREAM FLAG TEXT.
    pub fn logs(&self) -> Result<Run> {
        let text = std::fs::read_to_string(&self.log)
            .with_context(|| format!("no log {}", self.log.display()))?;
        let of = |stream: &str| {
            let lines = text.lines().filter_map(|line| {
                let mut words = line.splitn(4, ' ');
                words.next()?;
                (words.next()? == stream && words.next().is_some())
                    .then(|| words.next().unwrap_or(""))
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        Ok(Run { status: 0, stdout: of("stdout"), stderr: of("stderr") })
    }

    /// `UpdateContainerResources`.
    pub fn update(&self, resources: LinuxContainerResources) -> Result<()> {
        let request = UpdateContainerResourcesRequest {
            container_id: self.id.clone(),
            linux: Some(resources),
        };
        let _: UpdateContainerResourcesResponse =
            self.cri.call("UpdateContainerResources", request)?;
        Ok(())
    }

    /// `StopContainer`.
    pub fn stop(&self, timeout: i64) -> Result<()> {
        let request = StopContainerRequest { container_id: self.id.clone(), timeout };
        self.cri.call::<_, StopContainerResponse>("StopContainer", request).map(|_| ())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its pod may be gone.
        let request = RemoveContainerRequest { container_id: self.id.clone() };
        let _: Result<RemoveContainerResponse> = self.cri.call("RemoveContainer", request);
    }
}

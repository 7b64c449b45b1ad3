//! Docker's Engine API as data: every request and response that hull speaks, as plain serde types.
//!
//! Owns the JSON shapes, once, for the engine, the API and the client: each has the fields of every version of the API that is
//! answered, and `hull-api` leaves out what a version does not have. Knows nothing of HTTP and holds no policy: a value that decodes may still be refused by the engine's admission.
//!
//! Decoding follows Go's decoder: a missing field and `null` are the zero value, an unknown field is ignored,
//! a wrong type is an error that names the field ([`decode()`]). Encoding follows docker: fields which docker
//! omits when empty are omitted, empty lists are `[]` or `null` as docker prints them.
//!
//! Because fields are omitted, these types need a self-describing format: JSON, never postcard.
#![forbid(unsafe_code)]

mod config;
mod container;
mod decode;
mod events;
mod exec;
mod explain;
mod filters;
mod host;
mod image;
mod macros;
mod mounts;
mod network;
mod registry;
mod stats;
mod stdio;
mod system;
mod trace;
mod usage;
mod volume;

pub use config::{ContainerConfig, HealthConfig};
pub use container::{
    ContainerCreateRequest, ContainerCreateResponse, ContainerInspectResponse, ContainerState, ContainerSummary,
    ContainerTopResponse, ContainerUpdateRequest, ContainerUpdateResponse, ContainerWaitResponse, Health,
    HealthcheckResult, SummaryHealth, SummaryHostConfig, SummaryNetworkSettings, WaitError,
};
pub use decode::{Empty, Error, decode};
pub use events::{Actor, EventMessage};
pub use exec::{ExecConfig, ExecInspect, ExecProcessConfig, ExecStartConfig, IdResponse};
pub use explain::{
    ByHand, ExplainedConfinement, ExplainedFact, ExplainedGroup, ExplainedIds, ExplainedInterface, ExplainedLayer,
    ExplainedLimit, ExplainedLimits, ExplainedMount, ExplainedNamespace, ExplainedNetwork, ExplainedProcess,
    ExplainedRoot, ExplainedTask, Explanation, Postmortem, StartStep, StartStory,
};
pub use filters::Filters;
pub use host::{
    DeviceMapping, DeviceRequest, HostConfig, LogConfig, Resources, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice,
};
pub use image::{
    BrokenItem, GraphDriver, HistoryItem, Identity, ImageConfig, ImageDeleteItem, ImageInspect, ImageMetadata,
    ImageSummary, ImagesCheckReport, ImagesPruneReport, JsonError, JsonMessage, Progress, PullIdentity, RootFs,
};
pub use mounts::{BindOptions, DriverConfig, ImageOptions, Mount, MountPoint, TmpfsOptions, VolumeOptions};
pub use network::{
    Address, ConfigReference, EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, IpamStatus,
    NetworkConnectRequest, NetworkContainer, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest,
    NetworkResource, NetworkSettings, NetworkStatus, NetworkingConfig, NetworksPruneReport, PortBinding, PortMap,
    PortSummary, SubnetStatus,
};
pub use registry::{AuthResponse, Descriptor, DescriptorPlatform, DistributionInspect, SearchResult};
pub use stats::{
    BlkioEntry, BlkioStats, ContainerStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, StorageStats,
    ThrottlingData,
};
pub use stdio::{FRAME_HEADER, StdStream, frame_header, parse_frame_header};
pub use system::{
    Commit, Component, ErrorResponse, FirewallInfo, PluginsInfo, RegistryConfig, Runtime, SwarmInfo, SystemInfo,
    SystemVersion, VersionPlatform,
};
pub use trace::{NetworkTrace, PortTrace, TraceFrom, TraceHop};
pub use usage::{ContainersPruneReport, DiskUsage, FilesystemChange, PathStat, Usage};
pub use volume::{Volume, VolumeCreateRequest, VolumeList, VolumeUsage, VolumesPruneReport};

/// The newest API version that the engine answers, and that it announces.
pub const API_VERSION: (u16, u16) = (1, 56);

/// The oldest API version that the engine answers.
pub const MIN_API_VERSION: (u16, u16) = (1, 24);

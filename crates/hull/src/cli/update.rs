//! `hull update`: other limits for containers that exist.

use hull_types::Fault;
use hull_wire::{ContainerUpdateRequest, Resources};

use super::context::Context;
use super::each::each;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use crate::options::flags::ResourceFlags;
use crate::options::resources;

/// Flags of `update`.
#[derive(clap::Args, Debug)]
pub(crate) struct Update {
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable
    #[arg(long, value_name = "uint16")]
    blkio_weight: Option<u16>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int")]
    cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int")]
    cpu_quota: Option<i64>,
    /// Limit the CPU real-time period in microseconds
    #[arg(long, value_name = "int")]
    cpu_rt_period: Option<i64>,
    /// Limit the CPU real-time runtime in microseconds
    #[arg(long, value_name = "int")]
    cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "int")]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal")]
    cpus: Option<String>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string")]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string")]
    cpuset_mems: Option<String>,
    /// Kernel memory limit (removed from Linux)
    #[arg(long, value_name = "bytes", hide = true)]
    kernel_memory: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "bytes")]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes")]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, value_name = "bytes")]
    memory_swap: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int")]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "string")]
    restart: Option<String>,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Update {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "Update configuration of one or more containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let request = self.request().map_err(Failure::usage)?;
        if request == ContainerUpdateRequest::default() {
            return Err(Failure::usage(Fault::invalid("`hull update` needs at least one flag that changes something")));
        }
        let client = context.client()?;
        each(&self.containers, |name| {
            let answer = client.container_update(name, &request)?;
            for warning in answer.warnings {
                eprintln!("warning: {warning}");
            }
            Ok(())
        })
    }
}

impl Update {
    fn request(&self) -> Result<ContainerUpdateRequest, Fault> {
        let flags = ResourceFlags {
            blkio_weight: self.blkio_weight,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_rt_period: self.cpu_rt_period,
            cpu_rt_runtime: self.cpu_rt_runtime,
            cpu_shares: self.cpu_shares,
            cpus: self.cpus.clone(),
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            kernel_memory: self.kernel_memory.clone(),
            memory: self.memory.clone(),
            memory_reservation: self.memory_reservation.clone(),
            memory_swap: self.memory_swap.clone(),
            pids_limit: self.pids_limit,
            ..ResourceFlags::default()
        };
        let pids_limit = self.pids_limit;
        let resources = Resources { pids_limit, ..resources::resources(&flags)? };
        let restart_policy = self.restart.as_deref().map(resources::restart).transpose()?.unwrap_or_default();
        Ok(ContainerUpdateRequest { resources, restart_policy, emptied: Vec::new() })
    }
}

//! The integration suite: the real binary, real namespaces, real cgroups. One module per concern; each
//! test has a host of its own and checks at its end that the machine is as it was.
//!
//! The same executable runs on cgroup v1 and hybrid hosts, on v2 in the virtual machine, and with the
//! engine's pools off.

mod addresses;
mod api_hostile;
mod api_paths;
mod api_schema;
mod api_versions;
mod by_hand;
mod cgroups;
mod claims;
mod cli;
mod cli_parity;
mod confinement;
mod contexts;
mod copy;
mod copy_hostile;
mod costs;
mod docker_cli;
mod dockerd;
mod explain;
mod explain_causes;
mod faults;
mod faults_disk;
mod faults_lack;
mod faults_state;
mod health;
mod host_image;
mod hostile;
mod hostile_runtime;
mod identity;
mod images;
mod images_hostile;
mod joins;
mod kernel_fallbacks;
mod killed;
mod killed_each;
mod killed_networks;
mod learn;
mod lifecycle;
mod limits;
mod logs;
mod many;
mod mounts;
mod names;
mod namespaces;
mod neighbours;
mod network_settings;
mod networks;
mod networks_on_links;
mod pools;
mod power;
mod registry;
mod registry_customs;
mod registry_hostile;
mod rootfs;
mod sockets;
mod start_story;
mod stdio;
mod store;
mod systemd;
mod tools;
mod traces;
mod volumes;
mod why;

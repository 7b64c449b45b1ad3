//! `linux.netDevices`: links of the runtime's network namespace go into the container's, with their addresses.

mod message;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use hull_launch::plan::Namespaces;
use hull_sys::{namespace, process};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::Pid;

use crate::config::NetDevice;
use crate::error::{Doing, Error, Result};
use message::{Address, Message};

/// Names that no link can have.
pub fn check(devices: &BTreeMap<String, NetDevice>) -> Result<()> {
    let sound = |name: &str| {
        !name.is_empty()
            && name.len() < 16
            && name != "."
            && name != ".."
            && !name.contains(['/', ':', '\0', ' ', '\n'])
    };
    for (name, device) in devices {
        let wanted = device.name.as_deref().unwrap_or(name);
        if !sound(name) || !sound(wanted) {
            return Err(Error::invalid(format!("linux.netDevices.{name}"), format!("{wanted:?} is no name of a link")));
        }
    }
    Ok(())
}

/// Moves them into the namespace of the process.
pub fn give(devices: &BTreeMap<String, NetDevice>, pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).ok_or(Error::NotRunning)?;
    let target = namespace::of(pid, "net")?;
    let here = socket()?;
    let mut moved = Vec::new();
    for (name, device) in devices {
        let what = || format!("linux.netDevices.{name}: find the link");
        let index = rustix::net::netdevice::name_to_index(&here, name).doing(what)?;
        let addresses = addresses(&here, index)?;
        let wanted = device.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| name.clone());
        let what = || format!("linux.netDevices.{name}: move the link");
        ask(&here, &Message::move_link(index, &target, &wanted)).doing(what)?;
        moved.push((wanted, addresses));
    }
    let back = namespace::own("net")?;
    process::setns(&target, Namespaces::NETWORK.0)?;
    let done = moved.iter().try_for_each(|(name, addresses)| revive(name, addresses));
    process::setns(back, Namespaces::NETWORK.0)?;
    done
}

/// In its new namespace a link is down and has lost its addresses.
fn revive(name: &str, addresses: &[Address]) -> Result<()> {
    let socket = socket()?;
    let what = || format!("linux.netDevices: bring {name:?} up");
    let index = rustix::net::netdevice::name_to_index(&socket, name).doing(what)?;
    for address in addresses {
        ask(&socket, &Message::add_address(index, address)).doing(what)?;
    }
    ask(&socket, &Message::set_up(index)).doing(what)
}

fn socket() -> Result<OwnedFd> {
    let what = || "open a netlink socket".to_owned();
    let kind = SocketType::RAW;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None).doing(what)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0)).doing(what)?;
    Ok(socket)
}

/// Sends a request and waits for the kernel's answer.
fn ask(socket: &OwnedFd, message: &Message) -> rustix::io::Result<()> {
    send(socket, message)?;
    let mut buffer = [0u8; 8192];
    let (n, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())?;
    message::answer(&buffer[..n])
}

fn send(socket: &OwnedFd, message: &Message) -> rustix::io::Result<()> {
    rustix::net::send(socket, message.bytes(), SendFlags::empty()).map(drop)
}

/// The addresses of a link that are not bound to its place.
fn addresses(socket: &OwnedFd, index: u32) -> Result<Vec<Address>> {
    let what = || "list the addresses of links".to_owned();
    send(socket, &Message::list_addresses()).doing(what)?;
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let (n, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()).doing(what)?;
        if message::addresses(&buffer[..n], index, &mut found).doing(what)? {
            return Ok(found);
        }
    }
}

//! A host with an uplink to another machine, and containers on it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hull_netlink::Route;
use hull_netlink::route::{NewLink, Path, Peer, Veth};
use hull_network::ports::{Protocol, Published, Wish};
use hull_network::rules::PortRule;
use hull_network::{Definition, Endpoint, Mac, Net, Subnet, Switch, ipam};

use super::{new_netns, within};

/// The host's and the other machine's addresses on the uplink.
pub const HOST: &str = "203.0.113.1";
pub const OUTSIDE: &str = "203.0.113.2";

pub fn net(text: &str) -> Net {
    text.parse().unwrap()
}

pub fn at(address: impl ToString, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_string().parse().unwrap(), port)
}

/// A host with an uplink to another machine.
pub struct World {
    pub host: OwnedFd,
    pub outside: OwnedFd,
    pub switch: Arc<Switch>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Switch::new("hull-test"))
    }

    /// With this switch on the host.
    pub fn with(switch: Switch) -> Self {
        let (host, outside) = (new_netns(), new_netns());
        within(&host, || {
            let mut route = Route::open().unwrap();
            let link = NewLink { name: "up0", up: true, ..NewLink::default() };
            let peer = Peer { name: "up1", mac: None, mtu: None, netns: Some(outside.as_fd()) };
            route.add_veth(&Veth { link, peer, segment_ipv4: None }).unwrap();
            let index = route.link("up0").unwrap().unwrap().index;
            route.add_address(index, net(&format!("{HOST}/24"))).unwrap();
            route.add_address(index, net("fd00:113::1/64")).unwrap();
        });
        within(&outside, || {
            let mut route = Route::open().unwrap();
            let index = route.link("up1").unwrap().unwrap().index;
            route.add_address(index, net(&format!("{OUTSIDE}/24"))).unwrap();
            route.add_address(index, net("fd00:113::2/64")).unwrap();
            route.set_up(index, true).unwrap();
            // It knows a way to the containers' networks: being unreachable must not hang on ignorance.
            for (destination, via) in [("10.0.0.0/8", HOST), ("fd00:10::/32", "fd00:113::1")] {
                let gateway = Some(via.parse().unwrap());
                route.add_path(&Path { destination: net(destination), gateway, link: index, metric: None }).unwrap();
            }
        });
        Self { host, outside, switch: Arc::new(switch) }
    }

    pub fn raise(&self, network: &Definition) {
        within(&self.host, || self.switch.raise(network).unwrap());
    }

    /// A container in a network at the given address.
    pub fn container(&self, network: &Definition, name: &str, addresses: &[&str]) -> Container {
        self.wired(network, name, addresses, false)
    }

    /// A container that may speak in its own name alone.
    pub fn pinned(&self, network: &Definition, name: &str, addresses: &[&str]) -> Container {
        self.wired(network, name, addresses, true)
    }

    fn wired(&self, network: &Definition, name: &str, addresses: &[&str], pinned: bool) -> Container {
        let netns = new_netns();
        let addresses: Vec<Net> = addresses.iter().map(|text| net(text)).collect();
        let mac = match addresses[0].address {
            IpAddr::V4(address) => ipam::mac(address),
            IpAddr::V6(_) => Mac([2, 0, 0, 0, 0, 9]),
        };
        let endpoint = Endpoint {
            id: name.into(),
            network: network.id.clone(),
            name: "eth0".into(),
            link: format!("veth{name}"),
            mac,
            addresses,
            gateway: true,
            names: Vec::new(),
            sysctls: Vec::new(),
            link_local: Vec::new(),
            pinned,
        };
        within(&self.host, || self.switch.attach(network, &endpoint, netns.as_fd()).unwrap());
        Container { netns, endpoint }
    }

    /// Publishes one TCP port of a container.
    pub fn publish(&self, container: &Container, port: u16, address: &str, host: u16) {
        self.publish_as(Protocol::Tcp, container, port, (address, host));
    }

    /// Publishes one port of a container.
    pub fn publish_as(&self, protocol: Protocol, container: &Container, port: u16, (address, host): (&str, u16)) {
        let address: IpAddr = address.parse().unwrap();
        let to = container.endpoint.address(address.is_ipv4()).unwrap();
        let published = Published { protocol, port, address, host };
        within(&self.host, || self.switch.publish(&container.endpoint, vec![PortRule { published, to }]).unwrap());
    }

    pub fn tool(&self, program: &str, args: &[&str]) -> String {
        within(&self.host, || {
            let out = Command::new(program).args(args).output().unwrap();
            assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        })
    }
}

pub struct Container {
    pub netns: OwnedFd,
    pub endpoint: Endpoint,
}

impl Container {
    /// Serves TCP on a port: says who called.
    pub fn serve(&self, port: u16) {
        let v6 = self.endpoint.address(false).is_some();
        let listener = within(&self.netns, || TcpListener::bind(at(if v6 { "::" } else { "0.0.0.0" }, port)).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let peer = stream.peer_addr().unwrap().ip().to_canonical();
                let _ = write!(stream, "{peer}");
            }
        });
    }
}

/// Connects from a namespace, and returns as whom the server saw the client.
pub fn call(from: &OwnedFd, to: SocketAddr, patience: Duration) -> Result<IpAddr, ErrorKind> {
    within(from, || {
        let mut stream = TcpStream::connect_timeout(&to, patience).map_err(|error| error.kind())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|error| error.kind())?;
        Ok(text.parse().unwrap())
    })
}

/// A neighbour whose address is not certain yet does not answer, and the kernel gives up after three seconds.
pub fn reaches(from: &OwnedFd, to: SocketAddr) -> IpAddr {
    let began = Instant::now();
    loop {
        match call(from, to, Duration::from_secs(20)) {
            Err(ErrorKind::HostUnreachable) if began.elapsed() < Duration::from_secs(20) => {}
            answer => return answer.unwrap_or_else(|why| panic!("{to}: {why}")),
        }
    }
}

/// A packet that is dropped never answers, so this waits a moment.
pub fn is_closed(from: &OwnedFd, to: SocketAddr) {
    let answer = call(from, to, Duration::from_millis(700));
    assert!(answer.is_err(), "{to} answered as if it were open: {answer:?}");
}

pub fn network(name: &str, subnets: &[&str]) -> Definition {
    let subnets = subnets.iter().map(|text| {
        let net = net(text);
        Subnet { net, gateway: ipam::first(net), range: None, reserved: BTreeMap::new() }
    });
    Definition { subnets: subnets.collect(), ..Definition::bridge(format!("id-{name}"), name, format!("br-{name}")) }
}

pub fn wish(host: u16) -> Wish {
    Wish { protocol: Protocol::Tcp, port: 80, address: None, host: (host, host) }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

"""What Watchtower and Portainer ask of an engine, call by call, in the versions that they speak.

The calls are those of their sources: Watchtower's `pkg/container/client.go` (1.25 unless told otherwise), Portainer's `pkg/snapshot/docker.go`
and `api/docker/container.go` (the version is negotiated). Both make a container anew from what `inspect` showed of the old one, without a
look at it, so everything that is shown has to be accepted. Arguments: the image, which is older here than in its registry."""
import json
import os
import sys

import requests
from docker.transport import UnixHTTPAdapter

IMAGE = sys.argv[1]
SOCKET = os.environ["DOCKER_HOST"].removeprefix("unix://")


class Engine:
    def __init__(self, version):
        self.base = f"http://localhost/v{version}"
        self.session = requests.Session()
        self.session.mount("http://localhost/", UnixHTTPAdapter(f"http+unix://{SOCKET}", timeout=100))

    def ask(self, method, path, body=None, status=range(200, 300), **query):
        answer = self.session.request(method, self.base + path, params=query, json=body, timeout=100)
        assert answer.status_code in status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") and "\n{" not in answer.text else answer.text

    def get(self, path, **query):
        return self.ask("GET", path, **query)

    def post(self, path, body=None, **query):
        return self.ask("POST", path, body, **query)


def networks_of(shown):
    """The networks of a container for another one that takes its place."""
    networks = shown["NetworkSettings"]["Networks"]
    for endpoint in networks.values():
        endpoint["Aliases"] = [alias for alias in endpoint["Aliases"] or [] if alias != shown["Id"][:12]]
    return networks


def first(networks):
    name = next(iter(networks))
    return {name: networks[name]}


def is_like(new, old):
    """It is the old one again, but for what is told apart by ids."""
    assert new["Name"] == old["Name"] == "/one" and new["Id"] != old["Id"]
    assert new["State"]["Running"] and new["State"]["ExitCode"] == 0
    for part in ("Env", "Labels", "Cmd", "Entrypoint", "WorkingDir", "User", "Volumes"):
        assert (new["Config"].get(part) or None) == (old["Config"].get(part) or None), (part, new["Config"], old["Config"])
    assert new["HostConfig"] == old["HostConfig"], (new["HostConfig"], old["HostConfig"])
    mounts = [{(m["Type"], m.get("Name"), m["Destination"], m["RW"]) for m in one["Mounts"]} for one in (new, old)]
    assert mounts[0] == mounts[1], mounts
    for name, endpoint in old["NetworkSettings"]["Networks"].items():
        again = new["NetworkSettings"]["Networks"][name]
        assert again["NetworkID"] == endpoint["NetworkID"] and again["IPAddress"], again
        assert name != "inner" or "www" in again["Aliases"], again
        assert (again["IPAMConfig"] or None) == (endpoint["IPAMConfig"] or None), again
    assert len(new["NetworkSettings"]["Networks"]) == 2
    assert new["NetworkSettings"]["Ports"] == old["NetworkSettings"]["Ports"]


def watchtower():
    """A newer image is found, and its container runs again from that."""
    engine = Engine("1.25")
    listed = engine.get("/containers/json", filters=json.dumps({"status": {"running": True}}))
    assert len(listed) == 1, listed
    old = engine.get(f"/containers/{listed[0]['Id']}/json")
    image = engine.get(f"/images/{old['Image']}/json")
    assert old["Config"]["Image"] == IMAGE and old["State"]["Running"] and not old["State"]["Restarting"]
    assert engine.get(f"/images/{IMAGE}/json")["Id"] == old["Image"], "no newer one is here"
    said = engine.post("/images/create", fromImage=IMAGE.rsplit(":", 1)[0], tag=IMAGE.rsplit(":", 1)[1])
    assert "Downloaded newer image" in said, said
    newer = engine.get(f"/images/{IMAGE}/json")["Id"]
    assert newer != old["Image"]

    engine.post(f"/containers/{old['Id']}/kill", signal="SIGKILL")
    while engine.get(f"/containers/{old['Id']}/json")["State"]["Running"]:
        pass
    engine.ask("DELETE", f"/containers/{old['Id']}", force="1")
    assert "No such container" in engine.ask("GET", f"/containers/{old['Id']}/json", status=[404])["message"]

    config, theirs = dict(old["Config"]), image["Config"]
    for part in ("WorkingDir", "User"):
        if config.get(part) == theirs.get(part):
            config[part] = ""
    config["Env"] = [pair for pair in config["Env"] or [] if pair not in (theirs.get("Env") or [])]
    config["ExposedPorts"] = {port: {} for port in old["HostConfig"]["PortBindings"]}
    networks = networks_of(old)
    whole = {**config, "HostConfig": old["HostConfig"], "NetworkingConfig": {"EndpointsConfig": first(networks)}}
    made = engine.post("/containers/create", whole, name=old["Name"])["Id"]
    for name in first(networks):
        engine.post(f"/networks/{name}/disconnect", {"Container": made, "Force": True})
    for name, endpoint in networks.items():
        engine.post(f"/networks/{name}/connect", {"Container": made, "EndpointConfig": endpoint})
    engine.post(f"/containers/{made}/start")
    new = engine.get(f"/containers/{made}/json")
    is_like(new, old)
    assert new["Image"] == newer
    gone = engine.ask("DELETE", f"/images/{old['Image']}", force="1")
    assert any(one.get("Deleted") == old["Image"] for one in gone), gone


def portainer():
    """The snapshot that its first page shows, and its button Recreate."""
    ping = requests.Session()
    ping.mount("http://localhost/", UnixHTTPAdapter(f"http+unix://{SOCKET}", timeout=100))
    head = ping.head("http://localhost/_ping")
    assert head.status_code == 200 and head.headers["Ostype"] == "linux" and head.headers["Docker-Experimental"] == "false"
    engine = Engine(min(head.headers["Api-Version"], "1.51"))
    info = engine.get("/info")
    assert not info["Swarm"]["ControlAvailable"] and info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["ServerVersion"] and info["ID"] and info["NCPU"] > 0 and info["MemTotal"] > 1 << 20
    assert info["Plugins"]["Volume"] and info["Plugins"]["Network"] and "Log" in info["Plugins"]
    listed = engine.get("/containers/json", all="1")
    assert [(one["Names"], one["State"], one["Labels"]["com.docker.compose.project"]) for one in listed] == [(["/one"], "running", "shop")]
    assert "(healthy)" in listed[0]["Status"] or "(health: starting)" in listed[0]["Status"], listed
    old = engine.get(f"/containers/{listed[0]['Id']}/json", size="1")
    assert "A=b" in old["Config"]["Env"] and not old["HostConfig"]["DeviceRequests"] and old["SizeRootFs"] > 0
    assert all(one["Id"] and one["Size"] >= 0 and "RepoTags" in one for one in engine.get("/images/json"))
    assert [one["Name"] for one in engine.get("/volumes")["Volumes"]] == ["data"]
    assert engine.get("/volumes", filters=json.dumps({"dangling": ["true"]}))["Volumes"] == []
    assert {"bridge", "host", "none", "inner", "outer"} == {one["Name"] for one in engine.get("/networks")}
    assert not any("podman" in one["Name"].lower() for one in engine.get("/version")["Components"])
    assert engine.ask("GET", "/swarm", status=[503])["message"]
    stats = engine.get(f"/containers/{old['Id']}/stats", stream="false")
    assert stats["memory_stats"]["usage"] > 0 and stats["cpu_stats"]["online_cpus"] > 0 and len(stats["networks"]) == 2
    assert engine.get(f"/containers/{old['Id']}/top")["Processes"]
    assert "ready" in engine.get(f"/containers/{old['Id']}/logs", stdout="1", stderr="1", timestamps="1", tail="100")

    engine.post(f"/containers/{old['Id']}/stop")
    engine.post(f"/containers/{old['Id']}/rename", name=old["Name"] + "-old")
    networks = old["NetworkSettings"]["Networks"]
    for endpoint in networks.values():
        engine.post(f"/networks/{endpoint['NetworkID']}/disconnect", {"Container": old["Id"], "Force": True})
    start = first(networks)
    whole = {**old["Config"], "HostConfig": old["HostConfig"], "NetworkingConfig": {"EndpointsConfig": start}}
    made = engine.post("/containers/create", whole, name=old["Name"])["Id"]
    for name, endpoint in networks.items():
        if name not in start:
            engine.post(f"/networks/{endpoint['NetworkID']}/connect", {"Container": made, "EndpointConfig": endpoint})
    engine.post(f"/containers/{made}/start")
    engine.ask("DELETE", f"/containers/{old['Id']}")
    new = engine.get(f"/containers/{made}/json", size="1")
    is_like(new, old)
    assert new["Image"] == old["Image"]


watchtower()
portainer()
print("the updaters are content")

"""Requests that schemathesis makes up from docker's own description of the API: every operation, values of every type and of none.

Arguments: the description, seconds. No answer may be 500, none may fail to come, and every refusal has a sentence. Answers that go on
for ever are read for a moment and left. What would touch the machine outside the engine is taken out of the requests: the sources
of binds, the host's devices, the place of cgroups."""
import os
import sys
import time

import docker
import hypothesis
import requests
import schemathesis
from docker.transport import UnixHTTPAdapter

DESCRIPTION, SECONDS = sys.argv[1], float(sys.argv[2])
SOCKET = os.environ["DOCKER_HOST"].removeprefix("unix://")
SWARM = ("swarm", "nodes", "services", "tasks", "secrets", "configs", "plugins")
# What is not there to be asked: a swarm, a cluster's volumes, the registries beyond this network.
UNREACHABLE = (*SWARM, "volumes", "auth", "distribution", "images")
OUTSIDE = ("Binds", "Mounts", "Devices", "CgroupParent", "DeviceCgroupRules", "Privileged", "VolumesFrom")
REAL = {"containers": "one", "images": "busybox", "networks": "inner", "volumes": "data", "distribution": "127.0.0.1:1/x"}
# It answers when somebody else does something.
WAITS = ("/containers/{id}/wait", "/containers/{id}/attach/ws")
# A registry that does not answer is tried again, which takes its time.
FAR = ("/images/search", "/distribution/{name}/json")
PATIENCE, LOOK = 20, 0.2
# What CI asks is the same each time; a longer run looks for something new.
EXAMPLES, SAME = max(12, int(SECONDS / 4)), SECONDS <= 60

client = docker.from_env(timeout=60)
session = requests.Session()
session.mount("http://localhost/", UnixHTTPAdapter(f"http+unix://{SOCKET}", timeout=PATIENCE))
begin = time.monotonic()
failures, asked, answers = [], 0, {}


@schemathesis.serializer("application/x-tar", "application/octet-stream", "text/plain")
def serialize(_context, value):
    """Bytes that are no archive."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def furnish():
    """What requests may name is there."""
    if not client.containers.list(all=True, filters={"name": "^one$"}):
        client.containers.create("busybox", ["sleep", "1000"], name="one", network_mode="none", stop_signal="KILL").start()
    if not client.networks.list(names=["inner"]):
        client.networks.create("inner", internal=True)
    client.volumes.create("data")


def adapt(case):
    """Half of the requests name something that is there, and no request leaves the engine's world."""
    path = case.operation.path
    real = REAL.get(path.split("/")[1])
    for name, value in list((case.path_parameters or {}).items()):
        if real and len(str(value)) % 2 == 0:
            case.path_parameters[name] = real
    if isinstance(case.body, dict):
        host = case.body.get("HostConfig")
        for place in (case.body, host if isinstance(host, dict) else {}):
            for name in OUTSIDE:
                place.pop(name, None)
        if path == "/containers/create" and len(str(case.body)) % 3:
            case.body["Image"] = "busybox"


def ask(case):
    global asked
    if time.monotonic() - begin > SECONDS:
        return
    adapt(case)
    asked += 1
    words = case.as_transport_kwargs(base_url="http://localhost/v1.56")
    told = f"{case.method} {case.formatted_path} {case.query} {str(case.body)[:300]}"
    try:
        with session.request(**words, timeout=PATIENCE, stream=True) as answer:
            answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
            judge(case, told, answer)
    except requests.exceptions.RequestException as error:
        failures.append(f"{told}: no answer: {error!r}"[:600])


def judge(case, told, answer):
    area = case.operation.path.split("/")[1]
    status = answer.status_code
    if status >= 500 and status != 501 and not (status == 503 and area in UNREACHABLE):
        failures.append(f"{told}: {status} {answer.text[:300]}")
    elif status >= 400 and case.method != "HEAD":
        sentence = answer.json().get("message")
        if not sentence or not isinstance(sentence, str):
            failures.append(f"{told}: {status} without a sentence: {answer.text[:300]}")
    elif status == 200:
        glance(answer)


def glance(answer):
    """A moment of an answer, which may have no end."""
    try:
        answer.raw._fp.fp.raw._sock.settimeout(LOOK)
    except AttributeError:
        pass
    until = time.monotonic() + LOOK
    try:
        for _ in answer.iter_content(1 << 16):
            if time.monotonic() > until:
                break
    except (OSError, requests.exceptions.RequestException):
        pass


def try_out(operation):
    strategy = operation.as_strategy()
    few = operation.path.split("/")[1] in SWARM or operation.path in FAR
    settings = hypothesis.settings(
        max_examples=3 if few else EXAMPLES, derandomize=SAME, database=None, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )
    settings(hypothesis.given(case=strategy)(lambda case: ask(case)))()


def clean():
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters={"type": "custom"}):
        network.remove()
    for volume in client.volumes.list():
        volume.remove(force=True)


operations = [result.ok() for result in schemathesis.openapi.from_path(DESCRIPTION).get_all_operations()]
operations.sort(key=lambda operation: operation.path.split("/")[1] in SWARM)
tried, took = 0, {}
for operation in operations:
    if operation.path in WAITS or time.monotonic() - begin > SECONDS:
        continue
    furnish()
    try_out(operation)
    tried += 1
    took[f"{operation.method} {operation.path}"] = time.monotonic() - begin - sum(took.values())
clean()
print(f"{asked} requests to {tried} of {len(operations)} operations in {time.monotonic() - begin:.0f} s: {dict(sorted(answers.items()))}")
print("slowest:", ", ".join(f"{name} {took[name]:.1f}" for name in sorted(took, key=took.get)[-8:]))
for failure in failures:
    print(failure)
if not failures and tried > 20:
    print("schemathesis is content")

// dockerode: streams that are hijacked and told apart, events, archives, volumes and networks.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS + "/");
const Docker = require("dockerode");

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace("unix://", "") });
const text = (stream) => {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString();
};
const ended = (stream) => new Promise((resolve, reject) => stream.on("end", resolve).on("close", resolve).on("error", reject));

assert.equal((await docker.ping()).toString(), "OK");
assert.ok((await docker.info()).ServerVersion);
assert.deepEqual((await docker.listImages())[0].RepoTags, ["busybox:latest"]);

const out = new PassThrough(), err = new PassThrough();
const [said, complained] = [text(out), text(err)];
const host = { AutoRemove: false, NetworkMode: "none" };
const [result, ran] = await docker.run("busybox", ["sh", "-c", "echo out; echo err >&2; exit 3"], [out, err], { Tty: false, HostConfig: host });
assert.equal(result.StatusCode, 3);
// Another connection than that of the code brings them.
for (const end = Date.now() + 60000; (!said() || !complained()) && Date.now() < end; ) await new Promise((go) => setTimeout(go, 10));
assert.deepEqual([said(), complained()], ["out\n", "err\n"]);
await ran.remove();

const volume = await docker.createVolume({ Name: "data" });
const network = await docker.createNetwork({ Name: "inner", Internal: true });
const one = await docker.createContainer({
    Image: "busybox", name: "one", Cmd: ["cat"], OpenStdin: true, StdinOnce: true, AttachStdin: true,
    HostConfig: { NetworkMode: "inner", Binds: ["data:/data"] },
});
const attached = await one.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
const echoed = new PassThrough();
const heard = text(echoed);
docker.modem.demuxStream(attached, echoed, echoed);
const closed = ended(attached);
await one.start();
const exec = await one.exec({ Cmd: ["sh", "-c", "cat >/data/file; cat /data/file; exit 4"], AttachStdin: true, AttachStdout: true });
const stream = await exec.start({ hijack: true, stdin: true });
const answer = new PassThrough();
const answered = text(answer);
const over = ended(stream);
docker.modem.demuxStream(stream, answer, answer);
stream.write("through exec");
stream.end();
await over;
assert.equal(answered(), "through exec");
assert.equal((await exec.inspect()).ExitCode, 4);
assert.equal((await one.inspect()).Mounts[0].Name, "data");
attached.write("through attach");
attached.end();
assert.equal((await one.wait()).StatusCode, 0);
await closed;
assert.equal(heard(), "through attach");
assert.ok((await one.logs({ stdout: true })).toString().includes("through attach"));
await one.remove();
await volume.remove();
await network.remove();
await assert.rejects(docker.getContainer("nosuch").inspect(), (error) => error.statusCode === 404 && error.reason === "no such container");
console.log("dockerode is content");

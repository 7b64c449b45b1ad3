// testcontainers for Node: waiting for a log line and for health, exec, copying, a network of two.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS + "/");
const { GenericContainer, Network, Wait } = require("testcontainers");

const network = await new Network().start();
const server = await new GenericContainer("busybox")
    .withCommand(["sh", "-c", "echo it is ready; exec httpd -f -p 80 -h /www"])
    .withCopyContentToContainer([{ content: "served\n", target: "/www/index.html" }])
    .withNetwork(network)
    .withNetworkAliases("server")
    .withHealthCheck({ test: ["CMD-SHELL", "wget -qO- http://localhost/"], interval: 300, timeout: 20000, retries: 300 })
    .withWaitStrategy(Wait.forAll([Wait.forLogMessage("it is ready"), Wait.forHealthCheck()]))
    .withStartupTimeout(100000)
    .start();
const asking = await new GenericContainer("busybox")
    .withCommand(["sh", "-c", "echo up; exec sleep 1000"])
    .withNetwork(network)
    .withWaitStrategy(Wait.forLogMessage("up"))
    .withStartupTimeout(100000)
    .start();
const { output, exitCode } = await asking.exec(["wget", "-qO-", "http://server/"]);
assert.deepEqual([output, exitCode], ["served\n", 0]);
await asking.copyContentToContainer([{ content: "copied", target: "/tmp/file" }]);
assert.equal((await asking.exec(["cat", "/tmp/file"])).output, "copied");
await asking.stop();
await server.stop();
await network.stop();
console.log("testcontainers is content");

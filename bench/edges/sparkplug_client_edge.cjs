// An edge node made with the public package sparkplug-client: births, ten rounds of data, rebirths when asked, a death.
// Runs where that package is installed: node sparkplug_client_edge.cjs HOST PORT. Data goes plain, as GZIP and as
// DEFLATE in turn. One message is counted and not sent, so that a host has a gap to see.

const { createRequire } = require("node:module");
const { join } = require("node:path");
const installed = createRequire(join(process.cwd(), "index.js"));
const client = installed("sparkplug-client").newClient({
  serverUrl: `tcp://${process.argv[2]}:${process.argv[3]}`,
  groupId: "show",
  edgeNode: "sparkplug-client",
  username: null,
  password: null,
  clientId: "show-sparkplug-client",
  version: "spBv1.0",
  publishDeath: true,
});

const pump = (turn) => ({
  timestamp: Date.now(),
  metrics: [
    { name: "Pump/Temperature", value: 40.5 + turn, type: "Float" },
    { name: "Pump/Trim", value: -3 - turn, type: "Int16" },
    { name: "Pump/Running", value: turn % 2 === 0, type: "Boolean" },
    { name: "Pump/Pressure", value: 1.25 * turn, type: "Double" },
    { name: "Pump/Model", value: "P-7", type: "String" },
  ],
});

let turn = 0;
client.on("birth", () => {
  client.publishNodeBirth({
    timestamp: Date.now(),
    metrics: [
      { name: "Node Control/Rebirth", value: false, type: "Boolean" },
      { name: "Uptime", value: turn, type: "Int64" },
    ],
  });
  client.publishDeviceBirth("pump", pump(turn));
});
client.on("ncmd", (payload) => {
  if (payload.metrics.some((metric) => metric.name === "Node Control/Rebirth" && metric.value)) {
    console.log("sparkplug-client: asked to be born again");
    client.emit("birth");
  }
});

const ways = [{}, { compress: true, algorithm: "GZIP" }, { compress: true, algorithm: "DEFLATE" }];
const rounds = setInterval(() => {
  turn += 1;
  if (turn > 10) {
    clearInterval(rounds);
    client.stop();
    return;
  }
  if (turn === 4) client.seq += 1; // a message that is lost
  client.publishDeviceData("pump", pump(turn), ways[turn % ways.length]);
}, 600);

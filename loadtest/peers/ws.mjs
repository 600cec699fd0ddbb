// A plain room over `ws`: the least that a chat server in Node can be, so that the others are compared with it.
//
// Run in a folder that has `ws` installed: node ws.mjs PORT
// Says: {"is":"joined"}  {"is":"message","room":R,"data":D}  {"is":"ack","id":N}
// Hears: {"do":"join","room":R}  {"do":"send","room":R,"data":D,"id":N}, where the id asks for an ack.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.cwd()}/`);
const { WebSocketServer } = require("ws");
const { version } = JSON.parse(readFileSync(require.resolve("ws/package.json"), "utf8"));

const port = Number(process.argv[2] ?? 3001);
const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: false, clientTracking: false, backlog: 4096 });

function join(socket, room) {
  let members = rooms.get(room);
  if (!members) rooms.set(room, (members = new Set()));
  members.add(socket);
  socket.rooms.push(members);
}

function send({ room, data, id }, socket) {
  const members = rooms.get(room);
  if (members) {
    // Made once for all, as bytes: what can be shared in Node is shared.
    const frame = Buffer.from(JSON.stringify({ is: "message", room, data }));
    for (const member of members) if (member !== socket) member.send(frame, { binary: false });
  }
  if (id !== undefined) socket.send(`{"is":"ack","id":${id}}`);
}

server.on("connection", (socket) => {
  socket.rooms = [];
  socket.on("error", () => {});
  socket.on("close", () => socket.rooms.forEach((members) => members.delete(socket)));
  socket.on("message", (bytes) => {
    let frame;
    try {
      frame = JSON.parse(bytes.toString());
    } catch {
      return socket.close(1007);
    }
    if (frame.do === "send") return send(frame, socket);
    join(socket, frame.room);
    socket.send('{"is":"joined"}');
  });
});
server.on("listening", () => console.log(`ws ${version}, Node ${process.version}`));

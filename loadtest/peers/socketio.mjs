// Rooms over Socket.IO in its leanest form: WebSocket only, no compression, no recovery, no request kept.
//
// Run in a folder that has `socket.io` installed: node socketio.mjs PORT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.cwd()}/`);
const { Server } = require("socket.io");
const { version } = JSON.parse(readFileSync(require.resolve("socket.io/package.json"), "utf8"));
const http = require("node:http").createServer();

const port = Number(process.argv[2] ?? 3000);
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, httpCompression: false, serveClient: false });

// As its own page on memory advises.
io.engine.on("connection", (rawSocket) => {
  rawSocket.request = null;
});
io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("send", (room, data, ack) => {
    socket.to(room).emit("m", data);
    if (ack) ack();
  });
});
http.listen(port, "127.0.0.1", 4096, () => console.log(`Socket.IO ${version}, Node ${process.version}`));

// A server that uses what servers in Node use: the event loop, worker threads, child processes, files.
const { Worker } = require("worker_threads");
const { execFile } = require("child_process");
const fs = require("fs");
const http = require("http");
const os = require("os");
const path = require("path");

const work = () =>
  new Promise((resolve, reject) => {
    const code = "require('worker_threads').parentPort.postMessage([...Array(10).keys()].reduce((a, n) => a + n * n))";
    new Worker(code, { eval: true }).on("message", resolve).on("error", reject);
  });
const child = () =>
  new Promise((resolve, reject) =>
    execFile("id", ["-u"], (error, out) => (error ? reject(error) : resolve(out.trim()))),
  );
const file = async () => {
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), "node-"));
  await fs.promises.writeFile(path.join(dir, "x"), "42");
  const text = await fs.promises.readFile(path.join(dir, "x"), "utf8");
  await fs.promises.rm(dir, { recursive: true });
  return text;
};

const server = http.createServer(async (_, response) => {
  try {
    const [threads, children, files] = await Promise.all([work(), child(), file()]);
    response.end(`threads ${threads} children ${children} files ${files}\n`);
  } catch (error) {
    response.statusCode = 500;
    response.end(`${error}\n`);
  }
});
server.listen(8080, () => console.log("started", process.version));
process.on("SIGTERM", () => {
  console.log("stopped");
  server.close(() => process.exit(0));
  server.closeAllConnections();
});

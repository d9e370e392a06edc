# Node: processors and memory of the control group, worker threads, a child process, a server, compiled code.
cat > a.js <<'J'
const os = require('os'), http = require('http'), { Worker } = require('worker_threads'), { execFileSync } = require('child_process');
console.log('cpus', os.cpus().length, os.availableParallelism());
console.log('limit', process.constrainedMemory());
console.log('memory known', os.totalmem() > 0, os.freemem() > 0, os.loadavg().length, Object.keys(os.networkInterfaces()));
console.log(execFileSync('echo', ['from a child']).toString().trim());
new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true }).on('message', (m) => {
  console.log('worker', m);
  const server = http.createServer((_, answer) => answer.end('hello from node')).listen(0, '127.0.0.1', () =>
    http.get({ port: server.address().port }, (answer) => answer.on('data', (d) => { console.log(d.toString()); server.close(); })));
});
J
node a.js

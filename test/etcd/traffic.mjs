// Traffic inside a namespace that has nothing but Node: numbered messages back and forth, a TCP and a UDP one every 10 ms.
//   traffic.mjs serve UDP_PORT              sends every datagram back
//   traffic.mjs ADDRESS TCP_PORT UDP_PORT   to the test server of src/embedded and to the above; SIGTERM: prints what it saw as JSON
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const EVERY_MS = 10;
/** What is still under way at the end has this long to come back. */
const SETTLE_MS = 1500;
/** A busy machine may not read for seconds: nothing may be lost in a socket's own buffer. */
const RECEIVE_BYTES = 4 * 1024 * 1024;

function serve(port) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BYTES });
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(port);
}

/** Each message must come back once and in order on an unbroken connection. */
function startTcp(address, port, seen) {
  const socket = connect({ host: address, port, noDelay: true });
  let expected = 0;
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('connect', () => socket.write('ECHO\n'));
  socket.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      // Before the first message the server says who it is.
      if (expected > 0 && line !== String(expected)) seen.error ||= `${line} came instead of ${expected}`;
      if (expected > 0) seen.tcpBack += 1;
      expected += 1;
    }
  });
  socket.on('error', (cause) => {
    seen.error ||= cause.message;
  });
  socket.on('close', () => {
    seen.error ||= 'the connection was closed';
  });
  return () => {
    if (expected === 0) return;
    seen.tcpSent += 1;
    socket.write(`${seen.tcpSent}\n`);
  };
}

/** Each datagram that does not come back is a packet lost. */
function startUdp(address, port, seen) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BYTES });
  let there = false;
  const missing = new Map();
  seen.lost = () => [...missing].slice(0, 5).map(([number, at]) => `${number} of ${at}`);
  socket.on('message', (bytes) => {
    there = true;
    if (missing.delete(String(bytes))) seen.udpBack += 1;
  });
  return () => {
    // Empty ones until the other side is there; they do not count.
    if (!there) return socket.send('', port, address);
    seen.udpSent += 1;
    missing.set(String(seen.udpSent), new Date().toISOString());
    socket.send(String(seen.udpSent), port, address);
  };
}

function exchange(address, tcpPort, udpPort) {
  const seen = { tcpSent: 0, tcpBack: 0, udpSent: 0, udpBack: 0, error: '' };
  const sendAll = [startTcp(address, tcpPort, seen), startUdp(address, udpPort, seen)];
  let flows = false;
  const timer = setInterval(() => {
    for (const send of sendAll) send();
    if (flows || seen.tcpBack === 0 || seen.udpBack === 0) return;
    flows = true;
    process.stdout.write('flows\n');
  }, EVERY_MS);
  process.on('SIGTERM', () => {
    clearInterval(timer);
    setTimeout(() => {
      const text = JSON.stringify({ ...seen, lost: seen.lost() });
      process.stdout.write(`${text}\n`, () => process.exit(0));
    }, SETTLE_MS);
  });
}

const [first, ...more] = process.argv.slice(2);
if (first === 'serve') serve(Number(more[0]));
else exchange(first, Number(more[0]), Number(more[1]));

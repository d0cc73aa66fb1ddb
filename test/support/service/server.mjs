// GET / says who answers and who asked; GET /bytes/N sends N bytes.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const block = Buffer.alloc(65_536, 'docker-router ');

createServer((request, response) => {
  const bytes = /^\/bytes\/(\d{1,10})$/.exec(request.url ?? '');
  if (!bytes) return response.end(`${hostname()} to ${request.socket.remoteAddress?.replace('::ffff:', '')}\n`);
  let left = Number(bytes[1]);
  const send = () => {
    while (left > 0) {
      const chunk = block.subarray(0, Math.min(left, block.length));
      left -= chunk.length;
      if (!response.write(chunk)) return response.once('drain', send);
    }
    response.end();
  };
  send();
}).listen(Number(process.env.PORT ?? 80), '0.0.0.0');

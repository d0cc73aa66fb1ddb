/** An engine of 2019 cannot be had, so this one only says so: Docker's own client reaches it as it reaches any other. */
export const OLD_ENGINE = `#!/usr/bin/python3
import os, sys
if sys.argv[1:3] != ['system', 'dial-stdio']:
    os.execv('/usr/bin/docker', sys.argv)
version = b'{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64","KernelVersion":"4.19"}'
request = b''
while True:
    part = os.read(0, 65536)
    if not part:
        break
    request += part
    while b'\\r\\n\\r\\n' in request:
        head, request = request.split(b'\\r\\n\\r\\n', 1)
        body = version if b'/version ' in head.split(b'\\r\\n')[0] else b'OK'
        lines = ['HTTP/1.1 200 OK', 'Api-Version: 1.40', 'Ostype: linux', 'Content-Type: application/json', 'Content-Length: %d' % len(body), '', '']
        os.write(1, '\\r\\n'.join(lines).encode() + (b'' if head.startswith(b'HEAD') else body))
`;

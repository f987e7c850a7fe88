// Azure Blob Storage's API for the tests: Azurite on a free loopback port, with its files in a folder
// and one container.
//
//   node azure.js FOLDER CONTAINER ACCOUNT KEY [PORT]
//
// Prints its port when it listens, and ends when its input does: so it dies with the test, however that dies.
'use strict';

const crypto = require('crypto');
const http = require('http');
const path = require('path');
const { createRequire } = require('module');
// Packages are where `make tools` puts them, which is not beside this file.
const load = createRequire(path.join(process.env.TEST_TOOLS, 'package.json'));
const [folder, container, account, key, port] = process.argv.slice(2);
process.env.AZURITE_ACCOUNTS = account + ':' + key;

const { BlobServerFactory } = load('azurite/dist/src/blob/BlobServerFactory');
const environment = {
  location: async () => folder,
  debug: async () => undefined,
  blobHost: () => '127.0.0.1',
  blobPort: () => Number(port || 0),
  silent: () => true,
};
// Everything else is as it is without an option.
const defaults = new Proxy(environment, { get: (known, name) => known[name] || (() => undefined) });

// Authorization by shared key, as Azure's documentation of its REST API has it. A container that is there already stays.
function makeContainer(port, done) {
  const own = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-12-02' };
  const lines = Object.entries(own).map((header) => header.join(':'));
  const resource = `/${account}/${account}/${container}\nrestype:container`;
  const signed = 'PUT' + '\n'.repeat(12) + lines.join('\n') + '\n' + resource;
  const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64');
  const headers = { ...own, 'content-length': 0, authorization: `SharedKey ${account}:${signature}` };
  const url = `http://127.0.0.1:${port}/${account}/${container}?restype=container`;
  http.request(url, { method: 'PUT', headers }, (response) => response.resume().on('end', done)).end();
}

new BlobServerFactory().createServer(defaults).then(async (server) => {
  await server.start();
  const { port } = new URL(server.getHttpServerAddress());
  makeContainer(port, () => console.log(port));
});
process.stdin.on('end', () => process.exit(0)).resume();

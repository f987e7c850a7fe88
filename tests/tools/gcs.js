// A stand-in for Google Cloud Storage's XML API, as far as deliveries use it: the emulators of others speak only the JSON API, or
// come from no registry of ours. It checks who asks as Google does, by a JWT that the service account's key has signed
// (RFC 7523), and keeps objects in memory.
//
//   node gcs.js FOLDER BUCKET [PORT]
//
// Writes the service account's key to FOLDER/service-account.json. Prints its port when it listens, and ends when its input does:
// so it dies with the test, however that dies. GET /idle is answered when no upload is left unfinished.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const [folder, bucket, port] = process.argv.slice(2);

const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const account = {
  type: 'service_account',
  client_email: 'recorder@callreel.example',
  private_key_id: 'a1',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
};
fs.writeFileSync(path.join(folder, 'service-account.json'), JSON.stringify(account));

const objects = new Map();
const uploads = new Map();
const waiting = [];

const refusal = (code, message) =>
  `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;

function isAllowed(authorization) {
  const [head, claims, signature] = (authorization || '').replace(/^Bearer /, '').split('.');
  if (!signature) return false;
  const signed = Buffer.from(signature, 'base64url');
  if (!crypto.verify('RSA-SHA256', Buffer.from(head + '.' + claims), publicKey, signed)) return false;
  const { iss, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url'));
  const now = Date.now() / 1000;
  return iss === account.client_email && iat <= now + 60 && exp > now;
}

const etag = (body) => '"' + crypto.createHash('md5').update(body).digest('hex') + '"';

function described(headers) {
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-goog-meta-'));
  return { 'content-type': headers['content-type'], ...Object.fromEntries(own) };
}

function put(name, headers, body) {
  objects.set(name, { body, headers: described(headers) });
  return { status: 200, headers: { etag: etag(body) } };
}

function get(name, range, isHead) {
  const object = objects.get(name);
  if (!object) return { status: 404, body: refusal('NoSuchKey', 'The specified key does not exist.') };
  const { body } = object;
  const headers = { ...object.headers, etag: etag(body), 'last-modified': new Date(0).toUTCString() };
  const asked = /^bytes=(\d+)-(\d+)$/.exec(range || '');
  if (!asked) return { status: 200, headers: { ...headers, 'content-length': body.length }, body: isHead ? '' : body };
  const [from, to] = [Number(asked[1]), Math.min(Number(asked[2]), body.length - 1)];
  if (from >= body.length) return { status: 416, body: refusal('InvalidRange', 'Out of it.') };
  headers['content-range'] = `bytes ${from}-${to}/${body.length}`;
  return { status: 206, headers, body: body.subarray(from, to + 1) };
}

function begin(name, headers) {
  const id = crypto.randomUUID();
  uploads.set(id, { name, headers, parts: new Map() });
  const body = `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
  return { status: 200, body };
}

function complete(name, id, upload, asked) {
  const numbers = [...asked.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((found) => Number(found[1]));
  const parts = numbers.map((number) => upload.parts.get(number));
  if (parts.includes(undefined)) return { status: 400, body: refusal('InvalidPart', 'A part is missing.') };
  uploads.delete(id);
  const done = put(name, upload.headers, Buffer.concat(parts));
  const body = `<CompleteMultipartUploadResult><ETag>${done.headers.etag}</ETag></CompleteMultipartUploadResult>`;
  return { ...done, body };
}

function answer(request, url, body) {
  if (!isAllowed(request.headers.authorization)) return { status: 401, body: refusal('AuthenticationRequired', 'Who are you?') };
  const [, named, ...rest] = url.pathname.split('/');
  if (named !== bucket) return { status: 404, body: refusal('NoSuchBucket', 'The specified bucket does not exist.') };
  const name = rest.join('/');
  const id = url.searchParams.get('uploadId');
  const upload = uploads.get(id);
  if (id && !upload) return { status: 404, body: refusal('NoSuchUpload', 'There is none.') };
  const part = Number(url.searchParams.get('partNumber'));
  switch (request.method) {
    case 'PUT':
      if (!id) return put(name, request.headers, body);
      upload.parts.set(part, body);
      return { status: 200, headers: { etag: etag(body) } };
    case 'POST':
      if (url.searchParams.has('uploads')) return begin(name, request.headers);
      return complete(name, id, upload, body);
    case 'GET':
    case 'HEAD':
      return get(name, request.headers.range, request.method === 'HEAD');
    case 'DELETE':
      if (id) return { status: uploads.delete(id) ? 204 : 404 };
      return objects.delete(name) ? { status: 204 } : { status: 404, body: refusal('NoSuchKey', 'It is not there.') };
    default:
      return { status: 405 };
  }
}

function reply(response, { status, headers, body }) {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body || ''), ...headers });
  response.end(body);
}

const server = http.createServer((request, response) => {
  const body = [];
  request.on('data', (block) => body.push(block));
  request.on('end', () => {
    const url = new URL(request.url, 'http://localhost');
    if (url.pathname === '/idle') waiting.push(response);
    else reply(response, answer(request, url, Buffer.concat(body)));
    while (uploads.size === 0 && waiting.length > 0) waiting.pop().end();
  });
});
server.listen(Number(port || 0), '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();

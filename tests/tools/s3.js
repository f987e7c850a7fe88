// Amazon S3's API for the tests: s3rver on a free loopback port, with a bucket in a folder. Signatures of version 4, which
// s3rver lets pass whatever they are, are checked here.
//
//   node s3.js FOLDER BUCKET KEY SECRET [PORT]
//
// Prints its port when it listens, and ends when its input does: so it dies with the test, however that dies.
'use strict';

const crypto = require('crypto');
const path = require('path');
const { createRequire } = require('module');
// Packages are where `make tools` puts them, which is not beside this file.
const load = createRequire(path.join(process.env.TEST_TOOLS, 'package.json'));
const S3rver = load('s3rver');
const accounts = load('s3rver/lib/models/account');
const [folder, bucket, key, secret, port] = process.argv.slice(2);

accounts.DUMMY_ACCOUNT.revokeAccessKey('S3RVER');
accounts.DUMMY_ACCOUNT.createKeyPair(key, secret);

const server = new S3rver({
  address: '127.0.0.1',
  port: Number(port || 0),
  silent: true,
  directory: folder,
  vhostBuckets: false,
  configureBuckets: [{ name: bucket }],
});
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

// Amazon's "Create a signed AWS API request", as S3 does it: the path is not encoded a second time.
function expected(request, scope, names) {
  const [uri, query] = request.url.split('?');
  const parameters = (query || '').split('&').filter(Boolean).sort();
  const headers = names.split(';').map((name) => `${name}:${request.headers[name]}\n`);
  const parts = parameters.map((pair) => (pair.includes('=') ? pair : pair + '='));
  const hash = request.headers['x-amz-content-sha256'];
  const canonical = [request.method, uri, parts.join('&'), headers.join(''), names, hash].join('\n');
  const signed = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  return hmac(scope.split('/').reduce(hmac, 'AWS4' + secret), signed).toString('hex');
}

server.middleware.unshift(async (ctx, next) => {
  const pattern = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)$/;
  const [, who, scope, names, signature] = pattern.exec(ctx.get('Authorization')) || [];
  if (who === key && expected(ctx.req, scope, names) !== signature) {
    ctx.status = 403;
    ctx.body = '<Error><Code>SignatureDoesNotMatch</Code><Message>It was made with another secret.</Message></Error>';
    return;
  }
  if (who) return next();
  ctx.status = 403;
});
server.run().then((address) => console.log(address.port));
process.stdin.on('end', () => process.exit(0)).resume();

// CouchDB's HTTP API for the tests: express-pouchdb on a free loopback port, with databases in a folder.
//
//   node couchdb.js FOLDER USER PASSWORD [PORT]
//
// Prints its port when it listens, and ends when its input does: so it dies with the test, however that dies.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
// Packages are where `make tools` puts them, which is not beside this file.
const load = createRequire(path.join(process.env.TEST_TOOLS, 'package.json'));
const express = load('express');
const [folder, user, password, port] = process.argv.slice(2);

// express-pouchdb drops slashes from database names, and Kazoo's have three. A tilde, which no name has, keeps them apart.
const toFile = (name) => name.replace(/\//g, '~');
const fromFile = (file) => file.replace(/~/g, '/');
const cleaner = load.resolve('express-pouchdb/lib/clean-filename');
load.cache[cleaner] = { id: cleaner, filename: cleaner, loaded: true, exports: toFile };

// It also stores an empty attachment when a body breaks off, where CouchDB stores none.
const utils = load('express-pouchdb/lib/utils');
const readBody = utils.parseRawBody;
utils.parseRawBody = (request, response, next) =>
  readBody(request, response, (error) => (error ? response.status(400).end() : next()));

fs.mkdirSync(folder, { recursive: true });
const PouchDB = load('pouchdb-core')
  .plugin(load('pouchdb-adapter-leveldb'))
  .plugin(load('pouchdb-mapreduce'))
  .defaults({ prefix: folder + path.sep });

const app = express();
const expected = 'Basic ' + Buffer.from(user + ':' + password).toString('base64');
app.use((request, response, next) => {
  if (request.headers.authorization === expected) {
    return next();
  }
  response.status(401).json({ error: 'unauthorized', reason: 'Name or password is incorrect.' });
});
app.get('/_all_dbs', (request, response) => {
  PouchDB.allDbs().then(
    (names) => response.json(names.map(fromFile).sort()),
    (error) => response.status(500).json({ error: 'all_dbs', reason: String(error) })
  );
});
app.use(load('express-pouchdb')(PouchDB, { mode: 'minimumForPouchDB' }));

const server = app.listen(Number(port || 0), '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();

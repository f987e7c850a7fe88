// A real browser for the tests: Chromium without a screen, driven by lines of JSON.
//
//   node browser.js URL
//
// Each line of the input is a request; each line of the output is its answer, {"value": ...} or {"error": "..."}, in the same order.
// Ends when its input does: so it dies with the test, however that dies.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { createRequire } = require('module');
// Packages are where `make tools` puts them, which is not beside this file.
const load = createRequire(path.join(process.env.TEST_TOOLS, 'package.json'));
const { chromium } = load('playwright-core');
const axe = fs.readFileSync(load.resolve('axe-core/axe.min.js'), 'utf8');
const origin = new URL(process.argv[2]).origin;

// Shorter than the test's own, so that it is told what was looked for.
const PATIENCE_MS = 15000;
const FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];

// What a person would never hear of, and must not happen.
const complaints = [];

function watch(page) {
  page.on('console', (said) => { if (said.type() === 'error') complaints.push(said.text()); });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error}`));
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (!['blob:', 'data:'].includes(protocol) && to !== origin) complaints.push(`asks elsewhere: ${request.url()}`);
  });
}

// An element by its role and its name, as a person with a screen reader finds it.
const found = (page, { role, name, nth = 0 }) => page.getByRole(role, { name, exact: true }).nth(nth);

const DO = {
  open: (page, { at }) => page.goto(origin + at).then(() => page.reload()).then(() => null),
  size: (page, { width, height, dark }) => page.setViewportSize({ width, height }).then(() => page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })),
  click: (page, what) => found(page, what).click(),
  fill: (page, { label, text }) => page.getByLabel(label, { exact: true }).fill(text),
  choose: (page, { label, text }) => found(page, { role: 'combobox', name: label }).selectOption(text).then(() => null),
  press: (page, { key }) => page.keyboard.press(key),
  type: (page, { text }) => page.keyboard.type(text),
  see: (page, { text }) => page.getByText(text).first().waitFor(),
  miss: (page, { text }) => page.getByText(text).first().waitFor({ state: 'hidden' }),
  evaluate: (page, { script }) => page.evaluate(script),
  // Asked again and again from outside: the page's own policy lets nobody evaluate a text within.
  until: async (page, { script }) => {
    const end = Date.now() + PATIENCE_MS;
    while (!(await page.evaluate(script))) {
      if (Date.now() > end) throw new Error('it never became true');
      await page.waitForTimeout(50);
    }
  },
  save: async (page, what) => {
    const [download] = await Promise.all([page.waitForEvent('download'), found(page, what).click()]);
    return { name: download.suggestedFilename(), bytes: fs.readFileSync(await download.path()).toString('base64') };
  },
  axe: async (page) => {
    // By the protocol, which the page's own policy does not hold up.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
  },
  complaints: () => complaints.splice(0),
  picture: (page, { file }) => page.screenshot({ path: file, fullPage: true }).then(() => null),
};

async function main() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  const page = await browser.newPage({ acceptDownloads: true });
  page.setDefaultTimeout(PATIENCE_MS);
  watch(page);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try { answer = { value: (await DO[request.do](page, request)) ?? null }; } catch (error) { answer = { error: String(error) }; }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await browser.close();
}

main().catch((error) => { process.stderr.write(`${error}\n`); process.exit(1); });

// metrics.js NODE-PORT PROMETHEUS-PORT FILE: evaluates the dashboard in a Prometheus that scrapes the node, and
// writes the text of the node into FILE.
'use strict';
const assert = require('assert/strict');
const fs = require('fs');

const [node, prometheus, file] = process.argv.slice(2);
const pause = () => new Promise(resolve => setTimeout(resolve, 500));

// What the interval of the page is here, so that the windows of rates shrink with it.
const PAGE_INTERVAL = '5m';
const INTERVAL_SECS = 1;

async function query(expression) {
  const url = `http://127.0.0.1:${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`;
  const answer = await (await fetch(url)).json();
  assert.equal(answer.status, 'success', `${expression}: ${answer.error}`);
  return answer.data.result;
}

// Repeats a step until it gives something, for half a minute.
async function until(what, step) {
  for (let tries = 0; tries < 60; tries += 1) {
    const found = await step().catch(() => undefined);
    if (found) return found;
    await pause();
  }
  throw new Error(`not within 30 s: ${what}`);
}

// The expression as Grafana would send it for all nodes. A rate covers four scrapes, by the interval that the
// target names; without one, Grafana takes that of the data source, 15 s if its user did not change it.
function expression({ expr, interval }) {
  if (expr.includes('$__rate_interval')) {
    assert.equal(interval, PAGE_INTERVAL, `${expr}: name the interval of scrapes, or the rate has no sample`);
  }
  return expr.replaceAll('$__rate_interval', `${4 * INTERVAL_SECS}s`).replaceAll('$instance', '.*');
}

async function main() {
  const text = await until('the text of the node', async () => {
    const response = await fetch(`http://127.0.0.1:${node}/metrics`);
    return response.ok ? response.text() : undefined;
  });
  fs.writeFileSync(file, text);
  const declared = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  // Five scrapes, so that every rate has two samples in its window.
  await until('five scrapes', async () => {
    const [counted] = await query('count_over_time(up{job="whisht"}[1m])');
    return counted && Number(counted.value[1]) >= 5;
  });
  assert.equal((await query('up{job="whisht"}'))[0].value[1], '1', 'the node is scraped');

  const dashboard = JSON.parse(fs.readFileSync('packaging/grafana/whisht.json', 'utf8'));
  const targets = dashboard.panels.flatMap(panel => panel.targets ?? []);
  assert.ok(targets.length >= 30, `only ${targets.length} expressions`);
  const unseen = new Set(declared);
  for (const target of targets) {
    const asked = expression(target);
    const series = await query(asked);
    assert.ok(series.length > 0, `no series: ${asked}`);
    for (const name of unseen) if (asked.includes(name)) unseen.delete(name);
  }
  assert.deepEqual([...unseen], [], 'metrics of the node that no panel shows');
  const { definition } = dashboard.templating.list.find(({ name }) => name === 'instance');
  assert.match(definition, /^label_values\((\w+), instance\)$/);
  assert.ok((await query(definition.match(/\((\w+),/)[1])).length > 0, 'the choice of nodes is empty');

  const response = await fetch(`http://127.0.0.1:${prometheus}/api/v1/rules`);
  const rules = (await response.json()).data.groups.flatMap(group => group.rules);
  assert.ok(rules.length >= 6, `only ${rules.length} alerts`);
  for (const rule of rules) assert.equal(rule.lastError ?? '', '', `${rule.name}: ${rule.lastError}`);
  console.log(`${targets.length} expressions and ${rules.length} alerts evaluated on ${declared.length} metrics`);
}

main().catch(error => {
  console.error(`FAILED: ${error.message}`);
  process.exit(1);
});

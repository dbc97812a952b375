/** The page: two files that a person chooses, and the verdict. It asks nobody; its policy forbids it. */

import { judge, MAX_PAGE_FILE_BYTES, type Verdict } from './judge.ts';

const input = (id: string) => document.getElementById(id) as HTMLInputElement;
const verdict = document.getElementById('verdict') as HTMLElement;
const [genesis, receipt, set] = [input('genesis'), input('receipt'), input('set')];
/** The newest choice: what an earlier one still reads is not shown over it. */
let asked = 0;

async function update(): Promise<void> {
  const ask = ++asked;
  const [genesisFile, receiptFile] = [genesis.files?.[0], receipt.files?.[0]];
  if (!genesisFile || !receiptFile) {
    verdict.hidden = true;
    return;
  }
  const files = await Promise.all([bytesOf(genesisFile), bytesOf(receiptFile)]);
  if (ask !== asked) return;
  const started = performance.now();
  const judged = judge(...files, set.value.trim());
  show(judged, performance.now() - started);
}

/** One byte above the limit at most: enough to see that it is passed. */
async function bytesOf(file: File): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(0, MAX_PAGE_FILE_BYTES + 1).arrayBuffer());
}

function show({ kind, title, text, rows }: Verdict, tookMs: number): void {
  const list = document.createElement('dl');
  for (const { name, value, isHex } of rows) {
    const held = element('dd', value);
    if (isHex) held.className = 'hex';
    list.append(element('dt', name), held);
  }
  const took = element('p', `Checked in ${tookMs.toFixed(0)} ms.`);
  took.className = 'note';
  verdict.className = kind;
  verdict.replaceChildren(element('h2', title), element('p', text), list, took);
  verdict.hidden = false;
}

function element(name: string, text: string): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

for (const chosen of [genesis, receipt, set]) chosen.addEventListener('input', () => void update());
// A page that was reloaded still has its files.
void update();

// The tab for many images: uploads files, shows rows as they arrive, sorts and filters them.
const find = (selector) => element.querySelector(selector);
const VERDICTS = {
  unsure: 'Needs human review',
  unknown: 'Unknown surface',
  error: 'Can’t be used',
  class: 'Answer accepted',
};
// What a person must look at comes first.
const ORDER = Object.keys(VERDICTS);
const AT_ONCE = 4;
const body = find('tbody');
const host = document.getElementById('many');
let rows = [];
let steps = 0;
let batch = null;
let total = 0;
let skipped = 0;
let drift = false;
let phase = 'idle';
let began = 0;
let sorting = {key: 'verdict', descending: false};

const say = (text) => {
  const status = find('.many-status');
  if (status.textContent !== text) status.textContent = text;
};
const count = (number) => number.toLocaleString('en-US');
const images = (number) => `${count(number)} ${number === 1 ? 'image' : 'images'}`;

function work(next) {
  phase = next;
  const busy = phase === 'upload' || phase === 'classify';
  find('.many-work').hidden = phase === 'idle';
  find('.many-progress').hidden = !busy;
  find('.many-stop').hidden = !busy;
  for (const button of element.querySelectorAll('[data-choose]')) button.disabled = busy;
}

function progress(done, all) {
  const bar = find('.many-progress');
  bar.max = all;
  bar.value = done;
}

function timeLeft(done, all) {
  const passed = (performance.now() - began) / 1000;
  if (done === 0 || passed < 2) return '';
  const left = Math.ceil((passed / done) * (all - done));
  if (left < 60) return `, about ${left} s left`;
  return `, about ${Math.ceil(left / 60)} min left`;
}

// Uploading: one file a request, a few at a time.

async function start(files) {
  if (phase === 'upload' || phase === 'classify' || files.length === 0) return;
  if (files.length > props.limits.files) {
    work('message');
    say(`These are ${count(files.length)} files; at most ${count(props.limits.files)} can be read `
      + 'at once. Choose fewer, or several zips one after another.');
    return;
  }
  reset();
  work('upload');
  began = performance.now();
  const sent = new Array(files.length);
  let next = 0;
  let done = 0;
  const own = {};
  host.upload = own;
  const send = async () => {
    while (next < files.length && host.upload === own && phase === 'upload') {
      const number = next++;
      const {file, name} = files[number];
      sent[number] = {orig_name: name};
      try {
        if (file.size <= props.limits.bytes) {
          const {path} = await upload(file);
          sent[number] = {path, orig_name: name, meta: {_type: 'gradio.FileData'}};
        }
      } catch (error) {
        // The server reports it in the row of this file.
        console.info(`${name} was not uploaded: ${error}`);
      }
      done += 1;
      progress(done, files.length);
      say(`Uploading ${count(done)} of ${count(files.length)}${timeLeft(done, files.length)}`);
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, send));
  if (phase !== 'upload' || host.upload !== own) return;
  host.chosen = sent;
  work('classify');
  began = performance.now();
  progress(0, 1);
  say('Waiting for the first answer');
  trigger('classify', {index: 0});
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  const walk = async (entry, folder) => {
    if (files.length > props.limits.files) return;
    if (entry.isFile) {
      const file = await new Promise((good, bad) => entry.file(good, bad));
      files.push({file, name: folder + file.name});
      return;
    }
    const reader = entry.createReader();
    // It returns a hundred entries a call.
    for (;;) {
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (some.length === 0) return;
      for (const each of some) await walk(each, `${folder}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, '');
  return files;
}

for (const button of element.querySelectorAll('[data-choose]')) {
  const input = find(`[data-input="${button.dataset.choose}"]`);
  button.addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    start([...input.files].map((file) => ({file, name: file.webkitRelativePath || file.name})));
    input.value = '';
  });
}
const drop = find('.many-drop');
drop.addEventListener('dragover', (event) => {
  event.preventDefault();
  event.stopPropagation();
  drop.classList.add('over');
});
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', async (event) => {
  event.preventDefault();
  event.stopPropagation();
  drop.classList.remove('over');
  start(await dropped(event.dataTransfer));
});
find('.many-stop').addEventListener('click', () => {
  if (phase === 'classify') trigger('stop', {index: 0});
  work('stopped');
  report('Stopped. ');
});
host.failed = () => {
  if (phase !== 'classify') return;
  work('stopped');
  report('The server did not finish. ');
};

// Receiving rows.

watch('value', () => {
  const value = props.value;
  if (!value) return;
  if (value.error) {
    if (phase === 'classify') work('message');
    find('.many-work').hidden = false;
    say(value.error);
  } else if (value.download) {
    save(value.download);
  } else if (value.steps && phase === 'classify') {
    receive(value);
  }
});

function receive(value) {
  ({batch, total, skipped} = value);
  // A slow tab misses some of the states; each holds the rows of all steps.
  for (const step of value.steps.slice(steps)) {
    for (const row of JSON.parse(step)) add({...row, number: rows.length});
  }
  steps = value.steps.length;
  progress(rows.length, total);
  compared(value.drift);
  if (value.done) {
    work('done');
    report('');
  } else {
    say(`${count(rows.length)} of ${images(total)}${timeLeft(rows.length, total)}`);
  }
  choices();
  find('.many-results').hidden = false;
}

// The comparison with the test images; it is folded on a phone, where it would hide the rows.
function compared(value) {
  const place = find('.many-drift');
  drift = Boolean(value?.found);
  if (value && place.hidden) place.open = innerWidth > 640;
  place.hidden = !value;
  place.classList.toggle('found', drift);
  find('.many-drift summary').textContent = drift ? 'Drift found' : 'No drift found';
  // The server escapes all values.
  find('.drift-panel').innerHTML = value?.panel ?? '';
}

function report(begin) {
  const number = (verdict) => rows.filter((row) => row.verdict === verdict).length;
  const facts = [`${begin}${count(rows.length)} of ${images(total || rows.length)} answered`];
  const people = number('unsure') + number('unknown');
  if (rows.length) facts.push(`${count(people)} ${people === 1 ? 'needs' : 'need'} a person`);
  if (number('error')) facts.push(`${count(number('error'))} can’t be used`);
  if (skipped) facts.push(`${count(skipped)} system ${skipped === 1 ? 'file' : 'files'} left out`);
  if (drift) facts.push('drift found');
  say(`${facts.join(', ')}.`);
}

function reset() {
  rows = [];
  steps = 0;
  batch = null;
  total = 0;
  skipped = 0;
  compared(null);
  body.replaceChildren();
  find('.many-results').hidden = true;
  for (const select of element.querySelectorAll('[data-filter]')) select.replaceChildren();
}

function cell(text) {
  const made = document.createElement('td');
  made.textContent = text;
  return made;
}

function add(row) {
  const line = document.createElement('tr');
  line.row = row;
  line.tabIndex = -1;
  const picture = document.createElement('td');
  if (row.thumbnail) {
    const small = new Image();
    small.src = row.thumbnail;
    small.alt = '';
    picture.append(small);
  }
  const name = cell(row.name);
  name.className = 'many-name';
  if (row.error) {
    const reason = document.createElement('small');
    reason.textContent = row.error;
    name.append(reason);
  }
  const verdict = document.createElement('td');
  const badge = document.createElement('span');
  badge.className = `badge ${row.verdict}`;
  badge.textContent = VERDICTS[row.verdict];
  verdict.append(badge);
  // Of an unknown surface no class is reported.
  const known = row.verdict === 'class' || row.verdict === 'unsure';
  const sure = known ? `${Math.floor(row.confidence * 1000) / 10} %` : '';
  line.append(picture, name, verdict, cell(known ? row.label : ''), cell(sure));
  row.line = line;
  rows.push(row);
  show(row);
  let [low, high] = [0, body.rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(body.rows[middle].row, row) <= 0) low = middle + 1;
    else high = middle;
  }
  body.insertBefore(line, body.rows[low] ?? null);
  focusable();
}

// Sorting and filtering.

function compare(one, other) {
  const sign = sorting.descending ? -1 : 1;
  const value = (row) => {
    if (sorting.key === 'verdict') return ORDER.indexOf(row.verdict);
    if (sorting.key === 'confidence') return row.confidence ?? 2;
    return (sorting.key === 'label' && row.verdict === 'unknown' ? '' : row[sorting.key]) ?? '';
  };
  const [a, b] = [value(one), value(other)];
  if (typeof a === 'string') {
    const order = a.localeCompare(b, 'en', {numeric: true});
    if (order) return sign * order;
  } else if (a !== b) return sign * (a - b);
  // The least certain first.
  return (one.confidence ?? 2) - (other.confidence ?? 2) || one.number - other.number;
}

for (const button of element.querySelectorAll('[data-sort]')) {
  button.addEventListener('click', () => {
    const key = button.dataset.sort;
    sorting = {key, descending: sorting.key === key && !sorting.descending};
    for (const head of element.querySelectorAll('th')) head.removeAttribute('aria-sort');
    button.closest('th').setAttribute('aria-sort', sorting.descending ? 'descending' : 'ascending');
    body.append(...[...body.rows].sort((a, b) => compare(a.row, b.row)));
    focusable();
  });
}

const chosen = (key) => find(`[data-filter="${key}"]`).value;

function show(row) {
  const hidden = (chosen('verdict') && chosen('verdict') !== row.verdict)
    || (chosen('label') && (row.verdict === 'unknown' || chosen('label') !== row.label));
  row.line.hidden = Boolean(hidden);
}

function choices() {
  const options = (key, names, words) => {
    const select = find(`[data-filter="${key}"]`);
    const before = select.value;
    const numbers = new Map();
    for (const row of rows) {
      const name = key === 'label' && row.verdict === 'unknown' ? null : row[key];
      if (name) numbers.set(name, (numbers.get(name) ?? 0) + 1);
    }
    const shown = names ?? [...numbers.keys()].sort();
    const made = shown.filter((name) => numbers.has(name)).map((name) =>
      new Option(`${words[name] ?? name} (${count(numbers.get(name))})`, name));
    select.replaceChildren(new Option(`All (${count(rows.length)})`, ''), ...made);
    select.value = before;
  };
  options('verdict', ORDER, VERDICTS);
  options('label', null, {});
}

for (const select of element.querySelectorAll('[data-filter]')) {
  select.addEventListener('change', () => {
    rows.forEach(show);
    focusable();
  });
}

// Moving through the rows: one of them is in the order of the Tab key.

const visible = () => [...body.rows].filter((line) => !line.hidden);

function focusable(line) {
  // The first row, until one of them has the focus.
  const focused = document.activeElement?.closest?.('tr');
  const current = line ?? (body.contains(focused) && !focused.hidden ? focused : null);
  const next = current ?? body.querySelector('tr:not([hidden])');
  for (const other of body.querySelectorAll('tr[tabindex="0"]')) other.tabIndex = -1;
  if (next) next.tabIndex = 0;
  return next;
}

const tab = (id) => document.querySelector(`[role="tab"][data-tab-id="${id}"]`);
let opened = null;

function open(line) {
  trigger('open', {batch, index: line.row.number});
  opened = line;
  tab('one-image').click();
  // The row is hidden now; the keyboard goes on from here.
  tab('one-image').focus();
}

// Back from the opened image to its row, unless Escape closes something there.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !opened?.isConnected || element.checkVisibility()) return;
  const typing = event.target.closest('input:not([type=radio], [type=range]), textarea, select');
  if (typing || document.fullscreenElement || document.querySelector(':popover-open')) return;
  const line = opened;
  opened = null;
  tab('many-images').click();
  // Gradio shows the tab with its next frame.
  const focus = (frames) => {
    focusable(line).focus();
    if (document.activeElement !== line && frames) requestAnimationFrame(() => focus(frames - 1));
  };
  focus(60);
});

body.addEventListener('click', (event) => {
  const line = event.target.closest('tr');
  if (!line) return;
  focusable(line);
  open(line);
});
body.addEventListener('keydown', (event) => {
  const line = event.target.closest('tr');
  if (!line) return;
  const lines = visible();
  const here = lines.indexOf(line);
  const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -here,
    End: lines.length};
  if (event.key === 'Enter') open(line);
  else if (event.key in steps) {
    const place = Math.min(Math.max(here + steps[event.key], 0), lines.length - 1);
    focusable(lines[place]).focus();
  } else return;
  event.preventDefault();
});

// Downloads.

// Gradio finds the names of events in this text.
for (const name of ['table', 'copies']) {
  find(`[data-download="${name}"]`).addEventListener('click', () => {
    if (batch) trigger(name, {batch, index: 0});
  });
}

function save(file) {
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.path.split('/').pop();
  link.click();
}
